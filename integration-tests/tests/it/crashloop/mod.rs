//! Writers register people through the gateway and keep a journal of what they sent and
//! what was acknowledged, while services and PostgreSQL are killed in turn. Then the
//! journal is compared with every table.

pub(crate) mod checker;
mod journal;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::counts::assert_recounted;
use crate::harness::client::patiently;
use crate::harness::{Client, Processes, Settings, database};
use checker::Findings;
use journal::Journal;

/// Longer than a lease, and than the longest look ahead of a check that was cut off.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// What ends without a word.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Service(&'static str),
    /// Both sides of a call at once.
    Both(&'static str, &'static str),
    /// `kill -9` of all its processes.
    PostgresKilled,
    /// `pg_ctl stop -m immediate`.
    PostgresStopped,
}

const VICTIMS: [Victim; 8] = [
    Victim::Service("identity"),
    Victim::PostgresKilled,
    Victim::Service("registration"),
    Victim::PostgresStopped,
    Victim::Service("gateway"),
    Victim::Both("identity", "registration"),
    Victim::Service("orgtree"),
    Victim::PostgresStopped,
];

/// A number from the environment, for long runs.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Pseudo-random numbers (SplitMix64): the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// Says something even when the test passes.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

struct Run {
    suite: Processes,
    client: Client,
    journal: Arc<Journal>,
    writers: JoinSet<()>,
}

impl Run {
    async fn start(name: &str, writers: usize) -> Self {
        // More codes than a suite sends in a minute without asking for work.
        let busy = ("identity", "\n[challenge]\nnormal_per_minute = 1000000\n".to_owned());
        let settings = Settings { durable: true, config: vec![busy], ..Settings::default() };
        let suite = Processes::start(name, settings).await;
        let client = Client::of(&suite.site);
        client.consents(&client.grpc).await;
        let journal = Arc::new(Journal::default());
        let mut set = JoinSet::new();
        for writer in 0..writers {
            set.spawn(journal::write(client.clone(), Arc::clone(&journal), writer));
        }
        for turn in 0..writers / 4 {
            set.spawn(journal::ask(client.clone(), Arc::clone(&journal), turn));
        }
        Self { suite, client, journal, writers: set }
    }

    async fn until_acknowledged(&self, more: usize) {
        let goal = self.journal.acknowledged() + more;
        let until = Instant::now() + SETTLED_WITHIN;
        while self.journal.acknowledged() < goal {
            assert!(Instant::now() < until, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn crash(&mut self, victim: Victim) {
        match victim {
            Victim::Service(service) => {
                self.suite.kill(service);
                self.suite.start_again(service).await;
            }
            Victim::Both(one, other) => {
                self.suite.kill(one);
                self.suite.kill(other);
                self.suite.start_again(one).await;
                self.suite.start_again(other).await;
            }
            Victim::PostgresKilled => {
                self.suite.postgres.kill().await;
                self.suite.postgres.start(&[]).await;
            }
            Victim::PostgresStopped => {
                self.suite.postgres.stop_immediately().await;
                self.suite.postgres.start(&[]).await;
            }
        }
    }

    /// Lets the writers end; they finish the call that they are in.
    async fn end_writing(&mut self) {
        self.journal.end();
        while let Some(ended) = self.writers.join_next().await {
            ended.unwrap();
        }
    }

    /// Sends half of the forms in doubt again, and half of those that were acknowledged:
    /// what was acknowledged answers as it did.
    async fn send_again(&self) {
        let again = self.journal.every_other();
        let answers: Vec<_> = futures_util::stream::iter(again.iter().enumerate())
            .map(|(n, entry)| async move {
                let door = self.client.door(n);
                let answer = patiently(|| self.client.register(door, &entry.form)).await;
                (entry, answer)
            })
            .buffer_unordered(8)
            .collect()
            .await;
        for (entry, answer) in answers {
            let answer = answer.unwrap_or_else(|refusal| panic!("sent again: {refusal:?}"));
            if let Some(volunteer) = &entry.volunteer {
                assert_eq!(answer.volunteer.as_ref(), Some(volunteer));
            }
            self.journal.answered(&entry.form.request_id, &answer);
        }
    }

    /// Makes a quarter of an hour pass for forms that never got as far as identity and
    /// that nobody sends again.
    async fn let_time_pass(&self) {
        let mut main = self.suite.site.main_database().await;
        let sql = "UPDATE registration.registration
                   SET last_call_at = last_call_at - interval '16 minutes'
                   WHERE step = 'STARTED'";
        sqlx::query(AssertSqlSafe(sql)).execute(&mut main).await.unwrap();
    }

    /// Waits until the recovery tasks have nothing to do any more.
    async fn settle(&self) -> Duration {
        let began = Instant::now();
        let mut main = self.suite.site.main_database().await;
        let under_way = "registration.registration WHERE finished_at IS NULL";
        loop {
            let left = database::count(&mut main, under_way).await;
            if left == 0 {
                return began.elapsed();
            }
            assert!(began.elapsed() < SETTLED_WITHIN, "{left} registrations do not come to an end");
            tokio::time::sleep(POLL).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_doubled_or_half_done_whatever_is_killed() {
    let seed = setting("ZHIYUAN_CRASH_SEED", std::process::id() as usize) as u64;
    let rounds = setting("ZHIYUAN_CRASH_ROUNDS", 24);
    let mut dice = Dice(seed);
    let mut run = Run::start("crashloop", setting("ZHIYUAN_CRASH_WRITERS", 8)).await;
    let began = Instant::now();
    for round in 0..rounds {
        run.until_acknowledged(3 + dice.below(8) as usize).await;
        tokio::time::sleep(Duration::from_millis(dice.below(150))).await;
        run.crash(VICTIMS[round % VICTIMS.len()]).await;
    }
    run.until_acknowledged(1).await;
    run.end_writing().await;
    let took = began.elapsed();

    let before = checker::check(&run.suite.site, &run.journal).await;
    run.send_again().await;
    run.let_time_pass().await;
    let settled = run.settle().await;
    let after = checker::check(&run.suite.site, &run.journal).await;
    say(&format!(
        "\ncrash test, seed {seed}: {rounds} crashes in {took:.0?}, settled in {settled:.0?}\n\
         {}{}{}",
        Findings::HEAD,
        before.row("right after the last crash"),
        after.row("after the recovery tasks"),
    ));
    assert_eq!(run.journal.refused(), [] as [String; 0], "seed {seed}");
    assert_eq!((&before.lost, &before.doubled), (&vec![], &vec![]), "seed {seed}");
    assert_eq!((&after.lost, &after.doubled), (&vec![], &vec![]), "seed {seed}");
    assert_eq!(after.half, [] as [String; 0], "seed {seed}");
    assert!(after.acknowledged > rounds, "{}", after.acknowledged);
    assert_recounted(&run.suite.site).await;
    run.suite.stop().await;
}

/// The checker is checked: with `synchronous_commit` off an acknowledged registration may
/// be in memory only, and is missed when it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_that_does_not_wait_for_its_disk_loses_is_found_out() {
    let mut run = Run::start("crashloop-mutant", 4).await;
    run.until_acknowledged(2).await;
    run.suite.postgres.stop_immediately().await;
    // Nothing but a commit that waits brings the log to the disk in time.
    let careless = [
        ("synchronous_commit", "off"),
        ("wal_buffers", "64MB"),
        ("bgwriter_lru_maxpages", "0"),
        ("autovacuum", "off"),
    ];
    run.suite.postgres.start(&careless).await;
    run.suite.postgres.freeze_wal_writer().await;
    run.until_acknowledged(8).await;
    run.suite.postgres.kill().await;
    run.suite.postgres.start(&careless).await;
    run.end_writing().await;
    let found = checker::check(&run.suite.site, &run.journal).await;
    say(&format!(
        "\ncrash test with synchronous_commit=off: 1 crash\n{}{}",
        Findings::HEAD,
        found.row("right after the crash"),
    ));
    assert!(!found.lost.is_empty(), "nothing was lost: the checker proves nothing");
    run.suite.stop().await;
}
