//! `[[listener]]`, resolved.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Applied, ClientCertificates, KeyExchange, Located, PortSpan, TlsVersions};
use crate::policy::{
    ClientCcc, ClientIdentity, ClientProtection, ClientTls, DataPeer, DataResumption, NetMap,
    Networks, OnUnfinished, Pbsz,
};

/// `[[listener]]`: where clients come in, and what is asked of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// `name`: unique among listeners.
    pub name: String,
    /// `mode`
    pub mode: Mode,
    /// `profile`, and what it has set.
    pub profile: Option<Applied>,
    /// `address`: one or more; port 0 lets the kernel choose.
    pub address: Located<Vec<SocketAddr>>,
    /// `pool`, as an index into [`Config::pools`](super::Config::pools) that is always valid.
    pub pool: usize,
    /// `tls`
    pub tls: ClientTls,
    /// `banner_first`: whether 220 comes in clear text before an implicit handshake.
    pub banner_first: bool,
    /// `assume_private`: whether PBSZ 0 and PROT P count as given once TLS is there.
    pub assume_private: bool,
    /// `strict_sni`: whether a handshake that names a host unknown here is refused.
    pub strict_sni: bool,
    /// `alpn`
    pub alpn: Alpn,
    /// `pbsz`
    pub pbsz: Pbsz,
    /// `ccc`
    pub ccc: ClientCcc,
    /// `certificate`: a PEM chain, the gate's own certificate first; there unless `tls` is off.
    pub certificate: Option<Located<PathBuf>>,
    /// `key`: the PEM key of that certificate; likewise.
    pub key: Option<Located<PathBuf>>,
    /// `tls_versions`
    pub tls_versions: TlsVersions,
    /// `key_exchange`
    pub key_exchange: KeyExchange,
    /// `client_certificates`
    pub client_certificates: ClientCertificates,
    /// `client_ca`: PEM file of their authorities; there exactly where `client_certificates` is not off.
    pub client_ca: Option<Located<PathBuf>>,
    /// `client_crl`: PEM file of revocation lists.
    pub client_crl: Option<Located<PathBuf>>,
    /// `client_identity`
    pub client_identity: ClientIdentity,
    /// `data_protection`
    pub data_protection: ClientProtection,
    /// `passive_ports`: disjoint from those of every other listener; none for streams.
    pub passive_ports: Option<PortSpan>,
    /// `advertise`: the address in PASV replies by the client's own; where there is none, the one that it reached.
    pub advertise: Option<Located<NetMap<Advertised>>>,
    /// `proxy_from`, where `proxy_protocol` is required: who sends a PROXY header, and nobody else is taken.
    pub proxy_from: Option<Networks>,
    /// `proxy_protocol_data`: whether data connections come through these proxies too.
    pub proxy_protocol_data: bool,
    /// `data_peer`
    pub data_peer: DataPeer,
    /// `resumption`
    pub resumption: DataResumption,
    /// `active`: whether PORT and EPRT are served.
    pub active: bool,
    /// `unfinished`: what becomes of uploads that end without close_notify.
    pub unfinished: OnUnfinished,
    /// `missing_close_notify`, for streams.
    pub missing_close_notify: MissingCloseNotify,
    /// `bare_uploads`: whether a private upload closed without a handshake is an empty file (rule 3 of the contract).
    pub bare_uploads: bool,
    /// `banner`: the text behind 220.
    pub banner: String,
    /// `steering`
    pub steering: Steering,
}

/// What its connections are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Control connections of FTP.
    Ftp,
    /// Whatever they are: bytes both ways, passed on to a member of the pool.
    Stream,
}

/// What a plain peer of a stream sees when the private one has ended by FIN without close_notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCloseNotify {
    /// A reset: nobody vouches for the end, and a FIN would.
    Reset,
    /// A FIN: what is said within the stream tells whether it was whole.
    End,
}

/// What becomes of a client that names protocols in TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// FTP must be one of them, and is chosen.
    Strict,
    /// They are not looked at, and none is chosen.
    Ignore,
}

/// What PASV tells a client to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advertised {
    /// The address that it has reached.
    Local,
    /// This one.
    Address(Ipv4Addr),
    /// The one that this name has, as it is looked up again and again.
    Name(String),
}

/// How new connections find their core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// The core that took the packet takes the connection (SO_INCOMING_CPU).
    Cpu,
    /// The kernel's hash over the listeners of all cores.
    Hash,
}
