//! What readers of the admin server are shown of a configuration, and the office that shows it.

use std::sync::Arc;
use std::time::SystemTime;

use async_channel::{TrySendError, WeakSender};
use aws_lc_rs::digest;

use super::check::Prepared;
use super::draft::Draft;
use super::{News, Running, logging};
use crate::admin::{About, Asked, Door, InForce, ListenerFacts, Office, Standing};
use crate::config::{AdminAddress, Complaint, Config};

/// A configuration, for those who look.
pub(super) fn in_force(prepared: &Prepared, draft: &Draft) -> InForce {
    let config = &prepared.config;
    let listeners = config.listeners.iter().zip(draft.addresses());
    let token = prepared.admin_token.as_ref();
    InForce {
        door: Door::new(
            token.map(|token| token.0.clone()),
            is_on_tcp(config) && prepared.admin_tls.is_none(),
        ),
        tls: prepared.admin_tls.clone(),
        listeners: listeners
            .map(|(listener, addresses)| ListenerFacts {
                name: listener.name.clone(),
                addresses,
                pool: config.pools[listener.pool].name.clone(),
            })
            .collect(),
        // It has been read already, so it can be read.
        written: toml::from_str(&prepared.text).unwrap_or_default(),
        sha256: sha256(&prepared.text),
        read: prepared.read,
        expiries: prepared.expiries.clone(),
        restart: keys(&prepared.pending),
    }
}

/// The same behind a configuration that is in force: what waits for a restart is shown as it was.
pub(super) fn in_force_after(prepared: &Prepared, draft: &Draft, before: &InForce) -> InForce {
    let mut shown = in_force(prepared, draft);
    for key in &shown.restart {
        stay(key, &mut shown.written, &before.written);
    }
    shown
}

/// One key is shown as it was; of the sections that only a start can change all of them are.
fn stay(path: &str, now: &mut toml::Table, before: &toml::Table) {
    let (section, key) = path.split_once('.').unwrap_or((path, ""));
    let old = before.get(section);
    if ["admin", "audit"].contains(&section) {
        set(now, section, old);
        return;
    }
    let empty = || toml::Value::Table(toml::Table::new());
    if let Some(now) = now.entry(section).or_insert_with(empty).as_table_mut() {
        set(now, key, old.and_then(|old| old.get(key)));
    }
}

fn set(table: &mut toml::Table, key: &str, value: Option<&toml::Value>) {
    match value {
        Some(value) => drop(table.insert(key.to_owned(), value.clone())),
        None => drop(table.remove(key)),
    }
}

/// Everything that the admin server may use.
pub(super) fn open(running: &Running, standing: Arc<Standing>) -> Arc<Office> {
    let news = running.news.0.clone();
    let reload = running.reload.downgrade();
    Arc::new(Office {
        collector: Arc::clone(&running.collector),
        standing,
        about: About {
            started: SystemTime::now(),
            journal: running
                .journal
                .as_ref()
                .map(|journal| Arc::clone(&journal.tally)),
            log_lines_dropped: Box::new(|| logging::dropped_lines() as u64),
            // Full or closed: then the process is ending already.
            stop: Box::new(move || drop(news.try_send(News::Stop))),
            reload: Box::new(move |asked| ask_reload(&reload, asked)),
        },
    })
}

/// Asks for a reload; false where too many wait already, who are answered by one reading. Whoever waits for an answer that nobody
/// can give any more sees it dropped.
pub(super) fn ask_reload(reload: &WeakSender<Asked>, asked: Asked) -> bool {
    let sent = reload.upgrade().map(|reload| reload.try_send(asked));
    if matches!(sent, None | Some(Err(TrySendError::Closed(_)))) {
        tracing::error!("nobody reads the configuration again any more; cure: restart the process");
    }
    !matches!(sent, Some(Err(TrySendError::Full(_))))
}

/// A browser may reach it.
fn is_on_tcp(config: &Config) -> bool {
    let address = config.admin.as_ref().map(|admin| &admin.address.value);
    matches!(address, Some(AdminAddress::Tcp(_)))
}

/// The keys that complaints are about.
pub(super) fn keys(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(|told| told.key.clone()).collect()
}

/// As `sha256sum` prints it of the file.
fn sha256(text: &str) -> String {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_wait_for_a_restart_are_shown_as_they_are_in_force() {
        let table = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        let before = table("[process]\ncores = [0]\nin_place = true\n[admin]\naddress = \"a\"");
        let mut now = table(
            "[process]\ncores = [1]\nin_place = false\n[log]\nformat = \"json\"\n[audit]\nfile = \"f\"",
        );
        for key in ["process.cores", "log.format", "admin.address", "audit.file"] {
            stay(key, &mut now, &before);
        }
        let wanted =
            table("[process]\ncores = [0]\nin_place = false\n[log]\n[admin]\naddress = \"a\"");
        assert_eq!(now, wanted);
    }
}
