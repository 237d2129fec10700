//! A management board as machines have it, simulated (`ipmi_sim` of openipmi), and Debian's agent
//! for it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stead::fence::{Action, Attempt, Step};
use stead_core::state::config::{DeviceConfig, FenceAgent};
use stead_core::time::Span;
use stead_linux::namespace::NetNs;
use tempfile::TempDir;

use super::bed::{Bed, NODE, program, reason, secret, short, texts};

/// How long the board may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where it listens, in a network of its own.
const PORT: &str = "9001";

/// A board that runs. The power of its machine is a file.
pub struct Board {
    child: Child,
    folder: TempDir,
}

impl Board {
    /// Starts one in the network of the calling thread.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("state"), "1").expect("written");
        let script = format!(
            "#!/bin/sh\n\
             case \"$2 $3\" in\n\
             'get power') echo power:$(cat {state});;\n\
             'set power') echo $4 >{state};;\n\
             esac\n",
            state = path("state")
        );
        let power = program(&folder.path().join("power"), &script);
        let ways = "none md2 md5 straight";
        let lan = format!(
            "name \"bmc\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {PORT}\n\
             priv_limit admin\nallowed_auths_callback {ways}\nallowed_auths_user {ways}\n\
             allowed_auths_operator {ways}\nallowed_auths_admin {ways}\n\
             guid a123456789abcdefa123456789abcdef\nendlan\n\
             user 2 true \"ADMIN\" \"admin\" admin 10 {ways}\n\
             chassis_control \"{power} 0x20\"\n"
        );
        let commands = "mc_setbmc 0x20\n\
            mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
            sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
        fs::write(path("lan.conf"), lan).expect("written");
        fs::write(path("commands"), commands).expect("written");
        fs::create_dir(path("kept")).expect("made");
        let child = Command::new("ipmi_sim")
            .args(["-c", &path("lan.conf"), "-f", &path("commands"), "-s", &path("kept"), "-n"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package openipmi is not there");
        let board = Self { child, folder };
        let until = Instant::now() + PATIENCE;
        while !board.answers() {
            assert!(Instant::now() < until, "the simulated board never answered");
        }
        board
    }

    fn answers(&self) -> bool {
        let login = ["-H", "127.0.0.1", "-p", PORT, "-U", "ADMIN", "-P", "admin", "-N", "1"];
        let asked = Command::new("ipmitool")
            .args(["-I", "lanplus", "-C", "3"])
            .args(login)
            .args(["-R", "1", "chassis", "power", "status"])
            .output()
            .expect("the package ipmitool is not there");
        asked.status.success()
    }

    /// Whether its machine is on.
    pub fn is_on(&self) -> bool {
        fs::read_to_string(self.folder.path().join("state")).expect("there").trim() == "1"
    }

    /// It loses its power.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs it in a network of its own, beside a board.
fn beside_a_board<F: Future<Output = ()>>(act: impl FnOnce(Board, Bed) -> F + Send) {
    let network = NetNs::create().expect("these tests need root");
    network.loopback_up().expect("up");
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("made");
        runtime.block_on(async { act(Board::start(), Bed::new()).await });
    };
    network.run(run).expect("inside");
}

/// The board's device, with that password.
fn board<'b>(bed: &'b mut Bed, password: &str) -> &'b mut DeviceConfig {
    let path: PathBuf = bed.path("password");
    let parameters = [
        ("ip", "127.0.0.1"),
        ("ipport", PORT),
        ("username", "ADMIN"),
        ("lanplus", "true"),
        ("cipher", "3"),
        ("power_wait", "0"),
        ("power_timeout", "5"),
    ];
    let agent = FenceAgent::Agent {
        name: "fence_ipmilan".to_owned(),
        parameters: texts(&parameters),
        secrets: texts(&[("password", &secret(&path, password))]),
    };
    bed.levels(&[&["bmc"]]);
    bed.config.devices.remove("bmc");
    bed.device("bmc", agent)
}

async fn seen(bed: &Bed) -> Vec<Step> {
    bed.devices.status_of(&bed.config, NODE).await
}

fn why(attempt: &Attempt) -> &str {
    attempt.outcome.as_ref().expect_err("it is not proven")
}

#[test]
fn a_board_switches_its_machine_off_and_on() {
    beside_a_board(async |machine, mut bed| {
        board(&mut bed, "admin");
        assert_eq!(short(&seen(&bed).await), ["bmc status on"]);
        let attempt = bed.fence().await;
        assert_eq!(attempt.outcome, Ok(1), "{attempt:?}");
        assert!(!machine.is_on());
        assert_eq!(short(&seen(&bed).await), ["bmc status off"]);
        let on = bed.devices.switch_on(&bed.config, &attempt).await;
        assert_eq!(short(&on), ["bmc on done"]);
        assert!(machine.is_on());
    });
}

#[test]
fn a_board_that_takes_another_password_proves_nothing() {
    beside_a_board(async |machine, mut bed| {
        board(&mut bed, "wrong");
        let attempt = bed.fence().await;
        let told = "bmc off: exit status 1, it said: Failed: Unable to obtain correct plug status";
        assert!(why(&attempt).starts_with(told), "{attempt:?}");
        assert!(machine.is_on());
        let text = serde_json::to_string(&attempt).expect("written");
        assert!(!text.contains("DeprecationWarning") && !text.contains("wrong"), "{text}");
    });
}

#[test]
fn a_board_without_power_proves_nothing_in_time() {
    beside_a_board(async |mut machine, mut bed| {
        machine.kill();
        board(&mut bed, "admin");
        let attempt = bed.fence().await;
        assert_eq!(why(&attempt), "bmc off: exit status 1, it said: Connection timed out");
        board(&mut bed, "admin").timeout = Span::from_millis(1_000);
        let attempt = bed.fence().await;
        let late = "it did not end within 1 s and was killed";
        assert_eq!(reason(&attempt.steps, Action::Off), late);
    });
}
