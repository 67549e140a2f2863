//! Scopes: some organizations and everything below them, which somebody else's rows are at.

use std::collections::{BTreeSet, HashSet};

use sqlx::PgPool;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_feed::{InScope, Scopes};
use zhiyuan_rpc::Error as RpcError;

use super::db;
use crate::error::Result;

/// This service's own tree.
#[derive(Debug, Clone)]
pub(crate) struct OwnTree(pub(crate) PgPool);

impl OwnTree {
    /// Which of the organizations are in a scope, and of which version of it.
    pub(crate) async fn look(
        &self,
        scope: &BTreeSet<String>,
        codes: &BTreeSet<String>,
    ) -> Result<(Vec<String>, String)> {
        let scope: Vec<String> = scope.iter().cloned().collect();
        let codes: Vec<String> = codes.iter().cloned().collect();
        let (found, versions) = db::in_scope(&self.0, &scope, &codes).await?;
        Ok((found, version(&scope, &versions)))
    }
}

#[async_trait::async_trait]
impl Scopes for OwnTree {
    async fn filter(
        &self,
        within: &BTreeSet<String>,
        codes: BTreeSet<String>,
    ) -> std::result::Result<InScope, RpcError> {
        let (codes, version) = self.look(within, &codes).await?;
        let codes: HashSet<String> = codes.into_iter().collect();
        Ok(InScope { version, codes })
    }
}

/// What tells this scope from any other, and from what it was before something moved.
fn version(scope: &[String], versions: &[Option<Uuid>]) -> String {
    let mut bytes = Vec::new();
    for (code, version) in scope.iter().zip(versions) {
        // No code has a zero byte.
        bytes.extend_from_slice(code.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(version.unwrap_or_default().as_bytes());
    }
    hex(&digest::unkeyed(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_scope_and_another_move_are_another_version() {
        let of = |codes: &[&str], moves: &[Option<u128>]| {
            let codes: Vec<String> = codes.iter().map(|&code| code.to_owned()).collect();
            let moves: Vec<Option<Uuid>> =
                moves.iter().map(|number| number.map(Uuid::from_u128)).collect();
            version(&codes, &moves)
        };
        let versions = [
            of(&["A"], &[None]),
            of(&["A"], &[Some(1)]),
            of(&["A"], &[Some(2)]),
            of(&["B"], &[None]),
            of(&["A", "B"], &[None, None]),
            of(&["A", "B"], &[Some(1), None]),
            of(&["A", "B"], &[None, Some(1)]),
        ];
        let distinct: HashSet<&String> = versions.iter().collect();
        assert_eq!(distinct.len(), versions.len());
        assert!(versions.iter().all(|version| version.len() == 32));
        assert_eq!(of(&["A"], &[Some(1)]), of(&["A"], &[Some(1)]));
    }
}
