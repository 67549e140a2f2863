//! The key store on PostgreSQL: a database and a pool of its own.

use std::collections::HashMap;

use sqlx::PgPool;
use uuid::Uuid;
use zhiyuan_crypto::keys::{DataKey, KeyRing, KeyStore, KeyStoreError, WrappedKey};
use zhiyuan_domain::SharedClock;

use super::db;

/// The version of a subject's first data key.
const FIRST: i16 = 1;

/// Keeps wrapped data keys in a database of their own.
#[derive(Debug)]
pub(crate) struct PostgresKeyStore {
    pool: PgPool,
    ring: KeyRing,
    clock: SharedClock,
}

impl PostgresKeyStore {
    pub(crate) fn new(pool: PgPool, ring: KeyRing, clock: SharedClock) -> Self {
        Self { pool, ring, clock }
    }

    /// Subjects of keys made before a time, in id order, for the sweep.
    pub(crate) async fn page(
        &self,
        after: Uuid,
        before: time::OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<Uuid>, KeyStoreError> {
        let mut conn = self.pool.acquire().await.map_err(unavailable)?;
        db::page_subjects(&mut conn, after, before, limit).await.map_err(unavailable)
    }
}

fn unavailable(error: sqlx::Error) -> KeyStoreError {
    KeyStoreError::Unavailable(Box::new(error))
}

#[tonic::async_trait]
impl KeyStore for PostgresKeyStore {
    async fn create(&self, subject: Uuid) -> Result<DataKey, KeyStoreError> {
        let new = self.ring.wrap(subject, &DataKey::generate(FIRST))?;
        let mut tx = self.pool.begin().await.map_err(unavailable)?;
        db::lock_subject(&mut tx, subject).await.map_err(unavailable)?;
        db::insert_data_key(&mut tx, subject, new.version, &new.bytes, self.clock.now())
            .await
            .map_err(unavailable)?;
        let stored = db::find_data_keys(&mut tx, &[subject]).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        // Another caller may have been first: what is stored counts.
        let (_, version, bytes) = stored.into_iter().next().ok_or(KeyStoreError::Destroyed)?;
        Ok(self.ring.unwrap(subject, &WrappedKey { version, bytes })?)
    }

    async fn destroy(&self, subject: Uuid) -> Result<(), KeyStoreError> {
        let mut tx = self.pool.begin().await.map_err(unavailable)?;
        db::destroy_data_key(&mut tx, subject, self.clock.now()).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }

    async fn create_many(&self, subjects: &[Uuid]) -> Result<Vec<DataKey>, KeyStoreError> {
        let made: Vec<DataKey> = subjects.iter().map(|_| DataKey::generate(FIRST)).collect();
        let wrapped =
            subjects.iter().zip(&made).map(|(subject, key)| self.ring.wrap(*subject, key));
        let wrapped = wrapped.collect::<Result<Vec<_>, _>>()?;
        let keks: Vec<i16> = wrapped.iter().map(|key| key.version).collect();
        let bytes: Vec<Vec<u8>> = wrapped.into_iter().map(|key| key.bytes).collect();
        let mut tx = self.pool.begin().await.map_err(unavailable)?;
        let stored = db::insert_held_keys(&mut tx, subjects, &keks, &bytes, self.clock.now())
            .await
            .map_err(unavailable)?;
        if usize::try_from(stored) != Ok(subjects.len()) {
            return Err(KeyStoreError::Destroyed);
        }
        tx.commit().await.map_err(unavailable)?;
        Ok(made)
    }

    async fn get_many(&self, subjects: &[Uuid]) -> Result<HashMap<Uuid, DataKey>, KeyStoreError> {
        let mut conn = self.pool.acquire().await.map_err(unavailable)?;
        let stored = db::find_data_keys(&mut conn, subjects).await.map_err(unavailable)?;
        drop(conn);
        let keys = stored.into_iter().map(|(subject, version, bytes)| {
            Ok((subject, self.ring.unwrap(subject, &WrappedKey { version, bytes })?))
        });
        keys.collect()
    }

    async fn destroy_many(&self, subjects: &[Uuid]) -> Result<(), KeyStoreError> {
        let mut tx = self.pool.begin().await.map_err(unavailable)?;
        db::destroy_data_keys(&mut tx, subjects, self.clock.now()).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }
}
