//! The files of a backend: a small tree in memory, its paths, and its listings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::misbehave::{Misbehaviour, POLITE, Script, TABLE as MISBEHAVIOURS};
use crate::ftp::Verb;
use crate::limits;
use crate::rig::{Source, Stretch};

/// What stands at a path.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Directory,
    File(Content),
}

/// What is in a file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Bytes(Source),
    /// An upload that was too long to keep: only this is left of it.
    Counted {
        len: u64,
        crc: u32,
    },
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(source) => source.len(),
            Self::Counted { len, .. } => *len,
        }
    }

    /// Bytes of memory that only this file needs.
    fn kept(&self) -> usize {
        match self {
            Self::Bytes(Source::Bytes(bytes)) => bytes.len(),
            _ => 0,
        }
    }
}

/// Paths are absolute, `/` is the root, no other ends with a slash.
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    /// Bytes of memory in kept uploads.
    kept: usize,
    uniques: u32,
}

impl Tree {
    /// What every backend has from its start.
    pub(super) fn new() -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            kept: 0,
            uniques: 0,
        };
        for directory in ["/", "/empty-dir", "/misbehave", "/pub", "/upload"] {
            tree.nodes.insert(directory.to_owned(), Node::Directory);
        }
        // Clients that go down step by step, and people who look around, find the names of the manners here.
        for row in MISBEHAVIOURS {
            let path = format!("/misbehave/{}", row.name);
            tree.nodes.insert(path, Node::Directory);
        }
        let mut file = |path: String, len: u64| {
            let content = Content::Bytes(Source::Pattern(Stretch::named(&path, len)));
            tree.nodes.insert(path, Node::File(content));
        };
        file("/empty".to_owned(), 0);
        file("/1KiB.bin".to_owned(), 1 << 10);
        file("/1MiB.bin".to_owned(), 1 << 20);
        file("/10MiB.bin".to_owned(), 10 << 20);
        file("/1GiB.bin".to_owned(), 1 << 30);
        for number in 1..=PUBLISHED_FILES {
            file(format!("/pub/file-{number:03}.txt"), number * 37);
        }
        tree
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(super) fn is_directory(&self, path: &str) -> bool {
        matches!(self.node(path), Some(Node::Directory))
    }

    pub(super) fn file(&self, path: &str) -> Option<&Content> {
        match self.node(path) {
            Some(Node::File(content)) => Some(content),
            _ => None,
        }
    }

    /// Whether a file can be put here: its directory is there, and no directory of its name.
    pub(super) fn takes(&self, path: &str) -> bool {
        self.is_directory(parent(path)) && !self.is_directory(path)
    }

    /// A path in `directory` that nothing has.
    pub(super) fn unique(&mut self, directory: &str) -> String {
        self.uniques += 1;
        join(directory, &format!("upload-{:06}", self.uniques))
    }

    /// Bytes that one more upload may have to be kept.
    pub(super) fn room(&self) -> usize {
        limits::RIG_UPLOADS_BYTES_MAX
            .saturating_sub(self.kept)
            .min(limits::RIG_UPLOAD_BYTES_MAX)
    }

    pub(super) fn put(&mut self, path: String, node: Node) {
        self.remove(&path);
        if let Node::File(content) = &node {
            self.kept += content.kept();
        }
        self.nodes.insert(path, node);
    }

    pub(super) fn remove(&mut self, path: &str) -> Option<Node> {
        let node = self.nodes.remove(path)?;
        if let Node::File(content) = &node {
            self.kept -= content.kept();
        }
        Some(node)
    }

    /// Whether nothing is in a directory.
    pub(super) fn is_empty(&self, directory: &str) -> bool {
        self.children(directory).next().is_none()
    }

    fn children(&self, directory: &str) -> impl Iterator<Item = (&str, &Node)> {
        let prefix = match directory {
            "/" => "/".to_owned(),
            _ => format!("{directory}/"),
        };
        self.nodes
            .range(prefix.clone()..)
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .filter_map(move |(path, node)| {
                let name = path.strip_prefix(&prefix)?;
                (!name.is_empty() && !name.contains('/')).then_some((name, node))
            })
    }

    /// What LIST, NLST or MLSD sends for a path; nothing where there is none.
    pub(super) fn listing(&self, verb: Verb, path: &str) -> Option<Arc<[u8]>> {
        let mut text = String::new();
        match self.node(path)? {
            Node::File(_) if verb == Verb::Mlsd => return None,
            node @ Node::File(_) => entry(&mut text, verb, name(path), node),
            Node::Directory => {
                for (name, node) in self.children(path) {
                    entry(&mut text, verb, name, node);
                }
            }
        }
        Some(text.into_bytes().into())
    }
}

/// Files in `/pub`.
const PUBLISHED_FILES: u64 = 200;

/// When everything was last modified, so that listings are the same in every run.
pub(super) const MODIFIED: &str = "20240229120000";

fn entry(text: &mut String, verb: Verb, name: &str, node: &Node) {
    let (letter, kind, len) = match node {
        Node::Directory => ("d", "dir", 0),
        Node::File(content) => ("-", "file", content.len()),
    };
    let written = match verb {
        Verb::Nlst => write!(text, "{name}\r\n"),
        Verb::Mlsd | Verb::Mlst => write!(
            text,
            "type={kind};size={len};modify={MODIFIED};perm=radfwelcmp; {name}\r\n"
        ),
        _ => write!(
            text,
            "{letter}rw-r--r--   1 rig      rig      {len:>12} Feb 29  2024 {name}\r\n"
        ),
    };
    written.expect("a string takes every write");
}

/// The facts of one path as MLST writes them (RFC 3659 section 7).
pub(super) fn facts(path: &str, node: &Node) -> String {
    let mut text = String::new();
    entry(&mut text, Verb::Mlst, path, node);
    text.truncate(text.trim_end().len());
    text
}

/// The absolute path that `argument` means in `directory`; `..` of the root is the root.
pub(super) fn resolve(directory: &str, argument: &[u8]) -> String {
    let argument = String::from_utf8_lossy(argument);
    let from = if argument.starts_with('/') {
        ""
    } else {
        directory
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in from.split('/').chain(argument.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Where a path leads: `/misbehave/NAME/rest` is `/rest`, with those manners.
pub(super) fn place(path: &str) -> (Option<Script>, String) {
    let rest = path.strip_prefix("/misbehave/").and_then(|rest| {
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        Some((Misbehaviour::named(name)?, rest))
    });
    match rest {
        Some((row, rest)) => (
            (row.script != POLITE).then_some(row.script),
            format!("/{rest}"),
        ),
        None => (None, path.to_owned()),
    }
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_should() {
        for (directory, argument, expected) in [
            ("/", "empty", "/empty"),
            ("/pub", "../empty", "/empty"),
            ("/pub", "/", "/"),
            ("/pub", "../../..", "/"),
            ("/pub", "./file//x", "/pub/file/x"),
        ] {
            assert_eq!(resolve(directory, argument.as_bytes()), expected);
        }
        let (script, path) = place("/misbehave/bare-close/empty-dir");
        assert_eq!(
            script,
            Misbehaviour::named("bare-close").map(|row| row.script)
        );
        assert_eq!(path, "/empty-dir");
        assert_eq!(place("/misbehave/bare-close").1, "/");
        assert_eq!(
            place("/misbehave/unheard-of/x"),
            (None, "/misbehave/unheard-of/x".into())
        );
    }

    #[test]
    fn listings_name_children_and_no_grandchildren() {
        let tree = Tree::new();
        let names = |verb, path| {
            let listing = tree.listing(verb, path).expect("it is there");
            String::from_utf8(listing.to_vec()).expect("ASCII")
        };
        assert_eq!(names(Verb::List, "/empty-dir"), "");
        assert_eq!(names(Verb::Nlst, "/pub").lines().count(), 200);
        let root = names(Verb::Nlst, "/");
        assert!(root.lines().any(|name| name == "1GiB.bin"));
        assert!(root.lines().all(|name| !name.contains("file-")));
        assert!(tree.listing(Verb::List, "/nowhere").is_none());
    }

    #[test]
    fn memory_of_uploads_comes_back_when_they_go() {
        let mut tree = Tree::new();
        let whole = tree.room();
        let bytes = || Node::File(Content::Bytes(Source::Bytes(vec![0; 1000].into())));
        for round in 0..10 {
            tree.put("/upload/a".to_owned(), bytes());
            assert_eq!(tree.kept, 1000, "round {round}");
        }
        tree.remove("/upload/a");
        assert_eq!((tree.kept, tree.room()), (0, whole));
    }
}
