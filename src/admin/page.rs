//! The live page: one document with its style and its script inside, asked for once; from then on it reads `/status`.
//!
//! A policy goes with it that lets nothing else run and nothing be fetched but from this server: what a peer has put
//! into a name cannot become a script, and no foreign host learns that somebody looks.

use std::fmt::Write as _;

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// In this order they are one script.
const SCRIPTS: [&str; 3] = [
    include_str!("page/model.js"),
    include_str!("page/draw.js"),
    include_str!("page/page.js"),
];

/// Bytes of the word that sets our own style and script apart from injected ones, new with every answer.
const NONCE_BYTES: usize = 16;

/// `GET /`.
pub(super) async fn page() -> Response {
    let mut random = [0; NONCE_BYTES];
    if getrandom::fill(&mut random).is_err() {
        let text = "the kernel gives no random numbers\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    }
    let mut nonce = String::with_capacity(2 * NONCE_BYTES);
    for byte in random {
        // Writing to a String does not fail.
        let _written = write!(nonce, "{byte:02x}");
    }
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy(&nonce)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, Html(document(&nonce))).into_response()
}

fn policy(nonce: &str) -> String {
    // The icon is an image within the page.
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn document(nonce: &str) -> String {
    DOCUMENT
        .replace("{{nonce}}", nonce)
        .replace("{{style}}", STYLE)
        .replace("{{script}}", &SCRIPTS.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_holds_everything_it_needs() {
        let document = document("0123");
        assert!(!document.contains("{{"), "something was not filled in");
        assert!(document.contains("<style nonce=\"0123\">"));
        assert!(document.contains("<script type=\"module\" nonce=\"0123\">"));
        // The only address is a name, that of SVG.
        let foreign =
            document.matches("://").count() - document.matches("http://www.w3.org").count();
        assert_eq!(foreign, 0, "it names a foreign host");
        for forbidden in ["innerHTML", "eval(", "new Function", "style=\"", "onclick="] {
            assert!(
                !document.contains(forbidden),
                "{forbidden} has no place here"
            );
        }
    }

    #[test]
    fn the_policy_lets_nothing_unnamed_run() {
        let policy = policy("0123");
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-0123';"));
        assert!(!policy.contains("unsafe"));
    }
}
