//! Rust text cut into words with their lines.
//!
//! The scanner knows just enough Rust to tell code from comments, strings, characters and lifetimes. `source.rs` uses it,
//! and through it every rule. It never judges: what it finds is handed on with the line it was found on.

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
    pub(crate) fn is_code(&self) -> bool {
        !matches!(self.word, Word::Comment(_))
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
            let end = (at..chars.len())
                .find(|i| chars[*i] == '\n')
                .unwrap_or(chars.len());
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
        let closes = |i: &usize| {
            chars[*i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes
        };
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
        return (
            Some(Word::Text(chars[end + 1..close - 1].iter().collect())),
            close,
        );
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
    (at + 1..chars.len())
        .find(|i| !is_part(i))
        .unwrap_or(chars.len())
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
