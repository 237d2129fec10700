//! The environment of an agent: everything that is told to it, apart from the action.
//!
//! Sources: OCF Resource Agent API 1.0 and 1.1, "Parameter passing"; what the library of Debian's
//! agents reads beyond that (lib/heartbeat/ocf-shellfuncs, ocf-directories, ocf-binaries, ocf-rarun
//! and ocf.py); and which OCF_RESKEY_CRM_meta_* the agents themselves name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use stead_core::time::Span;

use super::name::AgentName;
use crate::paths::SEARCH;

/// What begins the line of an agent's errors that says why it failed (`ocf_exit_reason`).
pub const EXIT_REASON: &str = "ocf-exit-reason:";

/// The version of the API that we speak (1.1). Without it agents believe that they are an init
/// script, and make their instance's name up.
const API: (&str, &str) = ("1", "1");
/// The features of Pacemaker that promotable agents may count on. From 3.10.0 on they set their
/// score with `crm_attribute -p`, not with `crm_master`; from 3.2.0 on they read `crm_mon
/// --output-as=xml` (ocf-shellfuncs, pgsql).
const FEATURES: &str = "3.10.0";

/// One call of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The agent.
    pub agent: &'a AgentName,
    /// The name of the resource. It ends up in names of files.
    pub instance: &'a str,
    /// The action, as it is given in the argument.
    pub action: &'a str,
    /// What was written for the agent.
    pub parameters: &'a BTreeMap<String, String>,
    /// How long the action may take. Some agents divide it among what they do.
    pub timeout: Span,
    /// How often it is repeated. A `monitor` without is a probe, which asks whether the resource
    /// was already there: agents answer it differently (`ocf_is_probe`).
    pub interval: Option<Span>,
    /// How thorough a `monitor` shall be.
    pub check_level: Option<u32>,
    /// The node's name in the cluster.
    pub node: Option<&'a str>,
    /// What else is told as OCF_RESKEY_CRM_meta_*: of copies and roles, of a migration, of a
    /// notice.
    pub meta: Option<&'a BTreeMap<String, String>>,
    /// The folder of what stands in for Pacemaker's tools. Agents look there (HA_SBIN_DIR) and,
    /// sloppily, in PATH.
    pub tools: Option<&'a Path>,
    /// The folder of what agents remember until the machine restarts, if not /run/resource-agents,
    /// which Debian makes at boot.
    pub temporary: Option<&'a Path>,
}

impl<'a> Call<'a> {
    /// A call that tells the agent no more than the API demands.
    #[must_use]
    pub fn new(
        agent: &'a AgentName,
        instance: &'a str,
        action: &'a str,
        parameters: &'a BTreeMap<String, String>,
    ) -> Self {
        Self {
            agent,
            instance,
            action,
            parameters,
            timeout: Span::from_millis(20_000),
            interval: None,
            check_level: None,
            node: None,
            meta: None,
            tools: None,
            temporary: None,
        }
    }
}

/// The whole environment of an agent: nothing of our own gets in. Each name stands there once,
/// sorted; what stead says comes before what was written.
#[must_use]
pub fn environment(root: &Path, call: &Call) -> Vec<(OsString, OsString)> {
    let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
    for (name, value) in call.parameters.iter().filter(|(name, _)| usable(name)) {
        all.insert(format!("OCF_RESKEY_{name}").into(), value.into());
    }
    let mut meta = |name: &str, value: String| {
        all.insert(format!("OCF_RESKEY_CRM_meta_{name}").into(), value.into());
    };
    for (name, value) in call.meta.into_iter().flatten().filter(|(name, _)| usable(name)) {
        meta(name, value.clone());
    }
    let millis = |span: Span| (span.as_micros() / 1_000).to_string();
    meta("name", call.action.to_owned());
    meta("timeout", millis(call.timeout));
    meta("interval", millis(call.interval.unwrap_or(Span::ZERO)));
    if let Some(node) = call.node {
        meta("on_node", node.to_owned());
        meta("on_node_uuid", node.to_owned());
    }
    let mut set = |name: &str, value: &str| {
        all.insert(name.into(), value.into());
    };
    set("OCF_RA_VERSION_MAJOR", API.0);
    set("OCF_RA_VERSION_MINOR", API.1);
    set("OCF_RESOURCE_INSTANCE", call.instance);
    set("OCF_RESOURCE_TYPE", &call.agent.kind);
    set("OCF_RESOURCE_PROVIDER", &call.agent.provider);
    set("OCF_RESKEY_crm_feature_set", FEATURES);
    set("OCF_EXIT_REASON_PREFIX", EXIT_REASON);
    set("LC_ALL", "C.UTF-8");
    if let Some(level) = call.check_level {
        set("OCF_CHECK_LEVEL", &level.to_string());
    }
    all.insert("OCF_ROOT".into(), root.into());
    let mut path = OsString::from(SEARCH);
    if let Some(tools) = call.tools {
        all.insert("HA_SBIN_DIR".into(), tools.into());
        path = tools.into();
        path.push(":");
        path.push(SEARCH);
    }
    all.insert("PATH".into(), path);
    if let Some(temporary) = call.temporary {
        all.insert("HA_RSCTMP".into(), temporary.into());
    }
    all.into_iter().collect()
}

/// Whether it can be part of a variable's name. [`super::check`] tells of others.
fn usable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}
