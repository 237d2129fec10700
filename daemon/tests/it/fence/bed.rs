//! What the trials of fence devices share: folders, devices and programs that write down what they
//! were asked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use stead::fence::{Action, Attempt, Devices, Said, Step};
use stead_core::state::config::{DeviceConfig, FenceAgent, FencingConfig, NodeFencing, Plug};
use stead_core::time::Span;
use tempfile::TempDir;

/// The node that is fenced.
pub const NODE: &str = "node2";
/// Longer than any agent takes on a machine that does much else.
const PATIENCE: Span = Span::from_millis(120_000);

/// A folder, and what is configured.
pub struct Bed {
    pub folder: TempDir,
    pub config: FencingConfig,
    pub devices: Devices,
}

impl Bed {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let devices = Devices::of_daemon(folder.path());
        Self { folder, config: FencingConfig::default(), devices }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Adds a device.
    pub fn device(&mut self, name: &str, agent: FenceAgent) -> &mut DeviceConfig {
        let device = DeviceConfig { agent, timeout: PATIENCE, retries: 0 };
        self.config.devices.entry(name.to_owned()).or_insert(device)
    }

    /// A fence_dummy, whose state is a file that has the device's name.
    pub fn dummy(&mut self, name: &str) -> &mut DeviceConfig {
        let path = self.path(name);
        fs::write(&path, "on").expect("written");
        let path = path.display().to_string();
        self.device(name, agent("fence_dummy", &[("type", "file"), ("status_file", &path)]))
    }

    /// A fence_dummy that fails at everything.
    pub fn failing(&mut self, name: &str) -> &mut DeviceConfig {
        self.device(name, agent("fence_dummy", &[("type", "fail"), ("power_timeout", "1")]))
    }

    /// A device that is a shell script: `$STEAD_FENCE_ACTION` says what it is asked, `$folder` is
    /// the bed's.
    pub fn script(&mut self, name: &str, script: &str) -> &mut DeviceConfig {
        let folder = self.folder.path().display();
        let text = format!("#!/bin/sh\nfolder={folder}\n{script}\n");
        let command = vec![program(&self.path(name), &text)];
        self.device(name, FenceAgent::Exec { command })
    }

    /// How the node is fenced: levels of `DEVICE` or `DEVICE:PLUG`.
    pub fn levels(&mut self, levels: &[&[&str]]) {
        let plug = |text: &&str| match text.split_once(':') {
            Some((device, plug)) => Plug { device: device.to_owned(), plug: Some(plug.to_owned()) },
            None => Plug { device: (*text).to_owned(), plug: None },
        };
        let levels = levels.iter().map(|level| level.iter().map(plug).collect()).collect();
        let fencing = NodeFencing { levels, ..NodeFencing::default() };
        self.config.nodes.insert(NODE.to_owned(), fencing);
    }

    pub async fn fence(&self) -> Attempt {
        self.devices.fence(&self.config, NODE).await
    }
}

/// An agent of our own in the bed's folder, which cuts off from a storage as fence_scsi does.
pub fn cutting(bed: &mut Bed, name: &str) {
    let folder = bed.folder.path().display().to_string();
    let text = format!(
        "#!/bin/sh\n\
         if [ \"$1\" = -o ]; then cat {folder}/metadata; exit; fi\n\
         read line; action=${{line#action=}}\n\
         echo $action >>{folder}/asked\n\
         case $action in on|off) echo $action >{folder}/{name};; esac\n\
         [ $action != status ] || grep -q on {folder}/{name} || exit 2\n"
    );
    program(&bed.path("fence_cutting"), &text);
    let xml = r#"<resource-agent name="fence_cutting" shortdesc="Cuts off"><parameters/>
        <actions><action name="on" on_target="1" automatic="1"/><action name="off"/>
        <action name="status"/></actions></resource-agent>"#;
    fs::write(bed.path("metadata"), xml).expect("written");
    let mut folders = stead::fence::folders();
    folders.push(bed.folder.path().to_owned());
    bed.devices = Devices::of_process().with_agents_in(folders);
    bed.device(name, agent("fence_cutting", &[]));
}

/// Writes a program, and says where.
pub fn program(path: &Path, text: &str) -> String {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made a program");
    path.display().to_string()
}

/// A secret in a file that root alone may read.
pub fn secret(path: &Path, value: &str) -> String {
    fs::write(path, value).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("closed");
    path.display().to_string()
}

pub fn agent(name: &str, parameters: &[(&str, &str)]) -> FenceAgent {
    FenceAgent::Agent {
        name: name.to_owned(),
        parameters: texts(parameters),
        secrets: BTreeMap::new(),
    }
}

pub fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What was asked and said, in short: `pdu:1 off done`. Of what failed only that.
pub fn short(steps: &[Step]) -> Vec<String> {
    let word = |step: &Step| {
        let plug = step.plug.as_ref().map(|plug| format!(":{plug}")).unwrap_or_default();
        let said = match &step.said {
            Said::Failed(_) => "failed".to_owned(),
            said @ (Said::Done | Said::On | Said::Off) => said.to_string(),
        };
        format!("{}{plug} {} {said}", step.device, step.action)
    };
    steps.iter().map(word).collect()
}

/// The reason of the only step of that action that failed.
pub fn reason(steps: &[Step], action: Action) -> String {
    let failed = steps.iter().filter(|step| step.action == action);
    let mut failed = failed.filter_map(|step| match &step.said {
        Said::Failed(reason) => Some(reason.clone()),
        Said::Done | Said::On | Said::Off => None,
    });
    let reason = failed.next().unwrap_or_else(|| panic!("no {action} failed: {steps:?}"));
    assert_eq!(failed.next(), None, "{steps:?}");
    reason
}
