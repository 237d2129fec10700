//! A cloud, whose router leads to whom its API says: a real agent of Debian moves the address there
//! with the real tool, and the lease decides when.
//!
//! The API is `cloud/ec2.rs`. The client's host is the router: it follows what the API was told.

mod ec2;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use stead::demo::fleet::Fleet;

use self::ec2::{OVERLAY, TABLE};
use super::{answers, said, wait_elsewhere, wait_runs};
use crate::cluster::{Must, three, told, wait_for, web_programs};

/// The tool as an agent calls it, but with another place to ask. It needs a profile of that name,
/// though nothing stands in it: who asks is known by the instance.
fn tool(fleet: &Fleet) -> String {
    let folder = fleet.folder();
    let (config, tool) = (folder.join("aws-config"), folder.join("aws"));
    fs::write(&config, "[default]\n").must();
    let text = format!(
        "#!/bin/sh\nexport AWS_CONFIG_FILE={}\nexec /usr/bin/aws --endpoint-url http://{} \"$@\"\n",
        config.display(),
        ec2::api(),
    );
    fs::write(&tool, text).must();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).must();
    tool.display().to_string()
}

/// As the book has it: the agent has the address, and stead one that nobody is led to.
fn services(fleet: &Fleet) -> String {
    let stead = crate::cluster::stead().display().to_string();
    format!(
        "\n[services.web]\nprefer = [\"node1\"]\n\
         addresses = [{{ ip = \"192.0.2.7\", prefix = 32, interface = \"front\" }}]\n\
         \n[[services.web.resources]]\nname = \"route\"\nocf = \"heartbeat:aws-vpc-move-ip\"\n\
         safety = \"lease\"\nrestarts = 0\nmonitor-interval = \"1s\"\n\
         parameters = {{ ip = \"{OVERLAY}\", interface = \"front\", routing_table = \"{TABLE}\", \
         region = \"eu-central-1\", awscli = \"{}\" }}\n\
         \n[[services.web.resources]]\nname = \"front\"\n\
         program = [\"/usr/bin/env\", \"STEAD_ADDRESSES={OVERLAY}\", \"{stead}\", \"demo-web\", \
         \"8080\"]\nmonitor = [\"{stead}\", \"demo-check\", \"{OVERLAY}:8080\"]\n",
        tool(fleet),
    )
}

/// Whether the agent's address is on that node.
fn has(fleet: &Fleet, node: &str) -> bool {
    let host = fleet.node(node).must().host();
    let shown = said(host, "ip", &["-4", "-o", "addr", "show", "to", OVERLAY]);
    !shown.expect("the addresses").is_empty()
}

/// The route leads there, and who goes by it is served.
#[track_caller]
fn leads(fleet: &Fleet, cloud: &ec2::Cloud, node: &str) {
    assert_eq!(cloud.leads(), node);
    assert!(has(fleet, node));
    wait_for(fleet, "clients that go by the route are served", || {
        Ok(answers(fleet.client(), &format!("{OVERLAY}:8080")))
    });
}

fn order_to(fleet: &Fleet, node: &str) {
    // An agent that asks an API thrice takes its time: who waits is the trial.
    let moved = fleet.node("node1").must().stead(&["move", "web", node, "--wait", "0"]).must();
    moved.expect_success().must();
}

#[test]
fn a_route_of_a_cloud_leads_to_the_holder() {
    let fleet = Fleet::start(three("cloud")).must();
    let cloud = ec2::Cloud::begin(&fleet);
    let text = fleet.plan().configuration() + &services(&fleet);
    fleet.apply("node1", &text).must();
    wait_runs(&fleet, "node1");
    leads(&fleet, &cloud, "node1");

    // The API refuses the holder from now on, which asks nothing: not while the service runs, and
    // not to stop it.
    cloud.refuse("node1");
    let asked = cloud.asked("node1");
    order_to(&fleet, "node2");
    wait_runs(&fleet, "node2");
    leads(&fleet, &cloud, "node2");
    assert!(!has(&fleet, "node1"));
    assert_eq!(cloud.asked("node1"), asked);
    cloud.permit("node1");

    // Where the API refuses the service can't start: it says why, with the API's words, and works
    // elsewhere.
    cloud.refuse("node3");
    order_to(&fleet, "node3");
    wait_for(&fleet, "the refusal is told", || {
        told(&fleet, "node3", "web did not start: route: start: ")
    });
    let by = wait_elsewhere(&fleet, "node3");
    leads(&fleet, &cloud, &by);
    assert!(!has(&fleet, "node3"));
    let screen = fleet.node("node3").must().stead(&["status"]).must().stdout;
    let printed = screen.split("web failed on node3; the last that it printed:").nth(1);
    assert!(printed.is_some_and(|it| it.contains("(UnauthorizedOperation)")), "{screen}");
    cloud.permit("node3");
    fleet.node("node1").must().stead(&["clear", "web"]).must().expect_success().must();

    // Its node is cut off from the others, not from the cloud: the lease ends the program there,
    // and the route leads away. The agent's address stays, and leads nobody anywhere.
    fleet.cut_from_nodes(&by).must();
    let next = wait_elsewhere(&fleet, &by);
    leads(&fleet, &cloud, &next);
    assert!(web_programs(&fleet, &by).is_empty());
    assert!(has(&fleet, &by));
    fleet.heal(&by).must();
    fleet.wait_whole(stead::demo::fleet::PATIENCE).must();
    leads(&fleet, &cloud, &next);

    // Its node is lost.
    fleet.silence_then_kill(&next).must();
    let last = wait_elsewhere(&fleet, &next);
    leads(&fleet, &cloud, &last);
}
