//! rustls' unbuffered connection, on either side: while it makes the records, and what is left of it afterwards.

use std::ops::Deref;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::{
    CommonState, ConnectionTrafficSecrets, Error, ExtractedSecrets, SupportedCipherSuite,
};

use super::Fault;
use super::turn::{Order, Turn, settle};
use crate::net::Buffer;

/// A connection whose records rustls makes.
pub(super) enum Library {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

impl Library {
    /// Takes one turn; says how much of the incoming bytes is done with.
    pub(super) fn turn(
        &mut self,
        incoming: &mut [u8],
        order: &mut Order<'_>,
        plain: &mut Vec<u8>,
        outgoing: &mut Buffer,
    ) -> (usize, Result<Turn, Fault>) {
        match self {
            Self::Server(server) => {
                settle(server.process_tls_records(incoming), order, plain, outgoing)
            }
            Self::Client(client) => {
                settle(client.process_tls_records(incoming), order, plain, outgoing)
            }
        }
    }

    /// Gives up making records: the keys, and who makes the keys to come.
    pub(super) fn retire(self) -> Result<(ExtractedSecrets, KeyMaker), Fault> {
        Ok(match self {
            Self::Server(server) => {
                let (secrets, kernel) = server.dangerous_into_kernel_connection()?;
                (secrets, KeyMaker::Server(kernel))
            }
            Self::Client(client) => {
                let (secrets, kernel) = client.dangerous_into_kernel_connection()?;
                (secrets, KeyMaker::Client(kernel))
            }
        })
    }
}

impl Deref for Library {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Server(server) => server,
            Self::Client(client) => client,
        }
    }
}

/// What rustls still does for a connection whose records are made elsewhere.
pub(super) enum KeyMaker {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

impl KeyMaker {
    pub(super) fn suite(&self) -> SupportedCipherSuite {
        match self {
            Self::Server(kernel) => kernel.negotiated_cipher_suite(),
            Self::Client(kernel) => kernel.negotiated_cipher_suite(),
        }
    }

    /// The next key of what we receive, and the number of its first record.
    pub(super) fn next_opener(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Server(kernel) => kernel.update_rx_secret(),
            Self::Client(kernel) => kernel.update_rx_secret(),
        }
    }

    /// The next key of what we send, and the number of its first record.
    pub(super) fn next_sealer(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Server(kernel) => kernel.update_tx_secret(),
            Self::Client(kernel) => kernel.update_tx_secret(),
        }
    }
}
