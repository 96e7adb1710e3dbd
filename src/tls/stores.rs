//! Where TLS sessions wait to be resumed: one store for each side of one FTP session.

use std::collections::VecDeque;
use std::fmt;
#[expect(
    clippy::disallowed_types,
    reason = "the traits of rustls ask for Sync; these are of one core, so they never wait"
)]
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::server::StoresServerSessions;

use crate::limits;

/// The sessions that a client may resume, as one kind of its connections sees them.
///
/// None is used up. Clients such as curl and lftp offer the ticket of their control connection for each data
/// connection. To take it from them after the first would only guard early data, which is never accepted here, from
/// being played twice (RFC 8446 section 8); and nobody but this one FTP session knows this store.
pub(super) struct ServerSessions {
    /// Sessions begun by connections of this kind.
    own: Arc<Shelf>,
    /// Those of the other kind. Apart, so that the many tickets of data connections never drive out the few of
    /// the control connection.
    other: Arc<Shelf>,
    /// Where resumption is demanded: what a data connection has begun, until it is known whether it resumed. A stranger
    /// who is refused must not have made a session that his next connection resumes.
    #[expect(clippy::disallowed_types, reason = "as where it is imported")]
    probation: Option<Mutex<Vec<Begun>>>,
}

/// Sessions of one kind of connection, oldest first. They are so few that looking through them costs less than a table,
/// and where there are none they take no memory (rustls' own store takes kilobytes at once).
struct Shelf {
    #[expect(clippy::disallowed_types, reason = "as where it is imported")]
    kept: Mutex<VecDeque<Begun>>,
    most: usize,
}

/// A session that somebody may resume, in one piece of memory.
struct Begun {
    /// The key, and behind it the session as rustls has it stored.
    bytes: Box<[u8]>,
    key_bytes: usize,
}

impl Begun {
    fn new(key: &[u8], value: &[u8]) -> Self {
        Self {
            bytes: [key, value].concat().into(),
            key_bytes: key.len(),
        }
    }

    fn value_of(&self, key: &[u8]) -> Option<&[u8]> {
        let (own, value) = self.bytes.split_at(self.key_bytes);
        (own == key).then_some(value)
    }
}

impl Shelf {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            #[expect(clippy::disallowed_types, reason = "as where it is imported")]
            kept: Mutex::new(VecDeque::new()),
            most,
        })
    }

    fn put(&self, begun: Begun) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == self.most {
            kept.pop_front();
        }
        kept.push_back(begun);
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest first, as a table would have replaced what had the same key.
        let found = kept.iter().rev().find_map(|begun| begun.value_of(key));
        found.map(<[u8]>::to_vec)
    }
}

impl ServerSessions {
    /// For the control connection, and for its data connections.
    pub(super) fn pair(is_bound: bool) -> (Arc<Self>, Arc<Self>) {
        let control = Shelf::new(limits::CONTROL_TICKETS);
        let data = Shelf::new(limits::CLIENT_TICKETS_KEPT_MAX);
        let for_control = Self {
            own: Arc::clone(&control),
            other: Arc::clone(&data),
            probation: None,
        };
        let for_data = Self {
            own: data,
            other: control,
            #[expect(clippy::disallowed_types, reason = "as where it is imported")]
            probation: is_bound.then(|| Mutex::new(Vec::new())),
        };
        (Arc::new(for_control), Arc::new(for_data))
    }

    /// Keeps or forgets what the last data connection has begun.
    pub(super) fn judge(&self, is_theirs: bool) {
        let Some(probation) = &self.probation else {
            return;
        };
        let begun = std::mem::take(&mut *probation.lock().unwrap_or_else(PoisonError::into_inner));
        if is_theirs {
            begun.into_iter().for_each(|begun| self.own.put(begun));
        }
    }
}

impl StoresServerSessions for ServerSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let begun = Begun::new(&key, &value);
        match &self.probation {
            None => self.own.put(begun),
            Some(probation) => {
                let mut waiting = probation.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.push(begun);
            }
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.own.get(key).or_else(|| self.other.get(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for ServerSessions {
    /// Without what is in it: secrets are not written.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ServerSessions")
    }
}

/// The sessions that one backend lets us resume.
pub(super) struct ClientSessions {
    #[expect(clippy::disallowed_types, reason = "as where it is imported")]
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Whose they are: the only server that was spoken to, in fact.
    server: Option<ServerName<'static>>,
    group: Option<NamedGroup>,
    twelve: Option<Tls12ClientSessionValue>,
    /// Oldest first; each is given out once.
    thirteen: VecDeque<Tls13ClientSessionValue>,
}

impl ClientSessions {
    pub(super) fn new() -> Self {
        Self {
            #[expect(clippy::disallowed_types, reason = "as where it is imported")]
            kept: Mutex::new(Kept::default()),
        }
    }

    /// Whether there is nothing to resume.
    pub(super) fn is_dry(&self) -> bool {
        self.look(|kept| kept.twelve.is_none() && kept.thirteen.is_empty())
    }

    fn look<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As `look`, at what is this server's. One who asks for another begins anew.
    fn look_at<T>(&self, server: &ServerName<'_>, look: impl FnOnce(&mut Kept) -> T) -> T {
        self.look(|kept| {
            if kept.server.as_ref() != Some(server) {
                *kept = Kept {
                    server: Some(server.to_owned()),
                    ..Kept::default()
                };
            }
            look(kept)
        })
    }
}

impl ClientSessionStore for ClientSessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.look_at(&server, |kept| kept.group = Some(group));
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        // What was too dear to be exchanged again is protected by what is resumed; nothing else is begun twice.
        let is_dear = |group: &NamedGroup| *group == NamedGroup::X25519MLKEM768;
        self.look_at(server, |kept| kept.group.filter(|group| !is_dear(group)))
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.look_at(&server, |kept| kept.twelve = Some(session));
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.look_at(server, |kept| kept.twelve.clone())
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.look_at(server, |kept| kept.twelve = None);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.look_at(&server, |kept| {
            if kept.thirteen.len() == limits::BACKEND_TICKETS_KEPT_MAX {
                kept.thirteen.pop_front();
            }
            kept.thirteen.reserve_exact(1);
            kept.thirteen.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.look_at(server, |kept| kept.thirteen.pop_back())
    }
}

impl fmt::Debug for ClientSessions {
    /// Without what is in it: secrets are not written.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ClientSessions")
    }
}
