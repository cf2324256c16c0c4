//! How often a request may be sent.

use super::origin::Origin;
use super::plan::Plan;
use super::terms::Terms;
use millstream::testing::{Failed, RetryOn};
use std::collections::BTreeMap;

/// Judges how often origins have seen each request.
///
/// # Errors
/// One of them too often.
pub(crate) fn judge(plans: &[Plan], origins: &[Origin], terms: Terms) -> Result<(), String> {
    let several = terms.retries.is_some();
    for plan in plans {
        let mut times = BTreeMap::<_, usize>::new();
        for origin in origins {
            // One place with two addresses, or two places.
            let target = if several { origin.address } else { 0 };
            for (place, _) in (0_u32..).zip(&origin.seen).filter(|(_, id)| **id == plan.id) {
                *times.entry((target, place == 0)).or_default() += 1;
            }
        }
        // Each of the targets once, if the operator has said so; and once more if one may have
        // broken off, on a connection that was used before.
        let most = 1 + usize::from(terms.retries.is_some_and(RetryOn::repeats));
        let breaks = terms.retries.is_some_and(|retries| retries.has(Failed::BadGateway));
        let most = if breaks { 2 * most } else { most };
        if plan.once() && times.values().sum::<usize>() > most {
            return Err(format!("sent more than {most} times: {plan:?}"));
        }
        // Each target once, and once more if nobody answered on a connection that was used before.
        if plan.is_no_stream() && times.values().any(|times| *times > 1) {
            return Err(format!("a target is asked again, {times:?}: {plan:?}"));
        }
    }
    Ok(())
}
