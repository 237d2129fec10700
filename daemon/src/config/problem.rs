//! A problem with the file: where it is, what it is, what to write instead.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;
use stead_core::state::config::DeviceConfig;

use crate::fence::{self, Listing};
use crate::ocf;

/// How many problems one report lists. A file of another kind altogether has thousands.
pub(super) const LISTED: usize = 30;

/// The text of a file under the name that reports give it.
pub(super) type Source = Arc<NamedSource<String>>;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file can't be used.
    Error,
    /// The file can be used, and something in it deserves a second look.
    Warning,
    /// Nothing is wrong, and something in it may be of no use, or not enough.
    Advice,
}

/// One thing that is wrong with the file, or that deserves a second look.
///
/// As a [`Diagnostic`] it shows its lines of the file; serialized, it is the object of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead, or what follows if it stays.
    pub help: String,
    #[serde(skip)]
    source: Source,
    #[serde(skip)]
    labels: Vec<LabeledSpan>,
}

/// A problem that doesn't keep the file from being used.
pub type Warning = Problem;

impl Problem {
    /// Adds a second place that the reader of the report should see, and says what is at both.
    pub(super) fn compare(&mut self, here: &str, there: &Range<usize>, what: &str) {
        if let Some(first) = self.labels.first_mut() {
            first.set_label(Some(here.to_owned()));
        }
        self.labels.push(LabeledSpan::new_with_span(Some(what.to_owned()), there.clone()));
    }

    /// The offset of the place that is to blame.
    fn offset(&self) -> usize {
        self.labels.first().map_or(0, LabeledSpan::offset)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Advice => miette::Severity::Advice,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// A file that can't be used, with everything that was found in it. Nothing was changed.
#[derive(Clone, Debug)]
pub struct Rejected {
    file: String,
    problems: Vec<Problem>,
    unlisted: usize,
}

impl Rejected {
    /// The problems in the order of the file; never empty, and never more than a person reads.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{} can't be used: {count} problem{plural}", self.file)?;
        if self.unlisted > 0 {
            write!(f, " here and {} more", self.unlisted)?;
        }
        f.write_str("; nothing was changed")
    }
}

impl std::error::Error for Rejected {}

impl Diagnostic for Rejected {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// What has been found so far in one file.
pub(super) struct Findings {
    file: String,
    source: Source,
    errors: Vec<Problem>,
    warnings: Vec<Warning>,
    /// Whom to ask about agents; none if only the file itself is looked at.
    pub(super) agents: Option<Asking>,
}

/// What is asked beside the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// Has a resource agent of this machine say what it takes.
    pub(super) ocf: fn(&ocf::AgentName) -> Result<ocf::MetaData, ocf::DescribeError>,
    /// Has a fence agent do so.
    pub(super) fence: fn(&fence::AgentName) -> Result<fence::MetaData, fence::DescribeError>,
    /// Has fence devices say which outlets they have; nothing if none is asked.
    pub(super) lists: Option<Lists>,
}

/// The outlets of each of these devices.
pub(super) type Lists = fn(&[(&str, &DeviceConfig)]) -> Vec<Listing>;

impl Findings {
    /// How many errors are noted.
    pub(super) fn errors(&self) -> usize {
        self.errors.len()
    }

    /// Nothing found yet.
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            source: Arc::new(NamedSource::new(file, text.to_owned())),
            errors: Vec::new(),
            warnings: Vec::new(),
            agents: None,
        }
    }

    /// The text that is being read.
    pub(super) fn text(&self) -> &str {
        self.source.inner()
    }

    /// Notes what makes the file unusable.
    pub(super) fn error(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> &mut Problem {
        let problem = self.problem(Severity::Error, at, message.into(), help.into());
        self.errors.push_mut(problem)
    }

    /// Notes what the operator should know though the file is usable.
    pub(super) fn warning(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = self.problem(Severity::Warning, at, message.into(), help.into());
        self.warnings.push(problem);
    }

    /// Notes what may be of no use, or not enough.
    pub(super) fn advice(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let problem = self.problem(Severity::Advice, at, message.into(), help.into());
        self.warnings.push(problem);
    }

    /// What was noted of that kind, where nothing else was, and how much is not listed.
    pub(super) fn advised(mut self) -> (Vec<Problem>, usize) {
        let mut advice = std::mem::take(&mut self.warnings);
        let unlisted = advice.len().saturating_sub(LISTED);
        self.place(&mut advice);
        (advice, unlisted)
    }

    /// The lines of some places, from 1. The text is gone through once, however many they are.
    pub(super) fn lines(&self, places: &[Range<usize>]) -> Vec<usize> {
        if places.is_empty() {
            return Vec::new();
        }
        let ends: Vec<usize> = line_ends(self.text()).collect();
        places.iter().map(|at| ends.partition_point(|end| *end < at.start) + 1).collect()
    }

    /// The warnings of a usable file, or why it is not one.
    ///
    /// # Errors
    /// With every error that was noted, in the order of the file.
    pub(super) fn conclude(mut self) -> Result<Vec<Warning>, Rejected> {
        if !self.errors.is_empty() {
            return Err(self.rejected());
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        self.place(&mut warnings);
        Ok(warnings)
    }

    /// The errors that were noted, as the reason why the file can't be used.
    pub(super) fn rejected(mut self) -> Rejected {
        let mut problems = std::mem::take(&mut self.errors);
        let unlisted = problems.len().saturating_sub(LISTED);
        self.place(&mut problems);
        Rejected { file: self.file, problems, unlisted }
    }

    /// Puts problems into the order of the file and gives those that are listed their lines.
    ///
    /// It is done at the end because counting lines takes as long as the file is.
    fn place(&self, problems: &mut Vec<Problem>) {
        problems.sort_by_key(Problem::offset);
        problems.truncate(LISTED);
        for problem in problems {
            (problem.line, problem.column) = position(self.text(), problem.offset());
        }
    }

    fn problem(
        &self,
        severity: Severity,
        at: &Range<usize>,
        message: String,
        help: String,
    ) -> Problem {
        let at = within(self.text(), at);
        let labels = vec![LabeledSpan::new_primary_with_span(None, at)];
        let (file, source) = (self.file.clone(), Arc::clone(&self.source));
        Problem { severity, file, line: 1, column: 1, message, help, source, labels }
    }
}

/// The range, moved to whole characters of the text.
fn within(text: &str, at: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(at.start);
    start..text.ceil_char_boundary(at.end.max(start))
}

/// The line and the column of an offset, both from 1, the column in characters.
///
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let ends = line_ends(before);
    let (lines, start) = ends.fold((0, 0), |(lines, _), index| (lines + 1, index + 1));
    (lines + 1, before.get(start..).map_or(0, |line| line.chars().count()) + 1)
}

/// Where lines end. A carriage return ends one as well, as in the report's drawing.
fn line_ends(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|&(index, &byte)| {
        byte == b'\n' || (byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'))
    });
    ends.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("a\nb", 2), (2, 1));
        assert_eq!(position("a\r\nb", 3), (2, 1));
        assert_eq!(position("\u{e9}\u{e9}x", 4), (1, 3));
        assert_eq!(position("a", 99), (1, 2));
    }

    #[test]
    fn ranges_never_split_a_character() {
        assert_eq!(within("\u{e9}", &(1..1)), 0..2);
        assert_eq!(within("ab", &(9..12)), 2..2);
    }
}
