//! Clients that are told: the agent on their machine follows a cluster, and what each place on the
//! way says is traced from both sides.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stead::demo::fleet::Fleet;

use super::{cluster, program, said, start, wait_elsewhere, wait_runs, wait_seen};
use crate::cluster::{Must, wait_for};

const AT: &str = "10.77.0.100";
/// A program that learns where its server is when it starts, and never again.
const OLD: &str = "\
#!/bin/sh
read -r node < \"$1\"
printf '%s\\n' \"$node\" > \"$2\"
exec sleep 1000
";

/// What the agent does: a file by a template, with a check; and a program that is started anew.
fn agent(fleet: &Fleet, folder: &Path) -> String {
    let here = folder.display();
    let node = fleet.node("node1").must();
    let config = node.stead(&["redirect", "client-config"]).must().expect_success().must();
    let config = config.replace("/var/lib/stead-client", &format!("{here}/state"));
    // The links between the nodes are theirs alone; clients reach them where the services are.
    let config = config.replace("://10.77.1.", "://10.77.0.");
    let config = config.replace("/etc/stead/client.token", &format!("{here}/token"));
    let restart = folder.join("restart");
    let text = format!(
        "#!/bin/sh\n[ -e {here}/pid ] && kill \"$(cat {here}/pid)\" 2>/dev/null\n\
         {here}/old {here}/where {here}/connected >/dev/null 2>&1 </dev/null &\n\
         echo $! > {here}/pid\n"
    );
    script(&restart, &text);
    script(&folder.join("old"), OLD);
    fs::write(folder.join("where.j2"), "{{ services.web.node }}\n").must();
    format!(
        "{config}\n[[files]]\nservices = [\"web\"]\ntemplate = \"{here}/where.j2\"\n\
         target = \"{here}/where\"\ncheck = [\"/usr/bin/grep\", \"node\", \"{{file}}\"]\n\
         reload = [\"{here}/restart\"]\n"
    )
}

fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).must();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).must();
}

fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).must();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).must();
}

/// What a file says, without the end of its line.
fn line(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn places(text: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let places = if value.is_array() { &value } else { &value["places"] };
    places.as_array().cloned().unwrap_or_default()
}

fn place<'p>(places: &'p [Value], layer: &str) -> &'p Value {
    places.iter().find(|it| it["layer"] == layer).unwrap_or(&Value::Null)
}

/// What the agent said, if all else fails.
struct Told(PathBuf);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- the agent\n{}", fs::read_to_string(&self.0).unwrap_or_default());
        }
    }
}

#[test]
fn a_client_that_is_told_restarts_what_never_asks_again() {
    let secrets = tempfile::tempdir().must();
    let token = secrets.path().join("documents");
    secret(&token, "let me read\n");
    let services = format!(
        "\n[services.web]\nprefer = [\"node1\"]\naddresses = [\"{AT}/24\"]\n{}\
         \n[redirect]\ndocuments = 7420\ndocuments-token = \"{}\"\n",
        program(AT),
        token.display()
    );
    let fleet = cluster("told", &services);
    wait_runs(&fleet, "node1");
    wait_seen(&fleet, "node1", "knowledge");
    let folder = fleet.folder().join("client");
    fs::create_dir_all(&folder).must();
    let config = folder.join("client.toml");
    secret(&folder.join("token"), "let me in\n");
    fs::write(&config, agent(&fleet, &folder)).must();
    let config = config.display().to_string();
    let stead = crate::cluster::stead().display().to_string();
    said(fleet.client(), &stead, &["client", "check", "--config", &config]).expect("usable");
    let words = ["client", "run", "--config", &config];
    let _agent = start(fleet.client(), &stead, &words, &folder.join("log"));
    let _told = Told(folder.join("log"));
    // Nobody is told anything without the token; with it everything goes its way.
    wait_for(&fleet, "the agent says that it is refused with a wrong token", || {
        let status = said(fleet.client(), &stead, &["client", "status", "--config", &config]);
        Ok(status.unwrap_or_default().contains("it answers 401 Unauthorized"))
    });
    assert!(!folder.join("where").exists());
    secret(&folder.join("token"), "let me read\n");
    let connected = folder.join("connected");
    wait_for(&fleet, "the old program is on node1", || Ok(line(&connected) == "node1"));

    // It is lost: the program that never asks again is on the new node.
    fleet.silence_then_kill("node1").must();
    let by = wait_elsewhere(&fleet, "node1");
    wait_for(&fleet, "the old program follows", || Ok(line(&connected) == by));
    assert_eq!(line(&folder.join("where")), by);
    wait_seen(&fleet, &by, "knowledge");
    let status = said(fleet.client(), &stead, &["client", "status", "--config", &config]);
    let status = status.expect("a status");
    assert!(status.contains(&by) && status.contains("current"), "{status}");

    // What each place says, from a node and from the client's machine.
    let node = fleet.node(&by).must();
    let traced = node.stead(&["redirect", "trace", &by, "web", "--json"]).must();
    let traced = places(&traced.expect_success().must());
    let document = place(&traced, "knowledge");
    assert!(document["leads"] == true && document["expires-ms"].is_u64(), "{traced:?}");
    let words = ["client", "trace", "web", "--config", &config, "--json"];
    let traced = places(&said(fleet.client(), &stead, &words).expect("a trace"));
    assert_eq!(place(&traced, "knowledge")["leads"], true, "{traced:?}");
    let echo = place(&traced, "echo")["says"]["Ok"].as_str().unwrap_or_default().to_owned();
    assert!(echo.contains("it answers"), "{traced:?}");
    let other = if by == "node2" { "node3" } else { "node2" };
    let traced = node.stead(&["redirect", "trace", other, "web"]).must().expect_success().must();
    assert!(traced.contains("knowledge") && traced.contains("10.77.0.0/24 on front"), "{traced}");
    let refused = node.stead(&["redirect", "trace", "node9", "web"]).must();
    assert!(refused.stderr.contains("node9 is no member"), "{}", refused.stderr);

    // The template is broken, and then the reload: the old file stays, and it is told.
    fs::write(folder.join("where.j2"), "{{ services.nobody.node }}\n").must();
    fleet.power_on("node1").must();
    fleet.wait_whole(stead::demo::fleet::PATIENCE).must();
    fleet.node(&by).must().stead(&["move", "web", "node1"]).must().expect_success().must();
    wait_runs(&fleet, "node1");
    wait_for(&fleet, "the agent says what is wrong", || {
        let status = said(fleet.client(), &stead, &["client", "status", "--config", &config]);
        Ok(status.unwrap_or_default().contains("the old one stays"))
    });
    assert_eq!(line(&folder.join("where")), by);
    fs::write(folder.join("where.j2"), "{{ services.web.node }}\n").must();
    wait_for(&fleet, "the repaired template is used", || Ok(line(&connected) == "node1"));
}
