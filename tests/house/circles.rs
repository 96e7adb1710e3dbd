//! Circles within a room: files that need each other, so that none of them can be read, or tried, first.
//!
//! A part of a room is a file in it, or a folder with its file. The room's `mod.rs` is its door: whoever stands inside may
//! name what is defined there, and what it only hands on counts as named where it stands. A part whose folder names what
//! its own file defines is one part all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::rules::{Fault, report};
use crate::source::{Path, Source};

/// Which part names which other one, and the first place where it does.
type Imports<'s> = BTreeMap<(String, String), (&'s Source, usize)>;

/// Every import within a room from whose target a way leads back.
pub(crate) fn circle_faults(sources: &[Source], test_files: &[String], faults: &mut Vec<Fault>) {
    let shipped: Vec<&Source> = (sources.iter())
        .filter(|source| !test_files.contains(&source.place))
        .collect();
    let rooms: BTreeSet<&str> = shipped.iter().map(|source| source.room()).collect();
    for room in rooms {
        let files: Vec<&Source> = (shipped.iter().copied())
            .filter(|source| source.room() == room)
            .collect();
        let imports = imports(room, &files);
        for ((from, to), (source, line)) in &imports {
            if let Some(way) = way(&imports, to, from) {
                let found = format!(
                    "{from} names {to}, and a way leads back: {}",
                    way.join(" → ")
                );
                let cure = "move what both need into a file that names neither, or the caller to the other side";
                report(faults, source, *line, "circle", found, cure);
            }
        }
    }
}

fn imports<'s>(room: &str, files: &[&'s Source]) -> Imports<'s> {
    let parts: BTreeSet<&str> = files.iter().filter_map(|source| part(source)).collect();
    let door = files.iter().find(|source| part(source).is_none());
    let handed_on: BTreeMap<String, String> = (door.iter().flat_map(|door| door.paths()))
        .filter_map(|path| match path.segments.as_slice() {
            [part, .., name] if parts.contains(part.as_str()) => Some((name.clone(), part.clone())),
            _ => None,
        })
        .collect();
    let mut imports = Imports::new();
    for source in files {
        let Some(own) = part(source) else { continue };
        for path in source.paths() {
            let absolute = absolute(source, &path);
            let Some([first, name, ..]) = absolute.as_deref() else {
                continue;
            };
            let named = match parts.contains(name.as_str()) {
                true => Some(name),
                false => handed_on.get(name),
            };
            if let Some(other) = named.filter(|other| first == room && *other != own) {
                let edge = (own.to_owned(), other.clone());
                imports.entry(edge).or_insert((source, path.line));
            }
        }
    }
    imports
}

/// The file or folder of its room that this file belongs to; none for the room's `mod.rs`, and where a room is one file.
fn part(source: &Source) -> Option<&str> {
    let name = source.place.split('/').nth(1)?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "mod").then_some(name)
}

/// A path from the crate's root on, if it says where it begins.
fn absolute(source: &Source, path: &Path) -> Option<Vec<String>> {
    let rest: Vec<String> = (path.segments.iter())
        .skip_while(|name| matches!(name.as_str(), "crate" | "self" | "super"))
        .cloned()
        .collect();
    let stem = source.place.strip_suffix(".rs")?;
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    let ups = path.segments.iter().filter(|name| *name == "super").count();
    match path.segments.first()?.as_str() {
        "crate" => Some(rest),
        "self" | "super" => {
            let own: Vec<String> = stem.split('/').map(str::to_owned).collect();
            let kept = own.len().checked_sub(ups)?;
            Some([&own[..kept], &rest].concat())
        }
        _ => None,
    }
}

/// The shortest way from one part to another.
fn way(imports: &Imports<'_>, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![from.to_owned()]]);
    let mut seen = BTreeSet::from([from.to_owned()]);
    while let Some(way) = ways.pop_front() {
        let last = way.last()?;
        if last == to {
            return Some(way);
        }
        for (_, next) in imports.keys().filter(|(own, _)| own == last) {
            if seen.insert(next.clone()) {
                ways.push_back([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}
