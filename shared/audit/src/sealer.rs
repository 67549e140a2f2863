//! Gives what was committed its place in the chain, and signs how the chain ends.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use zhiyuan_crypto::SigningKey;
use zhiyuan_domain::SharedClock;
use zhiyuan_lifecycle::Tasks;
use zhiyuan_rpc::chain;

use crate::canonical::{self, GENESIS, Hash};
use crate::chain::{Walk, is_signed};
use crate::config::{AuditConfig, InvalidKeys, TrustedKeys};
use crate::db::{self, HeadRow, Outlook, Places};
use crate::head::Head;

/// Entries read at once while they are recomputed.
const PAGE: i64 = 1000;
/// How long a database that fails is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// One of any number of sealers of a schema; whoever gets the lock makes the pass.
#[derive(Debug)]
pub struct Sealer {
    schema: &'static str,
    pool: PgPool,
    clock: SharedClock,
    config: AuditConfig,
    key: SigningKey,
    trusted: TrustedKeys,
    /// When it last found the chain unfit to be signed.
    refused_at: Option<OffsetDateTime>,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Another process is at it.
    Elsewhere,
    /// So many records were sealed, and the chain perhaps signed.
    Made { sealed: usize, signed: Option<Head> },
}

/// Why a chain is not signed: it was changed since it was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unfit {
    /// The first entry that is not as it should be.
    index: i64,
}

impl Sealer {
    /// The sealer of a schema that has the tables of `sql/audit.sql`.
    ///
    /// # Errors
    /// When a key has the wrong form.
    pub fn new(
        schema: &'static str,
        pool: PgPool,
        clock: SharedClock,
        config: &AuditConfig,
    ) -> Result<Self, InvalidKeys> {
        let (key, trusted) = (config.key()?, config.trusted()?);
        Ok(Self { schema, pool, clock, config: config.clone(), key, trusted, refused_at: None })
    }

    /// Starts sealing, until the soft stop of `tasks`.
    pub fn start(self, tasks: &Tasks) {
        let stop = tasks.stop().soft();
        tasks.start("audit.sealer", async {
            self.run(stop).await;
            Ok::<_, std::convert::Infallible>(())
        });
    }

    async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = match self.look().await {
                Ok(true) => continue,
                Ok(false) => self.config.poll(),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "failed to seal the audit");
                    self.config.poll().max(PAUSE)
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Makes a pass if there is anything to do; tells whether there is more. An idle one is
    /// a single statement that takes no lock.
    async fn look(&mut self) -> Result<bool, sqlx::Error> {
        let outlook = db::outlook(&self.pool, self.schema).await?;
        if !outlook.pending && !self.is_due(&outlook) {
            return Ok(false);
        }
        match self.pass().await? {
            Pass::Elsewhere => Ok(false),
            Pass::Made { sealed, .. } => {
                Ok(i64::try_from(sealed).is_ok_and(|sealed| sealed >= self.config.batch()))
            }
        }
    }

    /// Seals a batch, and signs if it is time to: one transaction.
    pub(crate) async fn pass(&mut self) -> Result<Pass, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        if !db::try_lead(&mut transaction, self.schema).await? {
            return Ok(Pass::Elsewhere);
        }
        let sealed = seal(&mut transaction, self.schema, self.config.batch()).await?;
        let outlook = db::outlook(&mut *transaction, self.schema).await?;
        let signed = if self.is_due(&outlook) {
            self.sign(&mut transaction, outlook.size).await?
        } else {
            None
        };
        transaction.commit().await?;
        if let Some(head) = signed {
            // Who has the log can tell a chain that was cut off, whatever is in the database.
            tracing::info!(
                audit.schema = self.schema,
                audit.head = %head,
                key.id = self.key.key_id(),
                "the audit chain is signed"
            );
        }
        Ok(Pass::Made { sealed, signed })
    }

    /// Whether a chain that has grown was not signed for long enough. A clock that was set
    /// back by more than that puts nothing off.
    fn is_due(&self, outlook: &Outlook) -> bool {
        let now = self.clock.now();
        let passed = |since: Option<OffsetDateTime>| {
            since.is_none_or(|since| (now - since).unsigned_abs() >= self.config.head())
        };
        // Shorter than it was signed: that is to be told, too.
        outlook.size != outlook.signed_size && passed(outlook.signed_at) && passed(self.refused_at)
    }

    /// Signs a chain of this size, after it was recomputed from what is stored: what was
    /// changed since the last head gets no signature.
    async fn sign(
        &mut self,
        transaction: &mut PgConnection,
        size: i64,
    ) -> Result<Option<Head>, sqlx::Error> {
        let last = db::longest_heads(&mut *transaction, self.schema, 1).await?.pop();
        let head = match self.recompute(transaction, last.as_ref(), size).await? {
            Ok(head) => head,
            Err(Unfit { index }) => {
                self.refused_at = Some(self.clock.now());
                tracing::error!(
                    audit.schema = self.schema,
                    audit.index = index,
                    "the audit was changed and is not signed: run `verify`"
                );
                return Ok(None);
            }
        };
        self.refused_at = None;
        let (signed_at, previous_size) = (self.signed_at(), last.map_or(0, |last| last.size));
        let message =
            canonical::head_message(self.schema, head.size, &head.hash, signed_at, previous_size);
        let row = HeadRow {
            size: head.size,
            hash: head.hash.to_vec(),
            signed_at,
            previous_size,
            key_id: self.key.key_id(),
            signature: self.key.sign(&message).to_vec(),
        };
        db::insert_head(transaction, self.schema, &row).await?;
        Ok(Some(head))
    }

    /// To the microsecond that the database keeps: the signature is over it.
    fn signed_at(&self) -> OffsetDateTime {
        let now = self.clock.now();
        now.replace_nanosecond(now.nanosecond() / 1000 * 1000).unwrap_or(now)
    }

    /// Walks from the last head to the end.
    async fn recompute(
        &self,
        transaction: &mut PgConnection,
        last: Option<&HeadRow>,
        size: i64,
    ) -> Result<Result<Head, Unfit>, sqlx::Error> {
        let mut walk = Walk::begin(self.schema);
        if let Some(last) = last {
            let index = last.size;
            let Ok(hash) = Hash::try_from(last.hash.as_slice()) else {
                return Ok(Err(Unfit { index }));
            };
            if size < index {
                return Ok(Err(Unfit { index: size + 1 }));
            }
            let stored = db::entries(&mut *transaction, self.schema, index, index).await?;
            let same = stored.first().is_some_and(|entry| *entry.hash == hash);
            if !same || !is_signed(self.schema, last, &self.trusted) {
                return Ok(Err(Unfit { index }));
            }
            walk = Walk::behind(self.schema, Head { size: index, hash });
        }
        while walk.index < size {
            let (from, to) = (walk.index + 1, size.min(walk.index + PAGE));
            let page = db::entries(&mut *transaction, self.schema, from, to).await?;
            let walked = page.iter().try_for_each(|entry| walk.step(entry));
            if walked.is_err() || walk.index < to {
                return Ok(Err(Unfit { index: walk.index + 1 }));
            }
        }
        Ok(Ok(Head { size, hash: walk.hash }))
    }
}

/// Moves the next records to the end of the chain; tells how many.
async fn seal(
    transaction: &mut PgConnection,
    schema: &'static str,
    batch: i64,
) -> Result<usize, sqlx::Error> {
    let records = db::pending(transaction, schema, batch).await?;
    if records.is_empty() {
        return Ok(0);
    }
    let (mut index, mut previous) = match db::last(&mut *transaction, schema).await? {
        None => (0, GENESIS),
        Some((index, hash)) => {
            let hash = Hash::try_from(hash).map_err(|_length| {
                sqlx::Error::Decode("the last hash of the audit has no 32 bytes".into())
            })?;
            (index, hash)
        }
    };
    let mut places = Places::default();
    for record in &records {
        index += 1;
        let hash = canonical::entry_hash(schema, index, &previous, &record.content);
        places.seqs.push(record.seq);
        places.indexes.push(index);
        places.previous.push(previous);
        places.hashes.push(hash);
        previous = hash;
    }
    let moved = db::seal(transaction, schema, &places).await?;
    if usize::try_from(moved) != Ok(records.len()) {
        let gone = "records of the audit were gone before they were sealed";
        return Err(sqlx::Error::Protocol(gone.into()));
    }
    Ok(records.len())
}
