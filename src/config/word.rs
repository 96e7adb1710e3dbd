//! The words of every choice.

use super::value::Choice;
use super::{
    Alpn, ClientCertificates, KernelTls, KeyExchange, LogFormat, LogLevel, MissingCloseNotify,
    Mode, Steering, TlsVersion, Verify,
};
use crate::audit::Format;
use crate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, DataPeer, DataResumption, OnEmpty, OnUnfinished, PassiveStyle, PasvAddress, Pbsz,
    ProxyProtocol, SendProxy,
};
use crate::pool::Balance;

impl Choice for LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl Choice for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("human", Self::Human),
        ("json", Self::Json),
    ];
}

impl Choice for Format {
    const WORDS: &'static [(&'static str, Self)] =
        &[("json", Self::Json), ("xferlog", Self::Xferlog)];
}

impl Choice for KernelTls {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)];
}

impl Choice for Balance {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("turn", Self::Turn),
        ("least", Self::Least),
        ("client", Self::Client),
    ];
}

impl Choice for Alpn {
    const WORDS: &'static [(&'static str, Self)] =
        &[("strict", Self::Strict), ("ignore", Self::Ignore)];
}

impl Choice for MissingCloseNotify {
    const WORDS: &'static [(&'static str, Self)] = &[("reset", Self::Reset), ("end", Self::End)];
}

impl Choice for Steering {
    const WORDS: &'static [(&'static str, Self)] = &[("cpu", Self::Cpu), ("hash", Self::Hash)];
}

impl Choice for TlsVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::V1_2), ("1.3", Self::V1_3)];
}

impl Choice for KeyExchange {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("preferred", Self::Preferred),
        ("required", Self::Required),
        ("off", Self::Off),
    ];
}

impl Choice for ClientCertificates {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("optional", Self::Optional),
        ("required", Self::Required),
    ];
}

impl Choice for ClientIdentity {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ignore", Self::Ignore), ("user", Self::User)];
}

impl Choice for Verify {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ca", Self::Ca),
        ("chain", Self::Chain),
        ("pin", Self::Pin),
        ("off", Self::Off),
    ];
}

impl Choice for ClientTls {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("required", Self::Required),
        ("optional", Self::Optional),
        ("implicit", Self::Implicit),
        ("off", Self::Off),
    ];
}

impl Choice for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[("ftp", Self::Ftp), ("stream", Self::Stream)];
}

impl Choice for BackendTls {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("explicit", Self::Explicit),
        ("implicit", Self::Implicit),
        ("off", Self::Off),
        ("match", Self::Match),
    ];
}

impl Choice for ClientProtection {
    const WORDS: &'static [(&'static str, Self)] =
        &[("private", Self::Private), ("any", Self::Any)];
}

impl Choice for BackendProtection {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("private", Self::Private),
        ("clear", Self::Clear),
        ("match", Self::Match),
    ];
}

impl Choice for OnEmpty {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("complete", Self::Complete),
        ("verify", Self::Verify),
        ("reject", Self::Reject),
    ];
}

impl Choice for OnUnfinished {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("mirror", Self::Mirror),
        ("repair", Self::Repair),
        ("reject", Self::Reject),
    ];
}

impl Choice for PassiveStyle {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("epsv", Self::Epsv),
        ("pasv", Self::Pasv),
        ("port", Self::Port),
        ("eprt", Self::Eprt),
    ];
}

impl Choice for PasvAddress {
    const WORDS: &'static [(&'static str, Self)] = &[("ignore", Self::Ignore), ("use", Self::Use)];
}

impl Choice for DataResumption {
    const WORDS: &'static [(&'static str, Self)] =
        &[("accepted", Self::Accepted), ("required", Self::Required)];
}

impl Choice for DataPeer {
    const WORDS: &'static [(&'static str, Self)] = &[("same", Self::Same), ("any", Self::Any)];
}

impl Choice for ProxyProtocol {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("required", Self::Required)];
}

impl Choice for SendProxy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("v1", Self::V1), ("v2", Self::V2)];
}

impl Choice for ClientCcc {
    const WORDS: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("accept", Self::Accept)];
}

impl Choice for BackendCcc {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("try", Self::Try),
        ("required", Self::Required),
    ];
}

impl Choice for Pbsz {
    const WORDS: &'static [(&'static str, Self)] =
        &[("expected", Self::Expected), ("optional", Self::Optional)];
}
