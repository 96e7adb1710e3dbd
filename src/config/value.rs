//! What can stand behind a key: each kind of value reads itself and says what it would rather have seen.

use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;

use toml::Value;

use super::nearest::nearest;
use super::{AdminAddress, BusyPoll, Cores, HostPort, Pin, PortSpan};
use crate::limits;

/// Why a value cannot be taken.
pub(super) struct Flaw {
    pub(super) problem: String,
    pub(super) cure: String,
}

impl Flaw {
    pub(super) fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

/// Something that can be written behind a key.
pub(super) trait Leaf: Sized {
    fn read(value: &Value) -> Result<Self, Flaw>;
}

/// A choice among words. The words stand here and nowhere else.
pub(super) trait Choice: Copy + 'static {
    /// Each word and what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// A text of at most one line without control characters: it becomes part of a reply line.
pub(super) struct OneLine(pub(super) String);

/// The name of a listener or a pool: it becomes part of log lines and metrics.
pub(super) struct Name(pub(super) String);

/// One or more values; a single one need not stand in brackets.
pub(super) struct List<T>(pub(super) Vec<T>);

impl Leaf for String {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let text = text(value, "in quotes")?;
        match text.is_empty() {
            true => Err(Flaw::new("is empty", "write a value, or leave the key out")),
            false => Ok(text.to_owned()),
        }
    }
}

impl Leaf for PathBuf {
    fn read(value: &Value) -> Result<Self, Flaw> {
        String::read(value).map(Self::from)
    }
}

impl Leaf for AdminAddress {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let text = text(value, "in quotes")?;
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let flaw = |_| {
            Flaw::new(
                format!("{text:?} is neither an address with its port nor a socket"),
                "for example \"127.0.0.1:9121\" or \"unix:/run/sluicegate/admin.sock\"",
            )
        };
        text.parse().map(Self::Tcp).map_err(flaw)
    }
}

impl Leaf for OneLine {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let text = String::read(value)?;
        if text.len() > limits::BANNER_BYTES_MAX || text.chars().any(char::is_control) {
            let most = limits::BANNER_BYTES_MAX;
            return Err(Flaw::new(
                "does not fit one line of a reply",
                format!("at most {most} bytes, no line breaks, no control characters"),
            ));
        }
        Ok(Self(text))
    }
}

impl Leaf for Name {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let text = String::read(value)?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let most = limits::NAME_BYTES_MAX;
        match text.len() <= most && text.chars().all(fits) {
            true => Ok(Self(text)),
            false => Err(Flaw::new(
                format!("{text:?} cannot be a name"),
                format!("letters, digits, '.', '_' and '-', at most {most} of them"),
            )),
        }
    }
}

impl Leaf for bool {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let flaw = || {
            Flaw::new(
                format!("is {}, not a yes or no", kind(value)),
                "write true or false, without quotes",
            )
        };
        value.as_bool().ok_or_else(flaw)
    }
}

impl Leaf for usize {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let number = value
            .as_integer()
            .and_then(|number| Self::try_from(number).ok());
        number.ok_or_else(|| {
            let problem = format!("is {}, not a whole number of 0 or more", kind(value));
            Flaw::new(problem, "write digits, without quotes")
        })
    }
}

impl<T: Leaf> Leaf for List<T> {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let Some(items) = value.as_array() else {
            return T::read(value).map(|only| Self(vec![only]));
        };
        if items.is_empty() {
            return Err(Flaw::new("is an empty list", "name at least one"));
        }
        let mut values = Vec::new();
        let mut flaws: Option<Flaw> = None;
        for (index, item) in items.iter().enumerate() {
            match T::read(item) {
                Ok(value) => values.push(value),
                Err(flaw) => {
                    let problem = format!("item {}: {}", index + 1, flaw.problem);
                    flaws = Some(match flaws {
                        Some(first) => {
                            Flaw::new(format!("{}; {problem}", first.problem), first.cure)
                        }
                        None => Flaw::new(problem, flaw.cure),
                    });
                }
            }
        }
        flaws.map_or(Ok(Self(values)), Err)
    }
}

impl Leaf for Duration {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "a number and its unit, in quotes: \"500ms\", \"10s\", \"2m\", \"1h\"";
        let text = text(value, "with a unit")?;
        let digits = text
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return Err(Flaw::new(format!("{text:?} is not a time"), CURE)),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| Flaw::new(format!("{text:?} is not a time"), CURE))?;
        let longest = limits::TIMEOUT_MAX;
        match number.checked_mul(unit_ms).map(Self::from_millis) {
            Some(Self::ZERO) => Err(Flaw::new("a time of 0 would fail everything at once", CURE)),
            Some(time) if time <= longest => Ok(time),
            _ => Err(Flaw::new(
                format!("{text:?} is longer than a day"),
                "a bound that long bounds nothing: at most \"24h\"",
            )),
        }
    }
}

impl Leaf for SocketAddr {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let text = text(value, "with a port")?;
        text.parse().map_err(|_| {
            let cure = match text.parse::<std::net::IpAddr>() {
                Ok(ip) => format!("write the port too: \"{}\"", Self::new(ip, 21)),
                Err(_) => "an IP address and a port: \"0.0.0.0:21\" or \"[::]:21\"".to_owned(),
            };
            Flaw::new(format!("{text:?} is not an address to listen on"), cure)
        })
    }
}

impl Leaf for PortSpan {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "two ports, the lower first: \"50000-50999\"";
        let text = text(value, "in quotes")?;
        let flaw = || Flaw::new(format!("{text:?} is not a range of ports"), CURE);
        let (first, last) = text.split_once('-').ok_or_else(flaw)?;
        let first: u16 = first.trim().parse().map_err(|_| flaw())?;
        let last: u16 = last.trim().parse().map_err(|_| flaw())?;
        match (first <= last, first >= 1024) {
            (false, _) => Err(Flaw::new(format!("{text:?} ends before it begins"), CURE)),
            (true, false) => Err(Flaw::new("ports below 1024 belong to services", CURE)),
            (true, true) => Ok(Self { first, last }),
        }
    }
}

impl Leaf for HostPort {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str =
            "a host and a port: \"10.0.0.10:21\", \"ftp.inside:21\" or \"[fd00::10]:21\"";
        let text = text(value, "with a port")?;
        let flaw = || Flaw::new(format!("{text:?} is not a host and a port"), CURE);
        let (host, port) = text.rsplit_once(':').ok_or_else(flaw)?;
        let port: u16 = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(flaw)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let fits = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host(host),
        };
        let host = bare.unwrap_or(host).to_owned();
        fits.then_some(Self { host, port }).ok_or_else(flaw)
    }
}

impl Leaf for Pin {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "64 hexadecimal digits, as printed by: openssl x509 -in FILE -noout -fingerprint -sha256";
        let text = text(value, "in quotes")?;
        let digits: Vec<u8> = text
            .chars()
            .filter(|letter| *letter != ':')
            .map_while(|letter| letter.to_digit(16))
            .filter_map(|digit| u8::try_from(digit).ok())
            .collect();
        let colons = text.matches(':').count();
        let mut pin = [0; 32];
        if digits.len() != 2 * pin.len() || digits.len() + colons != text.len() {
            let problem = format!("{text:?} is not the SHA-256 of a certificate");
            return Err(Flaw::new(problem, CURE));
        }
        for (byte, pair) in pin.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(pin))
    }
}

impl Leaf for BusyPoll {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "\"off\", or a time of \"1us\" to \"10ms\"";
        let text = text(value, "with a unit")?;
        if text == "off" {
            return Ok(Self::default());
        }
        let flaw = || {
            Flaw::new(
                format!("{text:?} is not how long a core looks for news"),
                CURE,
            )
        };
        let (number, unit_us) = match (text.strip_suffix("us"), text.strip_suffix("ms")) {
            (Some(number), _) => (number, 1),
            (_, Some(number)) => (number, 1000),
            _ => return Err(flaw()),
        };
        let number: u64 = number.parse().map_err(|_| flaw())?;
        let time = number.checked_mul(unit_us).map(Duration::from_micros);
        let bounds = Duration::from_micros(1)..=limits::BUSY_POLL_MAX;
        time.filter(|time| bounds.contains(time))
            .map(Self)
            .ok_or_else(flaw)
    }
}

impl Leaf for Cores {
    fn read(value: &Value) -> Result<Self, Flaw> {
        const CURE: &str = "\"all\", or a list of different CPU numbers: [0, 1]";
        if value.as_str() == Some("all") {
            return Ok(Self::All);
        }
        if !value.is_array() && !value.is_integer() {
            return Err(Flaw::new(
                format!("is {}, not a choice of CPUs", kind(value)),
                CURE,
            ));
        }
        let mut cores = List::<usize>::read(value)?.0;
        cores.sort_unstable();
        if cores.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Flaw::new("names a CPU twice", CURE));
        }
        let most = limits::SHARDS_MAX;
        match cores.len() <= most {
            true => Ok(Self::List(cores)),
            false => Err(Flaw::new("names too many CPUs", format!("at most {most}"))),
        }
    }
}

impl<C: Choice> Leaf for C {
    fn read(value: &Value) -> Result<Self, Flaw> {
        let words = || Self::WORDS.iter().map(|(word, _)| *word);
        let choices = words()
            .map(|word| format!("{word:?}"))
            .collect::<Vec<_>>()
            .join(", ");
        let Some(text) = value.as_str() else {
            return Err(Flaw::new(
                format!("is {}, not a word", kind(value)),
                format!("one of {choices}"),
            ));
        };
        if let Some((_, meaning)) = Self::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*meaning);
        }
        let cure = match nearest(text, words()) {
            Some(meant) => format!("did you mean {meant:?}? One of {choices}"),
            None => format!("one of {choices}"),
        };
        Err(Flaw::new(format!("{text:?} is not a choice"), cure))
    }
}

/// The text behind a key; `form` says how to write what is there now.
pub(super) fn text<'a>(value: &'a Value, form: &str) -> Result<&'a str, Flaw> {
    let plain = match value {
        Value::Integer(number) => number.to_string(),
        _ => "text".to_owned(),
    };
    let flaw = || {
        Flaw::new(
            format!("is {}, not a text", kind(value)),
            format!("write it in quotes, {form}: \"{plain}…\""),
        )
    };
    value.as_str().ok_or_else(flaw)
}

/// What a value is, with its article, and the value where it is short.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text {text:?}"),
        Value::Integer(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Boolean(truth) => format!("the truth value {truth}"),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

/// Whether a text can be a host name (RFC 1123 section 2.1, and '_' which private networks use) or an IPv4 address.
pub(super) fn is_host(text: &str) -> bool {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(fits)
        && !text.split('.').any(str::is_empty)
}

/// Whether every number in a value can be represented.
pub(super) fn is_small(value: &toml::de::DeValue<'_>) -> bool {
    use toml::de::DeValue;

    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).is_ok(),
        DeValue::Array(items) => items.iter().all(|item| is_small(item.get_ref())),
        DeValue::Table(items) => items.iter().all(|(_, item)| is_small(item.get_ref())),
        _ => true,
    }
}
