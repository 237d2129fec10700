use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use stead_linux::netlink::AddressSpec;

use crate::helper::{PORT, ip, start_service, two_sites, wait_until};

#[test]
fn it_waits_for_its_address_and_answers_from_it() {
    let sites = two_sites("web");
    let node = &sites.nodes[0];
    start_service(node);
    let index = node.links()[0].index();
    for (service, prefix, own) in [("10.0.0.50", 24, "0.0.0.0:0"), ("fd00::50", 64, "[::]:0")] {
        let spec = AddressSpec::new(ip(service), prefix);
        node.netlink().expect("a socket").add_address(index, &spec).expect("added");
        let to = SocketAddr::new(ip(service), PORT);
        let socket = sites.client.run(|| UdpSocket::bind(own).expect("a socket")).expect("inside");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
        let mut answer = [0; 64];
        let mut got = None;
        wait_until("an answer", || {
            let _ = socket.send_to(b"hello", to);
            got = socket.recv_from(&mut answer).ok();
            got.is_some()
        });
        let (length, from) = got.expect("answered");
        assert_eq!((&answer[..length], from), (&b"hello node1\n"[..], to));
        let page = |question: &[u8]| {
            let mut stream = sites.client.run(|| TcpStream::connect(to)).expect("inside")?;
            stream.write_all(question)?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        };
        let text = page(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n").expect("a page");
        assert!(
            text.starts_with("HTTP/1.0 200 OK\r\n") && text.ends_with("\r\n\r\nnode1\n"),
            "{text}"
        );
        let endless = page(&[b'x'; 100_000]);
        assert!(endless.is_err() || endless.is_ok_and(|text| text.is_empty()), "no answer to that");
    }
}
