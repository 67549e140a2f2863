//! Whatever somebody with all rights changes is found, and the entry named.

use super::toy::{SCHEMA, Toy, account};
use crate::record::Actor;
use crate::{Record, canonical, db};

/// Asserts that exactly this is found.
async fn assert_found(toy: &Toy, expected: &[&str]) {
    let found = toy.findings(None).await;
    let expected: Vec<String> = expected.iter().map(|line| format!("audit: {line}")).collect();
    assert_eq!(found, expected);
}

/// Moves the entries from an index on by so many.
async fn shift(toy: &Toy, from: i64, by: i64) {
    // In two steps: in one, an entry would run into its neighbour.
    let away =
        format!("UPDATE audit_test.audit_entry SET index = index + 1000 WHERE index >= {from}");
    let back =
        format!("UPDATE audit_test.audit_entry SET index = index - 1000 + {by} WHERE index > 1000");
    toy.tamper(&[&away, &back]).await;
}

/// Swaps the places of two entries.
async fn swap(toy: &Toy, one: i64, other: i64) {
    let set =
        |from, to| format!("UPDATE audit_test.audit_entry SET index = {to} WHERE index = {from}");
    toy.tamper(&[&set(one, 1000), &set(other, one), &set(1000, other)]).await;
}

/// Puts an entry in before another, with hashes that fit the one before it.
async fn insert(toy: &Toy, index: i64) {
    shift(toy, index, 1).await;
    let sql = format!(
        "INSERT INTO audit_test.audit_entry
         SELECT {index}, previous_hash, hash, at, actor_kind, actor, 'toy.thing.forged',
                subject_account_id, organization_code, purpose, outcome, detail_keys,
                detail_values, trace_id
         FROM audit_test.audit_entry WHERE index = {index} + 1"
    );
    toy.tamper(&[&sql]).await;
    toy.rechain(index, index).await;
}

#[tokio::test]
async fn a_chain_that_nobody_touched_is_as_it_should_be() {
    let (toy, heads) = Toy::chained().await;
    assert_found(&toy, &[]).await;
    for head in heads {
        assert_eq!(toy.findings(Some(head)).await, [""; 0]);
    }
    // And one that was never begun.
    assert_found(&Toy::new().await, &[]).await;
}

#[tokio::test]
async fn an_edit_of_any_column_names_its_entry() {
    let (toy, _) = Toy::chained().await;
    let edits = [
        ("at", "at + interval '1 microsecond'"),
        ("actor_kind", "'OPERATOR'"),
        ("actor", "actor || 'x'"),
        ("action", "'toy.thing.undone'"),
        ("subject_account_id", "gen_random_uuid()"),
        ("subject_account_id", "NULL"),
        ("organization_code", "'AH-2'"),
        ("organization_code", "NULL"),
        ("purpose", "''"),
        ("purpose", "NULL"),
        ("outcome", "'REFUSED'"),
        ("detail_keys", "'{m}'"),
        ("detail_keys", "'{}'"),
        ("detail_values", "'{7}'"),
        ("detail_values", "detail_values || '{7}'"),
        ("trace_id", "''"),
        ("previous_hash", "hash"),
        ("hash", "previous_hash"),
    ];
    let mut admin = toy.admin().await;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns
         WHERE table_schema = 'audit_test' AND table_name = 'audit_entry'
           AND column_name <> 'index'",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    for column in columns {
        assert!(edits.iter().any(|(edited, _)| *edited == column), "nobody edits {column}");
    }
    sqlx::raw_sql("CREATE TABLE audit_test.kept AS TABLE audit_test.audit_entry")
        .execute(&mut admin)
        .await
        .unwrap();
    for index in [1, 6, 12] {
        for (column, value) in edits {
            // Of the first entry, the hash of the one before is the same already.
            let edit = format!(
                "UPDATE audit_test.audit_entry SET {column} = {value} WHERE index = {index}"
            );
            toy.tamper(&[&edit]).await;
            let line = format!("entry {index} was edited: its hash is not that of its columns");
            assert_found(&toy, &[&line]).await;
            toy.tamper(&[
                "DELETE FROM audit_test.audit_entry",
                "INSERT INTO audit_test.audit_entry TABLE audit_test.kept",
            ])
            .await;
        }
    }
    assert_found(&toy, &[]).await;
}

#[tokio::test]
async fn an_edit_whose_hash_was_computed_anew_is_found() {
    let edit = "UPDATE audit_test.audit_entry SET action = 'toy.thing.undone' WHERE index = 6";
    // Its own hash alone.
    let (toy, _) = Toy::chained().await;
    toy.tamper(&[edit]).await;
    toy.rechain(6, 6).await;
    let line = "entry 6 was edited and its hash computed anew: the chain breaks there";
    assert_found(&toy, &[line]).await;
    // All to the end: then only the heads know, and name what they bound.
    toy.rechain(6, 12).await;
    let line = "entries 5 to 8 were rewritten, or one of them deleted or inserted, and the hashes \
                computed anew: the head of size 8 has another hash";
    assert_found(&toy, &[line]).await;
}

#[tokio::test]
async fn entries_that_were_deleted_are_named() {
    for (sql, line) in [
        ("index = 1", "entry 1 was deleted"),
        ("index = 6", "entry 6 was deleted"),
        ("index IN (6, 7, 8)", "entries 6 to 8 were deleted"),
        ("index <= 11", "entries 1 to 11 were deleted"),
        ("index IN (3, 9)", "entry 3 was deleted"),
        ("index = 12", "entry 12 was truncated: the head of size 12 knows them"),
        ("index > 6", "entries 7 to 12 were truncated: the head of size 12 knows them"),
        ("true", "entries 1 to 12 were truncated: the head of size 12 knows them"),
    ] {
        let (toy, _) = Toy::chained().await;
        let sql = format!("DELETE FROM audit_test.audit_entry WHERE {sql}");
        toy.tamper(&[&sql]).await;
        assert_found(&toy, &[line]).await;
    }
}

#[tokio::test]
async fn a_gap_that_was_closed_is_found() {
    let (toy, _) = Toy::chained().await;
    toy.tamper(&["DELETE FROM audit_test.audit_entry WHERE index IN (6, 7)"]).await;
    shift(&toy, 8, -2).await;
    let cut = "entries 11 to 12 were truncated: the head of size 12 knows them";
    assert_found(&toy, &["entries 6 to 7 were deleted", cut]).await;
    toy.rechain(6, 10).await;
    let line = "entries 5 to 8 were rewritten, or one of them deleted or inserted, and the hashes \
                computed anew: the head of size 8 has another hash";
    assert_found(&toy, &[line, cut]).await;
}

#[tokio::test]
async fn an_entry_that_was_put_in_is_named() {
    let (toy, _) = Toy::chained().await;
    insert(&toy, 6).await;
    assert_found(&toy, &["entry 6 was inserted"]).await;
    toy.rechain(6, 13).await;
    let line = "entries 5 to 8 were rewritten, or one of them deleted or inserted, and the hashes \
                computed anew: the head of size 8 has another hash";
    assert_found(&toy, &[line]).await;

    let (toy, _) = Toy::chained().await;
    insert(&toy, 1).await;
    assert_found(&toy, &["entry 1 was inserted"]).await;

    // With the number of one that is there.
    let (toy, _) = Toy::chained().await;
    let mut admin = toy.admin().await;
    sqlx::raw_sql(
        "ALTER TABLE audit_test.audit_entry DROP CONSTRAINT audit_entry_pkey;
         INSERT INTO audit_test.audit_entry SELECT * FROM audit_test.audit_entry WHERE index = 6",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    assert_found(&toy, &["entry 6 was inserted"]).await;

    // In front of the first, where nobody would walk.
    let (toy, _) = Toy::chained().await;
    let mut admin = toy.admin().await;
    sqlx::raw_sql(
        "ALTER TABLE audit_test.audit_entry DROP CONSTRAINT audit_entry_index_check;
         INSERT INTO audit_test.audit_entry
         SELECT -7, previous_hash, hash, at, actor_kind, actor, action, subject_account_id,
                organization_code, purpose, outcome, detail_keys, detail_values, trace_id
         FROM audit_test.audit_entry WHERE index = 6",
    )
    .execute(&mut admin)
    .await
    .unwrap();
    assert_found(&toy, &["entry -7 was inserted"]).await;
}

#[tokio::test]
async fn an_entry_that_goes_on_from_another_past_is_named() {
    // Behind an entry that a head vouches for; otherwise the one before may be the wrong one.
    for (index, named) in [(5, 5), (7, 6), (1, 1)] {
        let (toy, _) = Toy::chained().await;
        let mut admin = toy.admin().await;
        let entry = db::entries(&mut admin, SCHEMA, index, index).await.unwrap().remove(0);
        let past = [9; 32];
        let hash = canonical::entry_hash(SCHEMA, index, &past, &entry.content);
        sqlx::query(
            "UPDATE audit_test.audit_entry SET previous_hash = $2, hash = $3 WHERE index = $1",
        )
        .bind(index)
        .bind(past.as_slice())
        .bind(hash.as_slice())
        .execute(&mut admin)
        .await
        .unwrap();
        let line =
            format!("entry {named} was edited and its hash computed anew: the chain breaks there");
        assert_found(&toy, &[&line]).await;
    }
}

#[tokio::test]
async fn a_copy_over_another_entry_is_an_edit() {
    let (toy, _) = Toy::chained().await;
    toy.tamper(&[
        "DELETE FROM audit_test.audit_entry WHERE index = 6",
        "INSERT INTO audit_test.audit_entry
         SELECT 6, previous_hash, hash, at, actor_kind, actor, action, subject_account_id,
                organization_code, purpose, outcome, detail_keys, detail_values, trace_id
         FROM audit_test.audit_entry WHERE index = 3",
    ])
    .await;
    assert_found(&toy, &["entry 6 was edited: its hash is not that of its columns"]).await;
}

#[tokio::test]
async fn entries_that_changed_places_are_named() {
    for (one, other) in [(3, 7), (6, 7), (1, 12), (11, 12)] {
        let (toy, _) = Toy::chained().await;
        swap(&toy, one, other).await;
        let line = format!("entry {one} was reordered: it stands at {other}");
        assert_found(&toy, &[&line]).await;
        // Hashes that fit again don't help.
        toy.rechain(one, 12).await;
        assert!(!toy.findings(None).await.is_empty(), "{one} and {other}");
    }
    // Far away, where a hole is left.
    let (toy, _) = Toy::chained().await;
    toy.tamper(&["UPDATE audit_test.audit_entry SET index = 100 WHERE index = 6"]).await;
    assert_found(&toy, &["entry 6 was reordered: it stands at 100"]).await;
    // Their columns alone.
    let (toy, _) = Toy::chained().await;
    toy.tamper(&["UPDATE audit_test.audit_entry e SET detail_values = o.detail_values
                  FROM audit_test.audit_entry o
                  WHERE e.index IN (3, 7) AND o.index = 10 - e.index"])
        .await;
    assert_found(&toy, &["entry 3 was edited: its hash is not that of its columns"]).await;
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_found_by_its_head() {
    let (toy, heads) = Toy::chained().await;
    toy.tamper(&[
        "DELETE FROM audit_test.audit_entry WHERE index > 6",
        "DELETE FROM audit_test.audit_head WHERE size > 4",
    ])
    .await;
    // What is left looks like a shorter chain, to who has kept nothing.
    assert_found(&toy, &[]).await;
    assert_eq!(toy.findings(Some(heads[0])).await, [""; 0]);
    for (head, range) in [(heads[1], "7 to 8"), (heads[2], "7 to 12")] {
        let size = head.size;
        let lines = [
            format!("audit: entries {range} were truncated: the head of size {size} knows them"),
            format!("audit: the head of size {size} was removed"),
        ];
        assert_eq!(toy.findings(Some(head)).await, lines);
    }
    // Nor does it help to let the chain grow again.
    toy.act(101..=110).await;
    toy.sealed().await.unwrap();
    assert_found(&toy, &[]).await;
    let lines = [
        "audit: entries 5 to 12 were rewritten, or one of them deleted or inserted, and the \
         hashes computed anew: the head of size 12 has another hash",
        "audit: the head of size 12 was removed",
    ];
    assert_eq!(toy.findings(Some(heads[2])).await, lines);
}

#[tokio::test]
async fn a_chain_of_more_pages_than_one_is_walked_to_its_end() {
    let toy = Toy::new().await;
    let mut transaction = toy.pool.begin().await.unwrap();
    for n in 0..2500 {
        let record = Record::done(Actor::Service("toy".into()), "toy.thing.done").with("n", n);
        toy.trail.append(&mut transaction, &record.about(account(1))).await.unwrap();
    }
    transaction.commit().await.unwrap();
    for _ in 0..3 {
        toy.sealed().await;
    }
    assert_found(&toy, &[]).await;
    for (index, sql) in [
        (2001, "DELETE FROM audit_test.audit_entry WHERE index BETWEEN 2001 AND 2499"),
        (2000, "DELETE FROM audit_test.audit_entry WHERE index = 2000"),
        (1001, "DELETE FROM audit_test.audit_entry WHERE index BETWEEN 1001 AND 2000"),
    ] {
        toy.tamper(&[sql]).await;
        let found = toy.findings(None).await;
        let named = format!("{index} to 2499 were deleted");
        assert!(found[0].contains(&named), "{found:?}");
    }
}
