//! A source file as the house test sees it: words with their lines, and which of them are tests.
//!
//! The scanner knows just enough Rust to tell code from comments, strings, characters and lifetimes. It is used by the
//! rules only. It never judges: what it finds is handed on with the line it was found on.

use std::ops::Range;

/// What a piece of source text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// An identifier or keyword.
    Name(String),
    /// A `::`.
    PathSep,
    /// Any other single character of punctuation.
    Mark(char),
    /// The inside of a string literal, escapes as written.
    Text(String),
    /// A comment with its slashes.
    Comment(String),
    /// A number, character literal or lifetime: nothing that a rule asks about.
    Other,
}

/// A word and the line it starts on, counted from 1.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) word: Word,
}

impl Token {
    /// Is this the identifier or keyword `name`?
    pub(crate) fn is_name(&self, name: &str) -> bool {
        matches!(&self.word, Word::Name(own) if own == name)
    }

    /// Is this the character of punctuation `mark`?
    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.word == Word::Mark(mark)
    }

    /// Does the compiler see this?
    fn is_code(&self) -> bool {
        !matches!(self.word, Word::Comment(_))
    }
}

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
    /// Names of modules declared as `#[cfg(test)] mod name;`.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    pub(crate) fn new(place: &str, text: &str) -> Self {
        let tokens = scan(text);
        let lines = text.lines().count();
        let code: Vec<Token> = tokens.iter().filter(|token| token.is_code()).cloned().collect();
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
        let both = |name: &String| [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")];
        self.test_modules.iter().flat_map(both).collect()
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

/// Cuts text into words; what is unknown becomes punctuation, so nothing is lost.
pub(crate) fn scan(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let (word, end) = next_word(&chars, at);
        if let Some(word) = word {
            tokens.push(Token { line, word });
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// The word that starts at `at` (none for white space) and where the next one starts.
fn next_word(chars: &[char], at: usize) -> (Option<Word>, usize) {
    let slice = |range: Range<usize>| chars[range].iter().collect::<String>();
    let peek = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    match chars[at] {
        c if c.is_whitespace() => (None, at + 1),
        '/' if peek(1) == '/' => {
            let end = (at..chars.len()).find(|i| chars[*i] == '\n').unwrap_or(chars.len());
            (Some(Word::Comment(slice(at..end))), end)
        }
        '/' if peek(1) == '*' => {
            let end = block_comment_end(chars, at);
            (Some(Word::Comment(slice(at..end))), end)
        }
        '"' => {
            let end = string_end(chars, at + 1);
            (Some(Word::Text(slice(at + 1..end - 1))), end)
        }
        '\'' => (Some(Word::Other), quote_end(chars, at)),
        ':' if peek(1) == ':' => (Some(Word::PathSep), at + 2),
        c if c.is_ascii_digit() => (Some(Word::Other), number_end(chars, at)),
        c if c.is_alphabetic() || c == '_' => name_or_prefixed(chars, at),
        c => (Some(Word::Mark(c)), at + 1),
    }
}

/// A name, or one of the literals that begin like a name: `b"…"`, `c"…"`, `b'…'`, `r#"…"#`, `br#"…"#`, `r#name`.
fn name_or_prefixed(chars: &[char], at: usize) -> (Option<Word>, usize) {
    let end = (at..chars.len())
        .find(|i| !(chars[*i].is_alphanumeric() || chars[*i] == '_'))
        .unwrap_or(chars.len());
    let name: String = chars[at..end].iter().collect();
    let next = chars.get(end).copied().unwrap_or('\0');
    let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
    let behind = chars.get(end + hashes).copied().unwrap_or('\0');
    if matches!(name.as_str(), "r" | "br" | "cr") && behind == '"' {
        let start = end + hashes + 1;
        let closes = |i: &usize| chars[*i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
        let close = (start..chars.len())
            .find(closes)
            .unwrap_or_else(|| chars.len().saturating_sub(hashes + 1));
        return (
            Some(Word::Text(chars[start..close].iter().collect())),
            close + 1 + hashes,
        );
    }
    if matches!(name.as_str(), "b" | "c") && next == '"' {
        let close = string_end(chars, end + 1);
        return (Some(Word::Text(chars[end + 1..close - 1].iter().collect())), close);
    }
    if name == "b" && next == '\'' {
        return (Some(Word::Other), quote_end(chars, end));
    }
    if name == "r" && hashes == 1 && (behind.is_alphabetic() || behind == '_') {
        return name_or_prefixed(chars, end + 1);
    }
    (Some(Word::Name(name)), end)
}

/// Behind the closing quote of a string whose inside starts at `at`.
fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Behind a character literal or a lifetime that starts at `at`.
fn quote_end(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        let close = (at + 3..chars.len()).find(|i| chars[*i] == '\'');
        return close.map_or(chars.len(), |close| close + 1);
    }
    if chars.get(at + 2) == Some(&'\'') {
        return at + 3;
    }
    let is_part = |i: &usize| chars[*i].is_alphanumeric() || chars[*i] == '_';
    (at + 1..chars.len()).find(|i| !is_part(i)).unwrap_or(chars.len())
}

/// Behind a number; a dot belongs to it only before another digit (`0..9` is a range).
fn number_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        let dot = chars[at] == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit);
        if !(dot || chars[at].is_alphanumeric() || chars[at] == '_') {
            break;
        }
        at += 1;
    }
    at
}

/// Behind a block comment, which may hold others.
fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
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
                word: Word::Name(name), ..
            }) = code.get(place + 1)
        {
            modules.push(name.clone());
        }
        spans.push(start..end);
        at = end;
    }
    (spans, modules)
}

/// `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_test_attribute(code: &[Token], at: usize) -> bool {
    let words = |names: &[&str]| {
        names
            .iter()
            .enumerate()
            .all(|(offset, name)| match code.get(at + offset).map(|token| &token.word) {
                Some(Word::Name(own)) => own == name,
                Some(Word::Mark(mark)) => name.len() == 1 && name.starts_with(*mark),
                _ => false,
            })
    };
    words(&["#", "[", "cfg", "(", "test", ")", "]"]) || words(&["#", "[", "cfg", "(", "all", "(", "test"])
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
