//! The handshake of a reader who comes by TLS, within its bound; who speaks in clear text is told so.

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits::{ADMIN_HANDSHAKE_TIMEOUT, ADMIN_HEADER_BYTES_MAX};

/// The type of the first record of a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What a client of HTTP without TLS hears: an alert it could not read.
const CLEAR_TEXT: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 36\r\n\
    connection: close\r\n\r\nthis is https: ask for it by https:\n";

/// The stream behind the handshake, or nothing, when there is no more to say.
pub(super) async fn secure(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
) -> Option<TlsStream<TcpStream>> {
    let handshake = async {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE => {}
            Ok(1) => {
                answer_clear_text(stream).await;
                return None;
            }
            _ => return None,
        }
        let secured = TlsAcceptor::from(tls).accept(stream).await;
        secured
            .inspect_err(|error| tracing::debug!(%error, "admin connection: TLS handshake failed"))
            .ok()
    };
    let done = timeout(ADMIN_HANDSHAKE_TIMEOUT, handshake).await;
    done.unwrap_or_else(|_| {
        tracing::debug!("admin connection: TLS handshake took too long");
        None
    })
}

/// What has been asked is read first: closing would reset it unread, and destroy the answer on its way.
async fn answer_clear_text(mut stream: TcpStream) {
    let mut asked = vec![0; ADMIN_HEADER_BYTES_MAX];
    let told = async {
        let _heard = stream.read(&mut asked).await?;
        stream.write_all(CLEAR_TEXT).await?;
        stream.shutdown().await
    };
    if let Err(error) = told.await {
        tracing::debug!(%error, "admin connection: clear text, and then it broke");
    }
}
