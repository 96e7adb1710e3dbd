//! A source file as the house test sees it: its words, which of them are tests, and the paths that it names.
//!
//! Only the rules use it. It takes use trees apart and leaves out what stands under `cfg(test)`. It never judges: what it
//! finds is handed on with the line it was found on.

use std::ops::Range;

use crate::words::{Token, Word, scan};

/// A path such as `crate::ftp::line` with all its segments; use trees are taken apart, `*` is a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

/// One file below `src`.
pub(crate) struct Source {
    /// Relative to `src`, with forward slashes: `ftp/line.rs`.
    pub(crate) place: String,
    /// Everything, in order.
    pub(crate) tokens: Vec<Token>,
    /// The code that ships: no comments, nothing under `cfg(test)`.
    pub(crate) code: Vec<Token>,
    /// Lines that are not part of a `cfg(test)` item.
    pub(crate) production_lines: usize,
    /// Modules declared as `#[cfg(test)] mod name;`: their name, or the file of a `#[path = "…"]`.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn new(place: &str, text: &str) -> Self {
        let tokens = scan(text);
        let lines = text.lines().count();
        let code: Vec<Token> = tokens
            .iter()
            .filter(|token| token.is_code())
            .cloned()
            .collect();
        let (spans, test_modules) = test_items(&code);
        let test_lines: usize = spans
            .iter()
            .map(|span| code[span.end - 1].line - code[span.start].line + 1)
            .sum();
        let inside = |index: usize| spans.iter().any(|span| span.contains(&index));
        let code = code
            .iter()
            .enumerate()
            .filter(|(index, _)| !inside(*index))
            .map(|(_, token)| token.clone())
            .collect();
        Self {
            place: place.to_owned(),
            tokens,
            code,
            production_lines: lines - test_lines,
            test_modules,
        }
    }

    /// The file or folder directly under `src` that this file belongs to, without `.rs`.
    pub(crate) fn room(&self) -> &str {
        let first = self.place.split('/').next().unwrap_or(&self.place);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many `super` lead from this file's module to the crate root.
    pub(crate) fn depth(&self) -> usize {
        let stem = self.place.strip_suffix(".rs").unwrap_or(&self.place);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        if matches!(stem, "lib" | "main") {
            0
        } else {
            stem.split('/').count()
        }
    }

    /// The files in which `#[cfg(test)] mod name;` may find its text.
    pub(crate) fn test_files(&self) -> Vec<String> {
        let stem = self.place.strip_suffix(".rs").unwrap_or(&self.place);
        let folder = match stem.rsplit_once('/') {
            Some((folder, "mod")) => format!("{folder}/"),
            None if matches!(stem, "lib" | "main") => String::new(),
            _ => format!("{stem}/"),
        };
        let beside = self
            .place
            .rsplit_once('/')
            .map_or(String::new(), |(own, _)| format!("{own}/"));
        let files = |name: &String| match name.strip_suffix(".rs") {
            Some(_) => vec![format!("{beside}{name}")],
            None => vec![
                format!("{folder}{name}.rs"),
                format!("{folder}{name}/mod.rs"),
            ],
        };
        self.test_modules.iter().flat_map(files).collect()
    }

    /// The `//!` lines at the very top, without their slashes and without code blocks.
    pub(crate) fn module_doc(&self) -> String {
        let mut doc = String::new();
        let mut in_block = false;
        for token in &self.tokens {
            let Word::Comment(text) = &token.word else {
                break;
            };
            let Some(text) = text.strip_prefix("//!") else {
                break;
            };
            if text.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block {
                doc.push_str(text);
                doc.push('\n');
            }
        }
        doc
    }

    /// All paths that the shipped code names.
    pub(crate) fn paths(&self) -> Vec<Path> {
        paths(&self.code)
    }
}

/// Where the items under `#[cfg(test)]` stand, and the names of test modules that live in files of their own.
fn test_items(code: &[Token]) -> (Vec<Range<usize>>, Vec<String>) {
    let (mut spans, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < code.len() {
        if !is_test_attribute(code, at) {
            at += 1;
            continue;
        }
        let start = at;
        while code.get(at).is_some_and(|token| token.is_mark('#')) {
            at = closing(code, at + 1) + 1;
        }
        let end = item_end(code, at);
        if let Some(place) = (at..end).find(|i| code[*i].is_name("mod"))
            && code[end - 1].is_mark(';')
            && let Some(Token {
                word: Word::Name(name),
                ..
            }) = code.get(place + 1)
        {
            modules.push(path_attribute(&code[start..at]).unwrap_or_else(|| name.clone()));
        }
        spans.push(start..end);
        at = end;
    }
    (spans, modules)
}

/// The file that `#[path = "…"]` names.
fn path_attribute(attributes: &[Token]) -> Option<String> {
    attributes
        .windows(3)
        .find_map(|words| match &words[2].word {
            Word::Text(file) if words[0].is_name("path") && words[1].is_mark('=') => {
                Some(file.clone())
            }
            _ => None,
        })
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_test_attribute(code: &[Token], at: usize) -> bool {
    let words = |names: &[&str]| {
        names.iter().enumerate().all(|(offset, name)| {
            match code.get(at + offset).map(|token| &token.word) {
                Some(Word::Name(own)) => own == name,
                Some(Word::Mark(mark)) => name.len() == 1 && name.starts_with(*mark),
                _ => false,
            }
        })
    };
    words(&["#", "[", "cfg", "(", "test", ")", "]"])
        || words(&["#", "[", "cfg", "(", "all", "(", "test"])
}

/// The index of the bracket that closes the one at `at`.
fn closing(code: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in code.iter().enumerate().skip(at) {
        match token.word {
            Word::Mark('(' | '[' | '{') => depth += 1,
            Word::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    code.len() - 1
}

/// Behind the item that starts at `at`: its `;`, or its body for everything that has one.
fn item_end(code: &[Token], mut at: usize) -> usize {
    let by_semicolon = ["use", "const", "static", "type"];
    let head = code[at..]
        .iter()
        .take_while(|token| !matches!(token.word, Word::Mark('{' | ';' | '=')));
    let mut is_short = false;
    for token in head {
        is_short |= by_semicolon.iter().any(|name| token.is_name(name));
        if token.is_name("fn") {
            is_short = false;
            break;
        }
    }
    while at < code.len() {
        match code[at].word {
            Word::Mark(';') => return at + 1,
            Word::Mark('{') if !is_short => return closing(code, at) + 1,
            Word::Mark('(' | '[' | '{') => at = closing(code, at) + 1,
            _ => at += 1,
        }
    }
    code.len()
}

fn paths(code: &[Token]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let begins = matches!(code[at].word, Word::Name(_)) || code[at].word == Word::PathSep;
        at = if begins {
            path_from(code, at, &[], &mut found)
        } else {
            at + 1
        };
    }
    found
}

/// Takes the path (or the branch of a use tree) that starts at `at`; returns where the next one may start.
fn path_from(code: &[Token], mut at: usize, before: &[String], found: &mut Vec<Path>) -> usize {
    let line = code[at].line;
    let mut segments = before.to_vec();
    if code[at].word == Word::PathSep {
        at += 1;
    }
    loop {
        match code.get(at).map(|token| &token.word) {
            Some(Word::Name(name)) => segments.push(name.clone()),
            Some(Word::Mark('*')) if !segments.is_empty() => segments.push("*".to_owned()),
            Some(Word::Mark('{')) if !segments.is_empty() => {
                return branches(code, at, &segments, found);
            }
            _ => break,
        }
        at += 1;
        if code.get(at).is_none_or(|token| token.word != Word::PathSep) {
            break;
        }
        at += 1;
    }
    if segments.len() > before.len() {
        found.push(Path { line, segments });
    }
    at.max(1)
}

/// Takes `{a, b::c}` behind a path; returns the place behind the closing brace.
fn branches(code: &[Token], open: usize, before: &[String], found: &mut Vec<Path>) -> usize {
    let close = closing(code, open);
    let mut at = open + 1;
    while at < close {
        at = match code[at].word {
            Word::Name(_) | Word::PathSep => path_from(code, at, before, found),
            _ => at + 1,
        };
    }
    close + 1
}
