//! Where bytes stand: the buffers that are lent, and the scratch that every step works in.

use super::portions::Portions;
use crate::buf::BufPool;
use crate::config::{self, Api, Config};
use crate::http::chunk::{HEADROOM, TAILROOM, TRAILERS_MAX};
use crate::pipe::Io;
use crate::time::Tick;
use std::time::Duration;

/// No reply of ours is longer than this, in bytes; but for that to a preflight, in front of which
/// there is nothing. Most of it is for what `[api.cors]` may have it say: a list of fields, and an
/// origin.
pub(super) const REPLY_MAX: usize = 2048;

/// Spare buffers that are kept rather than freed, of each size up to the usual one, in bytes.
const SPARE_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    pub buffers: BufPool,
    /// Where every session reads and frames; nothing stays in it between two steps.
    scratch: Box<[u8]>,
    /// Where every head is written before it is queued.
    head: Vec<u8>,
    /// How many bytes of heads may wait in one buffer.
    head_room: usize,
    high_water: usize,
    window_max: usize,
}

impl Memory {
    pub(super) fn new(config: &Config, portions: &Portions) -> Memory {
        let head_room = head_room(config, portions);
        let largest = largest_buffer(head_room, portions);
        let [usual, bulk] =
            [portions.high_water, portions.window_max].map(|portion| HEADROOM + portion + TAILROOM);
        let mut buffers = BufPool::new(usual, bulk, largest, SPARE_BYTES);
        buffers.limit(config.server.max_held_bytes);
        Memory {
            buffers,
            scratch: vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice(),
            head: Vec::new(),
            head_room,
            high_water: portions.high_water,
            window_max: portions.window_max,
        }
    }

    /// Buffers only ever grow: exchanges of the configurations before need what they were promised.
    pub(super) fn update(&mut self, config: &Config, portions: &Portions) {
        self.head_room = self.head_room.max(head_room(config, portions));
        let largest = largest_buffer(self.head_room, portions);
        if largest > self.buffers.largest() {
            self.buffers.grow(largest);
            self.scratch = vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice();
        }
        self.buffers.limit(config.server.max_held_bytes);
    }

    /// How many bytes a head may have that goes on.
    pub(super) const fn head_room(&self) -> usize {
        self.head_room
    }

    /// What a pipe works with, and an empty head beside it.
    pub(super) fn split<'a, N>(
        &'a mut self,
        net: &'a mut N,
        flush_interval: Option<Duration>,
        now: Tick,
    ) -> (Io<'a, N>, &'a mut Vec<u8>) {
        self.head.clear();
        let io = Io {
            window_max: self.window_max,
            net,
            scratch: &mut self.scratch,
            buffers: &mut self.buffers,
            now,
            high_water: self.high_water,
            flush_interval,
        };
        (io, &mut self.head)
    }
}

/// The largest buffer holds heads, or a relayed portion with its framing and trailers, and behind
/// them a reply of ours.
fn largest_buffer(head_room: usize, portions: &Portions) -> usize {
    let relayed = portions.high_water.max(portions.window_max);
    head_room.max(relayed + HEADROOM + TAILROOM + TRAILERS_MAX + REPLY_MAX)
}

/// The room for a head after it was rewritten, behind what may be pending when it comes (interim
/// responses), and for a reply of ours behind them. Rewriting adds the target's path and host,
/// the client's address and host (which may be as long as the head), two bytes for each line, some
/// fields, and those that are configured.
fn head_room(config: &Config, portions: &Portions) -> usize {
    let target = |api: &Api| {
        let query = |t: &config::Target| t.query.as_ref().map_or(0, String::len);
        let length = |t: &config::Target| t.path.len() + query(t) + t.authority.len();
        api.targets.iter().map(length).max().unwrap_or(0)
    };
    let targets = config.apis.iter().map(target).max().unwrap_or(0);
    let changes = |api: &Api| api.request_headers.bytes().max(api.response_headers.bytes());
    let changes = config.apis.iter().map(changes).max().unwrap_or(0);
    let before = portions.high_water.max(config.server.max_head_bytes);
    let head = config.server.max_head_bytes + targets + changes + 2048;
    before + head.max(HEADROOM + TAILROOM + TRAILERS_MAX) + REPLY_MAX
}
