//! THE list: every counter and every histogram once, with the name, labels and help that everything else is derived from.
//!
//! Names follow the conventions of Prometheus: base units, `_total` for counters. Variants that share a name are one
//! metric, told apart by their labels.

/// Declares an enum of metrics from a table: variant, name, labels, help.
macro_rules! catalog {
    ($(#[$doc:meta])* $kind:ident { $($variant:ident, $name:literal, [$($label:ident = $value:literal),*], $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind {
            $(#[doc = $help] $variant,)*
        }

        impl $kind {
            /// Every one of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Name in the exposition.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Labels, each with its value.
            pub fn labels(self) -> &'static [(&'static str, &'static str)] {
                match self {
                    $(Self::$variant => &[$((stringify!($label), $value)),*],)*
                }
            }

            /// What it counts, in one sentence.
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $help,)*
                }
            }
        }
    };
}

catalog! {
    /// What is counted. A count never goes down.
    Counter {
        SessionsOpened, "sluicegate_sessions_opened_total", [], "Control connections of clients taken.";
        SessionsEnded, "sluicegate_sessions_ended_total", [], "Sessions ended, however they ended.";
        SessionsRefused, "sluicegate_sessions_refused_total", [], "Clients turned away with 421 because the limit of sessions was reached.";
        SessionsPanicked, "sluicegate_sessions_panicked_total", [], "Sessions ended by a defect of the gate itself.";
        LoginsOk, "sluicegate_logins_total", [outcome = "ok"], "Logins that a backend accepted.";
        LoginsFailed, "sluicegate_logins_total", [outcome = "failed"], "Logins that a backend refused.";
        DownloadsCompleted, "sluicegate_transfers_total", [direction = "download", outcome = "completed"], "Downloads and listings completed with both peers.";
        DownloadsRefused, "sluicegate_transfers_total", [direction = "download", outcome = "refused"], "Downloads and listings that the backend itself refused.";
        DownloadsUnestablished, "sluicegate_transfers_total", [direction = "download", outcome = "unestablished"], "Downloads and listings whose data connection was not established (425).";
        DownloadsBroken, "sluicegate_transfers_total", [direction = "download", outcome = "broken"], "Downloads and listings broken on the way (426, 451).";
        DownloadsAborted, "sluicegate_transfers_total", [direction = "download", outcome = "aborted"], "Downloads and listings ended by the client's ABOR.";
        UploadsCompleted, "sluicegate_transfers_total", [direction = "upload", outcome = "completed"], "Uploads completed with both peers.";
        UploadsRefused, "sluicegate_transfers_total", [direction = "upload", outcome = "refused"], "Uploads that the backend itself refused.";
        UploadsUnestablished, "sluicegate_transfers_total", [direction = "upload", outcome = "unestablished"], "Uploads whose data connection was not established (425).";
        UploadsBroken, "sluicegate_transfers_total", [direction = "upload", outcome = "broken"], "Uploads broken on the way (426, 451).";
        UploadsAborted, "sluicegate_transfers_total", [direction = "upload", outcome = "aborted"], "Uploads ended by the client's ABOR.";
        DownloadBytes, "sluicegate_transfer_bytes_total", [direction = "download"], "Bytes of files and listings sent to clients.";
        UploadBytes, "sluicegate_transfer_bytes_total", [direction = "upload"], "Bytes of files sent to backends.";
        SplicedBytes, "sluicegate_relayed_bytes_total", [path = "spliced"], "Bytes moved between two clear data connections within the kernel.";
        SealedBytes, "sluicegate_relayed_bytes_total", [path = "sealed"], "Bytes moved between data connections with TLS on one of them or both, opened and sealed anew.";
        InPlaceBytes, "sluicegate_relayed_bytes_total", [path = "in_place"], "Bytes moved between two TLS 1.3 data connections in the buffer they came in.";
        StreamsCompleted, "sluicegate_streams_total", [outcome = "completed"], "Streams that both sides have ended properly.";
        StreamsUnfinished, "sluicegate_streams_total", [outcome = "unfinished"], "Streams that a side has ended without close_notify.";
        StreamsBroken, "sluicegate_streams_total", [outcome = "broken"], "Streams broken by a reset or by a fault of TLS.";
        StreamsLate, "sluicegate_streams_total", [outcome = "timed_out"], "Streams in which nothing moved for too long.";
        StreamsCutOff, "sluicegate_streams_total", [outcome = "cut_off"], "Streams ended by order of the operator, or at the end of the drain.";
        StreamsUnestablished, "sluicegate_streams_total", [outcome = "unestablished"], "Streams that had no backend, or whose handshakes failed.";
        StreamBytesUp, "sluicegate_stream_bytes_total", [direction = "up"], "Bytes of streams taken from clients.";
        StreamBytesDown, "sluicegate_stream_bytes_total", [direction = "down"], "Bytes of streams taken from backends.";
        EmptyCompletions, "sluicegate_empty_completions_total", [], "Empty downloads completed for the client although the backend did not end its data connection properly.";
        FalseEmptiesRefused, "sluicegate_false_empties_refused_total", [], "Uploads without a handshake that would have left an empty file nobody sent.";
        ClientUnfinishedMirrored, "sluicegate_unfinished_streams_total", [side = "client", policy = "mirror"], "Uploads without close_notify, whose end was passed on as it was.";
        ClientUnfinishedRepaired, "sluicegate_unfinished_streams_total", [side = "client", policy = "repair"], "Uploads without close_notify, ended with one towards the backend.";
        ClientUnfinishedRejected, "sluicegate_unfinished_streams_total", [side = "client", policy = "reject"], "Uploads without close_notify, refused with 426.";
        BackendUnfinishedMirrored, "sluicegate_unfinished_streams_total", [side = "backend", policy = "mirror"], "Downloads without close_notify, whose end was passed on as it was.";
        BackendUnfinishedRepaired, "sluicegate_unfinished_streams_total", [side = "backend", policy = "repair"], "Downloads without close_notify, ended with one towards the client.";
        BackendUnfinishedRejected, "sluicegate_unfinished_streams_total", [side = "backend", policy = "reject"], "Downloads without close_notify, refused with 426.";
        StrangersRefused, "sluicegate_strangers_refused_total", [], "Data connections from addresses other than the client's.";
        UnresumedRefused, "sluicegate_unresumed_refused_total", [], "Data connections refused with 522 because they did not resume the TLS session of their control connection.";
        ProxiesUnknown, "sluicegate_proxy_headers_refused_total", [reason = "stranger"], "Connections reset because they did not come from a trusted proxy.";
        ProxiesMalformed, "sluicegate_proxy_headers_refused_total", [reason = "malformed"], "Connections of trusted proxies reset because they did not begin with a good PROXY header.";
        ProxiesLate, "sluicegate_proxy_headers_refused_total", [reason = "late"], "Connections of trusted proxies reset because their PROXY header was not there in time.";
        ClientKeysHybrid, "sluicegate_key_exchanges_total", [leg = "client", kind = "hybrid"], "Control connections of clients with a post-quantum key exchange.";
        ClientKeysClassical, "sluicegate_key_exchanges_total", [leg = "client", kind = "classical"], "Control connections of clients with a classical key exchange.";
        BackendKeysHybrid, "sluicegate_key_exchanges_total", [leg = "backend", kind = "hybrid"], "Control connections to backends with a post-quantum key exchange.";
        BackendKeysClassical, "sluicegate_key_exchanges_total", [leg = "backend", kind = "classical"], "Control connections to backends with a classical key exchange.";
        ClientTls12, "sluicegate_control_tls_total", [leg = "client", version = "1.2"], "Control connections of clients with TLS 1.2.";
        ClientTls13, "sluicegate_control_tls_total", [leg = "client", version = "1.3"], "Control connections of clients with TLS 1.3.";
        BackendTls12, "sluicegate_control_tls_total", [leg = "backend", version = "1.2"], "Control connections to backends with TLS 1.2.";
        BackendTls13, "sluicegate_control_tls_total", [leg = "backend", version = "1.3"], "Control connections to backends with TLS 1.3.";
        BackendsUnverified, "sluicegate_backends_unverified_total", [], "Control connections to backends whose certificate was not looked at (verify = \"off\").";
        ClientCertificatesRefused, "sluicegate_client_certificates_refused_total", [], "Control connections of clients refused for their certificate, or for having none.";
        OtherUsersRefused, "sluicegate_other_users_refused_total", [], "USER commands refused because the client's certificate names somebody else.";
        OtherCertificatesRefused, "sluicegate_other_certificates_refused_total", [], "Data connections, either leg, refused because their certificate was not that of the control connection.";
        InjectionsRefused, "sluicegate_injections_refused_total", [], "Sessions ended because plaintext stood behind AUTH or behind the backend's 234.";
        PassivePortsExhausted, "sluicegate_passive_ports_exhausted_total", [], "Transfers refused because no passive port was free.";
    }
}

catalog! {
    /// What stands at some number now.
    Gauge {
        Sessions, "sluicegate_sessions", [], "Sessions that live.";
        TransfersRunning, "sluicegate_transfers_running", [], "Transfers under way.";
        CoresSilent, "sluicegate_cores_silent", [], "Cores that did not answer this time; their last numbers are shown.";
        PassivePorts, "sluicegate_passive_ports", [], "Passive ports of a listener.";
        PassivePortsInUse, "sluicegate_passive_ports_in_use", [], "Passive ports of a listener that wait for a data connection.";
        Backends, "sluicegate_backends", [], "Members of a pool.";
        BackendsResting, "sluicegate_backends_resting", [], "Members of a pool that some core could not reach lately, and tries behind the others.";
        StartTime, "sluicegate_start_time_seconds", [], "When the gate was started, in seconds since 1970.";
        Build, "sluicegate_build_info", [], "Always 1; the version is in the label.";
    }
}

/// What a metric with several variants is about; those with one say it themselves.
const SHARED_HELP: &[(&str, &str)] = &[
    (
        "sluicegate_streams_total",
        "Connections of listeners with mode = \"stream\", by what became of them.",
    ),
    (
        "sluicegate_stream_bytes_total",
        "Plain bytes of streams, by direction.",
    ),
    (
        "sluicegate_relayed_bytes_total",
        "Plain bytes relayed, by the path that they took.",
    ),
    (
        "sluicegate_proxy_headers_refused_total",
        "Connections of proxies reset before they were anybody's, by reason.",
    ),
    (
        "sluicegate_control_tls_total",
        "Control connections made private, by leg and version of TLS.",
    ),
    (
        "sluicegate_logins_total",
        "Logins, by what the backend made of them.",
    ),
    (
        "sluicegate_transfers_total",
        "Transfers, by direction and by what became of them.",
    ),
    (
        "sluicegate_transfer_bytes_total",
        "Bytes of files and listings passed on, by direction.",
    ),
    (
        "sluicegate_unfinished_streams_total",
        "Streams that ended without close_notify, by side and by the policy that was applied.",
    ),
    (
        "sluicegate_key_exchanges_total",
        "Key exchanges of control connections, by leg and kind.",
    ),
];

impl Counter {
    /// What the metric of this name counts, all its variants together.
    pub fn family_help(self) -> &'static str {
        let shared = SHARED_HELP.iter().find(|(name, _)| *name == self.name());
        shared.map_or_else(|| self.help(), |(_, help)| help)
    }
}

catalog! {
    /// What is timed, in seconds.
    Phase {
        ClientHandshake, "sluicegate_client_handshake_seconds", [], "TLS handshake of the client's control connection.";
        BackendConnect, "sluicegate_backend_connect_seconds", [], "Reaching a backend, up to its greeting.";
        Login, "sluicegate_login_seconds", [], "From USER to the final reply to the login.";
        Command, "sluicegate_command_seconds", [], "From a command that moves no data to the backend's final reply.";
        DataConnect, "sluicegate_data_connect_seconds", [], "From the start of a transfer until both data connections are up.";
        DataHandshake, "sluicegate_data_handshake_seconds", [], "TLS handshake of a data connection, either leg.";
        Transfer, "sluicegate_transfer_seconds", [], "From the command of a transfer to the client's final reply.";
        Completion, "sluicegate_completion_seconds", [], "From the end of the source to the client's final reply.";
    }
}

impl Counter {
    /// Its place among the cells of a recorder.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

impl Phase {
    /// Its place among the histograms of a recorder.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_told_apart_and_named_by_convention() {
        let mut rows = HashSet::new();
        for counter in Counter::ALL {
            assert!(
                rows.insert((counter.name(), counter.labels())),
                "{counter:?}"
            );
            assert!(counter.name().ends_with("_total"), "{counter:?}");
        }
        for phase in Phase::ALL {
            assert!(rows.insert((phase.name(), phase.labels())), "{phase:?}");
            assert!(phase.name().ends_with("_seconds"), "{phase:?}");
        }
    }

    #[test]
    fn metrics_with_variants_have_a_help_of_their_own() {
        for counter in Counter::ALL {
            let variants = Counter::ALL
                .iter()
                .filter(|other| other.name() == counter.name());
            let shared = SHARED_HELP
                .iter()
                .filter(|(name, _)| *name == counter.name());
            let expected = usize::from(variants.count() > 1);
            assert_eq!(shared.count(), expected, "{}", counter.name());
        }
    }

    #[test]
    fn variants_of_one_name_have_the_same_labels() {
        let keys = |counter: &Counter| {
            counter
                .labels()
                .iter()
                .map(|(key, _)| *key)
                .collect::<Vec<_>>()
        };
        for one in Counter::ALL {
            for other in Counter::ALL
                .iter()
                .filter(|other| other.name() == one.name())
            {
                assert_eq!(keys(one), keys(other));
            }
        }
    }

    #[test]
    fn the_index_is_the_place_in_the_table() {
        assert!(
            Counter::ALL
                .iter()
                .enumerate()
                .all(|(index, counter)| counter.index() == index)
        );
        assert!(
            Phase::ALL
                .iter()
                .enumerate()
                .all(|(index, phase)| phase.index() == index)
        );
    }
}
