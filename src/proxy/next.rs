//! What a step of a session comes to: the one vocabulary in which steps, deadlines and actions
//! speak to the loop in [`super::advance`].

use crate::admin::Ask;
use crate::admin::answer::Answer;
use crate::exchange::{Exchange, LocalReply};
use crate::http::head::HeadSearch;
use crate::pool::Search;
use crate::telemetry::{Failure, Outcome};
use std::io;

/// What a step came to.
#[derive(Debug)]
pub(super) enum Next {
    /// Something changed: there may be more to do.
    Moved,
    /// Nothing can be done before an event or a deadline.
    Blocked,
    /// Something changed, and it is plain that nothing more can be done before then.
    Settled,
    /// This is to be done for the exchange.
    Do(Action),
    /// The upstream has answered: streams that wait for it may ask again soon.
    WakeWaiting,
    /// There is no descriptor for a connection to an upstream: another one is closed, and
    /// connecting goes on.
    FreeDescriptor(Search, io::Error),
    /// The request head has not come to its end in time.
    TimeOutHead,
    /// A request head has begun to arrive, and was searched so far.
    Head(HeadSearch),
    /// An exchange begins, perhaps with something to be done for it.
    Begin(Box<Exchange>, Option<Action>),
    /// The operator's exchange begins, who asks this, or gets this answer.
    BeginAdmin(Box<Exchange>, Result<Ask, Answer>),
    /// The exchange is over, and the client may ask again.
    Idle,
    /// The exchange is over: our side of the client's connection ends, and we listen for a while.
    Linger,
    /// The client's connection is closed.
    Close,
    /// The client's connection is reset: what it was sent must not look complete.
    Abort,
}

/// What is to be done for an exchange. It concerns no other session.
#[derive(Debug)]
pub(super) enum Action {
    /// A connection is found for its request: the first time, or for the rest of an event stream.
    Connect,
    /// The address that is being connected to had its time.
    TimeOutConnect,
    /// Connecting has come to this.
    Connected(io::Result<()>),
    /// A reused connection brought no answer: the request is sent again, if that is safe.
    SendAgain,
    /// The upstream takes nothing of the request.
    GiveUpRequest,
    /// The upstream has answered.
    NoteAnswer,
    /// What is open for as long as its ends like, is open from here on.
    Open,
    /// The upstream has said all: its connection is given back.
    Release,
    /// A client that was sent nothing for a while is sent a comment.
    Heartbeat,
    /// An event stream's upstream has been silent for too long.
    StreamSilent,
    /// An event stream has lost its upstream, for this reason, and can be resumed.
    Resume(Failure),
    /// An event stream without an upstream waits before the upstream is asked again.
    AskLater,
    /// The moment has come at which the exchange is to end.
    Expire,
    /// An event stream ends between two events.
    EndStream(Outcome),
    /// The upstream's answer is not for the page that waits for it.
    Withhold,
    /// No answer of an upstream can be had. This is the reply, unless the client is spared it.
    Fail(LocalReply),
    /// This is the reply.
    Reply(LocalReply),
    /// There is no upstream for an event stream: its client is told when to come back.
    ReplyWithRetry(LocalReply),
    /// There is no upstream for an event stream: it is opened, and waits for one.
    Hold(LocalReply),
    /// The response cannot be completed: what was taken of it goes out, and then it is cut.
    Cut(Outcome),
    /// It is over, and so is the client's connection.
    End(Outcome),
    /// The last byte of the response is out.
    Finish,
}

impl Next {
    /// The exchange ends, and with it the client's connection.
    pub(super) const fn end(outcome: Outcome) -> Next {
        Next::Do(Action::End(outcome))
    }

    /// An upstream cannot be had, or has failed before its answer.
    pub(super) const fn fail(reply: LocalReply) -> Next {
        Next::Do(Action::Fail(reply))
    }
}
