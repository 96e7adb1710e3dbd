//! Where a peer of ours takes connections: a thread for each, until the door is shut.
//!
//! When `shut` or `drop` has returned, whoever connects is refused: a test that takes a backend away goes on at once. As long
//! as the door is there, its port is nobody else's: a test that runs beside this one would take the connections.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use socket2::{Domain, SockRef, Socket, Type};

/// Without SO_REUSEADDR: with it, the kernel lends a port to whoever has it too, as long as nobody listens.
fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Where nobody listens, as long as it is held.
pub(crate) fn nobody() -> TcpListener {
    bound((Ipv4Addr::LOCALHOST, 0).into()).unwrap().into()
}

/// Listens on a port that stays its own when `refuse` has been called: one that the kernel has chosen goes back to it then.
pub(crate) fn listener(ip: IpAddr) -> TcpListener {
    loop {
        let chosen = bound((ip, 0).into()).unwrap().local_addr().unwrap();
        match bound(chosen.as_socket().unwrap()) {
            Ok(socket) => {
                // Many sessions at once must not wait for the kernel to retry their SYN.
                socket.listen(4096).unwrap();
                return socket.into();
            }
            // Somebody was faster.
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    }
}

/// From here on connections to it are refused, and as long as it is held nobody else can listen there.
pub(crate) fn refuse(listener: &TcpListener) {
    // On Linux this takes the port out of LISTEN at once, resets who still waits, and wakes who accepts.
    SockRef::from(listener).shutdown(Shutdown::Read).unwrap();
}

/// A port of its own that is open.
pub(crate) struct Door {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    accepting: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens it, and has each connection served by a thread. Those that stand when it is shut are served on.
    pub(crate) fn open(ip: IpAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = Arc::new(listener(ip));
        let address = listener.local_addr().unwrap();
        let (door, serve) = (Arc::clone(&listener), Arc::new(serve));
        let accepting = thread::spawn(move || {
            loop {
                match door.accept() {
                    Ok((tcp, _)) => {
                        let serve = Arc::clone(&serve);
                        thread::spawn(move || serve(tcp));
                    }
                    // What a listener says that listens no more.
                    Err(error) if error.kind() == ErrorKind::InvalidInput => return,
                    // The client has gone before it was taken.
                    Err(_gone) => {}
                }
            }
        });
        Self {
            address,
            listener,
            accepting: Some(accepting),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From here on whoever connects is refused.
    pub(crate) fn shut(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            refuse(&self.listener);
            accepting.join().ok();
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut();
    }
}
