//! Invariants that span all event loops of a process, for the simulator.

use crate::exchange::Exchange;
use crate::net::Net;
use crate::proxy::Proxy;

impl<N: Net> Proxy<N> {
    /// Checks what must be true of all event loops between two turns. `on_the_way` says whether
    /// there are messages from one loop to another. Returns what is wrong, if anything is.
    pub fn check_together(
        all: &[&Proxy<N>],
        on_the_way: impl Fn(usize, usize) -> bool,
    ) -> Option<String> {
        let talk = |a, b| on_the_way(a, b) || on_the_way(b, a);
        let lost = all.iter().enumerate().find_map(|(index, proxy)| {
            let feeds = proxy.feeds.tasks.iter();
            let mut feeds = feeds.filter(|(_, feed)| !feed.log.state().is_over());
            feeds.find_map(|(key, feed)| match &feed.mirror {
                Some(mirror) => {
                    let (owner, id) = (mirror.owner(), feed.log.id);
                    let followed =
                        all[owner].feeds.of_id(id).map(|key| &all[owner].feeds.tasks[key]);
                    let is_known = followed
                        .is_some_and(|feed| feed.mirrors.all().any(|link| link == (index, key)));
                    let is_fine = is_known || mirror.has_input() || talk(index, owner);
                    (!is_fine).then(|| format!("mirror {key:?} of loop {index} hears nothing more"))
                }
                None => feed.mirrors.all().find_map(|(event_loop, mirror)| {
                    let is_there = all[event_loop].feeds.tasks.get(mirror).is_some();
                    (!is_there && !talk(index, event_loop))
                        .then(|| format!("feed {key:?} of loop {index} tells nobody"))
                }),
            })
        });
        lost.or_else(|| Self::miscounted_together(all))
    }

    /// A count across all loops that is wrong.
    fn miscounted_together(all: &[&Proxy<N>]) -> Option<String> {
        let clients: usize = all.iter().map(|proxy| proxy.shared.edge.places()).sum();
        let totals = &all[0].shared.edge.totals;
        if clients != totals.clients() {
            return Some(format!("{} places taken, {clients} clients", totals.clients()));
        }
        let exchanges = || {
            let sessions = all.iter().flat_map(|proxy| proxy.tasks.iter());
            sessions.filter_map(|(_, session)| session.exchange())
        };
        let held = |exchange: &Exchange| exchange.caller.as_ref().map_or(0, |c| c.shares.held()[1]);
        let (held, counted) = (exchanges().map(held).sum::<usize>(), totals.key_streams.held());
        if held != counted {
            return Some(format!("{counted} streams of keys counted, {held} open"));
        }
        all[0].shared.apis.in_order().find_map(|(_, state)| {
            let permits = exchanges().filter_map(|exchange| exchange.permit.as_ref());
            let held = permits.filter(|permit| permit.is_of(&state.totals)).count();
            let counted = state.totals.streams();
            (held != counted).then(|| format!("{counted} streams counted, {held} open"))
        })
    }
}
