//! A blocking connection, plain or TLS, that tells the ways in which a peer can end it apart.
//!
//! The strict client and the rude backend are made of it. It never ends a connection politely by itself: what is
//! sent at the end, and in which order, is what those two are for.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Connection, HandshakeKind, ProtocolVersion, ServerConfig};

use socket2::{Domain, Socket, Type};

use super::deadline;

/// What reading yielded. A reset, a broken record and a time-out are errors, never one of these.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(Vec<u8>),
    /// The authenticated end; the FIN is still to come.
    CloseNotify,
    /// The end of the TCP stream, whatever came before it.
    Fin,
}

/// A socket whose waits go on when a signal ends them: with a time-out the kernel does not do that by itself, also where a
/// whole process is stopped for a while and goes on.
struct Steady(TcpStream);

fn steadily<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl Read for Steady {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        steadily(|| self.0.read(buffer))
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        steadily(|| self.0.write(bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        steadily(|| self.0.write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One connection.
pub(crate) struct Wire {
    tcp: Steady,
    tls: Option<Connection>,
    /// Plain bytes received and not yet taken, while there is no TLS.
    received: Vec<u8>,
    close_notify_taken: bool,
    fin: bool,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        TcpStream::connect_timeout(&address, super::PATIENCE).map(Self::new)
    }

    /// Connects from an address of ours that is not the usual one.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        socket.connect(&address.into())?;
        Ok(Self::new(socket.into()))
    }

    pub(crate) fn new(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        tcp.set_write_timeout(Some(super::PATIENCE)).unwrap();
        Self {
            tcp: Steady(tcp),
            tls: None,
            received: Vec::new(),
            close_notify_taken: false,
            fin: false,
        }
    }

    /// Becomes the client of a TLS connection, and completes its handshake.
    pub(crate) fn secure_as_client(
        &mut self,
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
    ) -> io::Result<()> {
        let connection = rustls::ClientConnection::new(Arc::clone(config), name.clone())
            .map_err(io::Error::other)?;
        self.handshake(Connection::Client(connection))
    }

    /// Becomes the server of a TLS connection, and completes its handshake.
    pub(crate) fn secure_as_server(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        let connection =
            rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        self.handshake(Connection::Server(connection))
    }

    fn handshake(&mut self, mut connection: Connection) -> io::Result<()> {
        self.tcp.0.set_read_timeout(Some(super::PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut self.tcp)?;
        }
        while connection.wants_write() {
            connection.write_tls(&mut self.tcp)?;
        }
        self.tls = Some(connection);
        Ok(())
    }

    /// Waits for whatever comes next.
    pub(crate) fn read(&mut self) -> io::Result<Got> {
        let deadline = deadline();
        loop {
            if let Some(got) = self.take()? {
                return Ok(got);
            }
            let left = deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            self.tcp.0.set_read_timeout(Some(left))?;
            self.pull()?;
        }
    }

    /// Waits for the peer to reset the connection. Anything else fails the test, as does nothing at all.
    #[track_caller]
    pub(crate) fn hears_reset(&mut self) {
        let told = self.read().map_err(|error| error.kind());
        assert_eq!(told, Err(ErrorKind::ConnectionReset));
    }

    /// Takes what has arrived already, without waiting.
    pub(crate) fn try_read(&mut self) -> io::Result<Option<Got>> {
        loop {
            if let Some(got) = self.take()? {
                return Ok(Some(got));
            }
            self.tcp.0.set_nonblocking(true)?;
            let pulled = self.pull();
            self.tcp.0.set_nonblocking(false)?;
            match pulled {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                pulled => pulled?,
            }
        }
    }

    /// Reads to the end of the TCP stream; gives back the bytes and whether a close_notify came.
    pub(crate) fn read_to_end(&mut self) -> (Vec<u8>, io::Result<bool>) {
        let mut bytes = Vec::new();
        let mut close_notify = false;
        loop {
            match self.read() {
                Ok(Got::Bytes(more)) => bytes.extend(more),
                Ok(Got::CloseNotify) => close_notify = true,
                Ok(Got::Fin) => return (bytes, Ok(close_notify)),
                Err(error) => return (bytes, Err(error)),
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Got>> {
        let Some(tls) = &mut self.tls else {
            let received = std::mem::take(&mut self.received);
            return Ok(if received.is_empty() {
                self.fin.then_some(Got::Fin)
            } else {
                Some(Got::Bytes(received))
            });
        };
        if self.close_notify_taken {
            return Ok(self.fin.then_some(Got::Fin));
        }
        let mut bytes = vec![0; 64 * 1024];
        match tls.reader().read(&mut bytes) {
            Ok(0) => {
                self.close_notify_taken = true;
                Ok(Some(Got::CloseNotify))
            }
            Ok(length) => {
                bytes.truncate(length);
                Ok(Some(Got::Bytes(bytes)))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(Got::Fin)),
            Err(error) => Err(error),
        }
    }

    /// One read from the socket.
    fn pull(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) if !self.close_notify_taken => {
                self.fin = tls.read_tls(&mut self.tcp)? == 0;
                let processed = tls
                    .process_new_packets()
                    .map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
                while tls.wants_write() {
                    tls.write_tls(&mut self.tcp)?;
                }
                processed.map(drop)
            }
            tls => {
                let mut bytes = [0; 16 * 1024];
                let length = self.tcp.read(&mut bytes)?;
                self.fin = length == 0;
                if length > 0 && tls.is_some() {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "bytes after close_notify",
                    ));
                }
                self.received.extend_from_slice(&bytes[..length]);
                Ok(())
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.tcp.write_all(bytes);
        };
        for chunk in bytes.chunks(32 * 1024) {
            tls.writer().write_all(chunk)?;
            while tls.wants_write() {
                tls.write_tls(&mut self.tcp)?;
            }
        }
        Ok(())
    }

    /// Reads the TCP stream to its end past TLS: a reset is an error.
    pub(crate) fn read_raw_to_end(&mut self) -> io::Result<()> {
        self.tcp.0.set_read_timeout(Some(super::PATIENCE))?;
        io::copy(&mut self.tcp, &mut io::sink()).map(drop)
    }

    /// Writes past TLS, as an attacker in the path would.
    pub(crate) fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tcp.write_all(bytes)
    }

    /// Writes past TLS, the last byte as urgent (RFC 9293 section 3.8.5).
    pub(crate) fn write_urgent(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = socket2::SockRef::from(&self.tcp.0).send_out_of_band(bytes)?;
        assert_eq!(sent, bytes.len());
        Ok(())
    }

    /// Ends TLS with a peer that ends it too, and goes on in clear text: `behind` leaves in one segment with the end.
    pub(crate) fn clear(&mut self, behind: &[u8]) -> io::Result<()> {
        let end = self.read()?;
        assert_eq!(end, Got::CloseNotify, "the peer has to end it first here");
        let mut bytes = Vec::new();
        if let Some(mut tls) = self.tls.take() {
            tls.send_close_notify();
            tls.write_tls(&mut bytes)?;
        }
        self.close_notify_taken = false;
        bytes.extend_from_slice(behind);
        self.tcp.write_all(&bytes)
    }

    /// Sends the authenticated end, if there is TLS to authenticate it.
    pub(crate) fn close_notify(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            while tls.wants_write() {
                tls.write_tls(&mut self.tcp)?;
            }
        }
        Ok(())
    }

    /// Sends FIN.
    pub(crate) fn fin(&self) -> io::Result<()> {
        self.tcp.0.shutdown(Shutdown::Write)
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.tcp.0)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.tcp.0.peer_addr().unwrap()
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.tcp.0.local_addr().unwrap()
    }

    /// Whether the TLS session was resumed; `false` without TLS.
    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.as_ref().and_then(|tls| tls.handshake_kind()) == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn is_private(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.tls.as_ref().and_then(|tls| tls.protocol_version())
    }
}
