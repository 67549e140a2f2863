//! What is wrong with a chain, in words for an operator.

use std::fmt;

/// The first thing that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Columns are not what they were.
    Edited { index: i64 },
    /// Columns are not what they were, and the entry's own hash was made to fit.
    Replaced { index: i64 },
    /// Entries are gone; those behind them may have taken their numbers.
    Deleted { from: i64, to: i64 },
    /// Entries were put in; those behind them were moved on.
    Inserted { from: i64, to: i64 },
    /// An entry stands elsewhere.
    Moved { index: i64, now: i64 },
    /// All hashes fit, but not the head: whatever was done to one of these, the hashes
    /// behind it were computed anew.
    Rewritten { from: i64, to: i64 },
    /// Entries that a head knows are gone from the end.
    CutOff { from: i64, to: i64 },
    /// A head has no signature of a key that is trusted.
    Forged { size: i64 },
    /// A head is gone that another one, or the operator, knows.
    HeadRemoved { size: i64 },
    /// A head is not the one that the operator has.
    HeadReplaced { size: i64 },
    /// There are entries, and no head at all.
    HeadsRemoved,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("audit: ")?;
        match *self {
            Self::Edited { index } => {
                write!(f, "entry {index} was edited: its hash is not that of its columns")
            }
            Self::Replaced { index } => write!(
                f,
                "entry {index} was edited and its hash computed anew: the chain breaks there"
            ),
            Self::Deleted { from, to } => write!(f, "{} deleted", Range(from, to)),
            Self::Inserted { from, to } => write!(f, "{} inserted", Range(from, to)),
            Self::Moved { index, now } => {
                write!(f, "entry {index} was reordered: it stands at {now}")
            }
            Self::Rewritten { from, to } => write!(
                f,
                "{} rewritten, or one of them deleted or inserted, and the hashes computed anew: \
                 the head of size {to} has another hash",
                Range(from, to)
            ),
            Self::CutOff { from, to } => {
                write!(f, "{} truncated: the head of size {to} knows them", Range(from, to))
            }
            Self::Forged { size } => {
                write!(f, "the head of size {size} has no valid signature of a known key")
            }
            Self::HeadRemoved { size } => write!(f, "the head of size {size} was removed"),
            Self::HeadReplaced { size } => {
                write!(f, "the head of size {size} is not the one that was handed in")
            }
            Self::HeadsRemoved => f.write_str("all heads were removed: entry 1 has none after it"),
        }
    }
}

/// The entries from one to another, as the subject of a sentence.
struct Range(i64, i64);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(from, to) = self;
        if from == to {
            write!(f, "entry {from} was")
        } else {
            write!(f, "entries {from} to {to} were")
        }
    }
}
