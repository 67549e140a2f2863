//! Organizations, of which some are in the scope of who is restricted.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

use zhiyuan_rpc::Error;

use crate::{Follower, InScope, Scopes};

/// Shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    inside: HashSet<String>,
    moves: u64,
    down: bool,
    questions: usize,
    /// What is inside once that many more questions were answered.
    later: Option<(usize, HashSet<String>)>,
}

impl State {
    fn set(&mut self, inside: HashSet<String>) {
        self.inside = inside;
        self.moves += 1;
    }
}

fn set(codes: &[&str]) -> HashSet<String> {
    codes.iter().map(|&code| code.to_owned()).collect()
}

impl Tree {
    /// Moves organizations: these are in the scope from now on.
    pub(super) fn inside(&self, codes: &[&str]) {
        self.0.lock().unwrap().set(set(codes));
    }

    /// The same, once this many more questions were answered.
    pub(super) fn inside_after(&self, questions: usize, codes: &[&str]) {
        self.0.lock().unwrap().later = Some((questions, set(codes)));
    }

    /// Whether nobody answers.
    pub(super) fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// How often it was asked.
    pub(super) fn questions(&self) -> usize {
        self.0.lock().unwrap().questions
    }
}

#[async_trait::async_trait]
impl Scopes for Tree {
    async fn filter(
        &self,
        within: &BTreeSet<String>,
        codes: BTreeSet<String>,
    ) -> Result<InScope, Error> {
        let mut state = self.0.lock().unwrap();
        state.questions += 1;
        if state.down {
            return Err(Error::unavailable("nobody answers"));
        }
        match state.later.take() {
            Some((0, inside)) => state.set(inside),
            Some((questions, inside)) => state.later = Some((questions - 1, inside)),
            None => {}
        }
        let names: Vec<String> = within.iter().map(|code| code.to_lowercase()).collect();
        let version = format!("{}-{}", names.join("-"), state.moves);
        let codes = codes.into_iter().filter(|code| state.inside.contains(code)).collect();
        Ok(InScope { version, codes })
    }
}

/// The organizations that who follows is restricted to, if he is. Shared by all clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Restricted(Arc<Mutex<Option<&'static str>>>);

impl Restricted {
    pub(super) fn to(&self, code: Option<&'static str>) {
        *self.0.lock().unwrap() = code;
    }

    pub(super) fn follower(&self) -> Follower {
        let within = *self.0.lock().unwrap();
        Follower::named("toy", within.as_ref().map(std::slice::from_ref))
    }
}
