//! The results of a step: the one vocabulary in which steps, deadlines and actions speak to the
//! loop in [`super::advance`].

use crate::admin::Ask;
use crate::admin::answer::Answer;
use crate::config::Failed;
use crate::exchange::{Exchange, LocalReply};
use crate::http::head::HeadSearch;
use crate::pool::Search;
use crate::telemetry::{Failure, Outcome, Veto};
use std::io;
use std::rc::Rc;

/// The result of a step.
#[derive(Debug)]
pub(crate) enum Next {
    /// Something changed. There may be more to do.
    Moved,
    /// Nothing can be done before an event or a deadline.
    Blocked,
    /// Something changed, and nothing more can be done before an event or a deadline.
    Settled,
    /// Perform this action for the exchange.
    Do(Action),
    /// Let the session read the log of the stream that it asks for.
    Share,
    /// Let the session go on with the log that others read.
    Settle,
    /// The upstream has answered. Streams that wait for it may ask again soon.
    WakeWaiting,
    /// There is no descriptor for an upstream connection. Close another connection and go on
    /// connecting.
    FreeDescriptor(Search, io::Error),
    /// The PROXY header has come, and TLS is spoken behind it.
    ShakeHands,
    /// The PROXY header was not complete in time.
    TimeOutProxyHeader,
    /// The TLS handshake with the client was not over in time.
    TimeOutHandshake,
    /// What comes before requests is over.
    Fresh,
    /// The request head was not complete in time.
    TimeOutHead,
    /// A request head has begun to arrive and was searched this far.
    Head(HeadSearch),
    /// An exchange begins, with a first action if there is one.
    Begin(Box<Exchange>, Option<Action>),
    /// An exchange of the admin listener begins, with the request or, if that was refused, the
    /// answer.
    BeginAdmin(Box<Exchange>, Result<Ask, Answer>),
    /// The exchange is over, and the client may send another request.
    Idle,
    /// The exchange is over. Shut down our side of the client's connection and read on for a while.
    Linger,
    /// Close the client's connection.
    Close,
    /// Reset the client's connection, so that the response does not look complete.
    Abort,
}

/// Something to do for an exchange. It concerns no other session.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask this about the request before anything is done for it.
    Authorize(Rc<[u8]>),
    /// Act on the answer.
    Judged,
    /// Find a connection for the request, for the first time or because it is its turn.
    Connect,
    /// Read the log of an upstream stream that others read, too, or begin one.
    Share,
    /// Go on with the log that others read, too, because the client's own stream is quiet.
    Settle,
    /// End sharing, because the answer is not for everybody.
    Veto(Veto),
    /// Ask the upstream of an event stream again.
    AskAgain,
    /// Give up the address that is being connected to.
    TimeOutConnect,
    /// Connecting has succeeded or failed.
    Connected(io::Result<()>),
    /// Send the request again, if that is safe, because a reused connection brought no response.
    SendAgain,
    /// Send the request to another target after this failure.
    AskAnother(Failed),
    /// Give up sending the request, because the upstream stopped reading it.
    GiveUpRequest,
    /// Note that the upstream has answered.
    NoteAnswer,
    /// Note that an event stream or a tunnel is open.
    Open,
    /// Return the upstream's connection, because the response was read to its end.
    Release,
    /// Send a heartbeat to a client that was sent nothing for a while.
    Heartbeat,
    /// Handle an event stream whose upstream was silent, or sent no event, for too long.
    StreamSilent(Outcome),
    /// Resume an event stream that lost its upstream for this reason.
    Resume(Failure),
    /// Open an event stream although the upstream has not answered yet.
    AnswerEarly,
    /// End an event stream that was opened early, because the upstream failed for this reason.
    EndEarly(LocalReply),
    /// Wait before the upstream of an event stream is asked again.
    AskLater,
    /// End the exchange, because it has expired.
    Expire,
    /// Ask again whether what is open may stay.
    Recheck,
    /// End an event stream between two events.
    EndStream(Outcome),
    /// End a stream whose upstream does not let the waiting page read its response.
    Withhold,
    /// Handle a failed upstream: send this reply, or what `on_outage` says instead.
    Fail(LocalReply),
    /// Send this reply.
    Reply(LocalReply),
    /// Send the client to this URL.
    Redirect(Box<str>),
    /// Answer a request for an event stream that has no upstream with an empty stream that tells
    /// the client when to reconnect.
    ReplyWithRetry(LocalReply),
    /// Open an event stream that has no upstream yet, and wait for one.
    Hold(LocalReply),
    /// Send what was taken of a response that cannot be completed, and then cut it.
    Cut(Outcome),
    /// Cut a stream whose upstream broke off for all who read it, behind when to come back.
    CutShared,
    /// End the exchange and the client's connection.
    End(Outcome),
    /// End the exchange, because the last byte of its response is out.
    Finish,
}

impl Next {
    /// Ends the exchange and the client's connection.
    pub(super) const fn end(outcome: Outcome) -> Next {
        Next::Do(Action::End(outcome))
    }

    /// Fails the upstream of the exchange before it has responded.
    pub(super) const fn fail(reply: LocalReply) -> Next {
        Next::Do(Action::Fail(reply))
    }
}
