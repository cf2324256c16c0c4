//! Keys of an api that, because of other keys, have no effect, or another one than is probably
//! meant.

use crate::config::file::{KEEPALIVE_UPSTREAM, RESPONSE_TIMEOUT, RESUME_TIMEOUT};
use crate::config::tables::health::FAIL_TIMEOUT;
use crate::config::tables::share::SETTLE;
use crate::config::{Api, Compression, Failed, Ids, Join, KnownBy, OnGap, OnOutage, Resume};
use crate::config::{StreamKind, Streams, Target};
use crate::http::fields::is_named;
use std::time::Duration;

/// Keys that have no effect.
pub(crate) fn keys(api: &Api) -> impl Iterator<Item = String> {
    let all = retries(api)
        .into_iter()
        .chain(kinds(api))
        .chain(health(api))
        .chain(kept(api))
        .chain(lost(api))
        .chain(share(api));
    all.filter(|(is_vain, _)| *is_vain).map(|(_, what)| what.to_owned())
}

/// Warnings about retries, each with whether it applies.
fn retries(api: &Api) -> [(bool, &'static str); 3] {
    let repeats = api.retry_on.repeats();
    let is_alone = repeats && !api.has_several_targets();
    let waits = api.retry_on.has(Failed::FirstEventTimeout) && !is_alone;
    [
        (is_alone, "retry_on has no effect: target_url is the only target"),
        (
            waits && api.streams.first_event_timeout.is_none(),
            "retry_on: \"first_event_timeout\" has no effect without that key",
        ),
        (
            api.retry_body > 0 && !repeats,
            "retry_body has no effect: retry_on lists nothing after which a body is sent again",
        ),
    ]
}

/// Warnings about the health of targets, each with whether it applies.
fn health(api: &Api) -> [(bool, &'static str); 6] {
    let is_alone = api.targets.len() == 1;
    let health = &api.health;
    let is_changed = |(max_fails, fail_timeout)| {
        health.max_fails != max_fails || health.fail_timeout != fail_timeout
    };
    let has_name = api.targets.iter().any(Target::has_name);
    let default = (Some(1), FAIL_TIMEOUT);
    let is_single = is_alone && !has_name;
    [
        (
            is_single && api.sticky.is_some(),
            "sticky has no effect: target_url is the only target, and has one address",
        ),
        (
            is_alone && api.target().weight > 1,
            "weight has no effect: target_url is the only target",
        ),
        (
            is_alone && is_changed(default),
            "max_fails and fail_timeout have no effect: target_url is the only target",
        ),
        (
            !is_alone && health.max_fails.is_none() && health.fail_timeout != FAIL_TIMEOUT,
            "fail_timeout has no effect: max_fails is 0",
        ),
        (
            is_single && health.checks.is_some(),
            "health_path decides nothing: target_url is the only target, and is asked in any case",
        ),
        (
            health.has_vain_keys,
            "health_interval, health_timeout, health_passes and health_fails have no effect \
            without health_path",
        ),
    ]
}

/// Warnings about connections that are kept idle, each with whether it applies.
fn kept(api: &Api) -> [(bool, &'static str); 1] {
    let is_changed = !matches!(api.keepalive_upstream, 0 | KEEPALIVE_UPSTREAM);
    [(
        api.send_proxy && is_changed,
        "keepalive_upstream has no effect: with send_proxy no connection is used twice",
    )]
}

/// Warnings about fields of responses that `sticky` needs and clients do not get, each with whether
/// it applies.
fn lost(api: &Api) -> [(bool, &'static str); 3] {
    let by = api.sticky.as_ref().map(|sticky| &sticky.by);
    let (has_field, has_cookie) =
        (matches!(by, Some(KnownBy::Field(_))), matches!(by, Some(KnownBy::Cookie(_))));
    let is_early = api.streams.early_answer.is_some();
    [
        (
            is_early && has_field,
            "early_answer: a client that is answered early does not get the field that sticky \
            needs",
        ),
        (
            is_early && has_cookie,
            "early_answer: a client that is answered early does not get the cookie that sticky \
            needs",
        ),
        (
            api.streams.on_outage == OnOutage::Hold && has_cookie,
            "on_outage: a client that is held does not get the cookie that sticky needs",
        ),
    ]
}

/// Warnings about shared streams, each with whether it applies.
fn share(api: &Api) -> Vec<(bool, &'static str)> {
    let Some(share) = &api.share else { return Vec::new() };
    let is_own = |field: &str| ["Cookie", "Authorization"].iter().any(|own| is_named(field, own));
    let begins_fresh = share.join == Join::Fresh || share.on_gap == OnGap::Join(Join::Fresh);
    let forwards = api.auth.as_ref().is_some_and(|auth| auth.forward);
    vec![
        (api.sticky.is_some(), "share has no effect: with sticky, each client has its own stream"),
        (api.send_proxy, "share has no effect: with send_proxy, each client has its own stream"),
        (
            api.forward_auth.is_some(),
            "share has no effect: with auth.url, each client has its own stream",
        ),
        (
            api.streams.compression == Compression::Pass,
            "share has no effect: compression is \"pass\", so each client has its own stream",
        ),
        (
            api.streams.kind == Some(StreamKind::Answer),
            "share has no effect: it is for subscriptions, and kind is \"answer\"",
        ),
        (
            forwards && !share.per_key,
            "share has no effect: auth.forward sends each client's key upstream; set share.per_key",
        ),
        (
            share.headers.iter().any(|field| is_own(field)),
            "share.headers lists Cookie or Authorization, so nearly each client has its own stream",
        ),
        (
            share.per_key && api.auth.is_none(),
            "share.per_key shares among all who show no certificate: there is no [api.auth]",
        ),
        (
            !begins_fresh && share.settle != SETTLE,
            "share.settle has no effect: neither share.join nor share.on_gap is \"fresh\"",
        ),
        (
            share.ids == Ids::Own && share.on_gap == OnGap::End,
            "share.on_gap is \"end\" and share.ids \"own\": no client that comes back after a \
            restart is served",
        ),
    ]
}

/// Warnings about keys for streams of another kind, each with whether it applies.
fn kinds(api: &Api) -> [(bool, &'static str); 5] {
    let streams = &api.streams;
    let are_answers = streams.kind == Some(StreamKind::Answer);
    [
        (
            streams.kind == Some(StreamKind::Subscription) && streams.end_event.is_some(),
            "end_event has no effect: it is for answers, and kind is \"subscription\"",
        ),
        (
            are_answers && streams.max_age.is_some(),
            "max_stream_age has no effect: it is for subscriptions, and kind is \"answer\"",
        ),
        (
            are_answers && streams.on_outage != OnOutage::Error,
            "on_outage has no effect: it is for subscriptions, and kind is \"answer\"",
        ),
        (
            are_answers && streams.resume == Resume::Always,
            "resume = \"always\" means true: \"always\" is for subscriptions, and kind is \
            \"answer\"",
        ),
        (
            streams.resume == Resume::Never
                && api.share.is_none()
                && streams.resume_timeout != RESUME_TIMEOUT,
            "resume_timeout has no effect without resume",
        ),
    ]
}

/// Times that may have no effect because another one ends before: a GET for a stream and a POST
/// have different limits, and it is not known which of them clients send.
pub(crate) fn times(api: &Api) -> impl Iterator<Item = String> {
    let limits = [
        ("POST", "response_timeout", api.response_timeout),
        ("GET", "stream_response_timeout", api.streams.response_timeout),
    ];
    let early = move |(method, key, limit): (&str, &str, Option<Duration>)| {
        let (early, limit) = (api.streams.early_answer?, limit?);
        if limit <= early {
            let what = format!("no {method} is answered early, because {key} is over before");
            return Some(format!("early_answer: {what}"));
        }
        // A limit other than the default was probably chosen on purpose.
        (limit == RESPONSE_TIMEOUT).then(|| {
            format!("early_answer: the upstream has no more than {key} for a {method} all the same")
        })
    };
    let event = move |(method, key, limit): (&str, &str, Option<Duration>)| {
        let late = limit? <= api.streams.first_event_timeout?;
        let waits = api.retry_on.has(Failed::FirstEventTimeout) && api.has_several_targets();
        (waits && late).then(|| {
            format!(
                "retry_on: no other target is asked for the first event of a {method}, because \
                {key} is over before first_event_timeout"
            )
        })
    };
    let Streams { early_answer, first_event_timeout, .. } = api.streams;
    let first = early_answer.zip(first_event_timeout).filter(|(early, first)| first <= early);
    let first = first.map(
        |_| "early_answer: nothing is answered early, because first_event_timeout is over before",
    );
    limits
        .into_iter()
        .filter_map(early)
        .chain(limits.into_iter().filter_map(event))
        .chain(first.map(str::to_owned))
}
