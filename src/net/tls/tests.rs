//! What the contract's tests do not ask: how little is read, written and kept.

use super::{TlsNet, around};
use crate::conn::{Conn, Read, Written};
use crate::net::{Net, Ready, Token};
use crate::testing::sim::{Faults, Heard, Host, Peer, SimEvent, SimNet};
use crate::testing::toy::{self, Shows};
use std::net::SocketAddr;

/// A secured connection and its far end.
struct Pair {
    net: TlsNet<SimNet>,
    conn: Conn,
    far: Peer,
}

fn address() -> SocketAddr {
    "10.0.0.1:443".parse().unwrap()
}

impl Pair {
    fn new(faults: Faults) -> Pair {
        let mut net = SimNet::new(0, faults);
        net.set_host(address(), Host::Listening);
        net.secure(address(), Some(Shows::Good));
        let mut net = around(net, 0);
        let server = toy::client().of("a.example").unwrap();
        let mut conn = Conn::connect(&mut net, &address().into(), Some(&server)).unwrap();
        conn.register(&mut net, Token(0)).unwrap();
        let far = net.inner.origin(address()).unwrap();
        while conn.connected(&mut net).is_none() {
            turn(&mut net, &mut conn);
        }
        // The tickets of the server come behind the handshake.
        let mut pair = Pair { net, conn, far };
        (0..9).for_each(|_| pair.turn());
        assert_eq!(pair.read(1000), Read::Blocked);
        pair
    }

    fn turn(&mut self) {
        turn(&mut self.net, &mut self.conn);
    }

    fn read(&mut self, most: usize) -> Read {
        let mut buf = vec![0; most];
        self.conn.read(&mut self.net, &mut buf)
    }
}

fn turn(net: &mut TlsNet<SimNet>, conn: &mut Conn) {
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

#[test]
fn an_idle_connection_holds_nothing() {
    let mut pair = Pair::new(Faults::NONE);
    assert_eq!(pair.net.held_bytes(), 0);
    assert_eq!(pair.net.inner.send(pair.far, b"event"), 5);
    pair.turn();
    assert_eq!(pair.read(1000), Read::Bytes(5));
    assert!(!pair.conn.ready.has(Ready::READ), "it is known to be drained");
    assert_eq!(pair.conn.write(&mut pair.net, b"request"), Written::Bytes(7));
    assert_eq!(pair.net.inner.hear(pair.far, 1000), Heard::Bytes(b"request".to_vec()));
    assert_eq!(pair.net.held_bytes(), 0);
}

/// What the caller has no room for is not lost, and costs a buffer until it is asked for.
#[test]
fn what_was_opened_too_early_waits() {
    let mut pair = Pair::new(Faults::NONE);
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
}

/// Bytes count as written as their records leave, and the last of them when all have left.
#[test]
fn what_is_refused_is_offered_again() {
    let mut pair = Pair::new(Faults { capacity: 10_000, ..Faults::NONE });
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
}

/// The alert is said, and then nothing more is.
#[test]
fn nonsense_breaks_the_connection() {
    let mut pair = Pair::new(Faults::NONE);
    pair.net.inner.send(pair.far, b"event");
    assert!(pair.net.inner.spoil(pair.far, 9));
    pair.turn();
    assert_eq!((pair.read(100), pair.read(100)), (Read::Broken, Read::Broken));
    assert_eq!(pair.conn.write(&mut pair.net, b"request"), Written::Broken);
    assert_eq!(pair.net.held_bytes(), 0);
}

/// An end that was announced is one, and so is every further read; one that was not is a cut.
#[test]
fn an_end_has_to_be_announced() {
    for (announced, end) in [(true, Read::End), (false, Read::Broken)] {
        let mut pair = Pair::new(Faults::NONE);
        pair.net.inner.send(pair.far, b"last");
        match announced {
            true => pair.net.inner.finish(pair.far),
            false => pair.net.inner.truncate(pair.far),
        }
        pair.turn();
        assert_eq!(pair.read(100), Read::Bytes(4));
        assert_eq!((pair.read(100), pair.read(100)), (end, end));
    }
}

/// Our end is announced, also to a peer that has no room for that at present.
#[test]
fn our_end_is_announced() {
    let mut pair = Pair::new(Faults { capacity: 1500, ..Faults::NONE });
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
}
