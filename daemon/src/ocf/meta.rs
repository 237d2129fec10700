//! What an agent says of itself: its parameters and its actions, out of XML.
//!
//! The form is that of OCF Resource Agent API 1.0 and 1.1 ("RA meta data"). Real agents leave out
//! what the form asks for, so what is lacking gets the value that Pacemaker assumes.

use roxmltree::{Document, Node, ParsingOptions};
use serde::{Serialize, Serializer};
use stead_core::time::Span;
use thiserror::Error;

use super::duration;
use super::name::shown;

/// The longest meta-data that are read, in bytes: twenty times the longest of Debian's agents
/// (SAPInstance). The reader compares each attribute with all others of its element, so ten times
/// as much could take minutes.
pub(crate) const LONGEST: usize = 256 * 1024;
/// The most elements and texts; Debian's agents have up to a thousand.
const NODES: u32 = 20_000;

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetaData {
    /// The agent's name for itself. Not always the name of its file.
    pub name: String,
    /// The version of the agent.
    pub version: String,
    /// The version of the OCF Resource Agent API that it was written for.
    pub api_version: String,
    /// What it is for, in a line.
    pub shortdesc: String,
    /// What it is for.
    pub longdesc: String,
    /// What may be told to it, in its own order.
    pub parameters: Vec<Parameter>,
    /// What may be asked of it, in its own order; `monitor` may stand there several times.
    pub actions: Vec<Action>,
}

/// What may be told to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The agent does nothing without it.
    pub required: bool,
    /// No two instances may have the same value (`unique` of API 1.0, `unique-group` of 1.1).
    pub unique: bool,
    /// Parameters of one group are unique together, not one by one (API 1.1).
    pub unique_group: Option<String>,
    /// A change of it needs no restart, only `reload-agent` (API 1.1).
    pub reloadable: bool,
    /// What values it takes.
    pub kind: Kind,
    /// The value that the agent takes if none is given. It is not passed.
    pub default: Option<String>,
    /// It should not be used any more (API 1.1).
    pub deprecated: bool,
    /// What to use instead (API 1.1).
    pub replaced_with: Vec<String>,
    /// What it is, in a line.
    pub shortdesc: String,
    /// What it is.
    pub longdesc: String,
}

/// What values a parameter takes. Agents are often wrong about it: see [`super::check`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A length of time.
    Time,
    /// A number of seconds, without a unit (fence agents).
    Seconds,
    /// One of these.
    Select(Vec<String>),
    /// What we have no test for, in the agent's words.
    Other(String),
}

/// What may be asked of an agent, and how long it usually takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// The least timeout that the agent's author advises.
    #[serde(rename = "timeout_ms", serialize_with = "millis")]
    pub timeout: Option<Span>,
    /// How often it should be repeated.
    #[serde(rename = "interval_ms", serialize_with = "millis")]
    pub interval: Option<Span>,
    /// How long after the start it should first be done.
    #[serde(rename = "start_delay_ms", serialize_with = "millis")]
    pub start_delay: Option<Span>,
    /// For which role this is meant, in the words of API 1.1: `Promoted` or `Unpromoted`.
    pub role: Option<String>,
    /// How thorough it is: the value of OCF_CHECK_LEVEL.
    pub depth: Option<u32>,
}

/// As all lengths of time are in `--json`.
#[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn millis<S: Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(Span::as_millis_f64).serialize(serializer)
}

/// Why bytes are no meta-data. Nothing was changed: nothing ever is by reading.
#[derive(Debug, Error)]
pub enum MetaDataError {
    /// Longer than any agent's.
    #[error("its meta-data are longer than {} KiB", LONGEST / 1024)]
    TooLong,
    /// Not in UTF-8.
    #[error("its meta-data are not UTF-8: byte {0} is the first that is wrong")]
    NotText(usize),
    /// Entities of its own: they could grow without bound, and no agent has them.
    #[error("its meta-data declare XML entities, which are not read")]
    Entities,
    /// No XML.
    #[error("its meta-data are not XML")]
    Xml(#[source] roxmltree::Error),
    /// Other XML.
    #[error("what it printed is <{0}>, not <resource-agent>")]
    OtherRoot(String),
}

impl MetaData {
    /// Reads what an agent printed when asked for `meta-data`.
    ///
    /// # Errors
    /// See [`MetaDataError`].
    pub fn read(xml: &[u8]) -> Result<Self, MetaDataError> {
        let document = document(xml)?;
        let root = document.root_element();
        Ok(Self {
            name: attribute(root, "name").unwrap_or_default(),
            version: attribute(root, "version").unwrap_or_default(),
            api_version: words(root, "version"),
            shortdesc: line(root, "shortdesc"),
            longdesc: words(root, "longdesc"),
            parameters: parameters(root),
            actions: entries(root, "actions", "action").filter_map(action).collect(),
        })
    }

    /// The action of that name; of several (as `monitor` with several depths) the first.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Whether one of several copies can be made the primary one.
    #[must_use]
    pub fn is_promotable(&self) -> bool {
        self.action("promote").is_some() && self.action("demote").is_some()
    }
}

/// What was printed as XML, if it is that and describes an agent, of any kind.
///
/// # Errors
/// See [`MetaDataError`].
pub(crate) fn document(xml: &[u8]) -> Result<Document<'_>, MetaDataError> {
    if xml.len() > LONGEST {
        return Err(MetaDataError::TooLong);
    }
    let text = std::str::from_utf8(xml);
    let text = text.map_err(|error| MetaDataError::NotText(error.valid_up_to()))?;
    if text.contains("<!ENTITY") {
        return Err(MetaDataError::Entities);
    }
    // Some begin with an empty line, before which XML allows no declaration.
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let options =
        ParsingOptions { allow_dtd: true, nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(MetaDataError::Xml)?;
    let name = document.root_element().tag_name().name();
    if name != "resource-agent" {
        return Err(MetaDataError::OtherRoot(shown(name)));
    }
    Ok(document)
}

/// All parameters of an agent, in its own order, each once.
pub(crate) fn parameters(root: Node) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for parameter in entries(root, "parameters", "parameter").filter_map(parameter) {
        // One that is there twice is the same one.
        if !parameters.iter().any(|it| it.name == parameter.name) {
            parameters.push(parameter);
        }
    }
    replace_obsolete(root, &mut parameters);
    parameters
}

fn parameter(node: Node) -> Option<Parameter> {
    let name = attribute(node, "name").filter(|name| !name.is_empty())?;
    let content = child(node, "content");
    let unique_group = attribute(node, "unique-group").filter(|group| !group.is_empty());
    let deprecated = child(node, "deprecated");
    let replacing = deprecated.into_iter().flat_map(|node| children(node, "replaced-with"));
    Some(Parameter {
        name,
        required: flag(node, "required"),
        unique: flag(node, "unique") || unique_group.is_some(),
        unique_group,
        reloadable: flag(node, "reloadable"),
        kind: content.map_or(Kind::String, kind),
        default: content.and_then(|content| attribute(content, "default")),
        // The attribute is the form of fence agents, which some agents have copied.
        deprecated: deprecated.is_some() || flag(node, "deprecated"),
        replaced_with: replacing.filter_map(|node| attribute(node, "name")).collect(),
        shortdesc: line(node, "shortdesc"),
        longdesc: words(node, "longdesc"),
    })
}

/// `obsoletes`, the form of fence agents, stands at the new parameter and names the old one.
fn replace_obsolete(root: Node, parameters: &mut [Parameter]) {
    for node in entries(root, "parameters", "parameter") {
        let (Some(new), Some(old)) = (attribute(node, "name"), attribute(node, "obsoletes")) else {
            continue;
        };
        let old = parameters.iter_mut().find(|it| it.name == old && it.name != new);
        if let Some(old) = old
            && !old.replaced_with.contains(&new)
        {
            old.deprecated = true;
            old.replaced_with.push(new);
        }
    }
}

fn kind(content: Node) -> Kind {
    let word = attribute(content, "type").unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "" | "string" => Kind::String,
        "integer" => Kind::Integer,
        "boolean" => Kind::Boolean,
        "time" | "duration" => Kind::Time,
        "second" => Kind::Seconds,
        "select" => {
            let values = children(content, "option").filter_map(|node| attribute(node, "value"));
            Kind::Select(values.collect())
        }
        _ => Kind::Other(word),
    }
}

fn action(node: Node) -> Option<Action> {
    let time = |name| attribute(node, name).and_then(|text| duration::parse(&text));
    let role = attribute(node, "role").filter(|role| !role.is_empty());
    Some(Action {
        name: attribute(node, "name").filter(|name| !name.is_empty())?,
        timeout: time("timeout"),
        interval: time("interval"),
        start_delay: time("start-delay"),
        role: role.map(|role| match role.as_str() {
            // The words of API 1.0.
            "Master" => "Promoted".to_owned(),
            "Slave" | "Started" => "Unpromoted".to_owned(),
            _ => role,
        }),
        depth: attribute(node, "depth").and_then(|text| text.trim().parse().ok()),
    })
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

/// The elements of a list, which may stand in several pieces.
pub(crate) fn entries<'a, 'i>(
    root: Node<'a, 'i>,
    list: &'static str,
    entry: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    children(root, list).flat_map(move |list| children(list, entry))
}

pub(crate) fn attribute(node: Node, name: &str) -> Option<String> {
    node.attribute(name).map(str::to_owned)
}

pub(crate) fn flag(node: Node, name: &str) -> bool {
    let yes = ["1", "true", "yes", "on"];
    node.attribute(name).is_some_and(|word| yes.contains(&word.trim().to_lowercase().as_str()))
}

/// The text of an element, in English if there are several languages.
pub(crate) fn words(node: Node, name: &'static str) -> String {
    let english = |node: &Node| {
        let lang = node.attributes().find(|attribute| attribute.name() == "lang");
        lang.is_some_and(|lang| lang.value().starts_with("en"))
    };
    let Some(found) = children(node, name).find(english).or_else(|| child(node, name)) else {
        return String::new();
    };
    let texts = found.descendants().filter(Node::is_text).filter_map(|node| node.text());
    texts.collect::<String>().trim().to_owned()
}

/// The same on one line.
pub(crate) fn line(node: Node, name: &'static str) -> String {
    words(node, name).split_whitespace().collect::<Vec<_>>().join(" ")
}
