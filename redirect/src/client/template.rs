//! Files out of templates (Jinja's language, as minijinja has it).
//!
//! A template sees `cluster` (`id`, `name`), `services` (by name) and, if the file has one service
//! only, that one as `service`. A service has the fields of its document: `state`, `node`, `site`,
//! `addresses`, `names`, `epoch`, `sequence`, `issued`, `valid_until`, and `address`, the first of
//! the addresses. What is not there is an error and not nothing: half a file is worse than an old
//! one. `state` may be `moving` or `nowhere`, with no addresses; the template says what is written
//! then.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use serde_json::Value as Json;
use thiserror::Error as ThisError;

use crate::knowledge::Document;

/// The longest template, and the longest file that is made of one, in bytes.
const LONGEST: u64 = 1024 * 1024;
/// Steps of a template: a thousand times what a long list needs, and a moment's work.
const FUEL: u64 = 10_000_000;
/// How its errors and its own name are called.
const NAME: &str = "template";

/// A template that gives no file.
#[derive(Debug, ThisError)]
pub enum TemplateError {
    /// It can't be read.
    #[error("can't read the template {}", path.display())]
    Read {
        /// The template.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is none, or asks for what is not there. The text names the line.
    #[error("the template {} does not render: {said}", path.display())]
    Render {
        /// The template.
        path: PathBuf,
        /// What is wrong.
        said: String,
    },
    /// It makes too much.
    #[error("the template {} makes more than {LONGEST} bytes", .0.display())]
    TooLong(PathBuf),
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // A file ends as its template does. Only delimiters can be wrong, and those are the usual ones.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment
}

fn read(path: &Path) -> Result<String, TemplateError> {
    let failed = |source| TemplateError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > LONGEST {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read_to_string(path).map_err(failed)
}

fn said(path: &Path, error: &minijinja::Error) -> TemplateError {
    // It may name a line only, and its causes the rest.
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    TemplateError::Render { path: path.to_owned(), said }
}

/// Whether that is a template at all. What it asks for is seen only when there is a document.
pub(super) fn check(path: &Path) -> Result<(), TemplateError> {
    let text = read(path)?;
    environment().template_from_named_str(NAME, &text).map_err(|error| said(path, &error))?;
    Ok(())
}

/// The file that a template makes of documents. Blocks.
pub(super) fn render(
    path: &Path,
    documents: &BTreeMap<String, Document>,
) -> Result<String, TemplateError> {
    let text = read(path)?;
    let environment = environment();
    let all = documents.iter().map(|(name, document)| (name.clone(), service(document)));
    let all: serde_json::Map<String, Json> = all.collect();
    let mut context = serde_json::Map::new();
    let mut each = documents.values();
    if let (Some(document), None) = (each.next(), each.next()) {
        context.insert("service".to_owned(), service(document));
    }
    let cluster = documents.values().next().map(|document| json(&document.cluster));
    context.insert("cluster".to_owned(), cluster.unwrap_or_default());
    context.insert("services".to_owned(), Json::Object(all));
    let rendered = environment.render_named_str(NAME, &text, Value::from(Serde(context)));
    let rendered = rendered.map_err(|error| said(path, &error))?;
    if rendered.len() as u64 > LONGEST {
        return Err(TemplateError::TooLong(path.to_owned()));
    }
    Ok(rendered)
}

/// A document as a template sees it.
fn service(document: &Document) -> Json {
    let mut service = json(document);
    // Without an address there is no `address` either: who asks for it then is told so.
    if let (Json::Object(fields), Some(address)) = (&mut service, document.addresses.first()) {
        fields.insert("address".to_owned(), address.to_string().into());
    }
    service
}

/// What stands in documents has a form in JSON.
fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}
