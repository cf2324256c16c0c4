//! A request on its way to the upstream: a pipe while any of it may still move, and next to nothing
//! from then on. Most requests are over before their responses begin, and those may last for days.

use crate::buf::BufPool;
use crate::http::fields::Names;
use crate::http::framing::BodyLength;
use crate::pipe::{Flow, Pipe};
use crate::time::Tick;

/// The direction from the client to the upstream. See the module.
#[derive(Debug)]
pub enum Upload {
    /// Some of it may still move. Next: `Over`.
    Moving(Box<Pipe>),
    /// Nothing is read or written any more.
    Over {
        /// Payload that was taken from the client.
        taken: u64,
        /// True exactly when the client's body was taken to its end.
        complete: bool,
        /// True exactly when all of it went out.
        through: bool,
    },
}

// On 32-bit hosts it is smaller.
const _: () = assert!(size_of::<Upload>() <= 16);

impl Upload {
    /// A request whose body has this `length`, `body_max` bytes at most, and none of whose head has
    /// been sent. Fields of its
    /// trailer section that have these names are dropped.
    pub fn new(
        length: BodyLength,
        body_max: u64,
        dropped_trailers: Option<Box<Names>>,
        now: Tick,
    ) -> Upload {
        if length.is_empty() {
            return Upload::untaken(length);
        }
        let mut pipe = Pipe::request(length, body_max, now);
        pipe.drop_trailers(dropped_trailers);
        Upload::Moving(Box::new(pipe))
    }

    /// Sends the head, in front of the body. A request without a body may be sent again.
    pub fn send_head(&mut self, head: &[u8], buffers: &mut BufPool, now: Tick) {
        if matches!(self, Upload::Over { .. }) {
            let pipe = Pipe::request(BodyLength::Empty, 0, now);
            *self = Upload::Moving(Box::new(pipe));
        }
        if let Upload::Moving(pipe) = self {
            pipe.queue(head, buffers, now);
            pipe.restart_clocks(now);
        }
    }

    /// A request with a body of `length` that no upstream gets: nothing of that is taken.
    pub const fn untaken(length: BodyLength) -> Upload {
        Upload::Over { taken: 0, complete: length.is_empty(), through: false }
    }

    /// The pipe, unless it is over.
    pub fn pipe(&self) -> Option<&Pipe> {
        match self {
            Upload::Moving(pipe) => Some(pipe),
            Upload::Over { .. } => None,
        }
    }

    /// As [`Upload::pipe`], to move it.
    pub fn pipe_mut(&mut self) -> Option<&mut Pipe> {
        match self {
            Upload::Moving(pipe) => Some(pipe),
            Upload::Over { .. } => None,
        }
    }

    /// Payload taken from the client so far.
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

    /// True when nothing more will be taken from the client, whether its body has ended or not.
    pub fn source_done(&self) -> bool {
        self.pipe().is_none_or(|pipe| pipe.outlet.flow() != Flow::Open)
    }

    /// True exactly when the client's body was taken to its end: what follows on the connection is
    /// the next request.
    pub fn source_complete(&self) -> bool {
        match self {
            Upload::Moving(pipe) => pipe.intake.is_complete(),
            Upload::Over { complete, .. } => *complete,
        }
    }

    /// True when all of it went out.
    pub fn through(&self) -> bool {
        match self {
            Upload::Moving(pipe) => pipe.outlet.flow() == Flow::Finished,
            Upload::Over { through, .. } => *through,
        }
    }

    /// Bytes that the upstream has not taken yet.
    pub fn pending(&self) -> usize {
        self.pipe().map_or(0, Pipe::pending)
    }

    /// Gives up the pipe if it has nothing more to do.
    pub fn settle(&mut self) {
        if let Upload::Moving(pipe) = self
            && pipe.outlet.flow().is_over()
        {
            *self = Upload::Over {
                taken: pipe.intake.taken(),
                complete: pipe.intake.is_complete(),
                through: pipe.outlet.flow() == Flow::Finished,
            };
        }
    }

    /// Nothing more is read or written.
    pub fn abandon(&mut self, buffers: &mut BufPool) {
        if let Upload::Moving(pipe) = self {
            pipe.abandon(buffers);
        }
        self.settle();
    }
}
