//! The state of asking an auth server whether to let a request in (`auth.url`), and what is kept to
//! ask again while the request is served.

use super::LocalReply;
use crate::pool::Owner;
use crate::telemetry::Answered;
use std::cell::Cell;
use std::rc::Rc;

/// A question about a request.
#[derive(Debug)]
pub struct Authorizing {
    /// The auth request that asks it.
    pub request: Owner,
    /// The auth request without its destination.
    pub question: Rc<[u8]>,
    /// The answer, once it has arrived.
    pub verdict: Option<Verdict>,
}

/// What an auth server says about a request, or that it says nothing.
#[derive(Debug)]
pub enum Verdict {
    /// It is let in, with these field lines added to its head, each with its CRLF.
    LetIn(Box<[u8]>),
    /// It is refused, with this reply and these fields.
    Refused(LocalReply, Vec<(&'static str, String)>),
    /// There is no answer, so it gets this reply.
    Failed(LocalReply),
}

impl Verdict {
    /// How the verdict is counted.
    pub const fn answered(&self) -> Answered {
        match self {
            Verdict::LetIn(_) => Answered::LetIn,
            Verdict::Refused(..) => Answered::Refused,
            Verdict::Failed(_) => Answered::Failed,
        }
    }
}

/// What is known about a request that an auth server has let in.
#[derive(Debug)]
pub struct LetIn {
    /// The question, if it will be asked again and there is room for it.
    pub question: Option<Kept>,
}

/// A kept question, counted for as long as it is kept.
#[derive(Debug)]
pub struct Kept {
    question: Rc<[u8]>,
    bytes: Rc<Cell<usize>>,
}

impl Kept {
    /// Keeps a question and adds its length to `bytes`.
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
