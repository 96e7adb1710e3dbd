//! THE list: every counter and every histogram once, with the name, labels and help that everything else is derived from.
//!
//! Names follow the conventions of Prometheus: base units, `_total` for counters. Variants that share a name are one
//! metric, told apart by their labels.

use super::families::shared_help;

/// Declares an enum of metrics from a table: variant, name, labels with the values of this row, perhaps `by` labels whose values
/// only the running gate knows, and help.
macro_rules! catalog {
    ($(#[$doc:meta])* $kind:ident {
        $($variant:ident, $name:literal, [$($label:ident = $value:literal),*] $(by [$($key:ident),*])?, $help:literal;)*
    }) => {
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

            /// Names of the labels that its series have beside those: one series for each listener, pool or the like.
            pub fn keys(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => &[$($(stringify!($key)),*)?],)*
                }
            }

            /// Name and labels, as Prometheus writes them.
            pub fn series(self) -> String {
                let labels = self.labels().iter().map(|(key, value)| format!("{key}=\"{value}\""));
                match labels.collect::<Vec<_>>().join(",") {
                    none if none.is_empty() => self.name().to_owned(),
                    labels => format!("{}{{{labels}}}", self.name()),
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
        SessionsRefused, "sluicegate_sessions_refused_total", [], "Clients turned away because the limit of sessions was reached: with 421 where they could read it, else by a close or a reset.";
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
        RetrCompleted, "sluicegate_transfer_verbs_total", [verb = "RETR", outcome = "completed"], "Transfers by RETR completed with both peers.";
        RetrFailed, "sluicegate_transfer_verbs_total", [verb = "RETR", outcome = "failed"], "Transfers by RETR that were not completed, whatever the reason.";
        StorCompleted, "sluicegate_transfer_verbs_total", [verb = "STOR", outcome = "completed"], "Transfers by STOR completed with both peers.";
        StorFailed, "sluicegate_transfer_verbs_total", [verb = "STOR", outcome = "failed"], "Transfers by STOR that were not completed, whatever the reason.";
        StouCompleted, "sluicegate_transfer_verbs_total", [verb = "STOU", outcome = "completed"], "Transfers by STOU completed with both peers.";
        StouFailed, "sluicegate_transfer_verbs_total", [verb = "STOU", outcome = "failed"], "Transfers by STOU that were not completed, whatever the reason.";
        AppeCompleted, "sluicegate_transfer_verbs_total", [verb = "APPE", outcome = "completed"], "Transfers by APPE completed with both peers.";
        AppeFailed, "sluicegate_transfer_verbs_total", [verb = "APPE", outcome = "failed"], "Transfers by APPE that were not completed, whatever the reason.";
        ListCompleted, "sluicegate_transfer_verbs_total", [verb = "LIST", outcome = "completed"], "Transfers by LIST completed with both peers.";
        ListFailed, "sluicegate_transfer_verbs_total", [verb = "LIST", outcome = "failed"], "Transfers by LIST that were not completed, whatever the reason.";
        NlstCompleted, "sluicegate_transfer_verbs_total", [verb = "NLST", outcome = "completed"], "Transfers by NLST completed with both peers.";
        NlstFailed, "sluicegate_transfer_verbs_total", [verb = "NLST", outcome = "failed"], "Transfers by NLST that were not completed, whatever the reason.";
        MlsdCompleted, "sluicegate_transfer_verbs_total", [verb = "MLSD", outcome = "completed"], "Transfers by MLSD completed with both peers.";
        MlsdFailed, "sluicegate_transfer_verbs_total", [verb = "MLSD", outcome = "failed"], "Transfers by MLSD that were not completed, whatever the reason.";
        DownloadBytes, "sluicegate_transfer_bytes_total", [direction = "download"], "Bytes of files and listings sent to clients.";
        UploadBytes, "sluicegate_transfer_bytes_total", [direction = "upload"], "Bytes of files sent to backends.";
        SplicedBytes, "sluicegate_relayed_bytes_total", [path = "spliced"], "Bytes moved between two clear data connections within the kernel.";
        SealedBytes, "sluicegate_relayed_bytes_total", [path = "sealed"], "Bytes moved between data connections with TLS on one of them or both, opened and sealed anew.";
        InPlaceBytes, "sluicegate_relayed_bytes_total", [path = "in_place"], "Bytes moved between two TLS 1.3 data connections in the buffer they came in.";
        KernelBytes, "sluicegate_relayed_bytes_total", [path = "kernel"], "Bytes moved between data connections within the kernel, which had taken over the TLS 1.3 of one of them or both.";
        ClientEndClean, "sluicegate_data_ends_total", [leg = "client", end = "clean"], "Data connections of clients ended properly.";
        ClientEndUnfinished, "sluicegate_data_ends_total", [leg = "client", end = "unfinished"], "Data connections of clients ended without close_notify.";
        ClientEndBare, "sluicegate_data_ends_total", [leg = "client", end = "bare"], "Data connections of clients closed before any byte of a handshake.";
        ClientEndReset, "sluicegate_data_ends_total", [leg = "client", end = "reset"], "Data connections of clients reset, or broken by a record that does not verify.";
        ClientEndRefused, "sluicegate_data_ends_total", [leg = "client", end = "refused"], "Data connections of clients never there.";
        ClientEndNotTaken, "sluicegate_data_ends_total", [leg = "client", end = "not_taken"], "Data connections of clients that the gate could not take: out of descriptors, or too many strangers before them.";
        ClientEndHandshakeFailed, "sluicegate_data_ends_total", [leg = "client", end = "handshake_failed"], "Data connections of clients whose TLS began and failed.";
        ClientEndNotResumed, "sluicegate_data_ends_total", [leg = "client", end = "not_resumed"], "Data connections of clients refused because they did not resume.";
        ClientEndOtherCertificate, "sluicegate_data_ends_total", [leg = "client", end = "other_certificate"], "Data connections of clients refused for another certificate.";
        ClientEndConnectTimeout, "sluicegate_data_ends_total", [leg = "client", end = "connect_timeout"], "Data connections of clients not there in time.";
        ClientEndHandshakeTimeout, "sluicegate_data_ends_total", [leg = "client", end = "handshake_timeout"], "Data connections of clients whose handshake took too long.";
        ClientEndFirstByteTimeout, "sluicegate_data_ends_total", [leg = "client", end = "first_byte_timeout"], "Data connections of clients without a byte in time.";
        ClientEndStallTimeout, "sluicegate_data_ends_total", [leg = "client", end = "stall_timeout"], "Data connections of clients on which nothing moved for too long.";
        ClientEndCompletionTimeout, "sluicegate_data_ends_total", [leg = "client", end = "completion_timeout"], "Data connections of clients that did not end in time.";
        ClientEndAborted, "sluicegate_data_ends_total", [leg = "client", end = "aborted"], "Data connections of clients given up by the gate: ABOR, a policy, the end of the session.";
        BackendEndClean, "sluicegate_data_ends_total", [leg = "backend", end = "clean"], "Data connections of backends ended properly.";
        BackendEndUnfinished, "sluicegate_data_ends_total", [leg = "backend", end = "unfinished"], "Data connections of backends ended without close_notify.";
        BackendEndBare, "sluicegate_data_ends_total", [leg = "backend", end = "bare"], "Data connections of backends closed before any byte of a handshake.";
        BackendEndReset, "sluicegate_data_ends_total", [leg = "backend", end = "reset"], "Data connections of backends reset, or broken by a record that does not verify.";
        BackendEndRefused, "sluicegate_data_ends_total", [leg = "backend", end = "refused"], "Data connections of backends never there.";
        BackendEndNotTaken, "sluicegate_data_ends_total", [leg = "backend", end = "not_taken"], "Data connections of backends that the gate could not take: out of descriptors, or too many strangers before them.";
        BackendEndHandshakeFailed, "sluicegate_data_ends_total", [leg = "backend", end = "handshake_failed"], "Data connections of backends whose TLS began and failed.";
        BackendEndNotResumed, "sluicegate_data_ends_total", [leg = "backend", end = "not_resumed"], "Data connections of backends refused because they did not resume.";
        BackendEndOtherCertificate, "sluicegate_data_ends_total", [leg = "backend", end = "other_certificate"], "Data connections of backends refused for another certificate.";
        BackendEndConnectTimeout, "sluicegate_data_ends_total", [leg = "backend", end = "connect_timeout"], "Data connections of backends not there in time.";
        BackendEndHandshakeTimeout, "sluicegate_data_ends_total", [leg = "backend", end = "handshake_timeout"], "Data connections of backends whose handshake took too long.";
        BackendEndFirstByteTimeout, "sluicegate_data_ends_total", [leg = "backend", end = "first_byte_timeout"], "Data connections of backends without a byte in time.";
        BackendEndStallTimeout, "sluicegate_data_ends_total", [leg = "backend", end = "stall_timeout"], "Data connections of backends on which nothing moved for too long.";
        BackendEndCompletionTimeout, "sluicegate_data_ends_total", [leg = "backend", end = "completion_timeout"], "Data connections of backends that did not end in time.";
        BackendEndAborted, "sluicegate_data_ends_total", [leg = "backend", end = "aborted"], "Data connections of backends given up by the gate: ABOR, a policy, the end of the session.";
        EmptyUnfinished, "sluicegate_empty_completions_total", [cause = "unfinished"], "Empty downloads completed for the client; the data connection of the backend: ended without close_notify.";
        EmptyBare, "sluicegate_empty_completions_total", [cause = "bare"], "Empty downloads completed for the client; the data connection of the backend: closed before any byte of a handshake.";
        EmptyRefused, "sluicegate_empty_completions_total", [cause = "refused"], "Empty downloads completed for the client; the data connection of the backend: never there.";
        StreamsCompleted, "sluicegate_streams_total", [outcome = "completed"], "Streams that both sides have ended properly.";
        StreamsUnfinished, "sluicegate_streams_total", [outcome = "unfinished"], "Streams that a side has ended without close_notify.";
        StreamsBroken, "sluicegate_streams_total", [outcome = "broken"], "Streams broken by a reset or by a fault of TLS.";
        StreamsLate, "sluicegate_streams_total", [outcome = "timed_out"], "Streams in which nothing moved for too long.";
        StreamsCutOff, "sluicegate_streams_total", [outcome = "cut_off"], "Streams ended by order of the operator, or at the end of the drain.";
        StreamsUnestablished, "sluicegate_streams_total", [outcome = "unestablished"], "Streams that had no backend, or whose handshakes failed.";
        StreamBytesUp, "sluicegate_stream_bytes_total", [direction = "up"], "Bytes of streams taken from clients.";
        StreamBytesDown, "sluicegate_stream_bytes_total", [direction = "down"], "Bytes of streams taken from backends.";
        StreamClientClean, "sluicegate_stream_ends_total", [leg = "client", end = "clean"], "Streams' connections of clients ended properly.";
        StreamClientUnfinished, "sluicegate_stream_ends_total", [leg = "client", end = "unfinished"], "Streams' connections of clients ended without close_notify.";
        StreamClientReset, "sluicegate_stream_ends_total", [leg = "client", end = "reset"], "Streams' connections of clients reset, or broken by a record that does not verify.";
        StreamClientHandshakeFailed, "sluicegate_stream_ends_total", [leg = "client", end = "handshake_failed"], "Streams' connections of clients whose TLS began and failed.";
        StreamClientHandshakeTimeout, "sluicegate_stream_ends_total", [leg = "client", end = "handshake_timeout"], "Streams' connections of clients whose handshake took too long.";
        StreamClientStallTimeout, "sluicegate_stream_ends_total", [leg = "client", end = "stall_timeout"], "Streams' connections of clients on which nothing moved for too long.";
        StreamClientAborted, "sluicegate_stream_ends_total", [leg = "client", end = "aborted"], "Streams' connections of clients given up by the gate: the other one broke, or the operator wanted it.";
        StreamBackendClean, "sluicegate_stream_ends_total", [leg = "backend", end = "clean"], "Streams' connections of backends ended properly.";
        StreamBackendUnfinished, "sluicegate_stream_ends_total", [leg = "backend", end = "unfinished"], "Streams' connections of backends ended without close_notify.";
        StreamBackendReset, "sluicegate_stream_ends_total", [leg = "backend", end = "reset"], "Streams' connections of backends reset, or broken by a record that does not verify.";
        StreamBackendRefused, "sluicegate_stream_ends_total", [leg = "backend", end = "refused"], "Streams' connections of backends never there, or without a handshake.";
        StreamBackendStallTimeout, "sluicegate_stream_ends_total", [leg = "backend", end = "stall_timeout"], "Streams' connections of backends on which nothing moved for too long.";
        StreamBackendAborted, "sluicegate_stream_ends_total", [leg = "backend", end = "aborted"], "Streams' connections of backends given up by the gate: the other one broke, or the operator wanted it.";
        StreamClientTls12Full, "sluicegate_stream_tls_total", [leg = "client", version = "1.2", kind = "full"], "Full handshakes of streams with clients with TLS 1.2.";
        StreamClientTls12Resumed, "sluicegate_stream_tls_total", [leg = "client", version = "1.2", kind = "resumed"], "Resumed handshakes of streams with clients with TLS 1.2.";
        StreamClientTls13Full, "sluicegate_stream_tls_total", [leg = "client", version = "1.3", kind = "full"], "Full handshakes of streams with clients with TLS 1.3.";
        StreamClientTls13Resumed, "sluicegate_stream_tls_total", [leg = "client", version = "1.3", kind = "resumed"], "Resumed handshakes of streams with clients with TLS 1.3.";
        StreamBackendTls12Full, "sluicegate_stream_tls_total", [leg = "backend", version = "1.2", kind = "full"], "Full handshakes of streams with backends with TLS 1.2.";
        StreamBackendTls12Resumed, "sluicegate_stream_tls_total", [leg = "backend", version = "1.2", kind = "resumed"], "Resumed handshakes of streams with backends with TLS 1.2.";
        StreamBackendTls13Full, "sluicegate_stream_tls_total", [leg = "backend", version = "1.3", kind = "full"], "Full handshakes of streams with backends with TLS 1.3.";
        StreamBackendTls13Resumed, "sluicegate_stream_tls_total", [leg = "backend", version = "1.3", kind = "resumed"], "Resumed handshakes of streams with backends with TLS 1.3.";
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
        ClientDataTls12Full, "sluicegate_data_tls_total", [leg = "client", version = "1.2", kind = "full"], "Full handshakes of data connections of clients with TLS 1.2.";
        ClientDataTls12Resumed, "sluicegate_data_tls_total", [leg = "client", version = "1.2", kind = "resumed"], "Resumed handshakes of data connections of clients with TLS 1.2.";
        ClientDataTls13Full, "sluicegate_data_tls_total", [leg = "client", version = "1.3", kind = "full"], "Full handshakes of data connections of clients with TLS 1.3.";
        ClientDataTls13Resumed, "sluicegate_data_tls_total", [leg = "client", version = "1.3", kind = "resumed"], "Resumed handshakes of data connections of clients with TLS 1.3.";
        BackendDataTls12Full, "sluicegate_data_tls_total", [leg = "backend", version = "1.2", kind = "full"], "Full handshakes of data connections of backends with TLS 1.2.";
        BackendDataTls12Resumed, "sluicegate_data_tls_total", [leg = "backend", version = "1.2", kind = "resumed"], "Resumed handshakes of data connections of backends with TLS 1.2.";
        BackendDataTls13Full, "sluicegate_data_tls_total", [leg = "backend", version = "1.3", kind = "full"], "Full handshakes of data connections of backends with TLS 1.3.";
        BackendDataTls13Resumed, "sluicegate_data_tls_total", [leg = "backend", version = "1.3", kind = "resumed"], "Resumed handshakes of data connections of backends with TLS 1.3.";
        ClientControlResumed, "sluicegate_control_resumptions_total", [leg = "client"], "Control connections of clients that resumed an earlier TLS session.";
        BackendControlResumed, "sluicegate_control_resumptions_total", [leg = "backend"], "Control connections of backends that resumed an earlier TLS session.";
        ClientSuiteTls13Aes128GcmSha256, "sluicegate_control_suites_total", [leg = "client", suite = "TLS13_AES_128_GCM_SHA256"], "Control connections of clients with this suite.";
        ClientSuiteTls13Aes256GcmSha384, "sluicegate_control_suites_total", [leg = "client", suite = "TLS13_AES_256_GCM_SHA384"], "Control connections of clients with this suite.";
        ClientSuiteTls13Chacha20Poly1305Sha256, "sluicegate_control_suites_total", [leg = "client", suite = "TLS13_CHACHA20_POLY1305_SHA256"], "Control connections of clients with this suite.";
        ClientSuiteTlsEcdheEcdsaWithAes128GcmSha256, "sluicegate_control_suites_total", [leg = "client", suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], "Control connections of clients with this suite.";
        ClientSuiteTlsEcdheEcdsaWithAes256GcmSha384, "sluicegate_control_suites_total", [leg = "client", suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], "Control connections of clients with this suite.";
        ClientSuiteTlsEcdheEcdsaWithChacha20Poly1305Sha256, "sluicegate_control_suites_total", [leg = "client", suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"], "Control connections of clients with this suite.";
        ClientSuiteTlsEcdheRsaWithAes128GcmSha256, "sluicegate_control_suites_total", [leg = "client", suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "Control connections of clients with this suite.";
        ClientSuiteTlsEcdheRsaWithAes256GcmSha384, "sluicegate_control_suites_total", [leg = "client", suite = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"], "Control connections of clients with this suite.";
        ClientSuiteTlsEcdheRsaWithChacha20Poly1305Sha256, "sluicegate_control_suites_total", [leg = "client", suite = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"], "Control connections of clients with this suite.";
        ClientSuiteOther, "sluicegate_control_suites_total", [leg = "client", suite = "other"], "Control connections of clients with this suite.";
        ClientGroupX25519mlkem768, "sluicegate_control_groups_total", [leg = "client", group = "X25519MLKEM768"], "Control connections of clients with this key exchange group.";
        ClientGroupSecp256r1mlkem768, "sluicegate_control_groups_total", [leg = "client", group = "secp256r1MLKEM768"], "Control connections of clients with this key exchange group.";
        ClientGroupMlkem768, "sluicegate_control_groups_total", [leg = "client", group = "MLKEM768"], "Control connections of clients with this key exchange group.";
        ClientGroupX25519, "sluicegate_control_groups_total", [leg = "client", group = "X25519"], "Control connections of clients with this key exchange group.";
        ClientGroupSecp256r1, "sluicegate_control_groups_total", [leg = "client", group = "secp256r1"], "Control connections of clients with this key exchange group.";
        ClientGroupSecp384r1, "sluicegate_control_groups_total", [leg = "client", group = "secp384r1"], "Control connections of clients with this key exchange group.";
        ClientGroupNone, "sluicegate_control_groups_total", [leg = "client", group = "none"], "Control connections of clients with this key exchange group.";
        ClientGroupOther, "sluicegate_control_groups_total", [leg = "client", group = "other"], "Control connections of clients with this key exchange group.";
        BackendSuiteTls13Aes128GcmSha256, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS13_AES_128_GCM_SHA256"], "Control connections of backends with this suite.";
        BackendSuiteTls13Aes256GcmSha384, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS13_AES_256_GCM_SHA384"], "Control connections of backends with this suite.";
        BackendSuiteTls13Chacha20Poly1305Sha256, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS13_CHACHA20_POLY1305_SHA256"], "Control connections of backends with this suite.";
        BackendSuiteTlsEcdheEcdsaWithAes128GcmSha256, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"], "Control connections of backends with this suite.";
        BackendSuiteTlsEcdheEcdsaWithAes256GcmSha384, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"], "Control connections of backends with this suite.";
        BackendSuiteTlsEcdheEcdsaWithChacha20Poly1305Sha256, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"], "Control connections of backends with this suite.";
        BackendSuiteTlsEcdheRsaWithAes128GcmSha256, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"], "Control connections of backends with this suite.";
        BackendSuiteTlsEcdheRsaWithAes256GcmSha384, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"], "Control connections of backends with this suite.";
        BackendSuiteTlsEcdheRsaWithChacha20Poly1305Sha256, "sluicegate_control_suites_total", [leg = "backend", suite = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"], "Control connections of backends with this suite.";
        BackendSuiteOther, "sluicegate_control_suites_total", [leg = "backend", suite = "other"], "Control connections of backends with this suite.";
        BackendGroupX25519mlkem768, "sluicegate_control_groups_total", [leg = "backend", group = "X25519MLKEM768"], "Control connections of backends with this key exchange group.";
        BackendGroupSecp256r1mlkem768, "sluicegate_control_groups_total", [leg = "backend", group = "secp256r1MLKEM768"], "Control connections of backends with this key exchange group.";
        BackendGroupMlkem768, "sluicegate_control_groups_total", [leg = "backend", group = "MLKEM768"], "Control connections of backends with this key exchange group.";
        BackendGroupX25519, "sluicegate_control_groups_total", [leg = "backend", group = "X25519"], "Control connections of backends with this key exchange group.";
        BackendGroupSecp256r1, "sluicegate_control_groups_total", [leg = "backend", group = "secp256r1"], "Control connections of backends with this key exchange group.";
        BackendGroupSecp384r1, "sluicegate_control_groups_total", [leg = "backend", group = "secp384r1"], "Control connections of backends with this key exchange group.";
        BackendGroupNone, "sluicegate_control_groups_total", [leg = "backend", group = "none"], "Control connections of backends with this key exchange group.";
        BackendGroupOther, "sluicegate_control_groups_total", [leg = "backend", group = "other"], "Control connections of backends with this key exchange group.";
        BackendsUnverified, "sluicegate_backends_unverified_total", [], "Control connections to backends whose certificate was not looked at (verify = \"off\").";
        ClientCertificatesRefused, "sluicegate_client_certificates_refused_total", [], "Control connections of clients refused for their certificate, or for having none.";
        OtherUsersRefused, "sluicegate_other_users_refused_total", [], "USER commands refused because the client's certificate names somebody else.";
        OtherCertificatesRefused, "sluicegate_other_certificates_refused_total", [], "Data connections, either leg, refused because their certificate was not that of the control connection.";
        InjectionsRefused, "sluicegate_injections_refused_total", [], "Clear text where TLS begins or ends: a client's ends its session, a backend's has its member passed over, or ends the session if the member knows the client by then.";
        PassivePortsExhausted, "sluicegate_passive_ports_exhausted_total", [], "Passive ports that were wanted, by a client or for a backend, and not opened: none was free, or the process had no descriptor left.";
        LingeringCut, "sluicegate_lingering_cut_total", [], "Ended connections closed before their peer had closed, because a session had too many of them.";
    }
}

catalog! {
    /// What stands at some number now.
    Gauge {
        Sessions, "sluicegate_sessions", [], "Sessions that live.";
        TransfersRunning, "sluicegate_transfers_running", [], "Transfers under way.";
        LingeringLegs, "sluicegate_lingering_legs", [], "Connections that have ended for their session and are still read to their end: of transfers, and of members that were passed over.";
        CoresSilent, "sluicegate_cores_silent", [], "Cores that did not answer this time; their last numbers are shown.";
        PassivePorts, "sluicegate_passive_ports", [] by [listener], "Passive ports of a listener.";
        PassivePortsInUse, "sluicegate_passive_ports_in_use", [] by [listener], "Passive ports of a listener that wait for a data connection.";
        Backends, "sluicegate_backends", [] by [pool], "Members of a pool.";
        BackendsResting, "sluicegate_backends_resting", [] by [pool], "Members of a pool that some core has passed over lately, and tries last.";
        AuditFailing, "sluicegate_audit_failing", [], "Whether the audit journal could not be written the last time: 1, else 0.";
        BuffersLent, "sluicegate_buffers_lent_bytes", [], "Bytes of buffers that streams hold.";
        BuffersKept, "sluicegate_buffers_kept_bytes", [], "Bytes of buffers that are kept for the next streams.";
        PipesLent, "sluicegate_pipes_lent", [], "Pipes with bytes of clear streams in them.";
        PipesIdle, "sluicegate_pipes_idle", [], "Pipes that wait for bytes of clear streams.";
        PipeBytes, "sluicegate_pipes_bytes", [], "What all pipes can hold together, lent and idle.";
        Build, "sluicegate_build_info", [] by [version], "Always 1; the version is in the label.";
        Config, "sluicegate_config_info", [] by [sha256], "Always 1; the SHA-256 of the configuration's file as it was read is in the label.";
        ConfigGood, "sluicegate_config_last_reload_successful", [], "Whether the last reload, or the start where there was none, came into force: 1, else 0.";
        ConfigRead, "sluicegate_config_last_reload_success_timestamp_seconds", [], "When the configuration in force was read, in seconds since 1970.";
        Expiries, "sluicegate_certificate_expiry_timestamp_seconds", [] by [section, name, key], "When the first certificate of a chain that the gate shows expires, or the first revocation list that it goes by was to be renewed, in seconds since 1970; by where the file is named.";
        ConfigWaiting, "sluicegate_config_keys_waiting", [], "Keys of the configuration that were changed and wait for a restart.";
        ProcessStart, "process_start_time_seconds", [], "When the gate was started, in seconds since 1970.";
        ProcessResident, "process_resident_memory_bytes", [], "Bytes of the process in memory.";
        ProcessVirtual, "process_virtual_memory_bytes", [], "Bytes of the process's address space.";
        ProcessDescriptors, "process_open_fds", [], "Descriptors that the process has open.";
        ProcessDescriptorsMax, "process_max_fds", [], "Most descriptors that the process may have.";
    }
}

catalog! {
    /// What the machine, or the process as a whole, counts by itself; read when somebody asks.
    Reading {
        CoreRun, "sluicegate_core_run_seconds_total", [], "Time that the threads of the cores have run on a CPU (/proc/self/task/TID/schedstat).";
        CoreDelay, "sluicegate_core_run_delay_seconds_total", [], "Time that the threads of the cores have waited for a CPU although they could have run (/proc/self/task/TID/schedstat).";
        ConnectFailures, "sluicegate_backend_connect_failures_total", [] by [pool, member, reason], "Members of a pool passed over because they could not be reached, or failed before they had heard of the client; by reason: gate (it lacked a descriptor, a port or memory), refused, unreachable, timeout (of TCP), closed, reset, silent, greeting (a refusal), protocol (no FTP), auth (AUTH TLS refused), handshake, certificate, injection.";
        PoolExhausted, "sluicegate_pool_exhausted_total", [] by [pool], "Sessions for which no member of the pool was left.";
        Served, "sluicegate_backend_served_total", [] by [pool, member], "Members of a pool that were ready for a login, or for a stream: connected, greeted, and with TLS where the pool has it.";
        ConfigReloads, "sluicegate_config_reloads_total", [] by [outcome], "Reloads of the configuration by their outcome: loaded, or refused and the one before goes on.";
        LogLinesDropped, "sluicegate_log_lines_dropped_total", [], "Lines of the log dropped because they came faster than they could be written.";
        AuditWritten, "sluicegate_audit_records_written_total", [], "Lines of the audit journal written.";
        AuditDropped, "sluicegate_audit_records_dropped_total", [], "Records of the audit journal dropped because its queue was full.";
        AuditLost, "sluicegate_audit_records_lost_total", [], "Records of the audit journal lost because its file could not be written.";
        ProcessCpu, "process_cpu_seconds_total", [], "Time that the process has run on CPUs, in user and kernel mode.";
    }
}

impl Counter {
    /// What the metric of this name counts, all its variants together.
    pub fn family_help(self) -> &'static str {
        shared_help(self.name()).unwrap_or_else(|| self.help())
    }

    /// The variant of the same metric whose labels have these values, in their order; asked of the first of its rows.
    pub fn variant(self, values: &[&str]) -> Option<Self> {
        let is_it = |counter: &&Self| {
            let labels = counter.labels().iter().map(|&(_, value)| value);
            // Names are long, and alike up to their end: few rows have the values.
            labels.eq(values.iter().copied()) && counter.name() == self.name()
        };
        // From its own row on: a family has few rows, the table has many.
        Self::ALL[self.index()..].iter().find(is_it).copied()
    }
}

impl Phase {
    /// What the metric of this name times, all its variants together.
    pub fn family_help(self) -> &'static str {
        shared_help(self.name()).unwrap_or_else(|| self.help())
    }
}

catalog! {
    /// What is timed, in seconds.
    Phase {
        Banner, "sluicegate_banner_seconds", [], "From taking a control connection to its greeting; with implicit TLS the handshake is between them.";
        ClientHandshake, "sluicegate_client_handshake_seconds", [], "TLS handshake of the client's control connection.";
        BackendConnect, "sluicegate_backend_connect_seconds", [], "From asking for a member of the pool, or for the next one, until TCP with one stands; greeting and TLS come after it.";
        BackendHandshake, "sluicegate_backend_handshake_seconds", [], "TLS handshake of the backend's control connection.";
        Login, "sluicegate_login_seconds", [], "From USER to the final reply to the login.";
        Command, "sluicegate_command_seconds", [], "From a command that moves no data to the backend's final reply.";
        CommandGate, "sluicegate_command_gate_seconds", [], "The gate's own share of such a command: from its line read to its line queued, and likewise for the final reply.";
        ClientDataConnect, "sluicegate_data_connect_seconds", [leg = "client"], "From the start of a transfer until TCP with the client is there.";
        BackendDataConnect, "sluicegate_data_connect_seconds", [leg = "backend"], "From the start of a transfer until TCP with the backend is there.";
        DataReady, "sluicegate_data_ready_seconds", [], "From the start of a transfer until both data connections are up.";
        ClientDataHandshakeFull, "sluicegate_data_handshake_seconds", [leg = "client", kind = "full"], "Full TLS handshake of a data connection of the client.";
        ClientDataHandshakeResumed, "sluicegate_data_handshake_seconds", [leg = "client", kind = "resumed"], "Resuming TLS handshake of a data connection of the client.";
        BackendDataHandshakeFull, "sluicegate_data_handshake_seconds", [leg = "backend", kind = "full"], "Full TLS handshake of a data connection of the backend.";
        BackendDataHandshakeResumed, "sluicegate_data_handshake_seconds", [leg = "backend", kind = "resumed"], "Resuming TLS handshake of a data connection of the backend.";
        FirstByte, "sluicegate_first_byte_seconds", [], "From both data connections up to the first byte passed on.";
        Transfer, "sluicegate_transfer_seconds", [], "From the command of a transfer to the client's final reply.";
        Completion, "sluicegate_completion_seconds", [], "From the end of what the source sends until the gate has ended the other data connection.";
        FinalReply, "sluicegate_final_reply_seconds", [], "From the end of the last data connection of a transfer to the client's final reply.";
        Answer, "sluicegate_answer_seconds", [], "One question of the control plane, a scrape for example: how long it kept its core from serving.";
        AnswerCpu, "sluicegate_answer_cpu_seconds", [], "CPU time of such a question: what it lacks of the time above, another thread has taken.";
        Turn, "sluicegate_turn_seconds", [], "One turn of a session: how long its core ran without yielding.";
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
            assert_eq!(
                shared_help(counter.name()).is_some(),
                variants.count() > 1,
                "{}",
                counter.name()
            );
        }
        for phase in Phase::ALL {
            let variants = Phase::ALL
                .iter()
                .filter(|other| other.name() == phase.name());
            assert_eq!(
                shared_help(phase.name()).is_some(),
                variants.count() > 1,
                "{}",
                phase.name()
            );
        }
    }

    #[test]
    fn variants_are_found_by_what_sets_them_apart() {
        let first = Counter::ClientEndClean;
        assert_eq!(
            first.series(),
            "sluicegate_data_ends_total{leg=\"client\",end=\"clean\"}"
        );
        assert_eq!(Phase::Login.series(), "sluicegate_login_seconds");
        assert_eq!(first.variant(&["client", "clean"]), Some(first));
        assert_eq!(
            first.variant(&["backend", "bare"]),
            Some(Counter::BackendEndBare)
        );
        for values in [&["backend"][..], &["backend", "strange"], &[]] {
            assert_eq!(first.variant(values), None, "{values:?}");
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
