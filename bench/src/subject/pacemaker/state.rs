//! What `crm_mon --output-as=xml` says.

/// The cluster by the word of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Who coordinates, if anybody.
    pub(super) coordinator: Option<String>,
    /// The coordinator's part has quorum.
    pub(super) quorum: bool,
    /// Members that are ready.
    pub(super) online: Vec<String>,
    /// Where a resource is started.
    pub(super) started: Vec<String>,
}

impl State {
    /// Reads it; what is not there stays empty, as with a node that does not answer yet.
    pub(super) fn read(xml: &str) -> Self {
        let mut state = Self::default();
        // a node inside a resource is one where that runs; any other one is a member
        let mut resource = None;
        for tag in tags(xml) {
            let name = attribute(tag, "name").unwrap_or_default().to_owned();
            let says = |key: &str, value: &str| attribute(tag, key) == Some(value);
            match word(tag) {
                "current_dc" if says("present", "true") => {
                    state.coordinator = Some(name);
                    state.quorum = says("with_quorum", "true");
                }
                "resource" => {
                    let runs = says("role", "Started") && says("active", "true");
                    resource = (!tag.ends_with('/')).then_some(runs);
                }
                "/resource" => resource = None,
                "node" => match resource {
                    Some(true) => state.started.push(name),
                    Some(false) => {}
                    None if says("online", "true") && !says("pending", "true") => {
                        state.online.push(name);
                    }
                    None => {}
                },
                _ => {}
            }
        }
        state
    }
}

/// What stands between `<` and `>`.
fn tags(xml: &str) -> impl Iterator<Item = &str> {
    xml.split('<').skip(1).filter_map(|piece| Some(piece.split_once('>')?.0))
}

fn word(tag: &str) -> &str {
    tag.split(|c: char| c.is_whitespace()).next().unwrap_or_default().trim_end_matches('/')
}

fn attribute<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {key}=\""))?;
    Some(rest.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0"?>
<pacemaker-result api-version="2.25" request="crm_mon -1 --output-as=xml">
  <summary>
    <stack type="corosync"/>
    <current_dc present="true" version="2.1.5" name="node2" id="2" with_quorum="true"/>
  </summary>
  <nodes>
    <node name="node1" id="1" online="true" standby="false" pending="false" is_dc="false"/>
    <node name="node2" id="2" online="true" standby="false" pending="false" is_dc="true"/>
    <node name="node3" id="3" online="true" standby="false" pending="true" is_dc="false"/>
    <node name="node4" id="4" online="false" standby="false" pending="false" is_dc="false"/>
  </nodes>
  <resources>
    <resource id="shared" role="Started" active="true" nodes_running_on="1">
      <node name="node1" id="1" cached="true"/>
    </resource>
    <resource id="other" role="Stopped" active="false" nodes_running_on="0"/>
  </resources>
  <node_history><node name="node9"/></node_history>
</pacemaker-result>"#;

    #[test]
    fn members_coordinator_and_holder_are_read() {
        let state = State::read(XML);
        assert_eq!(state.coordinator.as_deref(), Some("node2"));
        assert!(state.quorum);
        assert_eq!(state.online, ["node1", "node2"]);
        assert_eq!(state.started, ["node1"]);
    }

    #[test]
    fn a_cluster_that_is_not_there_yet_is_empty() {
        for text in ["", "crm_mon: Connection to cluster failed", "<current_dc present=\"false\"/>"]
        {
            assert_eq!(State::read(text), State::default(), "{text}");
        }
    }

    #[test]
    fn a_stopped_resource_counts_nowhere() {
        let stopped = XML.replace("Started", "Stopped");
        assert_eq!(State::read(&stopped).started, Vec::<String>::new());
    }
}
