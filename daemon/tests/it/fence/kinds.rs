//! Devices that are no agents: programs of an operator's, and servers of HTTP.

use stead::fence::{Action, Devices};
use stead_core::state::config::FenceAgent;
use stead_core::time::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::bed::{Bed, NODE, agent, program, reason, secret, short};

#[tokio::test]
async fn a_program_is_told_in_its_environment() {
    let mut bed = Bed::new();
    let script = "\
        env | grep STEAD_FENCE_ | grep -v RUN | sort >>$folder/asked\n\
        echo \"$@\" >>$folder/asked; cat >>$folder/asked; pwd >>$folder/asked\n\
        test $STEAD_FENCE_ACTION != status || exit 2";
    bed.script("vm", script);
    let FenceAgent::Exec { command } = &mut bed.config.devices.get_mut("vm").unwrap().agent else {
        panic!("it is a program");
    };
    command.push("host 5".to_owned());
    bed.levels(&[&["vm:guest-2"]]);
    assert_eq!(bed.fence().await.outcome, Ok(1));
    let of = |action: &str| {
        format!(
            "STEAD_FENCE_ACTION={action}\nSTEAD_FENCE_NODE={NODE}\nSTEAD_FENCE_PLUG=guest-2\n\
             host 5\n/\n"
        )
    };
    assert_eq!(bed.read("asked"), of("off") + &of("status"));
    bed.device("none", FenceAgent::Exec { command: vec!["/nowhere/program".to_owned()] });
    bed.levels(&[&["none"]]);
    let attempt = bed.fence().await;
    let why = reason(&attempt.steps, Action::Off);
    assert!(why.starts_with("can't start /nowhere/program: the program can't be run;"), "{why}");
}

/// The agent is told its outlet by the name that it has for it.
#[tokio::test]
async fn an_old_agent_is_told_its_port() {
    let mut bed = Bed::new();
    let folder = bed.folder.path().display().to_string();
    let text = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = -o ]; then cat {folder}/metadata; exit; fi\n\
         cat >>{folder}/told\n\
         grep -q status {folder}/told && exit 2; exit 0\n"
    );
    program(&bed.path("fence_old"), &text);
    let xml = r#"<resource-agent name="fence_old" shortdesc="Old"><parameters>
        <parameter name="port" required="1"/></parameters>
        <actions><action name="off"/><action name="status"/></actions></resource-agent>"#;
    std::fs::write(bed.path("metadata"), xml).expect("written");
    bed.devices = Devices::of_process().with_agents_in(vec![bed.folder.path().to_owned()]);
    bed.device("old", agent("fence_old", &[]));
    bed.levels(&[&["old:7"]]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(1), "{attempt:?}");
    assert_eq!(bed.read("told"), "action=off\nport=7\naction=status\nport=7\n");
    bed.device("new", agent("fence_new", &[]));
    bed.levels(&[&["new"]]);
    let attempt = bed.fence().await;
    let why = reason(&attempt.steps, Action::Off);
    assert!(why.starts_with("fence_new is not installed on this node; "), "{why}");
}

/// A server that answers each question with the next of these, and writes down what it was asked.
async fn server(answers: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/power?of=rack", listener.local_addr().expect("bound"));
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut bytes = Vec::new();
            // The question is one object, which ends it.
            while !bytes.ends_with(b"}") {
                let mut part = vec![0; 4_096];
                let length = stream.read(&mut part).await.expect("read");
                bytes.extend_from_slice(&part[..length]);
            }
            asked.push(String::from_utf8(bytes).expect("text"));
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
        asked
    });
    (url, task)
}

const OFF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{\"state\": \"off\"}";
const ON: &str = "HTTP/1.1 201 Created\r\ncontent-length: 15\r\n\r\n{\"state\": \"on\"}";

async fn hooked(answers: Vec<&'static str>) -> (Bed, tokio::task::JoinHandle<Vec<String>>) {
    let mut bed = Bed::new();
    let secret = Some(secret(&bed.path("secret"), "Bearer abc-123"));
    let (url, task) = server(answers).await;
    bed.device("cloud", FenceAgent::Webhook { url, secret }).timeout = Span::from_millis(10_000);
    bed.levels(&[&["cloud:vm-2"]]);
    (bed, task)
}

#[tokio::test]
async fn a_server_is_told_by_post_and_answers_with_the_state() {
    let (bed, task) = hooked(vec![ON, OFF, ON, OFF, ON]).await;
    let seen = bed.devices.status_of(&bed.config, NODE).await;
    assert_eq!(short(&seen), ["cloud:vm-2 status on"]);
    let attempt = bed.fence().await;
    assert_eq!(attempt.outcome, Ok(1), "{attempt:?}");
    let wanted = ["cloud:vm-2 off done", "cloud:vm-2 status on", "cloud:vm-2 status off"];
    assert_eq!(short(&attempt.steps), wanted);
    let on = bed.devices.switch_on(&bed.config, &attempt).await;
    assert_eq!(short(&on), ["cloud:vm-2 on done"]);
    let asked = task.await.expect("asked all");
    let question = &asked[1];
    assert!(question.starts_with("POST /power?of=rack HTTP/1.1\r\n"), "{question}");
    let lower = question.to_lowercase();
    assert!(lower.contains("authorization: bearer abc-123\r\n"), "{question}");
    assert!(lower.contains("content-type: application/json\r\n"), "{question}");
    let body = r#"{"action":"off","node":"node2","plug":"vm-2"}"#;
    assert!(question.ends_with(body), "{question}");
}

#[tokio::test]
async fn an_answer_that_is_none_proves_nothing() {
    let no = "HTTP/1.1 403 Forbidden\r\ncontent-length: 24\r\n\r\nno, Bearer abc-123 may not";
    let odd = "HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"state\": \"maybe\"}";
    for (answer, told) in [
        (ON, "it answers that it is still on"),
        (no, "it answers 403 Forbidden: no, [secret] may"),
        (
            odd,
            "its answer is not {\"state\": \"on\"} or {\"state\": \"off\"}: {\"state\": \"maybe\"}",
        ),
        ("SSH-2.0-OpenSSH\r\n", "HOST was reached, and gave no answer: "),
        ("", "HOST was reached, and gave no answer: "),
    ] {
        let (bed, task) = hooked(vec![answer]).await;
        let attempt = bed.fence().await;
        let why = reason(&attempt.steps, Action::Off);
        let FenceAgent::Webhook { url, .. } = &bed.config.devices["cloud"].agent else {
            panic!("it is a server");
        };
        let host = url.trim_start_matches("http://").trim_end_matches("/power?of=rack");
        assert!(why.replace(host, "HOST").starts_with(told), "{why}");
        assert!(!serde_json::to_string(&attempt).expect("written").contains("abc-123"));
        task.await.expect("asked once");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_fails_in_time() {
    let mut bed = Bed::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let at = listener.local_addr().expect("bound");
    let url = format!("http://{at}/");
    let device = bed.device("cloud", FenceAgent::Webhook { url, secret: None });
    device.timeout = Span::from_millis(300);
    bed.levels(&[&["cloud"]]);
    let attempt = bed.fence().await;
    assert_eq!(reason(&attempt.steps, Action::Off), "no answer within 0.3 s");
    drop(listener);
    let attempt = bed.fence().await;
    let why = reason(&attempt.steps, Action::Off);
    assert!(why.starts_with(&format!("no connection to {at}, so nothing was asked: ")), "{why}");
}
