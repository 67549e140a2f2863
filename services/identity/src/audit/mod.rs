//! What is recorded of acts that are to be answered for, and who may read it: the person
//! whose account it was. The chain itself is kept by `zhiyuan_audit`.

mod grpc;

pub(crate) use grpc::AuditRpc;

use uuid::Uuid;
use zhiyuan_audit::{Actor, Record};
use zhiyuan_domain::AccountId;

/// A person did something to the own account.
pub(crate) fn by_owner(account_id: Uuid, action: &'static str) -> Record {
    let account = AccountId::from(account_id);
    Record::done(Actor::Person(account), action).about(account)
}

/// Identity itself did something to an account.
pub(crate) fn by_identity(account_id: Uuid, action: &'static str) -> Record {
    let actor = Actor::Service("identity".to_owned());
    Record::done(actor, action).about(AccountId::from(account_id))
}
