//! How often a request may be sent.

use super::origin::Origin;
use super::plan::Plan;
use super::terms::Terms;
use millstream::testing::{Failed, RetryOn};
use std::collections::BTreeMap;

/// Judges how often origins have received each request.
///
/// # Errors
/// If one of them was sent too often.
pub(crate) fn judge(plans: &[Plan], origins: &[Origin], terms: Terms) -> Result<(), String> {
    let several = terms.retries.is_some();
    for plan in plans {
        let mut times = BTreeMap::<_, usize>::new();
        for origin in origins {
            // One target with two addresses, or two targets.
            let target = if several { origin.address } else { 0 };
            for (place, _) in (0_u32..).zip(&origin.seen).filter(|(_, id)| **id == plan.id) {
                *times.entry((target, place == 0)).or_default() += 1;
            }
        }
        // Once, or once to each target if the operator allows it; and twice that if a reused
        // connection may have been closed without a response.
        let most = 1 + usize::from(terms.retries.is_some_and(RetryOn::repeats));
        let breaks = terms.retries.is_some_and(|retries| retries.has(Failed::BadGateway));
        let most = if breaks { 2 * most } else { most };
        if plan.once() && times.values().sum::<usize>() > most {
            return Err(format!("sent more than {most} times: {plan:?}"));
        }
        // Once to each target, and once more after a reused connection was closed without a
        // response.
        if plan.is_no_stream() && times.values().any(|times| *times > 1) {
            return Err(format!("a target is asked again, {times:?}: {plan:?}"));
        }
    }
    Ok(())
}
