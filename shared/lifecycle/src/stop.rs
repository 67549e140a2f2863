//! The request to stop, in two steps.

use tokio_util::sync::CancellationToken;

/// The request to stop. Clones are the same request.
#[derive(Clone, Debug)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Stop {
    /// Makes a request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        let hard = CancellationToken::new();
        // Below `hard`, so that who is let go is asked too, whichever token they watch.
        Self { soft: hard.child_token(), hard }
    }

    /// Makes a request for a part of the process: it is made whenever this one is, and can be
    /// made alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token() }
    }

    /// Returns the token of the soft stop: take no new work, end what runs.
    #[must_use]
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Returns the token of the hard stop: let go of what still runs.
    #[must_use]
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Requests the soft stop.
    pub fn request(&self) {
        self.soft.cancel();
    }

    /// Requests the hard stop, and with it the soft one.
    pub fn force(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Tells whether the soft stop has been requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Waits for the soft stop.
    pub async fn requested(&self) {
        self.soft.cancelled().await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Stop;

    #[test]
    fn a_hard_stop_is_a_soft_stop_too() {
        let stop = Stop::new();
        stop.hard().cancel();
        assert!(stop.is_requested());
        let child = Stop::new().child();
        child.force();
        assert!(child.is_requested() && child.hard().is_cancelled());
    }

    #[test]
    fn a_soft_stop_leaves_the_hard_one() {
        let stop = Stop::new();
        stop.request();
        assert!(stop.soft().is_cancelled());
        assert!(!stop.hard().is_cancelled());
    }

    #[test]
    fn a_child_stops_with_its_parent_and_not_the_other_way() {
        let parent = Stop::new();
        let (one, other) = (parent.child(), parent.child());
        one.force();
        assert!(!parent.is_requested() && !other.is_requested());
        parent.request();
        assert!(other.is_requested() && !other.hard().is_cancelled());
        parent.force();
        assert!(other.hard().is_cancelled());
    }
}
