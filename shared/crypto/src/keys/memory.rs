//! A key store for tests: it forgets everything when the process ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::{DataKey, KeyRing, KeyStore, KeyStoreError, WrappedKey};

/// Keeps wrapped keys in memory, with the behaviour of the durable store. For tests.
#[derive(Clone, Debug)]
pub struct MemoryKeyStore {
    ring: KeyRing,
    /// `None` marks a destroyed subject.
    keys: Arc<Mutex<HashMap<Uuid, Option<WrappedKey>>>>,
}

impl MemoryKeyStore {
    /// Starts an empty store. Clones share their content.
    pub fn new(ring: KeyRing) -> Self {
        Self { ring, keys: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Option<WrappedKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn create(&self, subject: Uuid) -> Result<DataKey, KeyStoreError> {
        match self.lock().entry(subject) {
            Entry::Occupied(entry) => {
                let wrapped = entry.get().as_ref().ok_or(KeyStoreError::Destroyed)?;
                Ok(self.ring.unwrap(subject, wrapped)?)
            }
            Entry::Vacant(entry) => {
                let data_key = DataKey::generate(1);
                entry.insert(Some(self.ring.wrap(subject, &data_key)?));
                Ok(data_key)
            }
        }
    }

    async fn destroy(&self, subject: Uuid) -> Result<(), KeyStoreError> {
        self.destroy_many(&[subject]).await
    }

    async fn create_many(&self, subjects: &[Uuid]) -> Result<Vec<DataKey>, KeyStoreError> {
        let mut keys = self.lock();
        let known = |(place, subject): (usize, &Uuid)| {
            keys.contains_key(subject)
                || subjects.iter().take(place).any(|before| before == subject)
        };
        if subjects.iter().enumerate().any(known) {
            return Err(KeyStoreError::Destroyed);
        }
        let drawn = subjects.iter().map(|subject| {
            let data_key = DataKey::generate(1);
            Ok((*subject, self.ring.wrap(*subject, &data_key)?, data_key))
        });
        let drawn = drawn.collect::<Result<Vec<_>, KeyStoreError>>()?;
        let (mut made, mut wrapped) = (Vec::new(), Vec::new());
        for (subject, key, data_key) in drawn {
            wrapped.push((subject, Some(key)));
            made.push(data_key);
        }
        keys.extend(wrapped);
        Ok(made)
    }

    async fn get_many(&self, subjects: &[Uuid]) -> Result<HashMap<Uuid, DataKey>, KeyStoreError> {
        let keys = self.lock();
        let found = subjects.iter().filter_map(|subject| {
            let wrapped = keys.get(subject)?.as_ref()?;
            Some(self.ring.unwrap(*subject, wrapped).map(|key| (*subject, key)))
        });
        Ok(found.collect::<Result<_, _>>()?)
    }

    async fn destroy_many(&self, subjects: &[Uuid]) -> Result<(), KeyStoreError> {
        self.lock().extend(subjects.iter().map(|subject| (*subject, None)));
        Ok(())
    }
}
