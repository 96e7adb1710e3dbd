//! From a text to its sections: what serde would stumble over is taken out and noted, so that it does not hide the rest.

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::fault::Findings;
use super::file::{File, SECTIONS, Shape};
use super::nearest::nearest;
use super::value::is_small;

/// Parses a text. Nothing only if it is not TOML; whatever else is strange is noted and left out.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<File> {
    let mut table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            findings.fault(
                error.span().as_ref(),
                "",
                format!("not TOML: {}", error.message()),
                SYNTAX_CURE,
            );
            return None;
        }
    };
    let sections = core::mem::take(table.get_mut()).into_iter();
    *table.get_mut() = sections
        .filter_map(|section| shaped(section, findings))
        .collect();
    File::deserialize(toml::de::Deserializer::from(table))
        .map_err(|error| findings.fault(error.span().as_ref(), "", error.message(), SYNTAX_CURE))
        .ok()
}

const SYNTAX_CURE: &str = "key = value lines below [section] lines; see config/sluicegate.toml";

type Entry<'i> = (Spanned<DeString<'i>>, Spanned<DeValue<'i>>);

/// A section that is known and has the right shape, without what is strange in it.
fn shaped<'i>((name, mut value): Entry<'i>, findings: &mut Findings) -> Option<Entry<'i>> {
    let word = name.get_ref().as_ref();
    let Some((section, shape, keys)) = SECTIONS.iter().find(|(section, _, _)| *section == word)
    else {
        findings.fault(Some(&name.span()), word, "is not known", section_cure(word));
        return None;
    };
    match (shape, value.get_mut()) {
        (Shape::Once, DeValue::Table(body)) => sift(body, section, section, keys, findings),
        (Shape::Many, DeValue::Array(bodies))
            if bodies.iter().all(|body| body.get_ref().is_table()) =>
        {
            for (index, body) in bodies.iter_mut().enumerate() {
                if let DeValue::Table(body) = body.get_mut() {
                    sift(
                        body,
                        &format!("{section}[{index}]"),
                        section,
                        keys,
                        findings,
                    );
                }
            }
        }
        (shape, _) => {
            let heading = heading(section, *shape);
            let problem = format!("is not written as {heading}");
            findings.fault(
                Some(&name.span()),
                *section,
                problem,
                format!("put its keys below a line {heading}"),
            );
            return None;
        }
    }
    Some((name, value))
}

/// Takes out of one section, and notes, what serde would stumble over: unknown keys and numbers beyond any bound.
fn sift(body: &mut DeTable<'_>, path: &str, section: &str, keys: &[&str], findings: &mut Findings) {
    let known = core::mem::take(body).into_iter().filter(|(key, value)| {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        if !keys.contains(&name) {
            findings.fault(
                Some(&key.span()),
                path,
                "is not known",
                key_cure(name, section, keys),
            );
            return false;
        }
        if !is_small(value.get_ref()) {
            let cure = "see config/sluicegate.toml for what this key takes";
            findings.fault(
                Some(&value.span()),
                path,
                "is a number too large for anything here",
                cure,
            );
            return false;
        }
        true
    });
    *body = known.collect();
}

/// What keys were called once, and are called now.
const RENAMED: &[(&str, &str, &str)] = &[("pool", "passive", "data_command")];

fn key_cure(name: &str, section: &str, keys: &[&str]) -> String {
    let is_renamed = |(at, old, _): &&(&str, &str, &str)| (*at, *old) == (section, name);
    if let Some((_, _, new)) = RENAMED.iter().find(is_renamed) {
        return format!("it is called {new} now, with the same values");
    }
    if let Some(meant) = nearest(name, keys.iter().copied()) {
        return format!("did you mean {meant}?");
    }
    let elsewhere = SECTIONS
        .iter()
        .find(|(other, _, keys)| *other != section && keys.contains(&name));
    match elsewhere {
        Some((other, shape, _)) => format!("it belongs below {}", heading(other, *shape)),
        None => format!("keys here: {}", keys.join(", ")),
    }
}

fn section_cure(name: &str) -> String {
    let sections = || {
        SECTIONS
            .iter()
            .map(|(section, shape, _)| heading(section, *shape))
    };
    let meant = nearest(name, SECTIONS.iter().map(|(section, _, _)| *section));
    let owner = SECTIONS.iter().find(|(_, _, keys)| keys.contains(&name));
    let find = |meant| SECTIONS.iter().find(|(section, _, _)| *section == meant);
    if let Some((section, shape, _)) = meant.and_then(find) {
        return format!("did you mean {}?", heading(section, *shape));
    }
    match owner {
        Some((section, shape, _)) => format!("it belongs below {}", heading(section, *shape)),
        None => format!("sections: {}", sections().collect::<Vec<_>>().join(", ")),
    }
}

fn heading(section: &str, shape: Shape) -> String {
    match shape {
        Shape::Once => format!("[{section}]"),
        Shape::Many => format!("[[{section}]]"),
    }
}
