//! Passwords, hashed with argon2id (RFC 9106), a bounded number at once.

use argon2::password_hash;
use argon2::password_hash::phc::PasswordHash;
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, PasswordHasher as _, PasswordVerifier as _};
use zeroize::Zeroizing;

use self::pool::{Pool, Refused};

mod pool;

/// The cost of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes, computed one after the other here.
    pub lanes: u32,
}

impl Default for Params {
    /// 19 MiB, 2 passes, 1 lane: what the OWASP Password Storage Cheat Sheet recommends for
    /// argon2id.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, lanes: 1 }
    }
}

/// Parameters that argon2 does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argon2 needs at least 1 iteration, 1 lane and 8 KiB of memory for each lane")]
pub struct InvalidParams;

/// Why a password was not hashed or verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Every core hashes and the queue is full: try again later.
    #[error("too many passwords are being hashed")]
    Busy,
    /// The stored hash is not one of argon2id in PHC form.
    #[error("the stored password hash is malformed")]
    Malformed,
    /// The memory or the randomness for a hash could not be had.
    #[error("the password could not be hashed")]
    Failed,
    /// The process is shutting down.
    #[error("password hashing has stopped")]
    Stopped,
}

impl From<Refused> for PasswordError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::Busy,
            Refused::Stopped => Self::Stopped,
        }
    }
}

/// Hashes and verifies passwords.
///
/// A hash costs about 20 ms of a core and 19 MiB, on purpose. Without bounds a burst of sign-ins
/// would therefore starve everything else of cores and memory; beyond the queue, callers are told
/// so at once instead. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    pool: Pool,
}

impl PasswordHasher {
    /// Makes a hasher that computes at most `concurrency` hashes at once (the number of cores; at
    /// least 1), while at most `queue` callers wait.
    ///
    /// # Errors
    /// [`InvalidParams`].
    pub fn new(params: Params, concurrency: usize, queue: usize) -> Result<Self, InvalidParams> {
        let Params { memory_kib, iterations, lanes } = params;
        let params =
            argon2::Params::new(memory_kib, iterations, lanes, None).map_err(|_| InvalidParams)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params);
        Ok(Self { argon2, pool: Pool::new(concurrency, queue) })
    }

    /// Whether the next one would be refused now: who has other work to do first need not
    /// begin.
    pub fn is_busy(&self) -> bool {
        self.pool.is_full()
    }

    /// Hashes a password with a new random salt, to a string in PHC form.
    ///
    /// # Errors
    /// [`PasswordError::Busy`], [`PasswordError::Failed`], [`PasswordError::Stopped`].
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let argon2 = self.argon2.clone();
        let hash = self.pool.run(move || argon2.hash_password(&password)).await?;
        hash.map(|hash: PasswordHash| hash.to_string()).map_err(|_| PasswordError::Failed)
    }

    /// Tells whether the password is the one that was hashed; the costs are those of the hash.
    ///
    /// # Errors
    /// [`PasswordError`]. A wrong password is no error.
    pub async fn verify(&self, password: &str, phc: &str) -> Result<bool, PasswordError> {
        let hash = PasswordHash::new(phc).map_err(|_| PasswordError::Malformed)?;
        // The other variants are weaker, and a hash without its parts would match nothing.
        if hash.algorithm != ARGON2ID_IDENT || hash.salt.is_none() || hash.hash.is_none() {
            return Err(PasswordError::Malformed);
        }
        let password = Zeroizing::new(password.as_bytes().to_vec());
        let argon2 = self.argon2.clone();
        match self.pool.run(move || argon2.verify_password(&password, &hash)).await? {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(
                password_hash::Error::ParamInvalid { .. }
                | password_hash::Error::ParamsInvalid
                | password_hash::Error::Version
                | password_hash::Error::SaltInvalid,
            ) => Err(PasswordError::Malformed),
            Err(_) => Err(PasswordError::Failed),
        }
    }

    /// Does the work of one hash and throws it away, so that an unknown account takes as long to
    /// answer as a known one.
    ///
    /// # Errors
    /// As [`hash`](Self::hash): under load an unknown account is refused like any other.
    pub async fn verify_nothing(&self) -> Result<(), PasswordError> {
        self.hash("").await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(concurrency: usize, queue: usize) -> PasswordHasher {
        let params = Params { memory_kib: 64, iterations: 1, lanes: 1 };
        PasswordHasher::new(params, concurrency, queue).unwrap()
    }

    #[tokio::test]
    async fn accepts_the_hashed_password_and_no_other() {
        let hasher = hasher(2, 8);
        let phc = hasher.hash("correct horse 8").await.unwrap();
        assert_eq!(hasher.verify("correct horse 8", &phc).await, Ok(true));
        assert_eq!(hasher.verify("correct horse 9", &phc).await, Ok(false));
        assert_eq!(hasher.verify("", &phc).await, Ok(false));
    }

    #[tokio::test]
    async fn the_default_costs_stand_in_the_hash() {
        let hasher = PasswordHasher::new(Params::default(), 1, 1).unwrap();
        let phc = hasher.hash("secret").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(!phc.contains("secret"));
    }

    #[tokio::test]
    async fn a_hash_outlives_a_change_of_the_costs() {
        let phc = hasher(1, 1).hash("secret").await.unwrap();
        let dearer = Params { memory_kib: 128, iterations: 2, lanes: 1 };
        let dearer = PasswordHasher::new(dearer, 1, 1).unwrap();
        assert_eq!(dearer.verify("secret", &phc).await, Ok(true));
    }

    #[tokio::test]
    async fn the_same_password_is_never_hashed_the_same() {
        let hasher = hasher(1, 1);
        assert_ne!(hasher.hash("secret").await, hasher.hash("secret").await);
    }

    /// The vector of argon2id that the reference implementation tests itself with:
    /// `hashtest(version, 2, 16, 1, "password", "somesalt", …)`.
    #[tokio::test]
    async fn verifies_a_hash_of_the_reference_implementation() {
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                   $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(hasher(1, 1).verify("password", phc).await, Ok(true));
        assert_eq!(hasher(1, 1).verify("Password", phc).await, Ok(false));
    }

    #[tokio::test]
    async fn refuses_a_stored_hash_that_is_malformed_or_of_another_kind() {
        let hasher = hasher(1, 1);
        for phc in [
            "",
            "secret",
            "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=1,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2id$v=7$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
        ] {
            assert_eq!(
                hasher.verify("password", phc).await,
                Err(PasswordError::Malformed),
                "{phc}"
            );
        }
    }

    #[tokio::test]
    async fn sheds_when_its_queue_is_full() {
        let hasher = hasher(1, 1);
        let (release, gate) = std::sync::mpsc::channel::<()>();
        // Polled in this order: one holds the core, one waits, the others find no place.
        let (_, waiting, ..) =
            tokio::join!(hasher.pool.run(move || gate.recv()), hasher.verify_nothing(), async {
                assert_eq!(hasher.hash("c").await, Err(PasswordError::Busy));
                assert_eq!(hasher.verify_nothing().await, Err(PasswordError::Busy));
                release.send(()).unwrap();
            },);
        assert_eq!(waiting, Ok(()));
        assert_eq!(hasher.verify_nothing().await, Ok(()));
    }

    #[test]
    fn refuses_costs_that_argon2_does_not_take() {
        for (memory_kib, iterations, lanes) in [(7, 1, 1), (64, 0, 1), (64, 1, 0)] {
            let params = Params { memory_kib, iterations, lanes };
            assert_eq!(PasswordHasher::new(params, 1, 1).err(), Some(InvalidParams));
        }
    }
}
