//! A real proxy whose upstream moves: nginx, which reads its file anew while it serves.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stead_redirect::client::FileState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{Agent, Machine};
use crate::knowledge::{Node, PATIENCE, document, key, signed};

const NGINX: &str = "/usr/sbin/nginx";

/// A service on a node: it answers everything with its name.
async fn service(at: &str, name: &'static str) -> u16 {
    let listener = TcpListener::bind(at).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let length = name.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

async fn ask(at: SocketAddr) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(at).await {
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await;
        let _ = stream.read_to_string(&mut text).await;
    }
    text
}

async fn until_it_says(at: SocketAddr, name: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = ask(at).await;
        if said.ends_with(name) {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A real one, with all it writes in a folder. It ends with this.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(0));
        // It takes its workers along.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

#[tokio::test]
async fn clients_of_a_proxy_are_led_to_where_the_service_is() {
    let (key, machine) = (key(), Machine::new());
    // Two addresses of the loopback are two nodes.
    let port = service("127.0.1.1:0", "on node1").await;
    service(&format!("127.0.1.2:{port}"), "on node2").await;
    let front: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let folder = machine.path("");
    let folder = folder.display();
    machine.write(
        "nginx.conf",
        &format!(
            "daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\n\
             error_log {folder}/error.log;\n\
             events {{}}\nhttp {{\n  access_log off;\n  client_body_temp_path {folder}/t1;\n  \
             proxy_temp_path {folder}/t2;\n  fastcgi_temp_path {folder}/t3;\n  \
             uwsgi_temp_path {folder}/t4;\n  scgi_temp_path {folder}/t5;\n  \
             include {folder}/upstream.conf;\n  \
             server {{ listen {front}; location / {{ proxy_pass http://web; }} }}\n}}\n"
        ),
    );
    machine.write(
        "template",
        &format!(
            "upstream web {{\n{{% for address in service.addresses %}}  \
             server {{{{ address }}}}:{port};\n{{% endfor %}}}}\n"
        ),
    );
    let more = format!(
        "[[files]]\nservices = [\"web\"]\ntemplate = \"{folder}/template\"\n\
         target = \"{folder}/upstream.conf\"\n\
         reload = [\"{folder}/reload\"]\n"
    );
    // As long as it does not run yet there is nobody to tell.
    machine.script(
        "reload",
        &format!(
            "test -s nginx.pid || exit 0\n\
             {NGINX} -t -c $PWD/nginx.conf && {NGINX} -s reload -c $PWD/nginx.conf"
        ),
    );
    let says = |address, sequence| signed(&document("node1", address, sequence), &key);
    let node = Node::start(None).await.says(says("127.0.1.1", 1)).await;
    let agent = Agent::start(&machine.configure(&[node.url()], &[&key], &more));
    machine.stands(1, FileState::Current).await;
    let mut command = Command::new(NGINX);
    command.arg("-c").arg(machine.path("nginx.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let _nginx = Nginx(command.spawn().expect("nginx is there"));
    until_it_says(front, "on node1").await;

    node.shelf.put(says("127.0.1.2", 2)).expect("news");
    machine.stands(2, FileState::Current).await;
    until_it_says(front, "on node2").await;

    // Nowhere is no upstream: nginx would not take it, and keeps what it has.
    let mut nowhere = document("node1", "127.0.1.1", 3);
    nowhere.state = stead_redirect::knowledge::Whereabouts::Nowhere;
    (nowhere.node, nowhere.addresses) = (None, Vec::new());
    node.shelf.put(signed(&nowhere, &key)).expect("news");
    let status = machine.stands(3, FileState::RolledBack).await;
    let error = status.files[0].error.clone().unwrap_or_default();
    assert!(error.contains("no servers are inside upstream"), "{error}");
    until_it_says(front, "on node2").await;
    agent.end().await;
}
