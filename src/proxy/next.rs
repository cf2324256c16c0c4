//! The results of a step: the one vocabulary in which steps, deadlines and actions talk to the loop
//! in [`super::advance`].

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
    /// Let the session continue with the shared log.
    Settle,
    /// The upstream has answered. Streams that wait for it may ask again soon.
    WakeWaiting,
    /// There is no descriptor for an upstream connection. Close another connection and continue
    /// connecting.
    FreeDescriptor(Search, io::Error),
    /// The PROXY header has arrived, and a TLS handshake follows.
    ShakeHands,
    /// The PROXY header was not complete in time.
    TimeOutProxyHeader,
    /// The TLS handshake with the client did not finish in time.
    TimeOutHandshake,
    /// The session is ready for its first request.
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

/// An action for an exchange. It affects no other session.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask the auth server this question before anything else is done for the request.
    Authorize(Rc<[u8]>),
    /// Act on the auth server's verdict.
    Judged,
    /// Find a connection for the request, for the first time or because its turn in the queue has
    /// come.
    Connect,
    /// Read the log of a shared upstream stream, or begin one.
    Share,
    /// Continue with the shared log, because the client's own stream is quiet.
    Settle,
    /// Stop sharing, because the response must not be shared.
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
    /// Return the upstream connection, because the response was read to its end.
    Release,
    /// Send a heartbeat to a client that has been sent nothing for a while.
    Heartbeat,
    /// Handle an event stream whose upstream was silent, or sent no event, for too long.
    StreamSilent(Outcome),
    /// Resume an event stream that lost its upstream for this reason.
    Resume(Failure),
    /// Open an event stream although the upstream has not answered yet.
    AnswerEarly,
    /// End an event stream that was answered early, because the upstream failed for this reason.
    EndEarly(LocalReply),
    /// Wait before the upstream of an event stream is asked again.
    AskLater,
    /// End the exchange, because it has expired.
    Expire,
    /// Ask the auth server again whether an open stream or tunnel may stay.
    Recheck,
    /// End an event stream between two events.
    EndStream(Outcome),
    /// End a stream whose upstream does not let the waiting page read its response.
    Withhold,
    /// Handle a failed upstream: send this reply, or what `on_outage` says instead.
    Fail(LocalReply),
    /// Send this reply.
    Reply(LocalReply),
    /// Redirect the client to this URL.
    Redirect(Box<str>),
    /// Answer a request for an event stream that has no upstream with an empty stream that tells
    /// the client when to reconnect.
    ReplyWithRetry(LocalReply),
    /// Open an event stream that has no upstream yet, and wait for one.
    Hold(LocalReply),
    /// Send what was received of a response that cannot be completed, and then cut it.
    Cut(Outcome),
    /// Cut a stream that the upstream broke off for all its readers, after telling when to come
    /// back.
    CutShared,
    /// End the exchange and the client's connection.
    End(Outcome),
    /// End the exchange, because the last byte of its response was sent.
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
