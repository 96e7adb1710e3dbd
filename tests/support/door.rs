//! Where a peer of ours takes connections: a thread for each, until the door is dropped.
//!
//! When `drop` has returned, whoever connects is refused: a test that takes a backend away goes on at once.

use std::io::ErrorKind;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use socket2::SockRef;

/// A port of its own that is open.
pub(crate) struct Door {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    accepting: Option<JoinHandle<()>>,
}

impl Door {
    /// Opens it, and has each connection served by a thread. Those that stand when it is dropped are served on.
    pub(crate) fn open(ip: IpAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = Arc::new(TcpListener::bind((ip, 0)).unwrap());
        // Many sessions at once must not wait for the kernel to retry their SYN.
        SockRef::from(&*listener).listen(4096).unwrap();
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
}

impl Drop for Door {
    fn drop(&mut self) {
        // On Linux this takes the port out of LISTEN at once, resets who still waits, and wakes the thread.
        SockRef::from(&*self.listener)
            .shutdown(Shutdown::Read)
            .unwrap();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().ok();
        }
    }
}
