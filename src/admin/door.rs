//! Who comes in: by a name that is ours, and with the token where one is asked for.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Office;

/// What a request must show.
pub struct Door {
    token: Option<String>,
    /// A browser can reach it, and nothing else says whose name it was sent to: on a port without TLS.
    asks_name: bool,
}

/// Routes that tell nothing of what goes on. Supervisors and balancers have no token; a browser has none before the page asks
/// its reader for it.
const OPEN: &[&str] = &["/", "/healthz", "/readyz"];

/// Why a request stays outside.
#[derive(Debug, PartialEq, Eq)]
enum Turned {
    /// It was sent to a name that is not ours: a page of a stranger whose name leads here (DNS rebinding).
    OtherHost,
    /// It has no token, or another.
    NoToken,
}

impl Door {
    /// One that asks for this token, if any, and whether for a name of loopback as well. A socket of the file system is
    /// reached by no browser, and with TLS a stranger's name is not in the certificate.
    #[must_use]
    pub const fn new(token: Option<String>, asks_name: bool) -> Self {
        Self { token, asks_name }
    }

    fn admit(&self, path: &str, headers: &HeaderMap) -> Result<(), Turned> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if self.asks_name && !text(header::HOST).is_some_and(is_ours) {
            return Err(Turned::OtherHost);
        }
        let Some(token) = &self.token else {
            return Ok(());
        };
        let shown = text(header::AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
        let has_token = shown.is_some_and(|shown| is_same(shown.trim(), token));
        match has_token || OPEN.contains(&path) {
            true => Ok(()),
            false => Err(Turned::NoToken),
        }
    }
}

/// Lets a request in or answers it here.
pub(super) async fn pass(
    State(office): State<Arc<Office>>,
    request: Request,
    next: Next,
) -> Response {
    let in_force = office.standing.in_force();
    let door = &in_force.door;
    match door.admit(request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Turned::OtherHost) => {
            let text = "ask for it by its address or as localhost\n";
            (StatusCode::MISDIRECTED_REQUEST, text).into_response()
        }
        Err(Turned::NoToken) => {
            let text = "show the token: Authorization: Bearer and what stands in token_file\n";
            let ask = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, ask, text).into_response()
        }
    }
}

/// An address of loopback or its name, with or without a port: no stranger's name is one (RFC 6761 section 6.3).
fn is_ours(host: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let address = bare.unwrap_or(name).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Takes the same time wherever the two differ.
fn is_same(shown: &str, token: &str) -> bool {
    let differing = shown
        .bytes()
        .zip(token.bytes())
        .fold(0, |differing, (one, other)| differing | (one ^ other));
    shown.len() == token.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(header::HeaderName, &'static str)| {
            (name.clone(), header::HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn only_our_own_names_lead_in_by_a_port() {
        let door = Door::new(None, true);
        for ours in [
            "127.0.0.1:9121",
            "127.0.0.1",
            "localhost:9121",
            "LOCALHOST",
            "[::1]:9121",
            "[::1]",
        ] {
            assert_eq!(
                door.admit("/metrics", &head(&[(header::HOST, ours)])),
                Ok(()),
                "{ours}"
            );
        }
        for other in [
            "evil.example",
            "evil.example:9121",
            "10.0.0.1:9121",
            "localhost.evil.example",
            "",
            ":9121",
        ] {
            let turned = door.admit("/healthz", &head(&[(header::HOST, other)]));
            assert_eq!(turned, Err(Turned::OtherHost), "{other}");
        }
        assert_eq!(door.admit("/metrics", &head(&[])), Err(Turned::OtherHost));
        assert_eq!(Door::new(None, false).admit("/metrics", &head(&[])), Ok(()));
    }

    #[test]
    fn a_token_is_asked_for_except_by_those_who_look_whether_we_are_there() {
        let door = Door::new(Some("0123456789abcdef".to_owned()), false);
        let with = |value| door.admit("/sessions", &head(&[(header::AUTHORIZATION, value)]));
        assert_eq!(with("Bearer 0123456789abcdef"), Ok(()));
        for wrong in [
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer ",
            "0123456789abcdef",
            "Basic 0123456789abcdef",
        ] {
            assert_eq!(with(wrong), Err(Turned::NoToken), "{wrong}");
        }
        assert_eq!(door.admit("/sessions", &head(&[])), Err(Turned::NoToken));
        for open in ["/", "/healthz", "/readyz"] {
            assert_eq!(door.admit(open, &head(&[])), Ok(()), "{open}");
        }
    }
}
