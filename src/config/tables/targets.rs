//! `target_url`: a target, or a list of targets among which requests are divided.

use crate::config::Target;
use crate::config::error::Wrong;
use crate::config::values::value::{count, flag, list, text};
use toml::de::DeValue;

/// Maximum number of targets of an api: sets of them are 64 bits.
const TARGETS_MAX: usize = 64;

/// Maximum weight of a target.
const WEIGHT_MAX: usize = 1000;

const EXAMPLE: &str = "\"http://127.0.0.1:8000\", or a list of them";

/// Reads a target, or a list of them.
pub(crate) fn targets(value: &DeValue<'_>) -> Result<Vec<Target>, Wrong> {
    if value.is_str() {
        return Ok(vec![Target::parse(text(value)?)?]);
    }
    let mut targets: Vec<Target> = Vec::new();
    list(value, EXAMPLE, |value| {
        let target = target(value)?;
        if targets.iter().any(|other| other.is_same_place(&target)) {
            return Err("this target is already in the list; write it once".into());
        }
        let first = targets.first().unwrap_or(&target);
        if (&first.path, &first.query) != (&target.path, &target.query) {
            let right = "all targets of an api share one path and query; write those of the first";
            return Err(right.into());
        }
        if first.is_secure != target.is_secure {
            let right = "all targets of an api share one scheme; write http:// or https:// for all";
            return Err(right.into());
        }
        targets.push(target);
        Ok(())
    })?;
    if !(1..=TARGETS_MAX).contains(&targets.len()) {
        return Err(format!("no targets, or more than {TARGETS_MAX}; write {EXAMPLE}").into());
    }
    if targets.iter().all(|target| target.is_backup || target.weight == 0) {
        let right = "every target is a backup or has weight 0; leave one as it is without these";
        return Err(right.into());
    }
    Ok(targets)
}

/// Reads an element of the list: a URL, or a table with one.
fn target(value: &DeValue<'_>) -> Result<Target, Wrong> {
    let Some(entries) = value.as_table() else {
        return match value.as_str() {
            Some(url) => Ok(Target::parse(url)?),
            None => Err("not a target; write a URL, or { url = \"...\", weight = 2 }".into()),
        };
    };
    let (mut target, mut weight, mut is_backup) = (None, 1, false);
    for (key, value) in entries {
        let (at, value) = (value.span().start, value.get_ref());
        let read = match key.get_ref().as_ref() {
            "url" => text(value).and_then(|url| {
                target = Some(Target::parse(url)?);
                Ok(())
            }),
            "weight" => count(0..=WEIGHT_MAX)(value).map(|n| weight = n),
            "backup" => flag(value).map(|is| is_backup = is),
            _ => {
                let what = "a target has no such key; write url, weight or backup";
                return Err(Wrong { what: what.to_owned(), at: Some(key.span().start) });
            }
        };
        read.map_err(|wrong| Wrong { at: wrong.at.or(Some(at)), ..wrong })?;
    }
    let target = target.ok_or("a target without url; write { url = \"http://127.0.0.1:8000\" }")?;
    let weight = u16::try_from(weight).unwrap_or(u16::MAX);
    Ok(Target { weight, is_backup, ..target })
}
