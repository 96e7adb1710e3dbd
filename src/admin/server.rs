//! The server around the routes: where it listens, and what one reader may hold of it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::secure::secure;
use super::{Office, Standing, routes};
use crate::config::AdminAddress;
use crate::limits::{
    ACCEPT_PAUSE, ADMIN_CONNECTION_TIMEOUT, ADMIN_CONNECTIONS_MAX, ADMIN_HEADER_BYTES_MAX,
    ADMIN_HEADER_TIMEOUT,
};

#[allow(
    clippy::disallowed_types,
    reason = "the admin server has a thread of its own: it blocks no core"
)]
type StdTcpListener = std::net::TcpListener;

/// A place that listens and does not answer yet.
pub enum Bound {
    /// On TCP.
    Tcp(StdTcpListener),
    /// On a socket in the file system.
    Unix(StdUnixListener),
}

impl Bound {
    /// Opens the place that the configuration names. A socket that an earlier process has left behind is replaced.
    ///
    /// # Errors
    /// What the machine says against it.
    pub fn open(address: &AdminAddress) -> io::Result<Self> {
        match address {
            AdminAddress::Tcp(address) => {
                let listener = StdTcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            AdminAddress::Unix(path) => {
                remove_abandoned(path)?;
                let listener = StdUnixListener::bind(path)?;
                // Whoever may ask may also end sessions: the owner and the group, nobody else.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(listener))
            }
        }
    }

    /// Where it listens, on TCP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// Removes a socket on which nobody listens; one that answers stays, and binding will say so.
fn remove_abandoned(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

/// Answers from now on, on a thread of its own, until the process ends; by TLS, where a port has it in the configuration
/// that is in force.
///
/// # Errors
/// When the thread or its runtime cannot be had.
pub fn start(bound: Bound, office: Arc<Office>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let serve = move || {
        let standing = Arc::clone(&office.standing);
        let router = routes::router(office);
        let ended = match bound {
            Bound::Tcp(listener) => runtime.block_on(serve_tcp(listener, standing, router)),
            Bound::Unix(listener) => runtime.block_on(serve_unix(listener, router)),
        };
        tracing::error!(error = %ended, "the admin server has ended");
    };
    thread::Builder::new()
        .name("admin".to_owned())
        .spawn(serve)?;
    Ok(())
}

/// Accepts for ever; gives the error that made it impossible.
async fn serve_tcp(listener: StdTcpListener, standing: Arc<Standing>, router: Router) -> io::Error {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let room = room();
    loop {
        let permit = permit(&room).await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let (tls, router) = (standing.in_force().tls.clone(), router.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(stream, router).await,
                Some(tls) => {
                    if let Some(stream) = secure(stream, tls).await {
                        converse(stream, router).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

/// The same for a socket in the file system.
async fn serve_unix(listener: StdUnixListener, router: Router) -> io::Error {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let room = room();
    loop {
        let permit = permit(&room).await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    converse(stream, router).await;
                    drop(permit);
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX))
}

async fn permit(room: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // It is closed by nobody.
    Arc::clone(room).acquire_owned().await.ok()
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "the admin server cannot accept");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// One reader, with everything it may hold bounded: its time, its head, and its place among the others.
async fn converse<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_HEADER_TIMEOUT)
        .max_buf_size(ADMIN_HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(ADMIN_CONNECTION_TIMEOUT, conversation).await {
        Ok(Err(error)) => tracing::debug!(%error, "admin connection broke"),
        Err(_) => tracing::debug!("admin connection took too long"),
        Ok(Ok(())) => {}
    }
}
