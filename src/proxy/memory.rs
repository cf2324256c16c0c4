//! The memory for bytes: the pool of buffers, and the scratch buffer that every step works in.

use super::background::auth_request::PASSED_MAX;
use super::portions::Portions;
use crate::buf::BufPool;
use crate::config::{self, Api, Config};
use crate::event_log;
use crate::http::chunk::{HEADROOM, TAILROOM, TRAILERS_MAX};
use crate::http::forward::ADDED_MAX;
use crate::pipe::Io;
use crate::time::Tick;
use std::time::Duration;

/// The longest local reply, in bytes. Most of it is for what `[api.cors]` may add: a list of fields
/// and an origin. A reply to a preflight or a redirect may be longer, because nothing is pending
/// before it.
pub(super) const REPLY_MAX: usize = 2048;

/// The maximum number of bytes that may be queued after a head written by this proxy:
/// `heartbeat_event` and `end_event`, with their framing.
const OWN_EVENTS_MAX: usize = 2 * (1024 + HEADROOM + TAILROOM);

/// The maximum number of bytes of spare buffers to keep, for each size up to the usual one.
const SPARE_BYTES: usize = 256 * 1024;

/// The buffers and the scratch buffer. See the module docs.
#[derive(Debug)]
pub(super) struct Memory {
    pub buffers: BufPool,
    /// The buffer in which every session reads and frames. It holds nothing between two steps.
    scratch: Box<[u8]>,
    /// The head that is being written, before it is queued.
    head: Vec<u8>,
    /// The maximum number of bytes of heads that may wait in one buffer.
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

    /// Adopts a new configuration. Buffers never shrink, because exchanges of earlier
    /// configurations need the size they began with.
    pub(super) fn update(&mut self, config: &Config, portions: &Portions) {
        self.head_room = self.head_room.max(head_room(config, portions));
        let largest = largest_buffer(self.head_room, portions);
        if largest > self.buffers.largest() {
            self.buffers.grow(largest);
            self.scratch = vec![0; HEADROOM + largest + TAILROOM].into_boxed_slice();
        }
        self.buffers.limit(config.server.max_held_bytes);
    }

    /// The largest head that can be forwarded, in bytes.
    pub(super) const fn head_room(&self) -> usize {
        self.head_room
    }

    /// Returns the parts that a pipe works with, and an empty buffer for a head.
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

/// The size of the largest buffer. It holds heads, or a relayed portion with its framing and
/// trailers, or a chunk of a log, followed by a local reply, or by a locally written head and its
/// events.
fn largest_buffer(head_room: usize, portions: &Portions) -> usize {
    let relayed = portions.high_water.max(portions.window_max);
    let portion = (relayed + HEADROOM + TAILROOM + TRAILERS_MAX).max(event_log::CHUNK_MAX);
    head_room.max(portion + REPLY_MAX) + OWN_EVENTS_MAX
}

/// The room for a rewritten head, for what may be pending before it (interim responses), and for a
/// local reply after it. Rewriting adds the target's path and host, the client's address and host
/// (which may be as long as the head), the path by which the client reaches a server to both
/// location fields, the fields of [`ADDED_MAX`], and the configured ones. It makes lists longer by
/// half.
fn head_room(config: &Config, portions: &Portions) -> usize {
    let target_of = |api: &Api| {
        let query = |t: &config::Target| t.query.as_ref().map_or(0, String::len);
        let length = |t: &config::Target| t.path.len() + query(t) + t.authority.len();
        api.targets.iter().map(length).max().unwrap_or(0)
    };
    let targets = config.apis.iter().map(target_of).max().unwrap_or(0);
    let passed = |api: &Api| if api.forward_auth.is_some() { PASSED_MAX } else { 0 };
    let changes_of =
        |api: &Api| (api.request_headers.bytes() + passed(api)).max(api.response_headers.bytes());
    let changes = config.apis.iter().map(changes_of).max().unwrap_or(0);
    let before = portions.high_water.max(config.server.max_head_bytes);
    // The prefix removed by a proxy in front is no longer than a target may be.
    let redirects_of = |api: &Api| match api.rewrite_redirects {
        true => 2 * (config.server.max_target_bytes + api.listen_path.len()),
        false => 0,
    };
    let redirects = config.apis.iter().map(redirects_of).max().unwrap_or(0);
    let received = config.server.max_head_bytes;
    let head = received + received / 2 + targets + redirects + changes + ADDED_MAX;
    before + head.max(HEADROOM + TAILROOM + TRAILERS_MAX) + REPLY_MAX
}
