//! The resources used by a peer, from /proc: those of its process and all descendants, so a master
//! and its worker count.
//!
//! Processor time is that of the scheduler, in nanoseconds. It includes the kernel's work for
//! loopback traffic, because the sender of a segment is charged for its delivery. Memory is the
//! proportional set size: shared pages count in parts.

use std::fs;

use crate::sys::Outcome;

/// A process that is watched.
#[derive(Clone, Copy)]
pub struct Watch(pub u32);

impl Watch {
    /// Nanoseconds of processor time so far.
    pub fn processor_time(self) -> Outcome<u64> {
        self.sum(|process| {
            let mut sum = 0;
            let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
            for thread in threads.flatten() {
                // The thread may have ended since it was listed, and its time is lost.
                let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                    continue;
                };
                sum += text.split(' ').next()?.parse::<u64>().ok()?;
            }
            Some(sum)
        })
    }

    /// Clock ticks (1/100 s) in user mode and in the kernel so far: less precise, but separate.
    pub fn ticks(self) -> Outcome<(u64, u64)> {
        let field = |index: usize| {
            self.sum(|process| {
                let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
                let (_, behind_name) = text.rsplit_once(") ")?;
                behind_name.split(' ').nth(index)?.parse().ok()
            })
        };
        Ok((field(11)?, field(12)?))
    }

    /// The proportional set size in bytes.
    pub fn memory(self) -> Outcome<u64> {
        self.sum(|process| {
            let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kibibytes * 1024)
        })
    }

    /// The sum for the process, which must exist, and its descendants, which may be ending.
    fn sum(self, of: impl Fn(u32) -> Option<u64>) -> Outcome<u64> {
        let gone = || format!("process {} is gone, or may not be watched", self.0);
        let mut sum = of(self.0).ok_or_else(gone)?;
        for descendant in &self.family()[1..] {
            sum += of(*descendant).unwrap_or(0);
        }
        Ok(sum)
    }

    /// The process and its descendants.
    pub fn family(self) -> Vec<u32> {
        let mut family = vec![self.0];
        let mut next = 0;
        while let Some(&process) = family.get(next) {
            next += 1;
            let path = format!("/proc/{process}/task/{process}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            family.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let watch = Watch(std::process::id());
        assert!(watch.memory().unwrap() > 100_000);
        assert!(watch.processor_time().unwrap() > 0);
        assert!(watch.ticks().is_ok());
        assert!(Watch(u32::MAX).memory().is_err());
    }
}
