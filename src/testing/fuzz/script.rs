//! The language of the `proxy` target: lines of text, so that its corpus is readable, and so that a
//! mutation of one line leaves most others unchanged.
//!
//! - `c0 TEXT` and `o0 TEXT`: client 0, or origin 0, sends the text. `\r`, `\n`, `\\` and `\xNN`
//!   stand for bytes, and `\*NN` repeats the byte before it as often as the two hexadecimal digits
//!   say. Clients connect when they are first named; 8 and 9 connect to the demo source. Origins
//!   are the connections that the proxy has opened, in order.
//! - `c0f`: ends its side. `c0l`: leaves. `c0r`: resets. `c0s`: stops reading. `c0g`: reads again.
//! - `n0l`: the first origin's address listens. `n0r`: refuses. `n0s`: is silent.
//! - `t250`: time passes, in milliseconds. `d250`: the proxy drains.
//! - `w` followed by digits, in the first line: the settings of the world, see [`Settings`].

use crate::config::Config;
use crate::descriptors::Budget;
use crate::net::Address;
use crate::proxy::Portions;
use crate::testing::sim::{Faults, Host};
use crate::testing::world::World;
use crate::time::Tick;

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Say(Who, Vec<u8>),
    Do(Who, Deed),
    Net(u8, Host),
    Wait(u64),
    Drain(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Client(u8),
    Origin(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Finish,
    Leave,
    Reset,
    StopReading,
    GoOnReading,
}

impl Act {
    /// None for a line without a valid act.
    pub(super) fn read(line: &[u8]) -> Option<Act> {
        let (&kind, rest) = line.split_first()?;
        if kind == b't' || kind == b'd' {
            let text = str::from_utf8(rest).ok()?;
            let ms = text.trim().parse::<u64>().ok()?.min(100_000);
            return Some(if kind == b't' { Act::Wait(ms) } else { Act::Drain(ms) });
        }
        let (digit, rest) = rest.split_first()?;
        let number = digit.checked_sub(b'0').filter(|number| *number < 10)?;
        let who = match kind {
            b'c' => Who::Client(number),
            b'o' => Who::Origin(number),
            b'n' => {
                let host = match rest.first()? {
                    b'l' => Host::Listening,
                    b'r' => Host::Refusing,
                    _ => Host::Silent,
                };
                return Some(Act::Net(number, host));
            }
            _ => return None,
        };
        Some(match rest {
            [b' ', text @ ..] => Act::Say(who, unescape(text)),
            [b'f', ..] => Act::Do(who, Deed::Finish),
            [b'l', ..] => Act::Do(who, Deed::Leave),
            [b'r', ..] => Act::Do(who, Deed::Reset),
            [b's', ..] => Act::Do(who, Deed::StopReading),
            [b'g', ..] => Act::Do(who, Deed::GoOnReading),
            _ => return None,
        })
    }
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let hex = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    let (mut bytes, mut rest) = (Vec::new(), text);
    loop {
        rest = match rest {
            [] => return bytes,
            [b'\\', b'r', rest @ ..] => {
                bytes.push(b'\r');
                rest
            }
            [b'\\', b'n', rest @ ..] => {
                bytes.push(b'\n');
                rest
            }
            [b'\\', kind @ (b'x' | b'*'), a, b, rest @ ..] => {
                let value = hex(&[*a, *b]).unwrap_or(0);
                match (kind, bytes.last().copied()) {
                    (b'*', Some(last)) => bytes.extend(std::iter::repeat_n(last, value.into())),
                    (b'*', None) => {}
                    _ => bytes.push(value),
                }
                rest
            }
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

/// The settings of a world: one digit each, zero if missing.
#[derive(Debug)]
pub(super) struct Settings<'b>(&'b [u8]);

/// The addresses of the apis' upstreams. Connections to the first are tried first.
pub(super) const ADDRESSES: [&str; 2] = ["10.0.0.1:80", "10.0.0.2:80"];

impl<'b> Settings<'b> {
    /// The settings in the first line, and the lines after it.
    pub(super) fn split(script: &'b [u8]) -> (Settings<'b>, &'b [u8]) {
        let Some(rest) = script.strip_prefix(b"w") else {
            return (Settings(b""), script);
        };
        let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        (Settings(&rest[..end]), &rest[end..])
    }

    fn pick<T: Copy>(&self, at: usize, from: &[T]) -> T {
        let digit = self.0.get(at).map_or(0, |byte| usize::from(byte.wrapping_sub(b'0')));
        from[digit % from.len()]
    }

    /// The proxy and its network at the start.
    pub(super) fn world(&self) -> World {
        let faults = Faults {
            epoll: self.pick(0, &[true, false]),
            capacity: self.pick(1, &[65_536, 1000, 60, 7]),
            short: self.pick(2, &[0, 50]),
            delayed: self.pick(3, &[0, 30]),
            spurious: self.pick(4, &[0, 20]),
            descriptors: usize::MAX,
            no_descriptor: self.pick(5, &[0, 20]),
        };
        let portions = Portions {
            high_water: self.pick(6, &[8_167, 1000, 50, 3]),
            window_max: self.pick(6, &[65_536, 3000, 200, 1]),
            steps_per_turn: self.pick(7, &[8, 1]),
            arrivals_per_turn: self.pick(7, &[64, 1]),
            arrivals_beside_streams: 2,
            handshakes_per_turn: 4,
            handshakes_beside_streams: 1,
            readers_per_turn: self.pick(7, &[1024, 1]),
            crossing_max: 1,
            timers_per_turn: self.pick(7, &[1024, 1]),
            ahead_max: self.pick(8, &[4096, 20, 1]),
        };
        let mut world = World::within(Budget::unlimited(6), self.config(), 0, faults, portions);
        for address in ADDRESSES {
            world.net().set_host(address.parse().expect("an address"), Host::Listening);
        }
        world.advance_to(Tick::from_millis(1));
        world
    }

    fn config(&self) -> Config {
        let text = format!(
            "
            [server]
            flush_interval = '{}'
            keepalive_timeout = '{}'
            read_timeout = '5s'
            write_timeout = '7s'
            max_head_bytes = 1024
            max_head_fields = 20
            max_target_bytes = 256
            max_body_bytes = {}
            enable_websockets = {}
            trusted_proxies = {}
            [demo]
            [[api]]
            name = 'a'
            listen_path = '/'
            target_url = 'http://10.0.0.1'
            keepalive_upstream = {}
            preserve_host_header = {}
            [[api]]
            name = 'b'
            listen_path = '/b'
            host = 'b.example'
            strip_listen_path = true
            target_url = 'http://10.0.0.2/base?key=x'
            rewrite_redirects = true
            ",
            self.pick(9, &["0s", "20ms", "3s"]),
            self.pick(10, &["75s", "1ms"]),
            self.pick(11, &[0, 100]),
            self.pick(12, &[true, false]),
            self.pick(15, &["[]", "['0.0.0.0/0']"]),
            self.pick(13, &[32, 0, 1]),
            self.pick(14, &[false, true]),
        );
        let mut config = Config::parse("fuzz", &text).expect("a configuration without faults");
        let addresses = ADDRESSES.iter().map(|address| address.parse().expect("an address"));
        config.apis[0].targets[0].addresses = addresses.map(Address::Tcp).collect();
        config
    }
}
