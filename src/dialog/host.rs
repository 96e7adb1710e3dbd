//! Virtual hosts (RFC 7151): the name that a client says by HOST, shows in its TLS handshake, or both alike.

use std::sync::Arc;

use super::action::{Action, Blame};
use super::phase::Chosen;
use super::{Dialog, Turn};
use crate::ftp::{Reply, occasion, read_host};

impl Dialog {
    /// HOST: before login, and as often as the client likes; the last one counts.
    pub(super) fn host(&mut self, turn: &mut Turn, argument: &[u8]) {
        let (code, text) = match read_host(argument) {
            _ if self.site.hosts.is_empty() => (occasion::NOT_OFFERED, "There are no hosts here"),
            _ if self.client.logged_in => (occasion::BAD_SEQUENCE, "HOST comes before login"),
            None => (
                occasion::BAD_ARGUMENT,
                "HOST takes a name, or an address without a port",
            ),
            Some(name) => match (self.site.host(&name), self.client.host) {
                (None, _) => (occasion::NOT_THIS_PARAMETER, "There is no such host here"),
                (Some(at), Chosen::Shown(shown)) if shown != Some(at) => (
                    occasion::NOT_THIS_PARAMETER,
                    "The TLS handshake has named another host",
                ),
                (Some(at), chosen) => {
                    if !matches!(chosen, Chosen::Shown(_)) {
                        self.client.host = Chosen::Said(at);
                    }
                    self.choose(turn, Some(at));
                    let banner = self.rules.banner.as_str();
                    return turn.answer(&Reply::new(occasion::GREETING, banner));
                }
            },
        };
        turn.answer(&Reply::new(code, text));
    }

    /// SNI; what was said before by HOST must be the same.
    pub(super) fn client_named(&mut self, turn: &mut Turn, name: &str) {
        let shown = self.site.host(name);
        if let Chosen::Said(said) = self.client.host
            && shown != Some(said)
        {
            let text = "HOST and the TLS handshake name different hosts";
            return self.leave_closing(turn, text, Blame::Client, "HOST against SNI");
        }
        let is_news = self.client.host == Chosen::Nobody && shown.is_some();
        self.client.host = Chosen::Shown(shown);
        if is_news {
            self.choose(turn, shown);
        }
    }

    /// Another host's rules from now on. A USER that came before has led to a backend that is not its own.
    pub(super) fn choose(&mut self, turn: &mut Turn, host: Option<usize>) {
        self.release_backend(turn);
        let chosen = host.and_then(|at| self.site.hosts.get(at));
        self.rules = Arc::clone(chosen.map_or(&self.site, |host| &host.rules));
        turn.push(Action::Choose(host));
    }
}
