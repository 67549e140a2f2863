//! A service that acts and records it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use time::macros::datetime;
use uuid::Uuid;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::{AccountId, ManualClock};
use zhiyuan_settings::Secret;
use zhiyuan_testkit::TestDatabase;

use crate::canonical::{self, GENESIS};
use crate::db;
use crate::sealer::Pass;
use crate::{Actor, AuditConfig, Head, Record, Sealer, Trail, verify};

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("tests/migrations");
    migrator.dangerous_set_table_name("audit_test._sqlx_migrations");
    migrator
});
pub(super) const SCHEMA: &str = "audit_test";
pub(super) const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn config(key: &SigningKey, before: &[&SigningKey]) -> AuditConfig {
    AuditConfig {
        signing_key: Secret::new(key.to_base64().as_str()),
        public_keys: before.iter().map(|key| key.verifying_key().to_base64()).collect(),
        poll_ms: 10,
        batch: 1000,
        head_ms: 60_000,
    }
}

/// The database of one test.
pub(super) struct Toy {
    pub(super) pool: PgPool,
    pub(super) clock: Arc<ManualClock>,
    pub(super) trail: Trail,
    pub(super) config: AuditConfig,
    pub(super) database: TestDatabase,
}

impl Toy {
    pub(super) async fn new() -> Self {
        let database = TestDatabase::create(SCHEMA, &MIGRATOR).await;
        let clock = Arc::new(ManualClock::new(datetime!(2026-11-25 4:00:00.123456 UTC)));
        let trail = Trail::new(SCHEMA, clock.clone());
        let config = config(&SigningKey::generate(), &[]);
        Self { pool: database.pool().await, clock, trail, config, database }
    }

    /// One with twelve entries, signed after each fourth, and its heads.
    pub(super) async fn chained() -> (Self, [Head; 3]) {
        let toy = Self::new().await;
        let mut heads = Vec::new();
        for round in 0..3 {
            toy.act(round * 4 + 1..=round * 4 + 4).await;
            heads.push(toy.sealed().await.unwrap());
            toy.clock.advance(MINUTE);
        }
        assert_eq!(heads.iter().map(|head| head.size).collect::<Vec<_>>(), [4, 8, 12]);
        (toy, heads.try_into().unwrap())
    }

    pub(super) fn sealer(&self) -> Sealer {
        self.sealer_with(&self.config)
    }

    pub(super) fn sealer_with(&self, config: &AuditConfig) -> Sealer {
        Sealer::new(SCHEMA, self.pool.clone(), self.clock.clone(), config).unwrap()
    }

    /// Acts, and records it.
    pub(super) async fn act(&self, numbers: impl IntoIterator<Item = i64>) {
        for n in numbers {
            let mut transaction = self.pool.begin().await.unwrap();
            self.act_in(&mut transaction, n).await;
            transaction.commit().await.unwrap();
        }
    }

    pub(super) async fn act_in(&self, transaction: &mut PgConnection, n: i64) {
        sqlx::query("INSERT INTO audit_test.act VALUES ($1)")
            .bind(n)
            .execute(&mut *transaction)
            .await
            .unwrap();
        self.trail.append(transaction, &record(n)).await.unwrap();
    }

    /// Seals all there is; tells the head, if one was signed.
    pub(super) async fn sealed(&self) -> Option<Head> {
        match self.sealer().pass().await.unwrap() {
            Pass::Made { signed, .. } => signed,
            Pass::Elsewhere => panic!("nobody else seals"),
        }
    }

    /// As the administrator, whom no trigger stops.
    pub(super) async fn admin(&self) -> PgConnection {
        let mut admin = PgConnection::connect(&self.database.admin_url()).await.unwrap();
        sqlx::raw_sql("SET session_replication_role = replica").execute(&mut admin).await.unwrap();
        admin
    }

    /// Changes what was recorded; something must be changed by each statement.
    pub(super) async fn tamper(&self, statements: &[&str]) {
        let mut admin = self.admin().await;
        for sql in statements {
            let sql = AssertSqlSafe((*sql).to_owned());
            let done = sqlx::query(sql).execute(&mut admin).await.unwrap();
            assert!(done.rows_affected() > 0, "nothing was changed");
        }
    }

    /// Makes the hashes from an entry to another fit again, as whoever may write can.
    pub(super) async fn rechain(&self, from: i64, to: i64) {
        let mut admin = self.admin().await;
        let before = db::entries(&mut admin, SCHEMA, from - 1, from - 1).await.unwrap();
        let mut previous = before.first().map_or(GENESIS.to_vec(), |entry| entry.hash.clone());
        for entry in db::entries(&mut admin, SCHEMA, from, to).await.unwrap() {
            let hash = canonical::entry_hash(SCHEMA, entry.index, &previous, &entry.content);
            sqlx::query(
                "UPDATE audit_test.audit_entry SET previous_hash = $2, hash = $3 WHERE index = $1",
            )
            .bind(entry.index)
            .bind(&previous)
            .bind(hash.as_slice())
            .execute(&mut admin)
            .await
            .unwrap();
            previous = hash.to_vec();
        }
    }

    /// What `verify` tells.
    pub(super) async fn findings(&self, known: Option<Head>) -> Vec<String> {
        verify(&self.pool, SCHEMA, &self.config.trusted().unwrap(), known).await.unwrap()
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

/// What the `n`-th act is recorded as: every column has a value.
pub(super) fn record(n: i64) -> Record {
    Record::done(Actor::Person(account(n % 3)), "toy.thing.done")
        .about(account(n % 2))
        .within("AH-1")
        .because("核对身份")
        .with("n", n)
}

pub(super) fn account(n: i64) -> AccountId {
    AccountId::from(Uuid::from_u128(u128::try_from(n).unwrap() + 1))
}
