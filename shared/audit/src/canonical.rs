//! The bytes that are hashed, which are never written in another way: a stored chain must
//! be recomputed for ever.

use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_crypto::digest;
use zhiyuan_crypto::framing::frame;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What the first entry has for the hash of the one before.
pub(crate) const GENESIS: Hash = [0; 32];

/// What happened, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Content {
    pub(crate) at: OffsetDateTime,
    pub(crate) actor_kind: String,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject_account_id: Option<Uuid>,
    pub(crate) organization_code: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) outcome: String,
    pub(crate) detail_keys: Vec<String>,
    pub(crate) detail_values: Vec<String>,
    pub(crate) trace_id: Option<String>,
}

/// The hash of an entry: over every column. The schema's name keeps
/// the chain of one service from passing for that of another.
pub(crate) fn entry_hash(schema: &str, index: i64, previous: &[u8], content: &Content) -> Hash {
    let index = index.to_be_bytes();
    let at = microseconds(content.at);
    let subject = optional(content.subject_account_id.as_ref().map(|id| id.as_bytes().as_slice()));
    let organization = optional_text(content.organization_code.as_deref());
    let purpose = optional_text(content.purpose.as_deref());
    // Two lists in a row: without its length the first could borrow from the second.
    let keys = u64::try_from(content.detail_keys.len()).unwrap_or(u64::MAX).to_be_bytes();
    let trace = optional_text(content.trace_id.as_deref());
    let mut parts: Vec<&[u8]> = vec![
        b"zhiyuan.audit.entry.1",
        schema.as_bytes(),
        &index,
        previous,
        &at,
        content.actor_kind.as_bytes(),
        content.actor.as_bytes(),
        content.action.as_bytes(),
        &subject,
        &organization,
        &purpose,
        content.outcome.as_bytes(),
        &trace,
        &keys,
    ];
    parts.extend(content.detail_keys.iter().map(String::as_bytes));
    parts.extend(content.detail_values.iter().map(String::as_bytes));
    digest::unkeyed(&frame(&parts))
}

/// The message that the signature of a head is over.
pub(crate) fn head_message(
    schema: &str,
    size: i64,
    hash: &[u8],
    signed_at: OffsetDateTime,
    previous_size: i64,
) -> Vec<u8> {
    let parts: [&[u8]; 6] = [
        b"zhiyuan.audit.head.1",
        schema.as_bytes(),
        &size.to_be_bytes(),
        hash,
        &microseconds(signed_at),
        &previous_size.to_be_bytes(),
    ];
    frame(&parts).to_vec()
}

/// Since 1970, as PostgreSQL keeps them.
fn microseconds(at: OffsetDateTime) -> [u8; 16] {
    at.unix_timestamp_nanos().div_euclid(1000).to_be_bytes()
}

/// What is absent differs from what is empty.
fn optional(value: Option<&[u8]>) -> Vec<u8> {
    value.map_or_else(Vec::new, |value| [b"\x01", value].concat())
}

fn optional_text(value: Option<&str>) -> Vec<u8> {
    optional(value.map(str::as_bytes))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn content() -> Content {
        Content {
            at: datetime!(2026-11-25 4:00:00.123456 UTC),
            actor_kind: "OPERATOR".into(),
            actor: "zhiyuan_orgtree_owner".into(),
            action: "orgtree.organizations.loaded".into(),
            subject_account_id: Some(Uuid::from_u128(7)),
            organization_code: Some("AH".into()),
            purpose: None,
            outcome: "DONE".into(),
            detail_keys: vec!["lines".into(), "changed".into()],
            detail_values: vec!["3".into(), "2".into()],
            trace_id: None,
        }
    }

    fn hexadecimal(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Fixed for ever: another value would make every stored chain look forged.
    #[test]
    fn the_hash_of_an_entry_is_the_same_in_every_release() {
        let hash = entry_hash("orgtree", 1, &GENESIS, &content());
        assert_eq!(hexadecimal(hash), PINNED);
    }

    /// Computed with Python's `hashlib` and `struct` from the columns above.
    const PINNED: &str = "809512db053f4e6bd70bf8e26ebf6fd11a9d21127ecfe55024b76ff25691c2b2";

    #[test]
    fn everything_matters() {
        let of = |change: fn(&mut Content)| {
            let mut changed = content();
            change(&mut changed);
            entry_hash("orgtree", 1, &GENESIS, &changed)
        };
        let mut hashes = vec![
            of(|_| ()),
            entry_hash("identity", 1, &GENESIS, &content()),
            entry_hash("orgtree", 2, &GENESIS, &content()),
            entry_hash("orgtree", 1, &[1; 32], &content()),
            of(|c| c.at += time::Duration::microseconds(1)),
            of(|c| c.actor_kind = "SERVICE".into()),
            of(|c| c.actor.push('x')),
            of(|c| c.action.push('x')),
            of(|c| c.subject_account_id = None),
            of(|c| c.subject_account_id = Some(Uuid::nil())),
            of(|c| c.organization_code = None),
            of(|c| c.organization_code = Some(String::new())),
            of(|c| c.purpose = Some(String::new())),
            of(|c| c.outcome = "REFUSED".into()),
            of(|c| c.trace_id = Some(String::new())),
            of(|c| c.detail_keys.push("3".into())),
            of(|c| c.detail_values.push("3".into())),
            of(|c| c.detail_keys.swap(0, 1)),
            // The same texts in a row, divided elsewhere.
            of(|c| {
                let first = c.detail_values.remove(0);
                c.detail_keys.push(first);
            }),
        ];
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn a_signature_is_over_all_of_a_head() {
        let at = datetime!(2026-11-25 4:00:00.123456 UTC);
        let later = at + time::Duration::microseconds(1);
        let mut messages = vec![
            head_message("orgtree", 3, &GENESIS, at, 1),
            head_message("identity", 3, &GENESIS, at, 1),
            head_message("orgtree", 4, &GENESIS, at, 1),
            head_message("orgtree", 3, &[1; 32], at, 1),
            head_message("orgtree", 3, &GENESIS, later, 1),
            head_message("orgtree", 3, &GENESIS, at, 2),
        ];
        let all = messages.len();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), all);
    }
}
