//! The rules of the house, each a function from the sources to what it has to complain of.
//!
//! `tests/house.rs` runs them over `src`, and over small faulty sources to prove that each can fail. A rule never
//! stops at its first find: the reader gets the whole list with a cure for each line.

use crate::circles::circle_faults;
use crate::picture::{order_faults, picture_faults};
use crate::source::{Path, Source};
use crate::words::Word;
use crate::{CODE_LINES_MAX, DOORS, FLOORS, RUNTIMES, UNSAFE_ROOM, WATERLINE};

/// One thing to put right.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// File below `src`, or another file of the repository.
    pub(crate) place: String,
    /// Line, or 0 for the file as a whole.
    pub(crate) line: usize,
    /// Short name of the rule; exceptions refer to it.
    pub(crate) rule: &'static str,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    pub(crate) cure: &'static str,
}

/// Every fault that every rule finds, in the order of the files.
pub(crate) fn inspect(sources: &[Source]) -> Vec<Fault> {
    let test_files: Vec<String> = sources.iter().flat_map(Source::test_files).collect();
    let mut faults = Vec::new();
    for source in sources {
        word_faults(source, &mut faults);
        name_faults(source, &mut faults);
        unsafe_faults(source, &mut faults);
        if test_files.contains(&source.place) {
            continue;
        }
        stand_faults(source, &mut faults);
        import_faults(source, &mut faults);
        waterline_faults(source, &mut faults);
        runtime_faults(source, &mut faults);
        size_faults(source, &mut faults);
        contract_faults(source, &mut faults);
        if source.place == "lib.rs" {
            picture_faults(source, &mut faults);
            order_faults(source, &mut faults);
        }
    }
    circle_faults(sources, &test_files, &mut faults);
    faults
}

/// How high a room stands: its place in `FLOORS`, ground first.
pub(crate) fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

pub(crate) fn report(
    faults: &mut Vec<Fault>,
    source: &Source,
    line: usize,
    rule: &'static str,
    found: String,
    cure: &'static str,
) {
    faults.push(Fault {
        place: source.place.clone(),
        line,
        rule,
        found,
        cure,
    });
}

fn stand_faults(source: &Source, faults: &mut Vec<Fault>) {
    if source.room() != "lib" && floor(source.room()).is_none() {
        let found = format!("`{}` stands on no floor", source.room());
        report(
            faults,
            source,
            0,
            "floor",
            found,
            "give it a row in FLOORS (tests/house.rs) and in the picture of lib.rs",
        );
    }
}

fn import_faults(source: &Source, faults: &mut Vec<Fault>) {
    let room = source.room();
    let Some(own) = floor(room) else { return };
    for path in source.paths() {
        let Some(target) = crate_target(source, &path) else {
            continue;
        };
        if target == room {
            continue;
        }
        let found = format!(
            "{room} (floor {}) names `{}`",
            FLOORS[own].0,
            path.segments.join("::")
        );
        match floor(target) {
            None => report(
                faults,
                source,
                path.line,
                "import",
                found,
                "name a module that stands on a floor, never the root itself",
            ),
            Some(other) if other >= own => {
                let cure = "imports go strictly down: move the type to the lowest floor that needs it, or the caller up";
                report(faults, source, path.line, "import", found, cure);
            }
            Some(_) => door_fault(source, &path, target, faults),
        }
    }
}

/// Some rooms know fewer than all rooms below them.
fn door_fault(source: &Source, path: &Path, target: &str, faults: &mut Vec<Fault>) {
    let Some((room, doors, why)) = DOORS.iter().find(|(room, _, _)| *room == source.room()) else {
        return;
    };
    if !doors.contains(&target) {
        let found = format!(
            "{room} names `{}`, it may know only {doors:?}: {why}",
            path.segments.join("::")
        );
        report(
            faults,
            source,
            path.line,
            "door",
            found,
            "hand it the value from above, or change the row in DOORS with its reason",
        );
    }
}

/// The room that a path leads to, if it starts at the crate root.
fn crate_target<'p>(source: &Source, path: &'p Path) -> Option<&'p str> {
    let segments = &path.segments;
    let first = segments.first()?.as_str();
    let supers = segments
        .iter()
        .skip(usize::from(first == "self"))
        .take_while(|name| *name == "super")
        .count();
    let depth = source.depth();
    let at_root = match first {
        "crate" => 1,
        "sluicegate" if source.room() == "main" => 1,
        _ if depth > 0 && supers >= depth => usize::from(first == "self") + supers,
        _ => return None,
    };
    segments.get(at_root).map(String::as_str)
}

/// Crates and modules that would let a pure floor touch the world.
const WORLD: &[&[&str]] = &[
    &["glommio"],
    &["rustls"],
    &["socket2"],
    &["libc"],
    &["tokio"],
    &["std", "fs"],
    &["std", "env"],
    &["std", "thread"],
    &["std", "process"],
    &["Instant", "now"],
    &["SystemTime"],
    &["TcpStream"],
    &["TcpListener"],
    &["UdpSocket"],
];

fn waterline_faults(source: &Source, faults: &mut Vec<Fault>) {
    if floor(source.room())
        .is_none_or(|own| FLOORS[own].0.parse::<u32>().map_or(true, |n| n > WATERLINE))
    {
        return;
    }
    let cure = "floors below the waterline have no I/O, clock or runtime: take the value as an argument, act above";
    for path in source.paths() {
        let named = |world: &&&[&str]| {
            let from_start = matches!(
                world[0],
                "glommio" | "rustls" | "socket2" | "libc" | "tokio" | "std"
            );
            let mut places = path.segments.windows(world.len()).enumerate();
            places.any(|(at, names)| {
                (at == 0 || !from_start) && names.iter().zip(**world).all(|(own, name)| own == name)
            })
        };
        if WORLD.iter().any(|world| named(&world)) {
            report(
                faults,
                source,
                path.line,
                "waterline",
                format!("`{}`", path.segments.join("::")),
                cure,
            );
        }
    }
    for token in &source.code {
        if token.is_name("async") || token.is_name("await") {
            report(
                faults,
                source,
                token.line,
                "waterline",
                "async code".to_owned(),
                cure,
            );
        }
    }
}

fn runtime_faults(source: &Source, faults: &mut Vec<Fault>) {
    let below = floor(source.room())
        .is_some_and(|own| FLOORS[own].0.parse::<u32>().is_ok_and(|n| n <= WATERLINE));
    if below {
        return;
    }
    for (crates, rooms) in RUNTIMES {
        if rooms.contains(&source.room()) {
            continue;
        }
        let paths = source.paths();
        for path in (paths.iter()).filter(|path| crates.contains(&path.segments[0].as_str())) {
            let found = format!("`{}` outside {rooms:?}", path.segments.join("::"));
            report(
                faults,
                source,
                path.line,
                "runtime",
                found,
                "only these rooms know it: on cores go through `net`, for readers through `admin`",
            );
        }
    }
}

fn size_faults(source: &Source, faults: &mut Vec<Fault>) {
    if source.production_lines > CODE_LINES_MAX {
        let found = format!(
            "{} lines before tests, {CODE_LINES_MAX} are allowed",
            source.production_lines
        );
        report(
            faults,
            source,
            0,
            "size",
            found,
            "split it by noun, not into a part 2",
        );
    }
}

fn unsafe_faults(source: &Source, faults: &mut Vec<Fault>) {
    for (index, token) in source.tokens.iter().enumerate() {
        if !token.is_name("unsafe") && !token.is_name("unsafe_code") {
            continue;
        }
        if source.room() != UNSAFE_ROOM {
            let found = format!("unsafe outside `{UNSAFE_ROOM}`");
            report(
                faults,
                source,
                token.line,
                "unsafe",
                found,
                "give `sys` a safe function that does it",
            );
        }
        let statement = source.tokens[..index].iter().rev();
        let mut statement =
            statement.take_while(|token| !matches!(token.word, Word::Mark(';' | '{' | '}')));
        let says_why = |text: &str| text.contains("SAFETY:") || text.contains("# Safety");
        let reasoned =
            statement.any(|token| matches!(&token.word, Word::Comment(text) if says_why(text)));
        if token.is_name("unsafe") && !reasoned {
            let cure = "write `// SAFETY:` and why it holds directly before it";
            report(
                faults,
                source,
                token.line,
                "safety",
                "unsafe without its reason".to_owned(),
                cure,
            );
        }
    }
}

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "helpers", "helper", "common", "misc", "manager",
];

fn name_faults(source: &Source, faults: &mut Vec<Fault>) {
    let cure = "name it after the noun it is about";
    for part in source.place.split('/') {
        let stem = part.strip_suffix(".rs").unwrap_or(part);
        if EMPTY_NAMES.contains(&stem) {
            report(
                faults,
                source,
                0,
                "name",
                format!("a file or folder called `{stem}`"),
                cure,
            );
        }
    }
    for pair in source.code.windows(2) {
        if let Word::Name(name) = &pair[1].word
            && pair[0].is_name("mod")
            && EMPTY_NAMES.contains(&name.as_str())
        {
            report(
                faults,
                source,
                pair[1].line,
                "name",
                format!("a module called `{name}`"),
                cure,
            );
        }
    }
}

/// Notes to oneself; they belong into the list of issues.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
/// Macros of unfinished work.
const UNFINISHED: &[&str] = &["dbg", "todo", "unimplemented"];

fn word_faults(source: &Source, faults: &mut Vec<Fault>) {
    for token in &source.tokens {
        let Word::Comment(text) = &token.word else {
            continue;
        };
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(note) = words.find(|word| NOTES.contains(word)) {
            let cure = "do it, or open an issue and say nothing here";
            report(
                faults,
                source,
                token.line,
                "word",
                format!("{note} in a comment"),
                cure,
            );
        }
    }
    for pair in source.tokens.windows(2) {
        if let Word::Name(name) = &pair[0].word
            && UNFINISHED.contains(&name.as_str())
            && pair[1].is_mark('!')
        {
            report(
                faults,
                source,
                pair[0].line,
                "word",
                format!("{name}!"),
                "finish it",
            );
        }
    }
}

fn contract_faults(source: &Source, faults: &mut Vec<Fault>) {
    let doc = source.module_doc();
    let ends = doc
        .split_whitespace()
        .filter(|word| word.ends_with(['.', '!', '?']))
        .count();
    if doc.is_empty() {
        report(
            faults,
            source,
            1,
            "contract",
            "no module doc at the top".to_owned(),
            "say with `//!` what this file is",
        );
    } else if source.place.ends_with("/mod.rs") && ends < 3 {
        let found = format!("{ends} sentences in the module doc of a floor");
        report(
            faults,
            source,
            1,
            "contract",
            found,
            "three: what it is, who uses it, what it never does",
        );
    }
}
