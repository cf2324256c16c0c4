//! The upload of a request: a pipe while any of it may still move, and very little afterwards. Most
//! requests are complete before their responses begin, and those may last for days.

use crate::buf::BufPool;
use crate::conn::{Conn, Written};
use crate::http::fields::Names;
use crate::http::framing::BodyLength;
use crate::net::Net;
use crate::pipe::{Flow, Io, Pipe};
use crate::time::Tick;

/// The direction from the client to the upstream. See the module docs.
#[derive(Debug)]
pub enum Upload {
    /// Part of the request may still move. Next: `Over`.
    Moving(Box<Pipe>),
    /// Nothing more is read or written.
    Over {
        /// The payload bytes taken from the client.
        taken: u64,
        /// True if the client's body was read to its end.
        complete: bool,
        /// True if the whole request was sent.
        sent: bool,
        /// True if the body asked for an event stream.
        asked_for_stream: bool,
    },
}

// It is smaller on 32-bit hosts.
const _: () = assert!(size_of::<Upload>() <= 16);

impl Upload {
    /// Creates the upload of a request whose body has this `length`, at most `body_max` bytes. Its
    /// head has not been sent. Trailer fields with the names in `dropped_trailers` are dropped.
    pub fn new(
        length: BodyLength,
        body_max: u64,
        dropped_trailers: Option<Box<Names>>,
        now: Tick,
    ) -> Upload {
        if length.is_empty() {
            return Upload::unread(length);
        }
        let mut pipe = Pipe::request(length, body_max, now);
        pipe.drop_trailers(dropped_trailers);
        Upload::Moving(Box::new(pipe))
    }

    /// Keeps the body, if it has at most `max` bytes, so that it can be sent again. It is framed as
    /// `length`.
    pub fn keep_body(&mut self, length: BodyLength, max: usize) {
        if let Upload::Moving(pipe) = self {
            pipe.intake.keep(length, max);
        }
    }

    /// True if all of the body that has passed so far can be sent again.
    pub fn keeps_body(&self) -> bool {
        self.pipe().is_some_and(|pipe| pipe.intake.keeps_all())
    }

    /// Forgets the kept body: it will not be sent again, but what is in transit still arrives.
    pub fn forget_body(&mut self, buffers: &mut BufPool) {
        match self {
            Upload::Moving(pipe) if pipe.outlet.flow().is_over() => pipe.intake.stop(buffers),
            Upload::Moving(pipe) => pipe.intake.forget_kept(buffers),
            Upload::Over { .. } => {}
        }
    }

    /// Prepares to send the request again, from its beginning. Next: [`Upload::send_head`].
    pub fn repeat(&mut self, buffers: &mut BufPool, now: Tick) {
        match self {
            Upload::Moving(pipe) if pipe.intake.keeps_all() => pipe.repeat_request(buffers, now),
            Upload::Moving(_) | Upload::Over { .. } => self.abandon(buffers),
        }
    }

    /// Queues the head in front of the body. A head without a body is sent at once, and only what
    /// the upstream does not accept is queued. This may be done again.
    pub fn send_head<N: Net>(&mut self, head: &[u8], upstream: &mut Conn, io: &mut Io<'_, N>) {
        let mut rest = head;
        if matches!(self, Upload::Over { .. }) {
            match upstream.write_if_ready(io.net, head) {
                Written::Bytes(n) => rest = &head[n..],
                Written::Blocked => {}
                // The upstream may have responded before the connection broke.
                Written::Broken => return *self = Upload::unread(BodyLength::Empty),
            }
            *self = if rest.is_empty() {
                Upload::Over { taken: 0, complete: true, sent: true, asked_for_stream: false }
            } else {
                Upload::Moving(Box::new(Pipe::request(BodyLength::Empty, 0, io.now)))
            };
        }
        if let Upload::Moving(pipe) = self {
            pipe.queue(rest, io.buffers, io.now);
            pipe.restart_clocks(io.now);
        }
    }

    /// Starts passing on whatever the client sends after its request: the two sides now speak
    /// another protocol.
    pub fn begin_tunnel(&mut self, now: Tick) {
        if matches!(self, Upload::Over { sent: true, .. }) {
            *self = Upload::Moving(Box::new(Pipe::request(BodyLength::Empty, 0, now)));
        }
        if let Upload::Moving(pipe) = self {
            pipe.begin(BodyLength::UntilClose, BodyLength::UntilClose, now);
        }
    }

    /// Creates the upload of a request that goes to no upstream. A body of `length` is not read.
    pub const fn unread(length: BodyLength) -> Upload {
        let complete = length.is_empty();
        Upload::Over { taken: 0, complete, sent: false, asked_for_stream: false }
    }

    /// The pipe, unless the upload is over.
    pub fn pipe(&self) -> Option<&Pipe> {
        if let Upload::Moving(pipe) = self { Some(pipe) } else { None }
    }

    /// Mutable [`Upload::pipe`].
    pub fn pipe_mut(&mut self) -> Option<&mut Pipe> {
        if let Upload::Moving(pipe) = self { Some(pipe) } else { None }
    }

    /// The payload bytes taken from the client so far.
    pub fn taken(&self) -> u64 {
        match self {
            Upload::Moving(pipe) => pipe.intake.taken(),
            Upload::Over { taken, .. } => *taken,
        }
    }

    /// True when nothing more will be read or written.
    pub fn done(&self) -> bool {
        self.pipe().is_none_or(|pipe| pipe.outlet.flow().is_over())
    }

    /// True when nothing more will be read from the client, whether or not its body has ended.
    pub fn source_done(&self) -> bool {
        self.pipe().is_none_or(|pipe| pipe.outlet.flow() != Flow::Open)
    }

    /// True if the body was read to its end, so that the client's next request follows on the
    /// connection.
    pub fn source_complete(&self) -> bool {
        match self {
            Upload::Moving(pipe) => pipe.intake.is_complete(),
            Upload::Over { complete, .. } => *complete,
        }
    }

    /// True when the whole request was sent.
    pub fn sent(&self) -> bool {
        match self {
            Upload::Moving(pipe) => pipe.outlet.flow() == Flow::Finished,
            Upload::Over { sent, .. } => *sent,
        }
    }

    /// Looks for the member with which a JSON body asks for an event stream.
    pub fn watch_stream_member(&mut self) {
        if let Upload::Moving(pipe) = self {
            pipe.intake.watch_stream_member();
        }
    }

    /// True if the part of the body that has passed asks for an event stream.
    pub fn asks_for_stream(&self) -> bool {
        match self {
            Upload::Moving(pipe) => pipe.intake.has_stream_member(),
            Upload::Over { asked_for_stream, .. } => *asked_for_stream,
        }
    }

    /// The bytes that the upstream has not accepted yet.
    #[cfg(feature = "sim")]
    pub fn pending(&self) -> usize {
        self.pipe().map_or(0, Pipe::pending)
    }

    /// Frees the pipe if it has nothing more to do.
    pub fn settle(&mut self) {
        if let Upload::Moving(pipe) = self
            && pipe.outlet.flow().is_over()
        {
            *self = Upload::Over {
                taken: pipe.intake.taken(),
                complete: pipe.intake.is_complete(),
                sent: pipe.outlet.flow() == Flow::Finished,
                asked_for_stream: pipe.intake.has_stream_member(),
            };
        }
    }

    /// Stops sending to an upstream that no longer reads. If the body was kept, the request can
    /// still be sent again.
    pub fn stop_sending(&mut self, buffers: &mut BufPool) {
        match self {
            Upload::Moving(pipe) if pipe.intake.keeps_all() => pipe.outlet.abandon(buffers),
            Upload::Moving(_) | Upload::Over { .. } => self.abandon(buffers),
        }
    }

    /// Stops reading and writing.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        if let Upload::Moving(pipe) = self {
            pipe.abandon(buffers);
        }
        self.settle();
    }
}
