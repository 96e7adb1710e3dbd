//! One question to the admin server of a gate, by HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::model::Status;
use crate::limits::{TOP_ANSWER_BYTES_MAX, TOP_PATIENCE};
use crate::tls::readers;

/// Where the admin server of a gate listens, and what it wants to hear.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where.
    pub place: Place,
    /// The admin token, if the gate asks for one.
    pub token: Option<String>,
    /// How the gate is known by TLS, where it is asked so.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Where an admin server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On TCP.
    Tcp(SocketAddr),
    /// On TCP with TLS.
    Tls {
        /// The name or address in its certificate.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let cure =
            "an address such as 127.0.0.1:9121, unix: and a path, or https://gate.example:9121";
        if text.starts_with("https:") {
            let place = text.parse().ok().and_then(|uri: Uri| {
                let host = uri.host()?.trim_matches(['[', ']']).to_owned();
                let port = uri.port_u16()?;
                Some(Self::Tls { host, port })
            });
            return place.ok_or_else(|| cure.to_owned());
        }
        text.parse().map(Self::Tcp).map_err(|_| cure.to_owned())
    }
}

impl Question {
    /// The state of the gate, or why it is not known, for a person.
    pub(super) async fn ask(&self) -> Result<Status, String> {
        let answer = async {
            match &self.place {
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await;
                    self.converse(stream.map_err(unreachable)?).await
                }
                Place::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    self.converse(stream.map_err(unreachable)?).await
                }
                Place::Tls { host, port } => {
                    let stream = TcpStream::connect((host.as_str(), *port)).await;
                    let name = readers::name(host).ok_or("no certificate can bear its name")?;
                    let tls = self
                        .tls
                        .clone()
                        .ok_or("it is not known by whose certificate")?;
                    let secured = TlsConnector::from(tls)
                        .connect(name, stream.map_err(unreachable)?)
                        .await;
                    self.converse(secured.map_err(unproven)?).await
                }
            }
        };
        let late = |_| "it takes too long".to_owned();
        tokio::time::timeout(TOP_PATIENCE, answer)
            .await
            .map_err(late)?
    }

    /// For whom the gate must take the question.
    fn host(&self) -> &str {
        match &self.place {
            Place::Tls { host, .. } => host,
            Place::Tcp(_) | Place::Unix(_) => "localhost",
        }
    }

    async fn converse<S>(&self, stream: S) -> Result<Status, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(connection);
        let mut request = Request::get("/status")
            .header(HOST, self.host())
            .header(CONNECTION, "close");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err("it asks for a token: --token-file".to_owned()),
            other => return Err(format!("it answers {other}")),
        }
        let body = Body::new(answer.into_body());
        let bytes = to_bytes(body, TOP_ANSWER_BYTES_MAX).await.map_err(broken)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| format!("its answer is not understood: {error}"))
    }
}

fn unreachable(error: std::io::Error) -> String {
    format!("it cannot be reached: {error}")
}

fn unproven(error: std::io::Error) -> String {
    format!("TLS failed: {error}")
}

fn broken(error: impl std::error::Error) -> String {
    format!("the connection broke: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_the_config_writes_them() {
        assert_eq!("unix:/run/a".parse(), Ok(Place::Unix("/run/a".into())));
        assert_eq!(
            "[::1]:9".parse(),
            Ok(Place::Tcp("[::1]:9".parse().unwrap()))
        );
        let host = "gate.example".to_owned();
        let tls = Place::Tls { host, port: 9121 };
        assert_eq!("https://gate.example:9121".parse(), Ok(tls));
        let host = "::1".to_owned();
        let tls = Place::Tls { host, port: 9121 };
        assert_eq!("https://[::1]:9121/".parse(), Ok(tls));
        assert!("https://gate.example".parse::<Place>().is_err());
        assert!("unix:".parse::<Place>().is_err());
        assert!("localhost".parse::<Place>().is_err());
    }
}
