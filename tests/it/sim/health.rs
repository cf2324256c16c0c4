//! The health of origins: some have checks, and an origin that fails them gets no requests while
//! another one is better.

use super::draft::Draft;
use super::origin::Origin;
use super::plan::{Mischief, Plan};
use super::terms::Terms;
use millstream::Config;
use millstream::testing::Tick;
use millstream::testing::rng::Rng;
use std::time::Duration;

/// The path of health checks.
pub(crate) const PATH: &str = "/healthz";

/// How long after its first failed check an origin may still receive requests.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// Draws keys for an api whose `text` is complete otherwise: weights and backups, when targets are
/// passed over, and checks.
pub(crate) fn draw(rng: &mut Rng, text: &mut String) {
    let two = "[\"http://10.0.0.1\", \"http://10.0.0.2\"]";
    let first = rng.pick(&["", "", ", weight = 3", ", backup = true"]);
    let second = match first {
        ", backup = true" => "",
        _ => rng.pick(&["", "", ", weight = 7", ", backup = true"]),
    };
    let tables = format!(
        "[{{ url = \"http://10.0.0.1\"{first} }}, {{ url = \"http://10.0.0.2\"{second} }}]"
    );
    *text = text.replace(two, &tables);
    let (mut max_fails, mut fail_timeout) =
        (rng.pick(&[0, 1, 1, 1, 3]), rng.pick(&["10ms", "10s", "10s"]));
    // Without retries on another target the same target would be tried forever.
    if !text.contains("\"connect\"") {
        (max_fails, fail_timeout) = (1, "10s");
    }
    *text += &format!("max_fails = {max_fails}\nfail_timeout = \"{fail_timeout}\"\n");
}

/// Draws checks, which continue as long as they are configured.
pub(crate) fn draw_checks(rng: &mut Rng) -> String {
    if !rng.chance(40) {
        return String::new();
    }
    let interval = rng.pick(&["100ms", "1s", "5s"]);
    let timeout = rng.pick(&["5ms", "5s", "30s"]);
    let [passes, fails] = [0, 0].map(|_| rng.pick(&[1, 2]));
    format!(
        "health_path = \"{PATH}\"\nhealth_interval = \"{interval}\"\n\
         health_timeout = \"{timeout}\"\nhealth_passes = {passes}\nhealth_fails = {fails}\n"
    )
}

/// Turns it into a world in which only checks decide which origin gets a request. In other worlds
/// something else usually may.
pub(crate) fn decide_alone(rng: &mut Rng, text: &str) -> Draft {
    let interval = rng.pick(&["10ms", "100ms", "1s"]);
    let [passes, fails] = [0, 0].map(|_| rng.pick(&[1, 2]));
    let checks = format!(
        "health_path = \"{PATH}\"\nhealth_interval = \"{interval}\"\nhealth_timeout = \"30s\"\n\
         health_passes = {passes}\nhealth_fails = {fails}\n"
    );
    let other_keys = |line: &&str| {
        let key = line.split(" = ").next().unwrap_or_default().trim();
        !matches!(key, "target_url" | "retry_on" | "max_streams" | "max_streams_per_ip")
    };
    let mut text = text.lines().filter(other_keys).collect::<Vec<_>>().join("\n");
    text += "\ntarget_url = [\"http://10.0.0.1\", \"http://10.0.0.2\"]\nmax_fails = 0\n";
    text += &checks;
    Draft {
        other: text.clone(),
        text,
        checks,
        loss: None,
        drain_at: None,
        secured: false,
        fronted: false,
        announces: false,
        paces: Vec::new(),
        auth: None,
    }
}

/// The health of the origins, and how long it is checked.
pub(crate) struct Course {
    /// Which origins fail their checks.
    pub(crate) sick: [bool; 2],
    /// True if there are checks at first.
    pub(crate) has_checks: bool,
    /// When the checks end.
    pub(crate) ends_at: Tick,
    /// When to serve which configuration without checks. None once it is served.
    pub(crate) calm: Option<(Tick, Config)>,
}

impl Course {
    /// Draws one for a world that will serve `text`. `checks` is empty if there are none.
    pub(crate) fn draw(seed: u64, text: &str, checks: &str) -> Course {
        let rng = &mut Rng::new(seed ^ 0x7369_636b);
        let sick = rng.pick(&[[false; 2], [true, false], [false, true], [true; 2]]);
        // After any reload, which would bring them back.
        let at = Tick::from_millis(rng.between(3000, 8000));
        let has_checks = !checks.is_empty();
        let calm = has_checks.then(|| (at, super::parse(&text.replace(checks, ""))));
        Course { sick, has_checks, ends_at: at, calm }
    }
}

/// No request has gone to an origin that had failed its check while the other one, which fails
/// none, could have served it.
///
/// # Errors
/// If a request has.
pub(crate) fn judge(
    plans: &[Plan],
    origins: &[Origin],
    course: &Course,
    terms: Terms,
) -> Result<(), String> {
    let sick = course.sick;
    let is_clear = sick[0] != sick[1] && terms.checks_decide && terms.kind && terms.reachable;
    if !is_clear || terms.retries.is_none() || terms.scarce || terms.secured {
        return Ok(());
    }
    let told: Option<Tick> = origins.iter().filter_map(|origin| origin.told_sick).min();
    let Some(told) = told else { return Ok(()) };
    // A request that failed at the healthy origin is retried at the other one, and sessions are
    // bound to their origin.
    let is_plain =
        |id: &usize| matches!(plans[*id].mischief, Mischief::None) && !plans[*id].is_bound.get();
    for origin in origins.iter().filter(|origin| sick[origin.address]) {
        let mut asked = origin.seen.iter().zip(&origin.seen_at);
        let is_late = |at: &Tick| (told.after(ON_ITS_WAY)..course.ends_at).contains(at);
        let wrong = asked.find(|(id, at)| is_plain(id) && is_late(at));
        if let Some((id, at)) = wrong {
            return Err(format!("{:?} went to a sick origin at {at:?}, told {told:?}", plans[*id]));
        }
    }
    Ok(())
}
