use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use zhiyuan_domain::{SharedClock, new_id};
use zhiyuan_lifecycle::Tasks;

use crate::config::FeedConfig;
use crate::heads::{self, Heads};
use crate::outbox::Outbox;
use crate::scope::Scopes;
use crate::sequencer::Sequencer;
use crate::{trim, wake};

/// The feed of one service: its outbox, and who follows it. Clones are the same feed.
#[derive(Debug, Clone)]
pub struct Publisher {
    pub(crate) pool: PgPool,
    pub(crate) schema: &'static str,
    pub(crate) clock: SharedClock,
    pub(crate) config: FeedConfig,
    pub(crate) heads: watch::Receiver<Heads>,
    /// Who knows what is in a scope; `None`: nobody who is restricted follows.
    pub(crate) scopes: Option<Arc<dyn Scopes>>,
    bells: Bells,
    /// Told of by the task that reads the heads.
    sender: Arc<std::sync::Mutex<Option<watch::Sender<Heads>>>>,
}

#[derive(Debug, Clone, Default)]
struct Bells {
    /// Something was committed here.
    committed: Arc<Notify>,
    /// Something was committed or sequenced in another process.
    told: Arc<Notify>,
    /// Something is to be sequenced.
    sequence: Arc<Notify>,
    /// Something was sequenced here.
    moved: Arc<Notify>,
    /// The heads are to be read.
    heads: Arc<Notify>,
    /// The other processes are to be woken.
    tell: Arc<Notify>,
}

impl Publisher {
    /// The feed in a schema that has the tables of `sql/writer.sql`.
    pub fn new(schema: &'static str, pool: PgPool, clock: SharedClock, config: FeedConfig) -> Self {
        let (sender, heads) = watch::channel(Heads::none());
        let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
        let bells = Bells::default();
        Self { pool, schema, clock, config, heads, scopes: None, bells, sender }
    }

    /// The same feed, also for who is restricted to organizations: what is in a scope, these
    /// know.
    #[must_use]
    pub fn scoped_by(self, scopes: impl Scopes) -> Self {
        Self { scopes: Some(Arc::new(scopes)), ..self }
    }

    /// The pool that the feed is read with.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Where the transactions of this service leave their events.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.schema, Arc::clone(&self.bells.committed))
    }

    /// Starts sequencing, serving and trimming, until the soft stop of `tasks`. Does
    /// nothing the second time.
    pub fn start(&self, tasks: &Tasks) {
        let taken = self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(sender) = taken else { return };
        let (pool, schema) = (|| self.pool.clone(), self.schema);
        let stop = || tasks.stop().soft();
        let bells = self.bells.clone();
        let process: Uuid = new_id(self.clock.as_ref());

        let sequencer = Sequencer {
            pool: pool(),
            schema,
            config: self.config.clone(),
            clock: Arc::clone(&self.clock),
            woken: Arc::clone(&bells.sequence),
            moved: Arc::clone(&bells.moved),
        };
        let follow = heads::follow(
            pool(),
            schema,
            self.config.clone(),
            Arc::clone(&bells.heads),
            sender,
            stop(),
        );
        let trim = trim::run(pool(), schema, self.config.clone(), Arc::clone(&self.clock), stop());
        let tell = wake::tell(pool(), schema, process, Arc::clone(&bells.tell), stop());
        let listen = wake::listen(pool(), schema, process, Arc::clone(&bells.told), stop());
        tasks.start("feed.sequencer", endless(sequencer.run(stop())));
        tasks.start("feed.heads", endless(follow));
        tasks.start("feed.trim", endless(trim));
        tasks.start("feed.tell", endless(tell));
        tasks.start("feed.listen", endless(listen));
        tasks.start("feed.bells", endless(ring(bells, stop())));
    }
}

async fn endless(work: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    work.await;
    Ok(())
}

/// Who is rung when.
async fn ring(bells: Bells, stop: tokio_util::sync::CancellationToken) {
    loop {
        tokio::select! {
            () = bells.committed.notified() => {
                bells.sequence.notify_one();
                bells.tell.notify_one();
            }
            () = bells.moved.notified() => {
                bells.heads.notify_one();
                bells.tell.notify_one();
            }
            // It does not say which of both.
            () = bells.told.notified() => {
                bells.sequence.notify_one();
                bells.heads.notify_one();
            }
            () = stop.cancelled() => return,
        }
    }
}
