//! What is told: a line for each step, and a table at the end.

use std::fmt::Write as _;

/// Tells whoever typed the command.
#[expect(clippy::print_stdout, reason = "the answer to who typed the command")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// What a ratio should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// It is only told.
    None,
}

impl Goal {
    fn told(self, ratio: f64) -> String {
        let (met, text) = match self {
            Self::AtLeast(goal) => (ratio >= goal, format!(">= {goal}")),
            Self::AtMost(goal) => (ratio <= goal, format!("<= {goal}")),
            Self::None => return String::from("-"),
        };
        format!("{text}: {}", if met { "met" } else { "missed" })
    }
}

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) measured: String,
    pub(crate) against: String,
    pub(crate) ratio: Option<f64>,
    pub(crate) goal: Goal,
}

/// What a benchmark has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) rows: Vec<Row>,
    /// What limits it, a sentence each.
    pub(crate) limits: Vec<String>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<(&'static str, Findings)>);

impl Report {
    /// Takes what a benchmark has found.
    pub(crate) fn add(&mut self, name: &'static str, findings: Findings) {
        self.0.push((name, findings));
    }

    /// The table, and what limits each, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "\n| What | Measured | Compared with | Ratio | Goal |\n|---|---|---|---|---|\n",
        );
        for row in self.0.iter().flat_map(|(_, findings)| &findings.rows) {
            let ratio = row.ratio.map_or_else(|| String::from("-"), two_digits);
            let goal = row.ratio.map_or_else(|| String::from("-"), |ratio| row.goal.told(ratio));
            let Row { what, measured, against, .. } = row;
            let _ = writeln!(text, "| {what} | {measured} | {against} | {ratio} | {goal} |");
        }
        text.push_str("\nWhat limits each\n\n");
        for (name, findings) in &self.0 {
            for limit in &findings.limits {
                let _ = writeln!(text, "- `{name}`: {limit}");
            }
        }
        text
    }
}

/// Two digits after the point, or as many before it as there are.
fn two_digits(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A number a second.
pub(crate) fn per_second(rate: f64) -> String {
    if rate >= 100.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") }
}

/// Milliseconds.
pub(crate) fn millis(time: std::time::Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis >= 10.0 { format!("{millis:.0} ms") } else { format!("{millis:.2} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_whether_a_goal_was_met() {
        let row = |ratio, goal| Row {
            what: "calls",
            measured: per_second(250.4),
            against: String::from("nginx: 500/s"),
            ratio,
            goal,
        };
        let rows = vec![
            row(Some(0.5), Goal::AtLeast(1.0)),
            row(Some(0.5), Goal::AtMost(1.2)),
            row(Some(123.4), Goal::None),
        ];
        let mut report = Report::default();
        report.add("gateway", Findings { rows, limits: vec![String::from("the cores")] });
        let table = report.table();
        assert!(
            table.contains("| calls | 250/s | nginx: 500/s | 0.50 | >= 1: missed |"),
            "{table}"
        );
        assert!(table.contains("| 0.50 | <= 1.2: met |"), "{table}");
        assert!(table.contains("| 123 | - |"), "{table}");
        assert!(table.contains("- `gateway`: the cores"), "{table}");
    }
}
