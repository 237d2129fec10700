//! What the chain of modules answers, whoever is here and whatever the register said.

use std::collections::BTreeSet;
use std::fmt::Write;

use expect_test::expect_file;
use stead_core::id::NodeId;
use stead_core::quorum::Verdict;
use stead_core::quorum::chain::{Chain, Module, Said, Unusable};

fn set(nodes: &[u64]) -> BTreeSet<NodeId> {
    nodes.iter().copied().map(NodeId).collect()
}

fn chain(modules: &[Module]) -> Chain {
    Chain::new(modules.to_vec()).expect("a chain")
}

#[test]
fn the_table_of_answers() {
    let chains = [
        chain(&[Module::Majority]),
        chain(&[Module::Majority, Module::QuorumServer]),
        chain(&[Module::Majority, Module::Exec]),
    ];
    let presents: [(&[u64], &[&[u64]]); 8] = [
        (&[1, 2, 3], &[&[1, 2, 3]]),
        (&[1, 2], &[&[1, 2, 3]]),
        (&[1], &[&[1, 2, 3]]),
        (&[1], &[&[1, 2]]),
        (&[1, 2], &[&[1, 2, 3, 4]]),
        (&[1], &[&[1, 2, 3, 4]]),
        (&[1, 2], &[&[1, 2, 3, 4], &[1, 2, 3]]),
        (&[1], &[]),
    ];
    let said = [
        ("says nothing", None),
        ("granted", Some(Said::Granted)),
        ("refused", Some(Said::Refused("the grant was given to the other half".into()))),
    ];
    let mut table = String::new();
    for chain in &chains {
        let names: Vec<_> = chain.modules().iter().map(|module| module.name()).collect();
        writeln!(table, "chain {}", names.join(", ")).unwrap();
        for (present, voters) in &presents {
            let sets = voters.iter().map(|voters| set(voters)).collect();
            for (word, said) in &said {
                let decision = chain.ask(&set(present), &sets, said.as_ref());
                assert_ne!(decision.verdict, Verdict::QuorumTie);
                let words = decision
                    .words
                    .iter()
                    .map(|word| format!("{} {} ({})", word.module, word.verdict, word.reason));
                let words: Vec<_> = words.collect();
                writeln!(
                    table,
                    "  {present:?} of {voters:?}, the register {word}: {}: {}",
                    decision.verdict,
                    words.join("; ")
                )
                .unwrap();
            }
        }
    }
    expect_file!["golden/chain.txt"].assert_eq(&table);
}

#[test]
fn what_is_no_chain_is_refused_at_its_place() {
    use Module::{Exec, Majority, QuorumServer};
    let refused = |modules: &[Module]| Chain::new(modules.to_vec()).unwrap_err();
    assert_eq!(refused(&[]), (0, Unusable::NotMajorityFirst));
    assert_eq!(refused(&[QuorumServer]), (0, Unusable::NotMajorityFirst));
    assert_eq!(refused(&[QuorumServer, Majority]), (0, Unusable::NotMajorityFirst));
    assert_eq!(refused(&[Majority, Exec, Majority]), (2, Unusable::Twice(Majority)));
    assert_eq!(refused(&[Majority, Exec, Exec]), (2, Unusable::Twice(Exec)));
    assert_eq!(
        refused(&[Majority, Exec, QuorumServer]),
        (2, Unusable::SecondBreaker { first: Exec, second: QuorumServer })
    );
}
