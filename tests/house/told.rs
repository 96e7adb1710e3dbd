//! What the gate tells, against the pages: every message of the log, every text of a reply, every fault of a start, every word for
//! an end, and every field of the answers in JSON.
//!
//! Used by the tests in `tests/house.rs`. It reads the texts out of the sources, where they stand as literals, and asks only whether
//! a page has them. It never judges how the page explains them.

use crate::source::Source;
use crate::words::{Token, Word};

/// A line of the log, as the code writes it.
pub(crate) struct Message {
    place: String,
    level: String,
    text: String,
    fields: Vec<String>,
}

/// A literal as a page writes it: what is filled in is `…`.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        shown.push_str(before);
        shown.push('…');
        rest = behind.split_once('}').map_or("", |(_, behind)| behind);
    }
    shown + rest
}

/// Whether anything is said beside what is filled in.
fn says_something(shown: &str) -> bool {
    let mut words = shown.split(|letter: char| !letter.is_ascii_lowercase());
    words.any(|word| word.len() > 2)
}

fn text(token: Option<&Token>) -> Option<&str> {
    match &token?.word {
        Word::Text(text) => Some(text),
        _ => None,
    }
}

fn name(token: Option<&Token>) -> Option<&str> {
    match &token?.word {
        Word::Name(name) => Some(name),
        _ => None,
    }
}

/// The arguments of the call whose bracket opens at `open`.
fn arguments(code: &[Token], open: usize) -> Vec<&[Token]> {
    let (mut depth, mut start, mut found) = (0, open + 1, Vec::new());
    for (at, token) in code.iter().enumerate().skip(open) {
        match token.word {
            Word::Mark('(' | '[' | '{') => depth += 1,
            Word::Mark(')' | ']' | '}') => depth -= 1,
            Word::Mark(',') if depth == 1 => {
                found.push(&code[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            found.push(&code[start..at]);
            break;
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

/// What the code of this file writes into the log; what is filled in as a whole, or stands in the rig, is left out.
pub(crate) fn messages(source: &Source) -> Vec<Message> {
    let code = &source.code;
    let calls = (0..code.len()).filter(|&at| {
        code[at].is_name("tracing")
            && code.get(at + 3).is_some_and(|token| token.is_mark('!'))
            && code.get(at + 4).is_some_and(|token| token.is_mark('('))
    });
    let message = |at: usize| {
        let level = name(code.get(at + 2))?.to_owned();
        let mut fields = Vec::new();
        for argument in arguments(code, at + 4) {
            if let Some(literal) = text(argument.first()) {
                let text = shown(literal);
                let place = format!("{}:{}", source.place, code[at].line);
                return says_something(&text).then_some(Message {
                    place,
                    level,
                    text,
                    fields,
                });
            }
            fields.extend(
                argument
                    .iter()
                    .find_map(|token| name(Some(token)))
                    .map(str::to_owned),
            );
        }
        None
    };
    calls.filter_map(message).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The rows of the page's table of messages: levels, messages, fields.
fn rows(page: &str) -> Vec<[&str; 3]> {
    let row = |line: &'_ str| -> Option<[usize; 4]> {
        let mut bars = line.match_indices(" | ").map(|(at, _)| at);
        let ends = (bars.next()?, bars.next()?);
        let is_level = |word: &str| ["error", "warn", "info", "debug"].contains(&word);
        let is_row = line.starts_with("| ") && line[2..ends.0].split(", ").all(is_level);
        is_row.then_some([2, ends.0, ends.1, line.len()])
    };
    let lines = page.lines();
    let found = lines.filter_map(|line| {
        let [start, first, second, end] = row(line)?;
        Some([
            &line[start..first],
            &line[first + 3..second],
            &line[second + 3..end],
        ])
    });
    found.collect()
}

/// Messages that the page does not tell, or with another level, or not with all their fields; and what it tells in vain.
pub(crate) fn message_faults(page: &str, messages: &[Message]) -> Vec<String> {
    let rows = rows(page);
    let mut faults = Vec::new();
    for message in messages {
        let Message {
            place,
            level,
            text,
            fields,
        } = message;
        let mut own = rows.iter().filter(|[levels, texts, _]| {
            levels.split(", ").any(|one| one == level) && quoted(texts).contains(&text.as_str())
        });
        let Some([_, _, told]) = own.next() else {
            faults.push(format!("{place}: no row for {level} `{text}`"));
            continue;
        };
        let told = quoted(told);
        let missing = fields
            .iter()
            .filter(|field| !told.contains(&field.as_str()));
        faults.extend(missing.map(|field| format!("{place}: `{text}` lacks its field `{field}`")));
    }
    let idle = rows
        .iter()
        .flat_map(|[levels, texts, _]| quoted(texts).into_iter().map(move |text| (levels, text)));
    let idle = idle.filter(|(levels, text)| {
        let is_it = |one: &Message| one.text == *text && levels.split(", ").any(|l| l == one.level);
        !messages.iter().any(is_it)
    });
    faults.extend(idle.map(|(levels, text)| format!("{levels} `{text}` is written nowhere")));
    faults
}

/// What the code of this file may say to a client: literals that begin as sentences do, and those that are a reason for a refusal.
pub(crate) fn replies(source: &Source) -> Vec<String> {
    let code = &source.code;
    let is_reason = |at: usize| {
        let before = at.checked_sub(2).map(|at| &code[at..at + 2]);
        before.is_some_and(|before| {
            before[1].is_mark('(') && (before[0].is_name("Err") || before[0].is_name("ok_or"))
        })
    };
    // `Loss::Broken => "why"`
    let is_arm = |at: usize| at > 1 && code[at - 1].is_mark('>') && code[at - 2].is_mark('=');
    let is_why = |at: usize| is_arm(at) || is_blamed(code, at);
    // Above the dialog a reply is what has its code with it.
    let is_within = source.room() == "dialog";
    let has_code = |at: usize| at > 3 && code[at - 4].is_name("occasion");
    let reply = |at: usize| {
        let text = shown(text(code.get(at))?);
        let is_sentence =
            text.starts_with(|first: char| first.is_ascii_uppercase() || first == '…');
        let is_told = (is_sentence && text.contains(' ') && !is_why(at)) || is_reason(at);
        (is_told && says_something(&text) && (is_within || has_code(at))).then_some(text)
    };
    (0..code.len()).filter_map(reply).collect()
}

/// `Blame::Client, "why"`: why a session ends, in the words of the log and the journal.
fn is_blamed(code: &[Token], at: usize) -> bool {
    at > 3 && code[at - 1].is_mark(',') && code[at - 4].is_name("Blame")
}

/// Why the code of this file ends sessions, as a page quotes it.
pub(crate) fn whys(source: &Source) -> Vec<String> {
    let code = &source.code;
    let blamed = (0..code.len()).filter(|&at| is_blamed(code, at));
    let whys = blamed.filter_map(|at| text(code.get(at)));
    whys.map(|why| format!("`{why}`")).collect()
}

/// What the code of this file says when the gate does not start: what has its cure with it, and what is called the problem.
pub(crate) fn start_faults(source: &Source) -> Vec<String> {
    let code = &source.code;
    let is_problem = |at: usize| {
        let start = at.saturating_sub(5);
        code[start..at].iter().any(|token| token.is_name("problem"))
    };
    let fault = |at: usize| {
        let text = text(code.get(at))?;
        let (problem, is_cured) = match text.split_once("; ") {
            Some((problem, rest))
                if rest
                    .trim_start_matches(['\\', '\n', ' '])
                    .starts_with("cure:") =>
            {
                (problem, true)
            }
            _ => (text, false),
        };
        let problem = shown(problem);
        ((is_cured || is_problem(at)) && says_something(&problem)).then_some(problem)
    };
    (0..code.len()).filter_map(fault).collect()
}

/// Texts that the page has nowhere.
pub(crate) fn untold(page: &str, texts: &[String]) -> Vec<String> {
    // Lines end anywhere, and within a table a bar is escaped.
    let words: Vec<&str> = page.split_whitespace().collect();
    let page = words.join(" ").replace("\\|", "|");
    let missing = texts.iter().filter(|text| !page.contains(text.as_str()));
    missing
        .map(|text| format!("\"{text}\" is not on the page"))
        .collect()
}

/// What an arm of a `match` makes of each value of `of`: the value as `Debug` writes it, and the literal.
pub(crate) fn arms(source: &Source, of: &str) -> Vec<(String, String)> {
    let code = &source.code;
    let arm = |at: usize| {
        let is_it = code[at].is_name(of) && code.get(at + 1)?.word == Word::PathSep;
        let value = name(code.get(at + 2)).filter(|_| is_it)?;
        let (value, next) = match code.get(at + 3)?.is_mark('(') {
            // `TimedOut(Phase::Connect)`
            true => (format!("{value}({})", name(code.get(at + 6))?), at + 8),
            false => (value.to_owned(), at + 3),
        };
        let is_arm = code.get(next)?.is_mark('=') && code.get(next + 1)?.is_mark('>');
        let literal = text(code.get(next + 2)).filter(|_| is_arm)?;
        Some((value, literal.to_owned()))
    };
    (0..code.len()).filter_map(arm).collect()
}

/// Ends of data connections without their row: how the log, the journal and the metrics name them, and what the client is told.
pub(crate) fn end_faults(
    page: &str,
    action: &Source,
    journal: &Source,
    verdict: &Source,
) -> Vec<String> {
    let (metrics, phrases) = (arms(action, "Self"), arms(verdict, "End"));
    let of = |arms: &[(String, String)], value: &str| {
        let found = arms.iter().find(|(known, _)| known == value);
        found.map_or_else(String::new, |(_, literal)| literal.clone())
    };
    let ends = arms(journal, "End");
    let missing = ends.iter().filter_map(|(value, word)| {
        let (metric, phrase) = (of(&metrics, value), of(&phrases, value));
        let start = format!("| `{value}` | `{word}` | `{metric}` | ");
        let has_row = page
            .lines()
            .any(|line| line.starts_with(&start) && line.contains(&format!("\"{phrase}\"")));
        (!has_row).then(|| format!("no row {start}… \"{phrase}\""))
    });
    let missing: Vec<String> = missing.collect();
    if ends.is_empty() {
        vec!["no ends were found".to_owned()]
    } else {
        missing
    }
}

/// The fields of what this file has for JSON, but for those that are not written or dissolve into others.
pub(crate) fn fields(source: &Source) -> Vec<String> {
    let code = &source.code;
    let mut found = Vec::new();
    for at in (0..code.len()).filter(|&at| code[at].is_name("struct")) {
        let Some(open) = (at..code.len()).find(|&at| code[at].is_mark('{')) else {
            continue;
        };
        // From the struct back to the end of what stands before it are its attributes.
        let before = code[..at].iter().rev();
        let mut before = before.take_while(|token| !token.is_mark('}') && !token.is_mark(';'));
        if !before.any(|token| token.is_name("Serialize")) {
            continue;
        }
        for field in arguments(code, open) {
            let is_hidden = field
                .iter()
                .any(|token| token.is_name("skip") || token.is_name("flatten"));
            let colon = field.iter().position(|token| token.is_mark(':'));
            if let Some(colon) = colon.filter(|_| !is_hidden) {
                found.extend(name(field.get(colon - 1)).map(|name| format!("`{name}`")));
            }
        }
    }
    found
}
