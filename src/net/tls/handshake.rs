//! Handshakes, which users of a socket do not see.

use super::engine::Engine;
use super::explain::explain;
use super::session::{End, Phase, Session, too_long};
use super::shared::{HEADER, RECORD_MAX, Shared};
use crate::net::{Net, Ready, Received, SockId, TlsError, TlsFault};
use std::io;

/// Maximum number of bytes of a client's first message, as received: one record of full size.
const HELLO_MAX: usize = HEADER + RECORD_MAX;

/// Maximum number of letters before the first space that are taken for a method.
const METHOD_MAX: usize = 16;

/// The progress of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shaken {
    /// It waits for an event.
    Waits,
    /// It is over, successful or not.
    Ended,
}

impl Session {
    /// Advances the handshake as far as possible.
    pub(super) fn shake<N: Net>(
        &mut self,
        sock: SockId,
        net: &mut N,
        shared: &mut Shared,
    ) -> Shaken {
        if self.phase == Phase::Connecting {
            if self.ready.has(Ready::HUP) {
                match net.connected(sock) {
                    Ok(()) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Shaken::Waits,
                    Err(e) => return self.fail(e.into()),
                }
            } else if !self.ready.has(Ready::WRITE) {
                return Shaken::Waits;
            }
            self.phase = Phase::Shaking;
            // The last message of the handshake must not wait until the first is acknowledged.
            net.keep_for_long(sock);
        } else if !matches!(self.phase, Phase::Accepted | Phase::Shaking) {
            return Shaken::Waits;
        }
        self.take_steps(sock, net, shared)
    }

    /// Decrypts what has arrived, sends the replies, and reads more, until it has to wait for
    /// something.
    fn take_steps<N: Net>(&mut self, sock: SockId, net: &mut N, shared: &mut Shared) -> Shaken {
        let mut have = shared.load(&mut self.unopened);
        loop {
            shared.sealed.clear();
            let mut most = shared.raw.len();
            let mut is_clear = true;
            if self.phase == Phase::Accepted {
                let http = speaks_http(&shared.raw[..have]);
                if http == Some(true) {
                    return self.fail(plain_http());
                }
                is_clear = http.is_some();
                most = HELLO_MAX;
            }
            // Data that arrives with the end of the peer's handshake is kept for the first read.
            let Shared { raw, sealed, buffers } = shared;
            let take = |payload: &[u8]| {
                buffers.append(&mut self.opened, payload);
                false
            };
            let input = if is_clear { &mut raw[..have] } else { &mut [] };
            let done = self.engine.open(input, sealed, take);
            shared.raw.copy_within(done.used..have, 0);
            have -= done.used;
            if self.phase == Phase::Accepted && done.used > 0 {
                self.phase = Phase::Shaking;
            }
            self.keep_sealed(shared);
            let sent = self.send_unsent(sock, net, shared);
            if let Some(error) = done.failed {
                return self.fail(End::Wrong(explain(&error)));
            }
            if let Err(error) = sent {
                return self.fail(broken_off(&error));
            }
            if done.closed {
                return self.fail(closed_early());
            }
            if !self.engine.is_handshaking() {
                shared.store(have, &mut self.unopened);
                self.has_record = have > 0;
                if self.unsent.is_some() {
                    return Shaken::Waits;
                }
                self.phase = Phase::Open;
                self.ready.set(Ready::READ);
                self.ready.set(Ready::WRITE);
                return Shaken::Ended;
            }
            if have >= most {
                return self.fail(too_long());
            }
            match net.read(sock, &mut shared.raw[have..most]) {
                Ok(Received { n: 0, .. }) => return self.fail(closed_early()),
                Ok(Received { n, .. }) => have += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    shared.store(have, &mut self.unopened);
                    return Shaken::Waits;
                }
                Err(error) => return self.fail(broken_off(&error)),
            }
        }
    }

    fn fail(&mut self, end: End) -> Shaken {
        self.phase = Phase::Failed;
        self.end = Some(end);
        self.ready.set(Ready::READ);
        self.ready.set(Ready::WRITE);
        // This tells the side that connects about a failure.
        if let Engine::Client(_) = self.engine {
            self.ready.set(Ready::HUP);
        }
        Shaken::Ended
    }
}

/// True if the first bytes of a client begin a request rather than a record. None if they could
/// become either.
fn speaks_http(bytes: &[u8]) -> Option<bool> {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match bytes.get(method) {
        None if method <= METHOD_MAX => None,
        next => Some(method > 0 && next == Some(&b' ')),
    }
}

fn plain_http() -> End {
    let text = "it speaks HTTP without TLS".to_owned();
    End::Wrong(TlsError { fault: TlsFault::PlainHttp, text })
}

fn closed_early() -> End {
    let text = "it closed the connection during the handshake".to_owned();
    End::Wrong(TlsError { fault: TlsFault::Closed, text })
}

fn broken_off(error: &io::Error) -> End {
    let text = format!("it broke off the handshake: {error}");
    End::Wrong(TlsError { fault: TlsFault::Closed, text })
}
