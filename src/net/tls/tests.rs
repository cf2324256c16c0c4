//! Tests beyond those of the contract: how little is read, written and kept, and what happens to
//! clients that do not complete the handshake.

use super::{TlsNet, around};
use crate::buf::BufPool;
use crate::conn::{Conn, Read, Written};
use crate::net::{Agreed, ListenerId, Net, Ready, TlsError, TlsFault, Token};
use crate::testing::sim::{Faults, Heard, Host, Peer, SimEvent, SimNet};
use crate::testing::toy::{self, Shows};
use std::net::SocketAddr;

/// A secured connection and its peer.
struct Pair {
    net: TlsNet<SimNet>,
    conn: Conn,
    far: Peer,
}

fn address() -> SocketAddr {
    "10.0.0.1:443".parse().unwrap()
}

const LISTENER: ListenerId = ListenerId(0);

impl Pair {
    /// Runs `on` with a connection of each side.
    fn each(faults: Faults, mut on: impl FnMut(Pair)) {
        let mut net = around(SimNet::new(0, faults.clone()), 0);
        net.inner.set_host(address(), Host::Listening);
        net.inner.secure(address(), Some(Shows::Good));
        let server = toy::client().of("a.example").unwrap();
        let conn = Conn::connect(&mut net, &address().into(), Some(&server), b"").unwrap();
        let far = net.inner.origin(address()).unwrap();
        on(Pair { net, conn, far }.shaken());
        on(Pair::accepted(faults, true).shaken());
    }

    /// An accepted connection on a TLS listener.
    fn accepted(faults: Faults, speaks: bool) -> Pair {
        let mut net = around(SimNet::new(0, faults), 0);
        let far = match speaks {
            true => net.inner.secured_client(LISTENER, None),
            false => net.inner.client(LISTENER, None),
        };
        let (mut conn, _) = Conn::accept(&mut net, LISTENER).unwrap();
        conn.secure(&mut net, &toy::server(None), Token(0)).unwrap();
        Pair { net, conn, far: far.unwrap() }
    }

    fn register(&mut self) {
        self.conn.register(&mut self.net, Token(0)).unwrap();
    }

    fn shaken(mut self) -> Pair {
        self.register();
        while self.conn.shaken(&mut self.net).is_none() {
            self.turn();
        }
        // The server sends its tickets after the handshake.
        (0..9).for_each(|_| self.turn());
        assert_eq!(self.read(1000), Read::Blocked);
        self
    }

    /// Why the handshake failed. What the peer sends arrives one byte at a time.
    fn fault(mut self, bytes: &[u8]) -> (Pair, TlsFault) {
        self.register();
        let mut bytes = bytes.iter();
        loop {
            if let Some(result) = self.conn.shaken(&mut self.net) {
                return (self, TlsError::fault_of(&result.unwrap_err()).unwrap());
            }
            bytes.next().into_iter().for_each(|byte| self.net.inner.inject(self.far, &[*byte]));
            self.turn();
        }
    }

    fn close(mut self) {
        self.conn.close(&mut self.net, &mut BufPool::new(1, 1, 1, 0));
        assert_eq!(self.net.held_bytes(), 0);
    }

    fn turn(&mut self) {
        let Pair { net, conn, .. } = self;
        for event in net.inner.events() {
            if let SimEvent::Socket(_, ready) = event {
                conn.heard(net, ready);
            }
        }
        net.shake_hands(1);
        while let Some((_, ready)) = net.next_ready() {
            conn.heard(net, ready);
        }
    }

    fn read(&mut self, most: usize) -> Read {
        let mut buf = vec![0; most];
        self.conn.read(&mut self.net, &mut buf)
    }
}

#[test]
fn an_idle_connection_holds_nothing() {
    Pair::each(Faults::NONE, |mut pair| {
        assert_eq!(pair.net.held_bytes(), 0);
        assert_eq!(pair.net.inner.send(pair.far, b"event"), 5);
        pair.turn();
        assert_eq!(pair.read(1000), Read::Bytes(5));
        assert!(!pair.conn.ready.has(Ready::READ), "it is known to be drained");
        assert_eq!(pair.conn.write(&mut pair.net, b"request"), Written::Bytes(7));
        assert_eq!(pair.net.inner.hear(pair.far, 1000), Heard::Bytes(b"request".to_vec()));
        assert_eq!(pair.net.held_bytes(), 0);
    });
}

/// What the caller has no room for is not lost, and takes a buffer until it is read.
#[test]
fn what_was_opened_too_early_waits() {
    Pair::each(Faults::NONE, |mut pair| {
        pair.net.inner.send(pair.far, b"first and second");
        pair.net.inner.send(pair.far, b", third");
        pair.turn();
        assert_eq!(pair.read(5), Read::Bytes(5));
        assert!(pair.conn.ready.has(Ready::READ), "more is there");
        assert!(pair.net.held_bytes() > 0);
        for (most, n) in [(4, 4), (1, 1), (100, 6), (100, 7)] {
            assert_eq!(pair.read(most), Read::Bytes(n));
        }
        assert_eq!(pair.read(100), Read::Blocked);
        assert_eq!(pair.net.held_bytes(), 0);
    });
}

/// Bytes count as written as their records are sent, and the last of them when all have been sent.
#[test]
fn what_is_refused_is_offered_again() {
    Pair::each(Faults { capacity: 10_000, ..Faults::NONE }, |mut pair| {
        let stream: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let (mut written, mut heard) = (0, Vec::new());
        while heard.len() < stream.len() {
            if pair.conn.ready.has(Ready::WRITE) && written < stream.len() {
                let offered = &stream[written..stream.len().min(written + 50_000)];
                match pair.conn.write(&mut pair.net, offered) {
                    Written::Bytes(n) => written += n,
                    Written::Blocked => assert!(pair.net.held_bytes() > 0),
                    Written::Broken => panic!("it is not broken"),
                }
            }
            assert!(heard.len() <= written + 50_000);
            pair.turn();
            if let Heard::Bytes(bytes) = pair.net.inner.hear(pair.far, 7000) {
                heard.extend(bytes);
            }
            assert!(stream.starts_with(&heard));
        }
        assert_eq!((written, pair.net.held_bytes()), (stream.len(), 0));
    });
}

/// The alert is sent, and nothing after it.
#[test]
fn nonsense_breaks_the_connection() {
    Pair::each(Faults::NONE, |mut pair| {
        pair.net.inner.send(pair.far, b"event");
        assert!(pair.net.inner.spoil(pair.far, 9));
        pair.turn();
        assert_eq!((pair.read(100), pair.read(100)), (Read::Broken, Read::Broken));
        assert_eq!(pair.conn.write(&mut pair.net, b"request"), Written::Broken);
        assert_eq!(pair.net.held_bytes(), 0);
    });
}

/// An announced end is an end, for this and every later read. An end that was not announced is a
/// cut.
#[test]
fn an_end_has_to_be_announced() {
    for (announced, end) in [(true, Read::End), (false, Read::Broken)] {
        Pair::each(Faults::NONE, |mut pair| {
            pair.net.inner.send(pair.far, b"last");
            match announced {
                true => pair.net.inner.finish(pair.far),
                false => pair.net.inner.truncate(pair.far),
            }
            pair.turn();
            assert_eq!(pair.read(100), Read::Bytes(4));
            assert_eq!((pair.read(100), pair.read(100)), (end, end));
        });
    }
}

/// Our end is announced, even to a peer that has no room for it at the moment.
#[test]
fn our_end_is_announced() {
    Pair::each(Faults { capacity: 1500, ..Faults::NONE }, |mut pair| {
        assert_eq!(pair.conn.write(&mut pair.net, &[b'x'; 1478]), Written::Bytes(1478));
        pair.conn.shutdown_write(&mut pair.net);
        assert!(pair.net.held_bytes() > 0);
        let mut heard = 0;
        loop {
            match pair.net.inner.hear(pair.far, 1000) {
                Heard::Bytes(bytes) => heard += bytes.len(),
                Heard::Nothing => pair.turn(),
                end @ (Heard::End | Heard::Reset) => {
                    break assert_eq!((end, heard), (Heard::End, 1478));
                }
            }
        }
        assert_eq!(pair.net.held_bytes(), 0);
    });
}

/// A client costs nothing until an event reports that it has sent something.
#[test]
fn a_client_that_says_nothing_is_not_asked() {
    let mut pair = Pair::accepted(Faults::NONE, false);
    pair.register();
    pair.turn();
    assert!(pair.net.shaking.is_empty());
    assert!(pair.conn.shaken(&mut pair.net).is_none());
    assert_eq!(pair.net.held_bytes(), 0);
    pair.close();
}

/// From then on the connection is served as if it had never been secured.
#[test]
fn plain_http_is_told_apart_and_can_be_answered() {
    for request in ["GET / HTTP/1.1\r\n", "M-X / HTTP/1.1\r\n", "A ", "OPTIONS * HTTP/1.0\r\n"] {
        let is_plain = !request.starts_with("M-");
        let pair = Pair::accepted(Faults::NONE, false);
        let (mut pair, fault) = pair.fault(request.as_bytes());
        let wanted = if is_plain { TlsFault::PlainHttp } else { TlsFault::NotTls };
        assert_eq!(fault, wanted, "{request}");
        if is_plain {
            while let Read::Bytes(_) = pair.read(100) {}
            pair.net.inner.inject(pair.far, b"more");
            pair.turn();
            assert_eq!(pair.read(100), Read::Bytes(4));
            assert_eq!(pair.conn.write(&mut pair.net, b"answer"), Written::Bytes(6));
            assert_eq!(pair.net.inner.hear(pair.far, 100), Heard::Bytes(b"answer".to_vec()));
        }
        pair.close();
    }
}

/// Bytes that can become neither are refused at once.
#[test]
fn what_is_no_hello_ends_the_handshake() {
    let too_long = [&b"\x16\x03\x01\x40\x00\x01\x00\xff\xff"[..], &[0; 20_000]].concat();
    let changes = b"\x14\x03\x03\x00\x01\x01".repeat(40);
    for (bytes, fault) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], TlsFault::NotTls),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", TlsFault::NotTls),
        (b"\x00\x00\x00\x00\x00\x00", TlsFault::NotTls),
        (b"\x15\x03\x03\x00\x02\x02\x28", TlsFault::Alert),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", TlsFault::Incompatible),
        (&changes, TlsFault::Incompatible),
        (&too_long, TlsFault::Incompatible),
    ] {
        let (pair, found) = Pair::accepted(Faults::NONE, false).fault(bytes);
        assert_eq!(found, fault, "{}", bytes.escape_ascii());
        pair.close();
    }
}

/// A client that leaves before its handshake is complete has failed it.
#[test]
fn an_end_in_the_handshake_is_no_end() {
    type Leave = fn(&mut SimNet, Peer);
    for leave in [SimNet::finish as Leave, SimNet::truncate, SimNet::reset] {
        for most in [0, 1, 100] {
            let mut pair = Pair::accepted(Faults::NONE, false);
            pair.net.inner.inject(pair.far, &b"\x16\x03\x01\x01\x00\x01\x00"[..7.min(most)]);
            leave(&mut pair.net.inner, pair.far);
            let (pair, fault) = pair.fault(b"");
            assert_eq!(fault, TlsFault::Closed);
            pair.close();
        }
    }
}

/// A peer may change its keys, but must also send something else.
#[test]
fn keys_are_changed_within_reason() {
    Pair::each(Faults::NONE, |mut pair| {
        for _ in 0..100 {
            pair.net.inner.change_keys(pair.far);
            pair.net.inner.send(pair.far, b"event");
            pair.turn();
            assert_eq!(pair.read(100), Read::Bytes(5));
            assert_eq!(pair.conn.write(&mut pair.net, b"event"), Written::Bytes(5));
            assert_eq!(pair.net.inner.hear(pair.far, 100), Heard::Bytes(b"event".to_vec()));
        }
        assert_eq!(pair.net.held_bytes(), 0);
        (0..40).for_each(|_| pair.net.inner.change_keys(pair.far));
        pair.turn();
        assert_eq!(pair.read(100), Read::Broken);
        pair.close();
    });
}

/// Records without payload take time, so a peer may send only a limited number in a row.
#[test]
fn records_without_payload_are_limited() {
    let faults = Faults { capacity: 1 << 20, ..Faults::NONE };
    Pair::each(faults, |mut pair| {
        for _ in 0..5 {
            pair.net.inner.send_without_payload(pair.far, 30);
            pair.net.inner.send(pair.far, b"event");
            pair.turn();
            assert_eq!(pair.read(100), Read::Bytes(5));
        }
        for _ in 0..1000 {
            pair.net.inner.send_without_payload(pair.far, 30);
            pair.net.inner.change_keys(pair.far);
        }
        pair.turn();
        assert_eq!((pair.read(100), pair.read(100)), (Read::Broken, Read::Broken));
        assert_eq!(pair.conn.write(&mut pair.net, b"request"), Written::Broken);
        pair.close();
    });
}

#[test]
fn what_was_agreed_on_can_be_asked() {
    let mut pair = Pair::accepted(Faults::NONE, true);
    assert_eq!(pair.conn.agreed(&pair.net), None);
    pair = pair.shaken();
    let agreed = Agreed { version: "TLSv1.3", is_resumed: false, certificate: None };
    assert_eq!(pair.conn.agreed(&pair.net), Some(agreed));
    Pair::each(Faults::NONE, |pair| assert!(pair.conn.agreed(&pair.net).is_some()));
}
