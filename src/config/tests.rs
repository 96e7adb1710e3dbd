//! The files that are shipped load, and everything that can be wrong is told, all at once.

use core::time::Duration;

use super::*;
use crate::policy::{BackendProtection, BackendTls, ClientProtection};

pub(super) const REFERENCE: &str = include_str!("../../config/sluicegate.toml");
pub(super) const MINIMAL: &str = include_str!("../../config/minimal.toml");
const DEMO: &str = include_str!("../../config/demo.toml");

/// The lines of a text below the headings of one section, comments without their mark.
fn written_keys(text: &str, section: &str) -> Vec<String> {
    let mut inside = false;
    let mut keys = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if line.starts_with('[') && line.ends_with(']') {
            inside = line.trim_matches(['[', ']']) == section;
        }
        if let (true, Some((key, _))) = (inside, line.split_once(" = ")) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// A configuration without the places of its values.
fn placeless(mut config: Config) -> Config {
    config.process.cores.place = None;
    config.process.kernel_tls.place = None;
    config.process.busy_poll.place = None;
    for listener in &mut config.listeners {
        listener.address.place = None;
        listener.certificate.as_mut().unwrap().place = None;
        listener.key.as_mut().unwrap().place = None;
    }
    for pool in &mut config.pools {
        pool.members.place = None;
        if let Some(path) = &mut pool.ca {
            path.place = None;
        }
    }
    config
}

/// The complaints about a text, one line each, without their cures.
pub(super) fn complaints(text: &str) -> Vec<String> {
    let faults = read(text).expect_err("the text has faults");
    let line = |fault: &Complaint| fault.to_string().lines().next().unwrap_or("").to_owned();
    faults.iter().map(line).collect()
}

/// The minimal file with one piece of it exchanged.
pub(super) fn with(old: &str, new: &str) -> String {
    assert!(MINIMAL.contains(old), "{old}");
    MINIMAL.replacen(old, new, 1)
}

#[test]
fn the_reference_mentions_every_key_in_its_section() {
    for (section, key) in known_keys() {
        let written = written_keys(REFERENCE, section);
        assert!(
            written.iter().any(|name| name == key),
            "{section}.{key} is not in config/sluicegate.toml"
        );
    }
}

#[test]
fn the_reference_writes_defaults_and_nothing_else() {
    let reference = read(REFERENCE).expect("the reference loads");
    let minimal = read(MINIMAL).expect("the minimal file loads");
    assert_eq!(placeless(reference), placeless(minimal));
}

#[test]
fn what_is_shipped_loads_without_a_warning() {
    for text in [REFERENCE, MINIMAL, DEMO] {
        assert_eq!(read(text).expect("it loads").warnings, []);
    }
}

#[test]
fn relative_paths_are_taken_from_the_directory_of_the_file() {
    let text = with("\"gate.key\"", "\"/etc/ssl/gate.key\"");
    let config = read(&text)
        .expect("it loads")
        .relative_to(Path::new("/etc/sluicegate"));
    let listener = &config.listeners[0];
    assert_eq!(
        **listener.certificate.as_ref().unwrap(),
        *Path::new("/etc/sluicegate/gate.pem")
    );
    assert_eq!(
        **listener.key.as_ref().unwrap(),
        *Path::new("/etc/ssl/gate.key")
    );
    assert_eq!(
        **config.pools[0].ca.as_ref().expect("it is there"),
        Path::new("/etc/sluicegate/inside-ca.pem")
    );
}

#[test]
fn every_complaint_comes_at_once_and_in_order() {
    let text = r#"[process]
cores = [1, 1]
corse = "all"

[timeouts]
idle = 10
linger = "20s"
drain = "1 fortnight"

[[listener]]
name = "a"
address = ["0.0.0.0", 21]
pool = "insite"
tls = "implied"
certificate = 5
passive_ports = "50999-50000"
bare_uploads = "no"
banner = "two\nlines"
ca = "x.pem"

[[pool]]
name = "inside"
members = []
verify = "maybe"
empty = { a = 1 }

[listeners]
"#;
    assert_eq!(
        complaints(text),
        [
            "2:9  process.cores: names a CPU twice",
            "3:1  process.corse: is not known",
            "6:8  timeouts.idle: is the number 10, not a text",
            "7:10  timeouts.linger: is not shorter than timeouts.data_completion: waiting for a peer's close would fail finished transfers",
            "8:9  timeouts.drain: \"1 fortnight\" is not a time",
            "10:1  listener[0].key: is missing",
            "12:11  listener[0].address: item 1: \"0.0.0.0\" is not an address to listen on; item 2: is the number 21, not a text",
            "13:8  listener[0].pool: there is no pool \"insite\"",
            "14:7  listener[0].tls: \"implied\" is not a choice",
            "15:15  listener[0].certificate: is the number 5, not a text",
            "16:17  listener[0].passive_ports: \"50999-50000\" ends before it begins",
            "17:16  listener[0].bare_uploads: is the text \"no\", not a yes or no",
            "18:10  listener[0].banner: does not fit one line of a reply",
            "19:1  listener[0].ca: is not known",
            "23:11  pool[0].members: is an empty list",
            "24:10  pool[0].verify: \"maybe\" is not a choice",
            "25:9  pool[0].empty: is a table, not a word",
            "27:2  listeners: is not known",
        ]
    );
}

#[test]
fn a_core_looks_for_news_for_at_most_ten_milliseconds() {
    let text = |time: &str| format!("[process]\nbusy_poll = \"{time}\"\n{MINIMAL}");
    for (time, microseconds) in [("off", 0), ("1us", 1), ("50us", 50), ("10ms", 10_000)] {
        let config = read(&text(time)).unwrap();
        let looks = config.process.busy_poll.value.0;
        assert_eq!(looks, Duration::from_micros(microseconds), "{time}");
    }
    for time in [
        "0us",
        "10001us",
        "11ms",
        "50",
        "us",
        "1s",
        "-1us",
        "18446744073709551615ms",
    ] {
        let expected =
            format!("2:13  process.busy_poll: {time:?} is not how long a core looks for news");
        assert_eq!(complaints(&text(time)), [expected]);
    }
}

#[test]
fn cures_name_what_was_meant() {
    let cure = |text: &str| read(text).expect_err("the text has faults").remove(0).cure;
    assert_eq!(
        cure(&with("passive_ports", "passive-ports")),
        "for example: passive_ports = \"50000-50999\""
    );
    let faults = read(&with("passive_ports", "passive-port")).expect_err("the text has faults");
    assert_eq!(faults[1].cure, "did you mean passive_ports?");
    assert_eq!(
        cure(&with(
            "ca =",
            "verify = \"ca\"\nadvertise = \"192.0.2.1\"\nca ="
        )),
        "it belongs below [[listener]]"
    );
    assert_eq!(
        cure(&with("\"inside\"\ncert", "\"insite\"\ncert")),
        "did you mean \"inside\"?"
    );
    assert_eq!(
        cure(&with("0.0.0.0:21", "::1")),
        "write the port too: \"[::1]:21\""
    );
    assert!(cure(&format!("level = \"info\"\n{MINIMAL}")).contains("[log]"));
    assert!(cure(&with("ca =", "tls = \"explict\"\nca =")).contains("did you mean \"explicit\"?"));
}

#[test]
fn a_text_that_is_not_toml_is_one_complaint_with_its_line() {
    let faults = read("[process]\ncores = \"all\n").expect_err("the text has faults");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].place.map(|place| place.line), Some(2));
    assert_eq!(
        complaints(""),
        ["listener: there is none", "pool: there is none"]
    );
}

#[test]
fn sections_of_the_wrong_shape_and_giant_numbers_do_not_hide_the_rest() {
    let text = "process = 5\n[listener]\nname = \"a\"\n[limits]\nsessions = 99999999999999999999\n[log]\nlevel = \"loud\"\n";
    assert_eq!(
        complaints(text),
        [
            "1:1  process: is not written as [process]",
            "2:2  listener: is not written as [[listener]]",
            "5:12  limits.sessions: is a number too large for anything here",
            "7:9  log.level: \"loud\" is not a choice",
            "listener: there is none",
            "pool: there is none",
        ]
    );
}

#[test]
fn listeners_must_not_share_names_addresses_or_ports() {
    let second = "[[listener]]\nname = \"partners\"\naddress = [\"0.0.0.0:21\", \"127.0.0.1:50001\"]\npool = \"inside\"\n\
                  certificate = \"a\"\nkey = \"b\"\npassive_ports = \"50999-51999\"\n";
    assert_eq!(
        complaints(&format!("{second}{MINIMAL}")),
        [
            "3:11  listener[0].address: 127.0.0.1:50001 is within the ports of listener[1].passive_ports",
            "11:8  listener[1].name: \"partners\" is already the name of listener[0]",
            "12:11  listener[1].address: 0.0.0.0:21 is already in listener[0].address",
            "16:17  listener[1].passive_ports: overlaps listener[0].passive_ports (50999-51999)",
        ]
    );
}

#[test]
fn protections_that_cannot_hold_are_refused() {
    let private = "tls = \"optional\"\ndata_protection = \"private\"\ncertificate";
    assert_eq!(complaints(&with("certificate", private)).len(), 1);
    let pool = "tls = \"match\"\ndata_protection = \"private\"\nca =";
    assert!(read(&with("ca =", pool)).is_ok());
    let both = with("ca =", pool).replace("certificate", "tls = \"optional\"\ncertificate");
    assert!(
        complaints(&both)[0].starts_with("16:19  pool[0].data_protection: "),
        "{:?}",
        complaints(&both)
    );
    let matching = read(&with("ca =", "tls = \"match\"\nca =")).expect("it loads");
    assert_eq!(matching.pools[0].data_protection, BackendProtection::Match);
}

#[test]
fn implicit_tls_is_private_on_either_leg() {
    let text = with(
        "certificate",
        "tls = \"implicit\"\nbanner_first = true\ncertificate",
    )
    .replace("ca =", "tls = \"implicit\"\nbanner_first = true\nca =");
    let config = read(&text).expect("it loads");
    assert_eq!(config.warnings, []);
    let listener = &config.listeners[0];
    assert_eq!(listener.data_protection, ClientProtection::Private);
    assert!(listener.banner_first && listener.assume_private);
    assert_eq!(config.pools[0].tls, BackendTls::Implicit);
    assert!(config.pools[0].banner_first);
    assert_eq!(config.pools[0].data_protection, BackendProtection::Private);
}

#[test]
fn what_is_allowed_and_unwise_is_a_warning() {
    let warnings = |text: &str| -> Vec<String> {
        read(text)
            .expect("it loads")
            .warnings
            .into_iter()
            .map(|warning| warning.key)
            .collect()
    };
    assert_eq!(
        warnings(&with("ca = \"inside-ca.pem\"", "verify = \"off\"")),
        ["pool[0].verify"]
    );
    assert_eq!(
        warnings(
            &(with("50000-50999", "50000-50009")
                .replace("[[pool]]", "[limits]\nsessions = 1000\n[[pool]]"))
        ),
        ["listener[0].passive_ports"]
    );
    assert_eq!(
        warnings(&with(
            "ca = \"inside-ca.pem\"",
            "tls = \"off\"\ndata_protection = \"private\""
        )),
        ["pool[0].data_protection"]
    );
    assert_eq!(
        warnings(&with("certificate", "banner_first = true\ncertificate")),
        ["listener[0].banner_first"]
    );
    assert_eq!(
        warnings(&with("ca =", "banner_first = true\nca =")),
        ["pool[0].banner_first"]
    );
    let idle =
        format!("{MINIMAL}\n[[pool]]\nname = \"idle\"\nmembers = [\"a.b:21\"]\ntls = \"off\"\n");
    assert_eq!(warnings(&idle), ["pool[1].name"]);
}

#[test]
fn pins_are_written_where_they_count_and_are_fingerprints() {
    let pool = |written: &str| with("ca = \"inside-ca.pem\"", written);
    let pin = "aB".repeat(32);
    let config = read(&pool(&format!("verify = \"pin\"\npins = \"{pin}\""))).expect("it loads");
    assert_eq!(config.pools[0].pins, [Pin([0xab; 32])]);
    assert_eq!(config.pools[0].pins[0].to_string(), pin.to_uppercase());
    for (written, problem) in [
        (
            "verify = \"pin\"",
            "14:10  pool[0].verify: \"pin\" needs the certificates: pins is missing",
        ),
        (
            &format!("ca = \"a\"\nverify = \"off\"\npins = \"{pin}\""),
            "16:8  pool[0].pins: would not be looked at: verify is \"off\"",
        ),
        (
            "verify = \"pin\"\npins = \"ab:cd\"",
            "15:8  pool[0].pins: \"ab:cd\" is not the SHA-256 of a certificate",
        ),
        (
            "verify = \"pin\"\npins = \"é\"",
            "15:8  pool[0].pins: \"é\" is not the SHA-256 of a certificate",
        ),
    ] {
        assert_eq!(complaints(&pool(written)), [problem]);
    }
}

#[test]
fn a_required_key_exchange_leaves_no_old_tls() {
    let required = |versions: &str| {
        let keys = format!("key_exchange = \"required\"\n{versions}\nca =");
        with("ca =", &keys)
    };
    let only_new = TlsVersions {
        v1_2: false,
        v1_3: true,
    };
    for versions in ["", "tls_versions = \"1.3\""] {
        assert_eq!(
            read(&required(versions)).expect("it loads").pools[0].tls_versions,
            only_new
        );
    }
    assert_eq!(
        complaints(&required("tls_versions = [\"1.2\", \"1.3\"]")),
        [
            "15:16  pool[0].tls_versions: TLS 1.2 has no post-quantum key exchange, and key_exchange is \"required\""
        ]
    );
}

#[test]
fn a_key_that_has_another_name_now_is_told_so() {
    let text = with("name = \"inside\"", "name = \"inside\"\npassive = \"port\"");
    let faults = read(&text).expect_err("it is no key any more");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].key, "pool[0].passive");
    assert_eq!(
        faults[0].cure,
        "it is called data_command now, with the same values"
    );
}

#[test]
fn backups_are_members_behind_the_others() {
    let pool = |backups: &str| {
        let text = with("members =", &format!("backups = {backups}\nmembers ="));
        read(&text).map(|config| config.pools[0].clone())
    };
    let two = pool("[\"10.0.0.11:21\", \"10.0.0.12:21\"]").expect("it loads");
    let members: Vec<String> = two.members.iter().map(ToString::to_string).collect();
    assert_eq!(members, ["10.0.0.10:21", "10.0.0.11:21", "10.0.0.12:21"]);
    assert_eq!(two.backups, 2);
    let twice = pool("\"10.0.0.10:21\"").expect_err("it stands twice");
    assert!(twice[0].problem.ends_with("stands twice"), "{twice:?}");
}

#[test]
fn members_are_hosts_with_ports() {
    let members = |written: &str| {
        read(&with("[\"10.0.0.10:21\"]", written))
            .map(|config| config.pools[0].members.value.clone())
    };
    let read = members("[\"[fd00::1]:2121\", \"ftp.inside:21\"]").expect("it loads");
    assert_eq!(
        read[0],
        HostPort {
            host: "fd00::1".to_owned(),
            port: 2121
        }
    );
    assert_eq!(read[0].to_string(), "[fd00::1]:2121");
    for wrong in [
        "\"10.0.0.10\"",
        "\"fd00::1:21:\"",
        "\"a b:21\"",
        "\":21\"",
        "\"a:0\"",
        "\"[x]:21\"",
        "[\"a:1\", \"a:1\"]",
    ] {
        assert!(members(wrong).is_err(), "{wrong}");
    }
}

proptest::proptest! {
    /// Whatever is put into the reference, every fault has a place in the text or none, and nothing panics.
    #[test]
    fn no_text_is_too_strange(cuts in proptest::collection::vec((0..10_000_usize, 0..40_usize, "[-=\\[\\]\"a-z0-9.\\nä]{0,6}"), 1..4)) {
        let mut text = REFERENCE.to_owned();
        for (at, length, insert) in cuts {
            let at = text.floor_char_boundary(at % text.len().max(1));
            let end = text.floor_char_boundary((at + length).min(text.len()));
            text.replace_range(at..end, &insert);
        }
        for fault in survey(&text).faults {
            proptest::prop_assert!(fault.place.is_none_or(|place| place.line <= text.lines().count() + 1));
            proptest::prop_assert!(!fault.problem.is_empty() && !fault.cure.is_empty());
        }
    }
}

#[test]
fn ccc_and_strict_names_need_their_ground() {
    let told = complaints(&with(
        "ca =",
        "ccc = \"try\"\ndata_protection = \"match\"\nca =",
    ));
    assert!(told[0].contains("pool[0].ccc"), "{told:?}");
    let warned = |text: &str| read(text).expect("it loads").warnings[0].key.clone();
    assert_eq!(
        warned(&with("ca =", "ccc = \"try\"\ntls = \"off\"\nca =")),
        "pool[0].ccc"
    );
    assert_eq!(
        warned(&with("certificate", "strict_sni = true\ncertificate")),
        "listener[0].strict_sni"
    );
}

#[test]
fn a_journal_needs_its_file_and_sane_bounds() {
    let text = |keys: &str| format!("{MINIMAL}\n[audit]\n{keys}");
    let config = read(&text("file = \"a.json\"\nformat = \"xferlog\"")).expect("it is right");
    let audit = config
        .relative_to(Path::new("/etc"))
        .audit
        .expect("it is written");
    assert_eq!(audit.file.value, Path::new("/etc/a.json"));
    assert_eq!(audit.format, crate::audit::Format::Xferlog);
    assert_eq!(
        (audit.max_bytes, audit.keep),
        (crate::limits::JOURNAL_BYTES, crate::limits::JOURNALS_KEPT)
    );
    assert_eq!(read(MINIMAL).expect("it is right").audit, None);
    let told = complaints(&text("keep = 0\nmax_bytes = 100")).join("\n");
    for part in [
        "audit.file: is missing",
        "audit.keep: 0 is out of range",
        "audit.max_bytes: 100 is out of range",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn fewer_descriptors_may_be_reckoned_for_idle_sessions_but_not_too_few() {
    let text = |keys: &str| format!("{MINIMAL}\n[limits]\n{keys}");
    let each = |text: &str| {
        read(text)
            .expect("it is right")
            .limits
            .descriptors_per_session
    };
    assert_eq!(each(MINIMAL), crate::limits::DESCRIPTORS_PER_SESSION);
    assert_eq!(each(&text("descriptors_per_session = 2")), 2);
    for wrong in [1, 10] {
        let told = complaints(&text(&format!("descriptors_per_session = {wrong}"))).join("\n");
        let expected = format!("limits.descriptors_per_session: {wrong} is out of range");
        assert!(told.contains(&expected), "{told}");
    }
}
