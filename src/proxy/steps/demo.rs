//! Requests to the built-in event source.

use super::head::head_limits;
use crate::access::Told;
use crate::config::Config;
use crate::demo::{self, Events};
use crate::exchange::{Begin, Exchange, Local, LocalReply, RequestFacts, Source, Stage, Upload};
use crate::http::framing::BodyLength;
use crate::http::head::{FieldStore, RequestHead, Version};
use crate::net::Net;
use crate::proxy::next::{Action, Next};
use crate::proxy::shared::Shared;
use crate::telemetry::Cause;
use crate::time::Tick;

/// A valid request for the events of the built-in source.
pub(crate) struct Checked {
    facts: RequestFacts,
    keeps_alive: bool,
}

/// Checks a request head for the built-in source.
pub(crate) fn check_request(bytes: &[u8], config: &Config) -> Result<Checked, LocalReply> {
    let mut store = FieldStore::new();
    let head =
        RequestHead::parse(bytes, &mut store, &head_limits(config)).map_err(LocalReply::of_head)?;
    if head.method != "GET" && !head.is_head() {
        let what = "the built-in source accepts only GET and HEAD";
        let refusal = LocalReply::refused(Cause::Method, 405, what);
        return Err(LocalReply { fields: &[("Allow", "GET, HEAD")], ..refusal });
    }
    if !demo::PATHS.contains(&head.target.path) || !head.length.is_empty() {
        let what = "the built-in source is at /events/";
        return Err(LocalReply::refused(Cause::NotFound, 404, what));
    }
    let facts = RequestFacts::of_local(&head);
    Ok(Checked { facts, keeps_alive: head.persistent && facts.is_head() })
}

/// Begins the exchange of a request to the built-in source.
pub(crate) fn begin<N: Net>(
    checked: Checked,
    told: Told,
    shared: &mut Shared<N>,
    now: Tick,
) -> Next {
    let Checked { facts, keeps_alive } = checked;
    let Shared { net, memory, telemetry, config, .. } = shared;
    let Some(demo) = &config.demo else { return Next::Close };
    let (io, out) = memory.split(net, None, now);
    demo::write_head(out, facts.version == Version::Http11 && !facts.is_head());
    let upload = Upload::unread(BodyLength::Empty);
    let record = telemetry.record(told, false, false);
    let mut exchange = Exchange::new(Begin { facts, keeps_alive, upload, config, record, now });
    if facts.is_head() {
        exchange.reply(200, out, io.buffers, now);
        return Next::Begin(exchange, None);
    }
    let to = BodyLength::untold(facts.version);
    exchange.record.status = 200;
    exchange.response.begin(to, to, now);
    exchange.response.queue(out, io.buffers, now);
    exchange.watch_events();
    let events = Local::Demo(Events::new(now, demo.interval));
    exchange.enter(Stage::Stream, Source::Local(Box::new(events)));
    Next::Begin(exchange, Some(Action::Open))
}
