//! One side of a TLS connection, without a socket and without its own buffers.
//!
//! Only this module uses the library's interface for connections, and reduces it to three calls
//! over slices. The library works on the caller's bytes and keeps only the connection's state,
//! which takes a few kilobytes less than its buffered interface. Its next release has a different
//! interface for the same purpose; these calls fit that one, too.

use crate::net::Agreed;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedConnectionCommon,
    UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error, HandshakeKind, ProtocolVersion};
use std::fmt;

/// A scratch buffer for records to be sent. It grows to the largest size needed.
#[derive(Debug, Default)]
pub struct Sealed {
    block: Vec<u8>,
    len: usize,
}

impl Sealed {
    /// Its records.
    pub fn bytes(&self) -> &[u8] {
        &self.block[..self.len]
    }

    /// Empties it.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends what `write` writes, giving it as much room as it asks for.
    fn append<E>(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
        needed: impl Fn(&E) -> Option<usize>,
    ) -> Result<(), E> {
        loop {
            match write(&mut self.block[self.len..]) {
                Ok(n) => {
                    self.len += n;
                    return Ok(());
                }
                Err(error) => match needed(&error) {
                    Some(room) => self.block.resize(self.len + room, 0),
                    None => return Err(error),
                },
            }
        }
    }
}

/// What to do once application data could be sent.
#[derive(Clone, Copy, Debug)]
enum Last<'a> {
    Nothing,
    Seal(&'a [u8]),
    Close,
    #[cfg(feature = "sim")]
    ChangeKeys,
}

/// The result of a call.
#[derive(Debug, Default)]
pub struct Done {
    /// How many bytes of the input were used. The rest must be passed again, followed by more.
    pub used: usize,
    /// The peer has just announced that it sends no more.
    pub closed: bool,
    /// Why the connection cannot continue. The alert for the peer is among the records to send.
    pub failed: Option<Error>,
}

/// One side of a connection. See the module docs.
pub enum Engine {
    /// The side that connects.
    Client(UnbufferedClientConnection),
    /// The side that accepts.
    Server(UnbufferedServerConnection),
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Takes records from the front of `input`, and advances the handshake. Application data goes
    /// to `take`, which returns whether it can take more. Records to be sent go into `out`.
    pub fn open(
        &mut self,
        input: &mut [u8],
        out: &mut Sealed,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Done {
        self.drive(input, out, take, Last::Nothing)
    }

    /// Encrypts `plain` into records in `out`, after anything else to be sent. The library has to
    /// see the unused input again, hence `input` and `take`.
    pub fn seal(
        &mut self,
        plain: &[u8],
        input: &mut [u8],
        out: &mut Sealed,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Done {
        self.drive(input, out, take, Last::Seal(plain))
    }

    /// Announces the end in `out`. For the other arguments see [`Engine::seal`].
    pub fn close(
        &mut self,
        input: &mut [u8],
        out: &mut Sealed,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Done {
        self.drive(input, out, take, Last::Close)
    }

    /// Changes the keys for sending, and announces that in `out`.
    #[cfg(feature = "sim")]
    pub fn change_keys(
        &mut self,
        input: &mut [u8],
        out: &mut Sealed,
        take: impl FnMut(&[u8]) -> bool,
    ) -> Done {
        self.drive(input, out, take, Last::ChangeKeys)
    }

    /// True while no application data can be exchanged.
    pub fn is_handshaking(&self) -> bool {
        match self {
            Engine::Client(conn) => conn.is_handshaking(),
            Engine::Server(conn) => conn.is_handshaking(),
        }
    }

    fn state(&self) -> &CommonState {
        match self {
            Engine::Client(conn) => conn,
            Engine::Server(conn) => conn,
        }
    }

    /// The certificate that the peer presented, followed by those of its issuers.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.state().peer_certificates().unwrap_or_default()
    }

    /// What the handshake agreed on.
    pub fn agreed(&self) -> Agreed<'_> {
        let state = self.state();
        Agreed {
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            is_resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: self.certificates().first().map(AsRef::as_ref),
        }
    }

    fn drive(
        &mut self,
        input: &mut [u8],
        out: &mut Sealed,
        take: impl FnMut(&[u8]) -> bool,
        last: Last<'_>,
    ) -> Done {
        match self {
            Engine::Client(conn) => drive(
                conn,
                UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records,
                input,
                out,
                take,
                last,
            ),
            Engine::Server(conn) => drive(
                conn,
                UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records,
                input,
                out,
                take,
                last,
            ),
        }
    }
}

/// The library's only call, which is a different function for each side.
type Process<D> = for<'c, 'i> fn(
    &'c mut UnbufferedConnectionCommon<D>,
    &'i mut [u8],
) -> UnbufferedStatus<'c, 'i, D>;

fn drive<D>(
    conn: &mut UnbufferedConnectionCommon<D>,
    process: Process<D>,
    input: &mut [u8],
    out: &mut Sealed,
    mut take: impl FnMut(&[u8]) -> bool,
    last: Last<'_>,
) -> Done {
    let mut done = Done::default();
    loop {
        // After a failure only the alert is still needed, and nothing else can be requested.
        if done.failed.is_some() && !conn.wants_write() {
            return done;
        }
        let UnbufferedStatus { discard, state } = process(conn, &mut input[done.used..]);
        done.used += discard;
        match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let encoded = out.append(
                    |room| data.encode(room),
                    |error| match error {
                        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                            Some(*required_size)
                        }
                        EncodeError::AlreadyEncoded => None,
                    },
                );
                debug_assert!(encoded.is_ok(), "each record is encoded once");
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Err(error) => done.failed = Some(error),
            Ok(ConnectionState::ReadTraffic(mut data)) => {
                let mut goes_on = true;
                while let Some(Ok(record)) = data.next_record() {
                    done.used += record.discard;
                    goes_on = take(record.payload);
                }
                if !goes_on {
                    return done;
                }
            }
            Ok(ConnectionState::PeerClosed) => done.closed = true,
            #[cfg(feature = "sim")]
            Ok(ConnectionState::WriteTraffic(traffic)) if matches!(last, Last::ChangeKeys) => {
                done.failed = traffic.refresh_traffic_keys().err();
                let rest = drive(conn, process, &mut input[done.used..], out, take, Last::Nothing);
                done.used += rest.used;
                return Done { closed: done.closed || rest.closed, ..done };
            }
            Ok(ConnectionState::WriteTraffic(traffic)) => {
                done.failed = finish(traffic, out, last);
                return done;
            }
            // Early data is not accepted, and states of later versions of the library are unknown.
            Ok(_) => return done,
        }
    }
}

/// Does what `last` says.
fn finish<D>(mut traffic: WriteTraffic<'_, D>, out: &mut Sealed, last: Last<'_>) -> Option<Error> {
    let needed = |error: &EncryptError| match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
            Some(*required_size)
        }
        EncryptError::EncryptExhausted => None,
    };
    let sealed = match last {
        Last::Nothing => return None,
        #[cfg(feature = "sim")]
        Last::ChangeKeys => return None,
        Last::Seal(plain) => out.append(|room| traffic.encrypt(plain, room), needed),
        Last::Close => out.append(|room| traffic.queue_close_notify(room), needed),
    };
    sealed.err().map(|_| Error::EncryptError)
}
