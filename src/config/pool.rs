//! `[[pool]]`, resolved.

use std::path::PathBuf;

use super::{Applied, HostPort, KeyExchange, Located, Pin, TlsVersions};
use crate::policy::{
    BackendCcc, BackendProtection, BackendTls, OnEmpty, OnUnfinished, PassiveStyle, PasvAddress,
    SendProxy,
};
use crate::pool::Balance;

/// `[[pool]]`: the backends behind listeners, and how they are spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// `name`: unique among pools.
    pub name: String,
    /// `profile`, and what it has set.
    pub profile: Option<Applied>,
    /// `members`, at least one, and `backups` behind them, all different.
    pub members: Located<Vec<HostPort>>,
    /// How many of them, the last ones, are backups.
    pub backups: usize,
    /// `balance`
    pub balance: Balance,
    /// `tls`
    pub tls: BackendTls,
    /// `banner_first`: whether its 220 comes in clear text before an implicit handshake.
    pub banner_first: bool,
    /// `tls_versions`
    pub tls_versions: TlsVersions,
    /// `key_exchange`
    pub key_exchange: KeyExchange,
    /// `verify`
    pub verify: Verify,
    /// `ca`: PEM file of the authorities; always there when `verify` needs it and `tls` is not off.
    pub ca: Option<Located<PathBuf>>,
    /// `pins`: always there when `verify` is `Pin` and `tls` is not off; beside authorities they are asked for as well.
    pub pins: Vec<Pin>,
    /// `server_name`: the name asked for and expected in certificates; nothing for each member's own host.
    pub server_name: Option<Located<String>>,
    /// `client_certificate`: what the gate shows of itself to backends that ask; there exactly if `client_key` is.
    pub client_certificate: Option<Located<PathBuf>>,
    /// `client_key`
    pub client_key: Option<Located<PathBuf>>,
    /// `alpn`: whether the gate offers the protocol names of FTP.
    pub alpn: bool,
    /// `data_protection`: clear whenever `tls` is off.
    pub data_protection: BackendProtection,
    /// `ccc`: off whenever `tls` is.
    pub ccc: BackendCcc,
    /// `mode_z`: whether MODE Z is passed on.
    pub mode_z: bool,
    /// `data_command`
    pub data_command: PassiveStyle,
    /// `pasv_address`
    pub pasv_address: PasvAddress,
    /// `empty`
    pub empty: OnEmpty,
    /// `unfinished`: what becomes of downloads that end without close_notify.
    pub unfinished: OnUnfinished,
    /// `send_proxy`
    pub send_proxy: SendProxy,
    /// `send_proxy_data`: whether data connections to the members begin with a PROXY header too.
    pub send_proxy_data: bool,
}

/// How a backend's certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// It must come from one of the authorities in `ca` and bear the expected name.
    Ca,
    /// It must come from one of the authorities in `ca`, whatever its name: for backends that are reached by an address.
    Chain,
    /// It must be one of `pins`, whatever is in it: for certificates that nobody has signed but themselves.
    Pin,
    /// Not at all: whoever can stand between can read and change everything.
    Off,
}
