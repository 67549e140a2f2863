//! Heads: signed when it is time to, told, and hard to forge.

use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use time::macros::datetime;
use zhiyuan_crypto::SigningKey;

use super::toy::{MINUTE, SCHEMA, Toy, config};
use crate::canonical;
use crate::sealer::Pass;
use crate::{Head, InvalidKeys, verify};

thread_local! {
    /// What this thread has logged, which runs one test.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes where the thread can read it.
struct Here;

impl std::io::Write for Here {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Forgets what was logged, and keeps what will be. One subscriber for the whole process:
/// with one for each test, whether a line is wanted is not for one test to say.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Here).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    LOGGED.with_borrow_mut(Vec::clear);
}

fn logged() -> String {
    LOGGED.with_borrow(|logged| String::from_utf8(logged.clone()).unwrap())
}

#[tokio::test]
async fn a_chain_that_grows_is_signed_once_a_minute() {
    let toy = Toy::new().await;
    assert_eq!(toy.sealed().await, None, "there is nothing to sign");
    toy.act([1]).await;
    assert_eq!(toy.sealed().await.map(|head| head.size), Some(1), "the first at once");
    toy.act([2]).await;
    toy.clock.advance(MINUTE - Duration::from_micros(1));
    assert_eq!(toy.sealed().await, None);
    toy.act([3]).await;
    toy.clock.advance(Duration::from_micros(1));
    assert_eq!(toy.sealed().await.map(|head| head.size), Some(3));
    toy.clock.advance(MINUTE * 60);
    assert_eq!(toy.sealed().await, None, "it has not grown");
    // The clock of another process may be a little behind; one that is set back puts nothing off.
    toy.act([4]).await;
    toy.clock.set(datetime!(2026-11-25 4:00:10 UTC));
    assert_eq!(toy.sealed().await, None);
    toy.clock.set(datetime!(2026-11-24 4:00 UTC));
    assert_eq!(toy.sealed().await.map(|head| head.size), Some(4));
    assert_eq!(toy.findings(None).await, [""; 0]);
}

#[tokio::test]
async fn a_head_is_told_outside_of_the_database_as_an_operator_hands_it_in() {
    listen();
    let toy = Toy::new().await;
    toy.act([1, 2]).await;
    let head = toy.sealed().await.unwrap();
    let text = logged();
    let line = text.lines().find(|line| line.contains("the audit chain is signed")).unwrap();
    let told = line.split("audit.head=").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(told.parse(), Ok(head));
    assert!(line.contains(&toy.config.key().unwrap().key_id()), "{line}");
}

#[tokio::test]
async fn what_was_changed_is_not_signed_and_everything_goes_on() {
    for (changed, index) in [
        ("UPDATE audit_test.audit_entry SET purpose = NULL WHERE index = 14", 14),
        ("UPDATE audit_test.audit_entry SET hash = previous_hash WHERE index = 12", 12),
        ("DELETE FROM audit_test.audit_entry WHERE index = 13", 13),
        ("DELETE FROM audit_test.audit_entry WHERE index > 9", 10),
        ("UPDATE audit_test.audit_head SET signature = '' WHERE size = 12", 12),
    ] {
        let (toy, _) = Toy::chained().await;
        let mut sealer =
            toy.sealer_with(&crate::AuditConfig { head_ms: 120_000, ..toy.config.clone() });
        toy.act(13..=15).await;
        sealer.pass().await.unwrap();
        toy.tamper(&[changed]).await;
        toy.clock.advance(MINUTE * 2);
        listen();
        for _ in 0..3 {
            assert_eq!(sealer.pass().await.unwrap(), Pass::Made { sealed: 0, signed: None });
        }
        let text = logged();
        assert_eq!(text.matches("is not signed").count(), 1, "once in a while: {text}");
        assert!(text.contains(&format!("audit.index={index}")), "{changed}: {text}");
        toy.clock.advance(MINUTE * 2);
        sealer.pass().await.unwrap();
        assert_eq!(logged().matches("is not signed").count(), 2);
        // What is recorded now is not lost with it.
        toy.act([16]).await;
        assert_eq!(sealer.pass().await.unwrap(), Pass::Made { sealed: 1, signed: None });
        assert!(!toy.findings(None).await.is_empty());
    }
}

/// Writes the head of a size anew, signed with a key, over the entry that is there.
async fn forge(toy: &Toy, size: i64, key: &SigningKey) {
    let mut admin = toy.admin().await;
    let entry = crate::db::entries(&mut admin, SCHEMA, size, size).await.unwrap().remove(0);
    let head = crate::db::heads(&mut admin, SCHEMA, size, size).await.unwrap().remove(0);
    let message =
        canonical::head_message(SCHEMA, size, &entry.hash, head.signed_at, head.previous_size);
    sqlx::query(
        "UPDATE audit_test.audit_head SET hash = $2, key_id = $3, signature = $4 WHERE size = $1",
    )
    .bind(size)
    .bind(&entry.hash)
    .bind(key.key_id())
    .bind(key.sign(&message).as_slice())
    .execute(&mut admin)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_head_of_another_key_is_named() {
    let (toy, heads) = Toy::chained().await;
    let thief = SigningKey::generate();
    toy.tamper(&["UPDATE audit_test.audit_entry SET purpose = NULL WHERE index = 6"]).await;
    toy.rechain(6, 12).await;
    forge(&toy, 8, &thief).await;
    forge(&toy, 12, &thief).await;
    let forged =
        |size| format!("audit: the head of size {size} has no valid signature of a known key");
    assert_eq!(toy.findings(None).await, [forged(8), forged(12)]);
    // And by who has kept the true one, the entry too.
    let lines = [
        forged(8),
        "audit: entries 5 to 8 were rewritten, or one of them deleted or inserted, and the hashes \
         computed anew: the head of size 8 has another hash"
            .to_owned(),
        "audit: the head of size 8 is not the one that was handed in".to_owned(),
    ];
    assert_eq!(toy.findings(Some(heads[1])).await, lines);
}

#[tokio::test]
async fn an_edit_of_any_column_of_a_head_names_it() {
    let (toy, _) = Toy::chained().await;
    let mut admin = toy.admin().await;
    sqlx::raw_sql("CREATE TABLE audit_test.kept AS TABLE audit_test.audit_head")
        .execute(&mut admin)
        .await
        .unwrap();
    let forged = "audit: the head of size 8 has no valid signature of a known key";
    for edit in [
        "hash = sha256(hash)",
        "signed_at = signed_at + interval '1 microsecond'",
        "previous_size = 3",
        "key_id = 'no such key'",
        "signature = sha256(signature)",
    ] {
        let edit = format!("UPDATE audit_test.audit_head SET {edit} WHERE size = 8");
        toy.tamper(&[&edit]).await;
        assert_eq!(toy.findings(None).await, [forged], "{edit}");
        let restore = [
            "DELETE FROM audit_test.audit_head",
            "INSERT INTO audit_test.audit_head TABLE audit_test.kept",
        ];
        toy.tamper(&restore).await;
    }
    // Of an entry that is not there: nobody is made to look for it.
    sqlx::query(AssertSqlSafe(
        "INSERT INTO audit_test.audit_head
         SELECT 99, hash, signed_at, 12, key_id, signature FROM audit_test.kept WHERE size = 12"
            .to_owned(),
    ))
    .execute(&mut admin)
    .await
    .unwrap();
    let forged = "audit: the head of size 99 has no valid signature of a known key";
    assert_eq!(toy.findings(None).await, [forged]);
}

#[tokio::test]
async fn a_head_that_was_removed_is_named() {
    let (toy, heads) = Toy::chained().await;
    toy.tamper(&["DELETE FROM audit_test.audit_head WHERE size = 12"]).await;
    // The last one is missed by who has it.
    assert_eq!(toy.findings(None).await, [""; 0]);
    let removed = |size| format!("audit: the head of size {size} was removed");
    assert_eq!(toy.findings(Some(heads[2])).await, [removed(12)]);
    // The others are missed by the next.
    toy.tamper(&["DELETE FROM audit_test.audit_head WHERE size = 4"]).await;
    assert_eq!(toy.findings(None).await, [removed(4)]);
    assert_eq!(toy.findings(Some(heads[0])).await, [removed(4)]);
    toy.tamper(&["DELETE FROM audit_test.audit_head"]).await;
    let all = "audit: all heads were removed: entry 1 has none after it";
    assert_eq!(toy.findings(None).await, [all]);
}

#[tokio::test]
async fn heads_of_keys_from_before_are_believed_as_long_as_they_are_listed() {
    let (toy, _) = Toy::chained().await;
    let (new, old) = (SigningKey::generate(), toy.config.key().unwrap());
    let both = config(&new, &[&old]);
    toy.act([13]).await;
    let Pass::Made { signed: Some(Head { size: 13, .. }), .. } =
        toy.sealer_with(&both).pass().await.unwrap()
    else {
        panic!("not signed with the new key")
    };
    let found = async |config: &crate::AuditConfig| {
        verify(&toy.pool, SCHEMA, &config.trusted().unwrap(), None).await.unwrap()
    };
    assert_eq!(found(&both).await, [""; 0]);
    assert_eq!(found(&config(&new, &[])).await.len(), 3);
}

#[tokio::test]
async fn a_sealer_needs_a_key() {
    let toy = Toy::new().await;
    let keyless = crate::AuditConfig {
        signing_key: zhiyuan_settings::Secret::new("none"),
        ..toy.config.clone()
    };
    let made = crate::Sealer::new(SCHEMA, toy.pool.clone(), toy.clock.clone(), &keyless);
    assert_eq!(made.err(), Some(InvalidKeys::SigningKey));
}
