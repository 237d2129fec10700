//! What stands in a table: asked of the kernel, and taken over from whoever made it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::rules::{self, Family};
use super::{Channel, GateError, Protocol, Table, wire};

/// What a table remembers for a successor.
#[derive(Default)]
pub(in crate::gate) struct Memory {
    /// The managed addresses.
    pub(in crate::gate) managed: BTreeSet<IpAddr>,
    /// The names of the devices on which the gate is strict.
    pub(in crate::gate) strict: BTreeSet<String>,
}

/// What an earlier process of the instance left, for the eBPF form to take over.
///
/// # Errors
/// [`GateError::Owned`] where that process still lives.
pub(in crate::gate) fn left_behind(instance: &str) -> Result<Memory, GateError> {
    let table = crate::gate::name_of(instance)?;
    let channel = Channel::open(Protocol::Netfilter).map_err(GateError::Unreachable)?;
    let mut table = Table::new(channel, table);
    let query = rules::table_query(&table.table);
    let found = match table.channel.query("look for the table", rules::GETTABLE, false, &query) {
        Ok(found) => found,
        Err(refusal) if refusal.is(libc::ENOENT) => return Ok(Memory::default()),
        Err(refusal) => return Err(refusal.into()),
    };
    // The kernel takes the mark away when the owner ends.
    let flags = found.iter().flat_map(|answer| inside(answer, 2));
    let flags = flags.filter_map(|flags| flags.try_into().ok().map(u32::from_be_bytes));
    if flags.fold(0, |all, flags| all | flags) & rules::OWNED != 0 {
        return Err(GateError::Owned);
    }
    Ok(table.remembered()?.unwrap_or_default())
}

pub(super) fn exists(channel: &mut Channel, table: &str) -> Result<bool, GateError> {
    let query = rules::table_query(table);
    match channel.query("look for the table", rules::GETTABLE, false, &query) {
        Ok(_) => Ok(true),
        Err(refusal) if refusal.is(libc::ENOENT) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}

impl Table {
    /// What the table remembers, if there is one.
    pub(super) fn remembered(&mut self) -> Result<Option<Memory>, GateError> {
        if !exists(&mut self.channel, &self.table)? {
            return Ok(None);
        }
        let mut memory = Memory::default();
        for family in Family::ALL {
            let keys = self.elements("read the managed addresses", family.managed())?;
            memory.managed.extend(keys.iter().filter_map(|key| address(key)));
        }
        let keys = self.elements("read the strict devices", rules::STRICT_DEVICES)?;
        memory.strict.extend(keys.iter().map(|key| wire::text(key)));
        Ok(Some(memory))
    }

    /// The keys in a set of an existing table.
    fn elements(&mut self, step: &'static str, set: &str) -> Result<Vec<Vec<u8>>, GateError> {
        let query = rules::elements_query(&self.table, set);
        let answers = match self.channel.query(step, rules::GETSETELEM, true, &query) {
            Ok(answers) => answers,
            // Half a table, or one of a version that has no such set: whoever made it so did not
            // leave anything to take over.
            Err(refusal) if refusal.is(libc::ENOENT) => return Ok(Vec::new()),
            Err(refusal) => return Err(refusal.into()),
        };
        let lists = answers.iter().flat_map(|answer| inside(answer, 3));
        let keys = lists
            .flat_map(|list| wire::attributes(list).map(|(_, element)| element))
            .flat_map(|element| inside(element, 1))
            .flat_map(|key| inside(key, 1));
        Ok(keys.map(<[u8]>::to_vec).collect())
    }

    /// The base chains of the table and the device each one hangs on.
    pub(super) fn hooked(&mut self) -> Result<BTreeMap<String, String>, GateError> {
        let query = rules::table_query(&self.table);
        let answers = self.channel.query("list the hooks", rules::GETCHAIN, true, &query)?;
        let mut hooked = BTreeMap::new();
        for answer in &answers {
            let string = |kind| inside(answer, kind).next().map(wire::text);
            if string(1).as_deref() != Some(&self.table) {
                continue;
            }
            let Some((chain, hook)) = string(3).zip(inside(answer, 4).next()) else { continue };
            // One device is told alone, several (or none) as a list.
            let single = inside(hook, 3).next();
            let device = single.or_else(|| inside(hook, 4).flat_map(|list| inside(list, 1)).next());
            hooked.insert(chain, device.map(wire::text).unwrap_or_default());
        }
        Ok(hooked)
    }
}

fn inside(bytes: &[u8], wanted: u16) -> impl Iterator<Item = &[u8]> {
    wire::attributes(bytes).filter(move |(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn address(key: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(key).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(key).map(IpAddr::from)).ok()
}
