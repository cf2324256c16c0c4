//! The far end of a secured connection in a simulation. It speaks TLS for a peer that does not.

use crate::net::tls::{Done, Engine, Sealed};
use crate::testing::toy;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many bytes a far end reads ahead of its peer.
pub(super) const AHEAD: usize = 64 * 1024;

/// Receives decrypted data.
type Take<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// The far end of a secured connection. See the module docs.
#[derive(Debug)]
pub(super) struct Far {
    engine: Engine,
    /// Bytes received but not decrypted.
    records: Vec<u8>,
    /// Data decrypted but not read by the peer.
    pub(super) heard: VecDeque<u8>,
    /// Records that wait to be sent.
    pub(super) unsent: VecDeque<u8>,
    sealed: Sealed,
    /// The other side has announced its end.
    pub(super) closed: bool,
    /// The other side sent something invalid.
    pub(super) failed: bool,
    /// The peer ends its side once everything is sent.
    pub(super) ends: bool,
}

impl Far {
    /// The far end of a connection that the proxy opens.
    ///
    /// # Panics
    /// If the toy does not work.
    pub(super) fn server(config: &Arc<ServerConfig>) -> Far {
        let Ok(server) = UnbufferedServerConnection::new(Arc::clone(config)) else {
            unreachable!("the toy works");
        };
        Far::new(Engine::Server(server))
    }

    /// The far end of a connection that the proxy accepts. It sends its ClientHello at once.
    ///
    /// # Panics
    /// If the toy does not work.
    pub(super) fn client(config: &Arc<ClientConfig>) -> Far {
        let name = ServerName::try_from("proxy.example");
        let client = name.map(|name| UnbufferedClientConnection::new(Arc::clone(config), name));
        let Ok(Ok(client)) = client else { unreachable!("the toy works") };
        let mut far = Far::new(Engine::Client(client));
        far.take(std::iter::empty());
        far
    }

    fn new(engine: Engine) -> Far {
        Far {
            engine,
            records: Vec::new(),
            heard: VecDeque::new(),
            unsent: VecDeque::new(),
            sealed: Sealed::default(),
            closed: false,
            failed: false,
            ends: false,
        }
    }

    /// True if the handshake is over.
    pub(super) fn is_open(&self) -> bool {
        !self.engine.is_handshaking()
    }

    /// Decrypts received records.
    pub(super) fn take(&mut self, records: impl Iterator<Item = u8>) {
        self.records.extend(records);
        self.with_engine(|engine, records, sealed, take| engine.open(records, sealed, take));
    }

    /// Encrypts what the peer sends.
    pub(super) fn seal(&mut self, bytes: &[u8]) {
        self.with_engine(|engine, records, sealed, take| engine.seal(bytes, records, sealed, take));
    }

    /// Encrypts a record without payload.
    pub(super) fn seal_without_payload(&mut self) {
        toy::without_payload(|| self.seal(b"-"));
    }

    /// Announces the end.
    pub(super) fn close(&mut self) {
        self.with_engine(|engine, records, sealed, take| engine.close(records, sealed, take));
    }

    /// Changes its keys for sending.
    pub(super) fn change_keys(&mut self) {
        self.with_engine(|engine, records, sealed, take| engine.change_keys(records, sealed, take));
    }

    fn with_engine(
        &mut self,
        act: impl FnOnce(&mut Engine, &mut [u8], &mut Sealed, Take<'_>) -> Done,
    ) {
        if self.failed {
            return;
        }
        self.sealed.clear();
        let heard = &mut self.heard;
        let mut take = |payload: &[u8]| {
            heard.extend(payload);
            true
        };
        let done = act(&mut self.engine, &mut self.records, &mut self.sealed, &mut take);
        self.records.drain(..done.used);
        self.closed |= done.closed;
        self.failed |= done.failed.is_some();
        self.unsent.extend(self.sealed.bytes());
    }
}
