//! From what was written to what it means: defaults, relations between keys, and everything that is wrong with them.

use core::time::Duration;
use toml::Spanned;

use super::admin::admin;
use super::desk::{once, one_of_many};
use super::fault::{Findings, Located};
use super::file::{
    AuditKeys, File, Key, LimitsKeys, ListenerKeys, LogKeys, PoolKeys, ProcessKeys, TimeoutsKeys,
};
use super::host::host;
use super::relations::{self, ListenerDraft, PoolDraft};
use super::value::{List, Name, OneLine};
use super::{
    Alpn, Audit, BusyPoll, Config, Cores, KernelTls, KeyExchange, Limits, Listener, Log, LogFormat,
    LogLevel, Mode, Pool, Process, Steering, Timeouts, Verify, streams,
};
use crate::audit::Format;
use crate::limits;
use crate::policy::{
    BackendProtection, BackendTls, ClientCcc, ClientTls, DataPeer, DataResumption, OnEmpty,
    OnUnfinished, PassiveStyle, PasvAddress, Pbsz, SendProxy,
};
use crate::pool::Balance;

/// Resolves a file. The result counts only if nothing was noted as a fault.
pub(super) fn resolve(file: File, findings: &mut Findings) -> Config {
    let process = process(file.process, findings);
    let log = log(file.log, findings);
    let limits = session_limits(file.limits, findings);
    let timeouts = timeouts(file.timeouts, findings);
    let admin = admin(file.admin, findings);
    let audit = audit(file.audit, findings);
    for (section, count) in [("listener", file.listener.len()), ("pool", file.pool.len())] {
        if count == 0 {
            let cure = format!("a section [[{section}]]; see config/minimal.toml");
            findings.fault(None, section, "there is none", cure);
        }
    }
    // Names of all pools, also of those with faults, so that a listener is not blamed for its pool.
    let pool_names = names(file.pool.iter().map(|keys| &keys.get_ref().name));
    let listener_names = names(file.listener.iter().map(|keys| &keys.get_ref().name));
    let pools: Vec<PoolDraft> = (0..)
        .zip(file.pool)
        .map(|(index, keys)| pool(index, keys, findings))
        .collect();
    let listeners: Vec<ListenerDraft> = (0..)
        .zip(file.listener)
        .map(|(index, keys)| listener(index, keys, &pool_names, findings))
        .collect();
    let owners: Vec<usize> = listeners.iter().map(|draft| draft.listener.pool).collect();
    let hosts: Vec<_> = (0..)
        .zip(file.host)
        .filter_map(|(index, keys)| {
            let listeners = (listener_names.as_slice(), owners.as_slice());
            host(index, keys, listeners, &pool_names, findings)
        })
        .collect();
    relations::check(&listeners, &pools, &hosts, limits, findings);
    streams::check(&listeners, &pools, &hosts, findings);
    Config {
        process,
        log,
        limits,
        timeouts,
        admin,
        audit,
        listeners: listeners.into_iter().map(|draft| draft.listener).collect(),
        pools: pools.into_iter().map(|draft| draft.pool).collect(),
        hosts,
        warnings: Vec::new(),
    }
}

/// The names of all sections of one kind, as far as they can be read.
fn names<'a>(keys: impl Iterator<Item = &'a Key<Name>>) -> Vec<Option<String>> {
    let name = |key: &Key<Name>| {
        let (_, name) = key.0.as_ref()?;
        name.as_ref().ok().map(|name| name.0.clone())
    };
    keys.map(name).collect()
}

fn process(section: Option<Spanned<ProcessKeys>>, findings: &mut Findings) -> Process {
    let (mut desk, keys) = once("process", section, findings);
    let cores = desk.located("cores", keys.cores);
    let default = || Located {
        value: Cores::All,
        place: None,
        key: "process.cores".to_owned(),
    };
    let in_place = desk.or("in_place", keys.in_place, true);
    let kernel_tls = desk.located("kernel_tls", keys.kernel_tls);
    let kernel_tls = kernel_tls.unwrap_or_else(|| Located {
        value: KernelTls::Off,
        place: None,
        key: "process.kernel_tls".to_owned(),
    });
    let busy_poll = desk.located("busy_poll", keys.busy_poll);
    if kernel_tls.value != KernelTls::Off && !in_place {
        let problem =
            "has no effect: the kernel takes over from our own record layer, and in_place is false";
        let complaint = kernel_tls.complaint(problem, "in_place = true, or leave this key out");
        findings.warnings.push(complaint);
    }
    Process {
        cores: cores.unwrap_or_else(default),
        in_place,
        kernel_tls,
        busy_poll: busy_poll.unwrap_or_else(|| Located {
            value: BusyPoll::default(),
            place: None,
            key: "process.busy_poll".to_owned(),
        }),
    }
}

fn log(section: Option<Spanned<LogKeys>>, findings: &mut Findings) -> Log {
    let (mut desk, keys) = once("log", section, findings);
    Log {
        level: desk.or("level", keys.level, LogLevel::Info),
        format: desk.or("format", keys.format, LogFormat::Auto),
    }
}

fn audit(section: Option<Spanned<AuditKeys>>, findings: &mut Findings) -> Option<Audit> {
    let (mut desk, keys) = once("audit", section, findings);
    let is_meant = keys.format.0.is_some() || keys.max_bytes.0.is_some() || keys.keep.0.is_some();
    let file = match is_meant {
        true => desk.need("file", keys.file, "\"/var/log/sluicegate/audit.json\""),
        false => desk.located("file", keys.file),
    };
    let format = desk.or("format", keys.format, Format::Json);
    let least = limits::JOURNAL_BYTES_MIN;
    let max_bytes = desk.number("max_bytes", keys.max_bytes, least..=usize::MAX);
    let keep = desk.number("keep", keys.keep, 1..=limits::JOURNALS_KEPT_MAX);
    Some(Audit {
        file: file?,
        format,
        max_bytes: max_bytes.unwrap_or(limits::JOURNAL_BYTES),
        keep: keep.unwrap_or(limits::JOURNALS_KEPT),
    })
}

fn session_limits(section: Option<Spanned<LimitsKeys>>, findings: &mut Findings) -> Limits {
    let (mut desk, keys) = once("limits", section, findings);
    let most = limits::DESCRIPTORS_PER_SESSION;
    let each = desk.number(
        "descriptors_per_session",
        keys.descriptors_per_session,
        limits::DESCRIPTORS_PER_IDLE_SESSION as usize..=most as usize,
    );
    Limits {
        sessions: desk.number("sessions", keys.sessions, 1..=limits::SESSIONS_MAX),
        descriptors_per_session: each.map_or(most, |each| each as u64),
    }
}

fn timeouts(section: Option<Spanned<TimeoutsKeys>>, findings: &mut Findings) -> Timeouts {
    let (mut desk, keys) = once("timeouts", section, findings);
    let mut time = |name: &str, key: Key<Duration>, default| desk.or(name, key, default);
    let linger_span = keys.linger.0.as_ref().map(|(span, _)| span.clone());
    let timeouts = Timeouts {
        handshake: time("handshake", keys.handshake, limits::HANDSHAKE_TIMEOUT),
        login: time("login", keys.login, limits::LOGIN_TIMEOUT),
        idle: time("idle", keys.idle, limits::IDLE_TIMEOUT),
        backend_connect: time(
            "backend_connect",
            keys.backend_connect,
            limits::BACKEND_CONNECT_TIMEOUT,
        ),
        member_rest: time("member_rest", keys.member_rest, limits::MEMBER_REST),
        backend_reply: time(
            "backend_reply",
            keys.backend_reply,
            limits::BACKEND_REPLY_TIMEOUT,
        ),
        data_connect: time(
            "data_connect",
            keys.data_connect,
            limits::DATA_CONNECT_TIMEOUT,
        ),
        data_handshake: time(
            "data_handshake",
            keys.data_handshake,
            limits::DATA_HANDSHAKE_TIMEOUT,
        ),
        data_first_byte: time(
            "data_first_byte",
            keys.data_first_byte,
            limits::DATA_FIRST_BYTE_TIMEOUT,
        ),
        data_stall: time("data_stall", keys.data_stall, limits::DATA_STALL_TIMEOUT),
        data_completion: time(
            "data_completion",
            keys.data_completion,
            limits::DATA_COMPLETION_TIMEOUT,
        ),
        linger: time("linger", keys.linger, limits::LINGER_TIMEOUT),
        drain: time("drain", keys.drain, limits::DRAIN_TIMEOUT),
    };
    if timeouts.linger >= timeouts.data_completion {
        findings.fault(
            linger_span.as_ref(),
            "timeouts.linger",
            "is not shorter than timeouts.data_completion: waiting for a peer's close would fail finished transfers",
            "a fraction of timeouts.data_completion; the default is \"2s\"",
        );
    }
    timeouts
}

fn listener(
    index: usize,
    section: Spanned<ListenerKeys>,
    pools: &[Option<String>],
    findings: &mut Findings,
) -> ListenerDraft {
    let (mut desk, mut keys) = one_of_many("listener", index, section, findings);
    let mode = desk.mode(&mut keys);
    let is_implicit = keys.tls.is(ClientTls::Implicit);
    let profile = core::mem::take(&mut keys.profile);
    let profile = desk.apply("listener", profile, is_implicit, &mut keys);
    let name = desk.need("name", keys.name, "\"partners\"");
    let address = desk.need("address", keys.address, "\"0.0.0.0:21\"");
    let pool = desk
        .need("pool", keys.pool, "\"inside\"")
        .and_then(|name| desk.one_of("pool", &name, pools));
    let tls = desk.or("tls", keys.tls, ClientTls::Required);
    let banner_first = desk.implicit_only("banner_first", keys.banner_first, is_implicit, false);
    let strict_sni = desk.located("strict_sni", keys.strict_sni);
    let (certificate, key) = desk.own_identity(tls, keys.certificate, keys.key);
    let key_exchange = desk.or("key_exchange", keys.key_exchange, KeyExchange::Preferred);
    let clients = desk.client_certificates(
        (keys.client_certificates, keys.client_identity),
        (keys.client_ca, keys.client_crl),
        tls,
    );
    let data_protection = desk.client_protection(keys.data_protection, tls);
    let ports = desk.passive_ports(mode.as_ref(), keys.passive_ports);
    let proxies = (keys.proxy_protocol, keys.proxy_from);
    let (proxy_from, proxy_protocol_data) = desk.proxies(proxies, keys.proxy_protocol_data);
    let name = name.map(|name| name.map(|name| name.0));
    let listener = Listener {
        name: value_or(&name, String::new()),
        mode: value_or(&mode, Mode::Ftp),
        profile,
        address: address.map_or_else(nothing, |list| list.map(|list| list.0)),
        pool: pool.unwrap_or(usize::MAX),
        tls,
        banner_first,
        assume_private: desk.or("assume_private", keys.assume_private, is_implicit),
        strict_sni: value_or(&strict_sni, false),
        certificate,
        key,
        alpn: desk.or("alpn", keys.alpn, Alpn::Strict),
        pbsz: desk.or("pbsz", keys.pbsz, Pbsz::Expected),
        ccc: desk.or("ccc", keys.ccc, ClientCcc::Refuse),
        tls_versions: desk.versions(keys.tls_versions, key_exchange),
        key_exchange,
        client_certificates: clients.asked,
        client_ca: clients.ca,
        client_crl: clients.crl,
        client_identity: clients.identity,
        data_protection,
        passive_ports: ports.as_ref().map(|ports| ports.value),
        advertise: desk.located("advertise", keys.advertise),
        proxy_from,
        proxy_protocol_data,
        data_peer: desk.or("data_peer", keys.data_peer, DataPeer::Same),
        resumption: desk.or("resumption", keys.resumption, DataResumption::Accepted),
        active: desk.or("active", keys.active, true),
        unfinished: desk.or("unfinished", keys.unfinished, OnUnfinished::Mirror),
        missing_close_notify: desk.missing_close_notify(keys.missing_close_notify),
        bare_uploads: desk.or("bare_uploads", keys.bare_uploads, false),
        banner: desk.or("banner", keys.banner, OneLine(BANNER.to_owned())).0,
        steering: desk.or("steering", keys.steering, Steering::Cpu),
    };
    ListenerDraft {
        listener,
        name,
        mode,
        ports,
        strict_sni,
    }
}

fn pool(index: usize, section: Spanned<PoolKeys>, findings: &mut Findings) -> PoolDraft {
    let (mut desk, mut keys) = one_of_many("pool", index, section, findings);
    let is_implicit = keys.tls.is(BackendTls::Implicit);
    let profile = core::mem::take(&mut keys.profile);
    let profile = desk.apply("pool", profile, is_implicit, &mut keys);
    let name = desk.need("name", keys.name, "\"inside\"");
    let members = desk.need("members", keys.members, "[\"10.0.0.10:21\"]");
    let backups = desk.or("backups", keys.backups, List(Vec::new())).0;
    let tls = desk.or("tls", keys.tls, BackendTls::Explicit);
    let key_exchange = desk.or("key_exchange", keys.key_exchange, KeyExchange::Preferred);
    let banner_first = desk.implicit_only("banner_first", keys.banner_first, is_implicit, false);
    let tls_versions = desk.versions(keys.tls_versions, key_exchange);
    // A `ca` that cannot be read is not missing, and where `verify` cannot be read it may not be wanted.
    let (ca_written, verify_written) = (keys.ca.0.is_some(), keys.verify.0.is_some());
    let verify = desk.located("verify", keys.verify);
    let ca = desk.located("ca", keys.ca);
    let server_name = desk.located("server_name", keys.server_name);
    desk.trust(
        tls,
        verify.as_ref(),
        ca_written || (verify_written && verify.is_none()),
    );
    let pins = desk.pins(tls, verify.as_ref(), keys.pins);
    let (client_certificate, client_key) =
        desk.own_certificate(keys.client_certificate, keys.client_key);
    let protection = desk.located("data_protection", keys.data_protection);
    let data_protection = backend_protection(tls, protection.as_ref());
    let ccc = desk.backend_ccc(keys.ccc, tls, data_protection);
    let send_proxy = desk.or("send_proxy", keys.send_proxy, SendProxy::Off);
    let send_proxy_data = desk.only_with(
        "send_proxy_data",
        keys.send_proxy_data,
        send_proxy != SendProxy::Off,
        "send_proxy = \"v1\" or \"v2\"",
    );
    let name = name.map(|name| name.map(|name| name.0));
    let pool = Pool {
        name: value_or(&name, String::new()),
        profile,
        backups: backups.len(),
        members: members.map_or_else(nothing, |list| list.map(|list| [list.0, backups].concat())),
        balance: desk.or("balance", keys.balance, Balance::Turn),
        tls,
        banner_first,
        tls_versions,
        key_exchange,
        verify: verify.map_or(Verify::Ca, |verify| verify.value),
        ca,
        pins,
        server_name,
        client_certificate,
        client_key,
        alpn: desk.or("alpn", keys.alpn, false),
        data_protection,
        ccc,
        mode_z: desk.or("mode_z", keys.mode_z, false),
        data_command: desk.or("data_command", keys.data_command, PassiveStyle::Auto),
        pasv_address: desk.or("pasv_address", keys.pasv_address, PasvAddress::Ignore),
        empty: desk.or("empty", keys.empty, OnEmpty::Complete),
        unfinished: desk.or("unfinished", keys.unfinished, OnUnfinished::Mirror),
        send_proxy,
        send_proxy_data,
    };
    PoolDraft {
        index,
        pool,
        name,
        protection,
    }
}

/// What a pool asks of data connections: by default as much as of control connections.
fn backend_protection(
    tls: BackendTls,
    written: Option<&Located<BackendProtection>>,
) -> BackendProtection {
    match (tls, written) {
        (BackendTls::Off, _) => BackendProtection::Clear,
        (_, Some(written)) => written.value,
        (BackendTls::Explicit | BackendTls::Implicit, None) => BackendProtection::Private,
        (BackendTls::Match, None) => BackendProtection::Match,
    }
}

/// It names no product and no version, because neither helps a client.
const BANNER: &str = "FTP gateway ready";

fn value_or<T: Clone>(written: &Option<Located<T>>, otherwise: T) -> T {
    written
        .as_ref()
        .map_or(otherwise, |written| written.value.clone())
}

fn nothing<T>() -> Located<Vec<T>> {
    Located {
        value: Vec::new(),
        place: None,
        key: String::new(),
    }
}
