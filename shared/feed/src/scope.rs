//! Who follows, and what of it they see.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use zhiyuan_rpc::authority::Authority;
use zhiyuan_rpc::{CallerIdentity, Error};

use crate::error::{not_scoped, scope_changed};
use crate::publisher::Publisher;

/// Who follows a feed.
#[derive(Debug, Clone)]
pub struct Follower {
    pub(crate) name: String,
    pub(crate) within: Option<Arc<BTreeSet<String>>>,
}

impl Follower {
    /// Who calls.
    pub fn of<T>(request: &tonic::Request<T>) -> Self {
        let caller = request.extensions().get::<CallerIdentity>().map(|CallerIdentity(it)| it);
        Self {
            name: caller.map(|caller| caller.name.to_string()).unwrap_or_default(),
            within: caller.and_then(|caller| caller.within.clone()),
        }
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str, within: Option<&[&str]>) -> Self {
        let codes = |codes: &[&str]| Arc::new(codes.iter().map(|&code| code.to_owned()).collect());
        Self { name: name.to_owned(), within: within.map(codes) }
    }
}

/// What of some organizations is in a scope.
#[derive(Debug, Clone)]
pub struct InScope {
    /// Of the scope: another one as soon as an organization that there was is in it and was
    /// not, or the other way round. Never empty.
    pub version: String,
    /// Those of the organizations that are in it.
    pub codes: HashSet<String>,
}

/// Who knows the tree of organizations.
#[async_trait::async_trait]
pub trait Scopes: std::fmt::Debug + Send + Sync + 'static {
    /// Which organizations are at one of `within` or below it, and of which version of that
    /// scope this is said: both of one moment. 1000 codes at most.
    ///
    /// # Errors
    /// When it can't be told now: nobody is shown anything then.
    async fn filter(
        &self,
        within: &BTreeSet<String>,
        codes: BTreeSet<String>,
    ) -> Result<InScope, Error>;
}

#[async_trait::async_trait]
impl Scopes for Authority {
    async fn filter(
        &self,
        within: &BTreeSet<String>,
        codes: BTreeSet<String>,
    ) -> Result<InScope, Error> {
        let (codes, version) = self.scope(within, codes).await?;
        Ok(InScope { version, codes })
    }
}

/// What a follower who is restricted sees, as long as the version is the same.
#[derive(Debug, Clone)]
pub(crate) struct Lens {
    scopes: Arc<dyn Scopes>,
    within: Arc<BTreeSet<String>>,
    pub(crate) version: String,
}

impl Publisher {
    /// Through what a follower sees; `None` for who sees everything.
    pub(crate) async fn lens(&self, follower: &Follower) -> Result<Option<Lens>, Error> {
        let Some(within) = follower.within.clone() else { return Ok(None) };
        let scopes = self.scopes.clone().ok_or_else(not_scoped)?;
        let InScope { version, .. } = scopes.filter(&within, BTreeSet::new()).await?;
        if version.is_empty() {
            return Err(Error::internal("a scope without a version"));
        }
        Ok(Some(Lens { scopes, within, version }))
    }
}

impl Lens {
    /// Which of these organizations are in the scope. Asked for each page: what it says is of
    /// the version that the follower was told, or is not said.
    pub(crate) async fn look(&self, codes: BTreeSet<String>) -> Result<HashSet<String>, Error> {
        let found = self.scopes.filter(&self.within, codes).await?;
        if found.version == self.version {
            Ok(found.codes)
        } else {
            Err(scope_changed(&found.version))
        }
    }
}

/// The version by which a follower is told.
pub(crate) fn version_of(lens: Option<&Lens>) -> &str {
    lens.map_or("", |lens| lens.version.as_str())
}
