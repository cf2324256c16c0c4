//! The shared upstream streams, as `/streams` lists them.
//!
//! The clients of a stream may be in several event loops. The loop that has the stream reports its
//! state, and each loop reports the number of its clients.

use super::streams::StreamState;
use crate::access::split;
use crate::digits::Digits;
use crate::json::Json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Maximum number of shared upstream streams in a response, which has those with the most clients.
pub const GROUPS_MAX: usize = 50;

/// A shared upstream stream.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its id.
    pub id: u64,
    /// Its state, from the event loop that has it.
    pub stream: Option<GroupStream>,
    /// The number of its clients.
    pub clients: usize,
    /// The memory of the events that are held, in bytes.
    pub held_bytes: usize,
    /// The number of held events that were sent to clients that joined later or reconnected.
    pub replayed: u64,
    /// How often a client had missed more events than were held.
    pub gaps: u64,
    /// How many clients got an upstream stream of their own instead.
    pub vetoes: u64,
}

/// The state of a shared upstream stream.
#[derive(Clone, Debug)]
pub struct GroupStream {
    /// Its state. None if it has ended, but some clients have not read all of it.
    pub state: Option<StreamState>,
    /// The name of the api.
    pub api: String,
    /// The method and target of the first request for it, as logs show them.
    pub request: String,
    /// The time since that request, in milliseconds.
    pub age_ms: u64,
    /// The number of events so far.
    pub events: u64,
    /// How many events are held.
    pub held_events: usize,
    /// The time since its last event, in milliseconds.
    pub idle_ms: u64,
}

/// A collection of shared upstream streams.
#[derive(Debug)]
pub struct Groups {
    by_id: BTreeMap<u64, Group>,
    /// The number of all shared streams, listed or not.
    total: usize,
}

impl Groups {
    /// An empty collection, of `total` shared streams.
    pub const fn new(total: usize) -> Groups {
        Groups { by_id: BTreeMap::new(), total }
    }

    /// Adds a shared stream, or what another event loop knows of it.
    pub fn add(&mut self, group: Group) {
        let Some(known) = self.by_id.get_mut(&group.id) else {
            self.by_id.insert(group.id, group);
            return;
        };
        known.stream = known.stream.take().or(group.stream);
        known.clients += group.clients;
        known.held_bytes += group.held_bytes;
        known.replayed += group.replayed;
        known.gaps += group.gaps;
        known.vetoes += group.vetoes;
    }

    /// Merges those of another event loop.
    pub fn merge(&mut self, other: Groups) {
        self.total += other.total;
        other.by_id.into_values().for_each(|group| self.add(group));
    }

    /// Writes the number of shared streams, and those with the most clients, as members of a JSON
    /// object.
    pub fn write(&self, json: &mut Json<'_>) {
        json.name("shared_total").number(self.total as u64);
        let all = self.by_id.values();
        // Event loops answer at different times, so the stream itself may be missing.
        let mut known: Vec<_> = all.filter_map(|g| Some((g, g.stream.as_ref()?))).collect();
        known.sort_unstable_by_key(|(group, _)| (Reverse(group.clients), group.id));
        json.name("shared").begin('[');
        known.iter().take(GROUPS_MAX).for_each(|(group, stream)| group.write(stream, json));
        json.end(']');
    }
}

impl Group {
    /// Writes it as a JSON object.
    fn write(&self, stream: &GroupStream, json: &mut Json<'_>) {
        let (_, target) = split(&stream.request);
        json.begin('{');
        json.name("id").string(Digits::hexadecimal(self.id).as_str());
        json.name("api").string(&stream.api);
        json.name("target").string(target.unwrap_or_default());
        json.name("state").string(stream.state.map_or("ended", StreamState::word));
        json.name("age_ms").number(stream.age_ms);
        json.name("clients").number(self.clients as u64);
        json.name("events").number(stream.events);
        json.name("held_events").number(stream.held_events as u64);
        json.name("held_bytes").number(self.held_bytes as u64);
        json.name("replayed_events").number(self.replayed);
        json.name("gaps").number(self.gaps);
        json.name("vetoes").number(self.vetoes);
        json.name("idle_ms").number(stream.idle_ms);
        json.end('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u64, clients: usize, is_here: bool) -> Group {
        let stream = GroupStream {
            state: is_here.then_some(StreamState::Resuming),
            api: "a".to_owned(),
            request: "GET /b".to_owned(),
            age_ms: 1,
            events: 3,
            held_events: 4,
            idle_ms: 9,
        };
        let stream = is_here.then_some(stream);
        Group { id, stream, clients, held_bytes: 5, replayed: 6, gaps: 7, vetoes: 8 }
    }

    #[test]
    fn those_of_several_loops_are_counted_once() {
        let mut all = Groups::new(1);
        all.add(group(33, 2, true));
        all.add(group(34, 9, false));
        let mut other = Groups::new(1);
        other.add(group(33, 1, false));
        other.add(group(35, 4, true));
        all.merge(other);
        let mut text = String::new();
        let mut json = Json::new(&mut text);
        json.begin('{');
        all.write(&mut json);
        json.end('}');
        let one = |id, clients, held, more: [u64; 3]| {
            format!(
                "{{\"id\":\"{id}\",\"api\":\"a\",\"target\":\"/b\",\
                \"state\":\"resuming\",\"age_ms\":1,\"clients\":{clients},\"events\":3,\
                 \"held_events\":4,\"held_bytes\":{held},\"replayed_events\":{},\"gaps\":{},\
                 \"vetoes\":{},\"idle_ms\":9}}",
                more[0], more[1], more[2]
            )
        };
        let (first, second) = (one("23", 4, 5, [6, 7, 8]), one("21", 3, 10, [12, 14, 16]));
        assert_eq!(text, format!("{{\"shared_total\":2,\"shared\":[{first},{second}]}}"));
    }
}
