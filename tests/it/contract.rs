//! The contract of [`Net`], tested for the real network and the simulated one.
//!
//! What is shown in simulated worlds holds for the program only if both networks follow the same
//! rules. So each clause is a function over a [`World`] of either kind: real sockets on the
//! loopback interface, or the simulator, with epoll's edges and with the minimal ones, without
//! faults and with them, plain and with TLS. As in the proxy, the program's own `Conn` is used on
//! top of the network, because it relies on the rules about drained sockets and hang-ups.

mod loopback;
mod simulated;
mod world;

use loopback::Loopback;
use millstream::testing::sim::Heard;
use millstream::testing::tls::{ClientOf, Server};
use millstream::testing::toy;
use millstream::testing::{ListenerId, Net, Read, Ready, Received, Sent, Token, Written};
use simulated::Simulated;
use std::io::ErrorKind;
use std::net::SocketAddr;
use world::World;

/// An event of either network.
enum Told {
    Listener(ListenerId),
    Socket(Token, Ready),
}

/// The far end of a connection, by its index in the order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Far(usize);

/// Which connections use TLS.
#[derive(Clone, Debug)]
enum Secured {
    Nobody,
    /// Those to the origin: this side is the client.
    Origin(ClientOf),
    /// Those of clients: this side is the server.
    Clients(Server),
}

/// A network with a listener, and the peers beyond it: clients and an origin.
trait Wires {
    type Net: Net;

    fn net(&mut self) -> &mut Self::Net;
    /// True if hang-ups are reported by events.
    fn tells_of_hang_ups(&self) -> bool;
    /// Which connections use TLS, and how.
    fn secured(&self) -> &Secured {
        &Secured::Nobody
    }
    /// The events since the last call. The real network waits a little for some.
    fn events(&mut self) -> Vec<Told>;
    /// Connects a client. None if the connection is refused.
    fn client(&mut self) -> Option<Far>;
    /// Where the origin listens, and an address with no listener.
    fn origin(&self) -> SocketAddr;
    fn nobody(&self) -> SocketAddr;
    /// The next connection that has reached the origin.
    fn arrived(&mut self) -> Option<Far>;
    /// What a far end does. `send` returns how many bytes were accepted.
    fn send(&mut self, far: Far, bytes: &[u8]) -> usize;
    fn hear(&mut self, far: Far) -> Heard;
    fn finish(&mut self, far: Far);
    fn leave(&mut self, far: Far);
    fn reset(&mut self, far: Far);
}

const LISTENER: ListenerId = ListenerId(0);

/// Runs each clause on each network.
macro_rules! contract {
    ($($clause:ident)*) => {
        mod real {
            $(#[test] fn $clause() {
                super::$clause(&mut super::World::new(super::Loopback::new()));
            })*
        }
        mod in_memory {
            $(#[test] fn $clause() {
                super::Simulated::each(&super::Secured::Nobody, |wires| {
                    super::$clause(&mut super::World::new(wires));
                });
            })*
        }
        mod secured_as_client {
            $(#[test] fn $clause() {
                let server = super::toy::client().of("origin.example").unwrap();
                super::Simulated::each(&super::Secured::Origin(server), |wires| {
                    super::$clause(&mut super::World::new(wires));
                });
            })*
        }
        mod secured_as_server {
            $(#[test] fn $clause() {
                let server = super::toy::server(None);
                super::Simulated::each(&super::Secured::Clients(server), |wires| {
                    super::$clause(&mut super::World::new(wires));
                });
            })*
        }
    };
}

contract! {
    accepting_blocks_and_is_announced
    a_listener_that_is_closed_takes_nobody
    connecting_ends_in_a_connection
    connecting_ends_in_a_refusal
    a_read_that_blocked_is_announced
    a_drained_socket_has_nothing_left
    a_full_socket_is_announced
    a_write_that_blocked_is_announced
    what_is_not_committed_may_be_dropped
    an_end_behind_bytes_is_found
    a_reset_is_found
    a_peer_that_has_ended_still_listens
    an_end_of_ours_follows_our_bytes
    a_close_is_an_end_if_all_was_read
    a_close_is_a_reset_if_not
    an_abort_is_a_reset
    a_write_after_a_reset_fails
    a_write_to_a_peer_that_closed_fails_in_the_end
    an_id_can_have_a_next_tenant
}

fn accepting_blocks_and_is_announced<W: Wires>(world: &mut World<W>) {
    let blocked = |w: &mut World<W>| {
        let error = w.wires.net().accept(LISTENER).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    };
    blocked(world);
    let first = world.wires.client().unwrap();
    world.until("an announcement", |w| (w.announced > 0).then_some(()));
    let second = world.wires.client().unwrap();
    for (far, hello) in [(first, b"hello 1"), (second, b"hello 2")] {
        let conn = world.accept();
        assert_eq!(world.peer, Some("127.0.0.1".parse().unwrap()));
        world.write_all(conn, hello);
        assert_eq!(world.hear_exactly(far, 7), hello);
    }
    blocked(world);
}

fn a_listener_that_is_closed_takes_nobody<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    let waiting = world.wires.client().unwrap();
    world.wires.net().close_listener(LISTENER);
    assert_eq!(world.hear_to_end(waiting), (vec![], Heard::Reset));
    assert_eq!(world.wires.client(), None);
    world.write_all(conn, b"still");
    assert_eq!(world.hear_exactly(far, 5), b"still");
}

fn connecting_ends_in_a_connection<W: Wires>(world: &mut World<W>) {
    let conn = world.connect(world.wires.origin()).unwrap();
    let far = world.until("a connection at the origin", |w| w.wires.arrived());
    world.write_all(conn, b"request");
    assert_eq!(world.hear_exactly(far, 7), b"request");
    assert_eq!(world.read(conn, 8), None);
    assert_eq!(world.wires.send(far, b"response"), 8);
    assert_eq!(world.read_exactly(conn, 8), b"response");
}

fn connecting_ends_in_a_refusal<W: Wires>(world: &mut World<W>) {
    let refused = world.connect(world.wires.nobody());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
}

/// Whatever the sizes of the pieces, and whether or not a read filled its buffer.
fn a_read_that_blocked_is_announced<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    for most in [1, 3, 4, 64] {
        for bytes in [&b"x"[..], b"four", b"a longer piece"] {
            assert_eq!(world.wires.send(far, bytes), bytes.len());
            let mut got = Vec::new();
            while got.len() < bytes.len() {
                got.extend(world.until("bytes", |w| w.read(conn, most)).expect("more bytes"));
            }
            assert_eq!(got, bytes);
            // Nothing is left to read now, and the bit is cleared by the read.
            assert_eq!(world.read(conn, most), None);
            assert!(!world.conns[conn].ready.has(Ready::READ));
        }
    }
}

/// If a read reports that the socket is drained, nothing is left, and an event follows when more
/// arrives.
fn a_drained_socket_has_nothing_left<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    let sock = world.sock(conn);
    let mut buf = [0; 64];
    for most in [1, 3, 5, 64] {
        assert_eq!(world.wires.send(far, b"bytes"), 5);
        world.until_ready(conn, Ready::READ);
        let mut got = Vec::new();
        while got.len() < 5 {
            let Received { n, drained } = world.wires.net().read(sock, &mut buf[..most]).unwrap();
            got.extend_from_slice(&buf[..n]);
            assert!(got.len() == 5 || !drained, "bytes are left");
            if !drained && got.len() == 5 {
                let error = world.wires.net().read(sock, &mut buf).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
        }
        assert_eq!(got, b"bytes");
        world.turn();
        world.conns[conn].ready.clear(Ready::READ);
    }
}

/// If a write reports that the socket is full, it was a partial write, and an event follows when
/// there is room.
fn a_full_socket_is_announced<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    let sock = world.sock(conn);
    let piece = [b'x'; 10_000];
    world.until_ready(conn, Ready::WRITE);
    world.turn();
    let mut sent = 0;
    loop {
        assert!(sent < 1 << 28, "the socket never fills");
        match world.wires.net().write(sock, &piece) {
            Ok(Sent { n, full }) => {
                sent += n;
                assert!(!full || n < piece.len(), "all was accepted");
                if full {
                    break;
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    world.conns[conn].ready.clear(Ready::WRITE);
    // If it is to be offered again, some of the rejected data may have been sent already.
    assert!(world.hear_exactly(far, sent).len() >= sent);
    world.until_ready(conn, Ready::WRITE);
}

/// What was not accepted is offered again, as the contract requires.
fn a_write_that_blocked_is_announced<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    let stream =
        |from: usize, n| -> Vec<u8> { (0..=255).cycle().skip(from % 256).take(n).collect() };
    let (mut sent, mut heard) = (0, 0);
    for _ in 0..3 {
        world.until_ready(conn, Ready::WRITE);
        while world.conns[conn].ready.has(Ready::WRITE) {
            if let Some(Written::Bytes(n)) = world.write(conn, &stream(sent, 10_000)) {
                sent += n;
            }
            assert!(sent < 1 << 28, "the socket never fills");
        }
        let bytes = world.hear_exactly(far, sent.saturating_sub(heard));
        assert!(bytes == stream(heard, bytes.len()), "wrong bytes arrived");
        heard += bytes.len();
    }
    world.until_ready(conn, Ready::WRITE);
    world.write_all(conn, &stream(sent, 5000));
    let bytes = world.hear_exactly(far, sent + 5000 - heard);
    assert!(bytes == stream(heard, sent + 5000 - heard), "wrong bytes arrived");
}

/// Of refused bytes, only those that are committed have to be offered again.
fn what_is_not_committed_may_be_dropped<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    let stream =
        |from: usize, n| -> Vec<u8> { (0..=255).cycle().skip(from % 256).take(n).collect() };
    let mut sent = 0;
    world.until_ready(conn, Ready::WRITE);
    while world.conns[conn].ready.has(Ready::WRITE) {
        if let Some(Written::Bytes(n)) = world.write(conn, &stream(sent, 10_000)) {
            sent += n;
        }
        assert!(sent < 1 << 28, "no socket takes that much");
    }
    let committed = world.conns[conn].committed(world.wires.net());
    assert!(committed <= 10_000, "more is committed than was offered");
    let all = [stream(0, sent + committed), b"others".to_vec()].concat();
    let mut heard = world.hear_exactly(far, sent);
    world.until_ready(conn, Ready::WRITE);
    world.write_all(conn, &all[sent..]);
    heard.extend(world.hear_exactly(far, all.len() - heard.len()));
    assert!(heard == all, "wrong bytes arrived");
}

/// The sticky hang-up: an end that arrives together with bytes is reported once, before they are
/// read.
fn an_end_behind_bytes_is_found<W: Wires>(world: &mut World<W>) {
    for most in [2, 5, 6, 64] {
        let (far, conn) = world.pair();
        world.wires.send(far, b"bytes");
        world.wires.finish(far);
        world.until_hung_up(conn);
        // No event is left to be reported.
        world.turn();
        assert_eq!(world.read_to_end(conn, most), (b"bytes".to_vec(), Read::End));
    }
    let (far, conn) = world.pair();
    world.wires.leave(far);
    assert_eq!(world.read_to_end(conn, 64), (vec![], Read::End));
}

/// Bytes sent before a reset may be lost, but no others appear, and the reset does not look like an
/// end.
fn a_reset_is_found<W: Wires>(world: &mut World<W>) {
    for bytes in [&b""[..], b"some bytes"] {
        let (far, conn) = world.pair();
        world.wires.send(far, bytes);
        world.wires.reset(far);
        world.until_hung_up(conn);
        let (got, end) = world.read_to_end(conn, 4);
        assert!(bytes.starts_with(&got));
        assert_eq!(end, Read::Broken);
    }
}

fn a_peer_that_has_ended_still_listens<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.wires.finish(far);
    assert_eq!(world.read_to_end(conn, 64), (vec![], Read::End));
    world.write_all(conn, b"an answer");
    assert_eq!(world.hear_exactly(far, 9), b"an answer");
    world.close(conn);
    assert_eq!(world.hear_to_end(far), (vec![], Heard::End));
}

fn an_end_of_ours_follows_our_bytes<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.write_all(conn, b"the last");
    world.conns[conn].shutdown_write(world.wires.net());
    assert_eq!(world.hear_to_end(far), (b"the last".to_vec(), Heard::End));
    world.wires.send(far, b"still heard");
    assert_eq!(world.read_exactly(conn, 11), b"still heard");
}

fn a_close_is_an_end_if_all_was_read<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.wires.send(far, b"heard");
    world.read_exactly(conn, 5);
    world.write_all(conn, b"bye");
    world.close(conn);
    assert_eq!(world.hear_to_end(far), (b"bye".to_vec(), Heard::End));
}

fn a_close_is_a_reset_if_not<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.wires.send(far, b"unheard");
    world.until_ready(conn, Ready::READ);
    world.close(conn);
    assert_eq!(world.hear_to_end(far).1, Heard::Reset);
}

fn an_abort_is_a_reset<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.write_all(conn, b"half of");
    assert_eq!(world.hear_exactly(far, 7), b"half of");
    let sock = world.sock(conn);
    world.wires.net().abort(sock);
    assert_eq!(world.hear_to_end(far), (vec![], Heard::Reset));
}

fn a_write_after_a_reset_fails<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.wires.reset(far);
    assert_eq!(world.read_to_end(conn, 64), (vec![], Read::Broken));
    world.conns[conn].ready.set(Ready::WRITE);
    assert_eq!(world.write(conn, b"late"), Some(Written::Broken));
}

/// Some writes may still be accepted. They fail once the peer has answered with a reset.
fn a_write_to_a_peer_that_closed_fails_in_the_end<W: Wires>(world: &mut World<W>) {
    let (far, conn) = world.pair();
    world.wires.leave(far);
    assert_eq!(world.read_to_end(conn, 64), (vec![], Read::End));
    world.write_until_broken(conn);
}

fn an_id_can_have_a_next_tenant<W: Wires>(world: &mut World<W>) {
    let (far, first) = world.pair();
    world.wires.send(far, b"never read");
    world.until_ready(first, Ready::READ);
    world.close(first);
    let (far, next) = world.pair();
    assert_eq!(world.sock(first), world.sock(next), "ids are reused");
    world.conns[first].ready = Ready::NONE;
    world.wires.send(far, b"new");
    assert_eq!(world.read_exactly(next, 3), b"new");
    assert_eq!(world.conns[first].ready, Ready::NONE, "events are for the new owner of the id");
}
