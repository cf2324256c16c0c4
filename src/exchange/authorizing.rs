//! The state of asking a server whether a request may come in (`auth.url`), and what is kept of
//! that to ask again while it is served.

use super::LocalReply;
use crate::pool::Owner;
use crate::telemetry::Answered;
use std::cell::Cell;
use std::rc::Rc;

/// A question that was asked about a request.
#[derive(Debug)]
pub struct Authorizing {
    /// The request that asks it.
    pub request: Owner,
    /// All that it says but whom it is sent to.
    pub question: Rc<[u8]>,
    /// The answer, once it is there.
    pub verdict: Option<Verdict>,
}

/// What a server says about a request, or that it says nothing.
#[derive(Debug)]
pub enum Verdict {
    /// It is let in, with these field lines, each with its CRLF.
    LetIn(Box<[u8]>),
    /// It is not let in: it gets this reply, with these fields.
    Refused(LocalReply, Vec<(&'static str, String)>),
    /// There is no answer, and so this reply.
    Failed(LocalReply),
}

impl Verdict {
    /// How it is counted.
    pub const fn answered(&self) -> Answered {
        match self {
            Verdict::LetIn(_) => Answered::LetIn,
            Verdict::Refused(..) => Answered::Refused,
            Verdict::Failed(_) => Answered::Failed,
        }
    }
}

/// What is known of a request that a server has let in.
#[derive(Debug)]
pub struct LetIn {
    /// The question, if it is to be asked again and there is room for it.
    pub question: Option<Kept>,
}

/// A question that is kept, and counted for as long as it is.
#[derive(Debug)]
pub struct Kept {
    question: Rc<[u8]>,
    bytes: Rc<Cell<usize>>,
}

impl Kept {
    /// Keeps a question, and counts it in `bytes`.
    pub fn new(question: Rc<[u8]>, bytes: &Rc<Cell<usize>>) -> Kept {
        bytes.set(bytes.get() + question.len());
        Kept { question, bytes: Rc::clone(bytes) }
    }

    /// The question.
    pub const fn question(&self) -> &Rc<[u8]> {
        &self.question
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.bytes.set(self.bytes.get() - self.question.len());
    }
}
