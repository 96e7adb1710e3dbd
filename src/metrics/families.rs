//! What metrics with several variants are about, in one sentence for all of them: the rows of the catalog tell the variants.

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
        "sluicegate_stream_ends_total",
        "Connections of streams, by leg and by how they ended.",
    ),
    (
        "sluicegate_stream_tls_total",
        "TLS handshakes of streams, by leg, version, and whether they resumed a session.",
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
    (
        "sluicegate_transfer_verbs_total",
        "Transfers, by command and by whether both peers completed.",
    ),
    (
        "sluicegate_data_ends_total",
        "Data connections of transfers, by leg and by how they ended.",
    ),
    (
        "sluicegate_empty_completions_total",
        "Empty downloads completed for the client although the backend did not end its data connection properly, by how it ended.",
    ),
    (
        "sluicegate_data_tls_total",
        "TLS handshakes of data connections, by leg, version, and whether they resumed a session.",
    ),
    (
        "sluicegate_control_resumptions_total",
        "Control connections that resumed an earlier TLS session, by leg.",
    ),
    (
        "sluicegate_control_suites_total",
        "Control connections made private, by leg and cipher suite.",
    ),
    (
        "sluicegate_control_groups_total",
        "Control connections made private, by leg and key exchange group; `none` where TLS 1.2 resumed a session.",
    ),
    (
        "sluicegate_data_connect_seconds",
        "From the start of a transfer until TCP is there, by leg.",
    ),
    (
        "sluicegate_data_handshake_seconds",
        "TLS handshakes of data connections, by leg and whether they resumed a session.",
    ),
];

/// The sentence of a metric with several variants.
pub(super) fn shared_help(name: &str) -> Option<&'static str> {
    let shared = SHARED_HELP.iter().find(|(shared, _)| *shared == name);
    shared.map(|&(_, help)| help)
}
