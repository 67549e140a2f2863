//! pgbench with the statements of a registration, on a clone of the tables.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::cpu::Usage;
use crate::program::{self, Ends};
use crate::stage::{CLONE, Stage};

const STATEMENTS: &str = include_str!("statements.sql");
/// More than a run takes, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// pgbench, ready to run.
#[derive(Debug)]
pub(super) struct Pgbench {
    program: PathBuf,
    script: PathBuf,
    url: String,
    clients: usize,
    /// Registrations of each client so far.
    done: usize,
}

/// What a run has found.
#[derive(Debug)]
pub(super) struct Run {
    /// A second, had the machine been ours alone.
    pub(super) rate: f64,
    /// Milliseconds of a core that PostgreSQL used for each.
    pub(super) postgres_ms: f64,
}

impl Pgbench {
    /// Makes what a run needs: the script, and codes for so many registrations.
    pub(super) async fn prepare(
        stage: &Stage,
        clients: usize,
        registrations: usize,
    ) -> anyhow::Result<Self> {
        let program = stage.postgres_programs()?.join("pgbench");
        anyhow::ensure!(
            program.is_file(),
            "{} is not there: it comes with PostgreSQL's server or contrib package",
            program.display()
        );
        let script = stage.folder().join("registration.sql");
        fs::write(&script, STATEMENTS)?;
        let mut admin = stage.database(CLONE).await?;
        let each = i64::try_from(registrations / clients + 1)?;
        let clients_there_are = i64::try_from(clients)?;
        sqlx::query(
            "INSERT INTO identity.sms_challenge (challenge_id, index_version, phone_index, purpose,
                                                 mac_version, code_mac, created_at, expire_at)
             SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(c * 1000000 + n), 12, '0'))::uuid, 1,
                    decode(md5(n::text) || md5(c::text), 'hex'), 1, 1,
                    decode(md5(c::text) || md5(n::text), 'hex'), now(), now()
             FROM generate_series(0, $1::bigint - 1) c CROSS JOIN generate_series(1, $2::bigint) n",
        )
        .bind(clients_there_are)
        .bind(each)
        .execute(&mut admin)
        .await?;
        sqlx::raw_sql(
            "INSERT INTO identity.index_key VALUES (1, true, now()) ON CONFLICT DO NOTHING",
        )
        .execute(&mut admin)
        .await?;
        Ok(Self { program, script, url: stage.admin_url(CLONE), clients, done: 0 })
    }

    /// Registers so many.
    pub(super) async fn run(&mut self, stage: &Stage, count: usize) -> anyhow::Result<Run> {
        let each = count / self.clients;
        let mut command = program::command(&self.program, Ends::Killed);
        command
            .args(["--no-vacuum", "--protocol=prepared"])
            .arg(format!("--client={}", self.clients))
            .arg("--jobs=2")
            .arg(format!("--transactions={each}"))
            .arg(format!("--define=done={}", self.done))
            .arg("--file")
            .arg(&self.script)
            .arg(&self.url);
        let before: Usage = stage.usage();
        let output = program::output(command, PATIENCE).await?;
        let used = before.until(&stage.usage());
        self.done += each;
        let rate: f64 = output
            .lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok())
            .with_context(|| format!("pgbench said: {output}"))?;
        let registrations = u32::try_from(each * self.clients).map_or(1.0, f64::from);
        anyhow::ensure!(
            !output.contains("number of failed transactions: ")
                || output.contains("transactions: 0 ("),
            "pgbench failed: {output}"
        );
        Ok(Run {
            rate: rate / used.left(),
            postgres_ms: 1000.0 * used.seconds("PostgreSQL") / registrations,
        })
    }
}
