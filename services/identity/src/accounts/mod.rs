//! Persons with an account, and who owns an ID number.
//!
//! An ID number belongs to whoever proves it best. A claim takes a free number, or one that
//! somebody on a roster holds (level 0), and never displaces: what an account holds is `Taken`.

pub(crate) mod db;
mod grpc;

pub(crate) use grpc::AccountRpc;

use uuid::Uuid;

/// How well a person has proved the ID number: name and number match the register.
pub(crate) const LEVEL_REGISTER: i16 = 1;
/// And a roster lists the same phone.
pub(crate) const LEVEL_ROSTER: i16 = 2;
/// There is a proof of the person: two administrators have seen the card.
pub(crate) const LEVEL_PROVEN: i16 = 3;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The number is the account's now.
    Won,
    /// It belongs to this account.
    Taken {
        /// The owner; `None` if it was undone that very moment.
        account_id: Option<Uuid>,
    },
}
