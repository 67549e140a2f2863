//! Who used the processors.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// What the kernel counts times in for programs, on every architecture of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// From this part on the processors are what limits.
const BUSY: f64 = 0.95;

/// Where fields stand, counted from the state on: the parent; the ticks of the process for
/// itself and in the kernel, after which come those of its children that have ended.
const PARENT: usize = 1;
const USER: usize = 11;

/// What each process had used by a moment, and the whole machine.
#[derive(Debug, Clone)]
pub(crate) struct Usage {
    at: Instant,
    by_name: BTreeMap<&'static str, f64>,
    machine: f64,
}

/// What was used in between.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// How long that was.
    pub(crate) took: Duration,
    by_name: BTreeMap<&'static str, f64>,
    machine: f64,
}

impl Usage {
    /// Reads what processes have used, with all that they started; and one without.
    pub(crate) fn of(processes: &[(&'static str, u32)], alone: (&'static str, u32)) -> Self {
        let mut by_name: BTreeMap<_, _> =
            processes.iter().map(|(name, pid)| (*name, seconds_of_family(*pid))).collect();
        // With those of its children that it has waited for, such as pgbench.
        by_name.insert(alone.0, seconds_of(alone.1));
        Self { at: Instant::now(), by_name, machine: seconds_of_machine() }
    }

    /// What was used since.
    pub(crate) fn until(&self, later: &Self) -> Used {
        let since = |(name, seconds): (&&'static str, &f64)| {
            (*name, (seconds - self.by_name.get(name).copied().unwrap_or_default()).max(0.0))
        };
        Used {
            took: later.at - self.at,
            by_name: later.by_name.iter().map(since).collect(),
            machine: later.machine - self.machine,
        }
    }
}

impl Used {
    /// Seconds of a core that a process used.
    pub(crate) fn seconds(&self, name: &str) -> f64 {
        self.by_name.get(name).copied().unwrap_or_default()
    }

    /// The part of the machine that was busy, 0 to 1.
    pub(crate) fn busy(&self) -> f64 {
        self.machine / self.available()
    }

    /// The part of the machine that programs left which have nothing to do with this, 0 to
    /// 1, if all of it was busy: then who measures alone would have measured so much more.
    pub(crate) fn left(&self) -> f64 {
        if self.busy() < BUSY { 1.0 } else { (1.0 - self.others() / self.available()).max(0.01) }
    }

    fn others(&self) -> f64 {
        (self.machine - self.by_name.values().sum::<f64>()).max(0.0)
    }

    fn available(&self) -> f64 {
        self.took.as_secs_f64() * cores()
    }

    /// Who used how much of the machine, the greatest first, such as
    /// `97 % of 2 cores busy: PostgreSQL 40 %, …`.
    pub(crate) fn told(&self) -> String {
        let mut parts: Vec<(&str, f64)> =
            self.by_name.iter().map(|(name, seconds)| (*name, *seconds)).collect();
        parts.push(("others", self.others()));
        parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let parts: Vec<String> = parts
            .into_iter()
            .map(|(name, seconds)| (name, 100.0 * seconds / self.available()))
            .filter(|(_, share)| *share >= 1.0)
            .map(|(name, share)| format!("{name} {share:.0} %"))
            .collect();
        format!("{:.0} % of {} cores busy: {}", 100.0 * self.busy(), cores(), parts.join(", "))
    }
}

/// How many cores there are.
pub(crate) fn cores() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).map_or(1.0, f64::from)
}

/// What a process and its children that have ended have used, in seconds.
fn seconds_of(pid: u32) -> f64 {
    stat(pid).map_or(0.0, |fields| ticks(&fields, USER, 4)) / TICKS_PER_SECOND
}

/// What a process and those that it started have used, in seconds.
fn seconds_of_family(pid: u32) -> f64 {
    let parent = pid.to_string();
    let living: f64 = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .filter(|fields| fields.get(PARENT) == Some(&parent))
        .map(|fields| ticks(&fields, USER, 2))
        .sum();
    // Its own, and that of those that have ended.
    let own = stat(pid).map_or(0.0, |fields| ticks(&fields, USER, 4));
    (own + living) / TICKS_PER_SECOND
}

/// The fields of `/proc/<pid>/stat` from the state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_ascii_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], first: usize, count: usize) -> f64 {
    fields.iter().skip(first).take(count).filter_map(|field| field.parse::<f64>().ok()).sum()
}

/// What the machine has worked, whoever for, in seconds of a core.
fn seconds_of_machine() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let fields: Vec<f64> =
        first.split_ascii_whitespace().filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq; what follows is of other machines.
    let busy: f64 = fields.iter().take(3).chain(fields.iter().skip(5).take(2)).sum();
    busy / TICKS_PER_SECOND
}
