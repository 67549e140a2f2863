//! Uploaded rosters.

use tonic::{Code, Status};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::{
    DeleteRosterFileRequest, GetRosterPieceRequest, PutRosterPieceRequest,
};

use crate::codes::reason;
use crate::harness::{Identity, KEYS_OF_PEOPLE, new_enrolment_id};

const PIECES: &str = "SELECT count(*) FROM identity.roster_piece";
const REVEALED: &str = "SELECT count(*) FROM
         (SELECT action, actor, purpose FROM identity.audit_pending
          UNION ALL SELECT action, actor, purpose FROM identity.audit_entry) records
     WHERE action = 'identity.roster_file.revealed'
       AND actor = '01938f2e-7b5a-7c6d-8e9f-0a1b2c3d4e5f' AND purpose = '下载被退回的行'";
const VIEWER: &str = "01938f2e-7b5a-7c6d-8e9f-0a1b2c3d4e5f";

impl Identity {
    async fn put(&self, file_id: &str, index: i32, data: &[u8]) -> Result<(), Status> {
        let file_id = file_id.to_owned();
        let request = PutRosterPieceRequest { file_id, index, data: data.to_vec() };
        self.rosters().put_roster_piece(request).await.map(|_kept| ())
    }

    async fn piece(&self, file_id: &str, index: i32) -> Result<Vec<u8>, Status> {
        let request =
            GetRosterPieceRequest { file_id: file_id.to_owned(), index, ..Default::default() };
        Ok(self.rosters().get_roster_piece(request).await?.into_inner().data)
    }

    async fn delete(&self, file_id: &str) -> Result<(), Status> {
        let request = DeleteRosterFileRequest { file_id: file_id.to_owned() };
        self.rosters().delete_roster_file(request).await.map(|_gone| ())
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    reason(&answer.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_is_kept_sealed_and_given_back_as_it_was() {
    let identity = Identity::start().await;
    let file = new_enrolment_id();
    let large: Vec<u8> = (0..128 * 1024).map(|n: u32| (n % 251) as u8).collect();
    for _ in 0..2 {
        identity.put(&file, 0, "姓名,身份证号".as_bytes()).await.unwrap();
        identity.put(&file, 159, &large).await.unwrap();
    }
    assert_eq!(identity.piece(&file, 0).await.unwrap(), "姓名,身份证号".as_bytes());
    assert_eq!(identity.piece(&file, 159).await.unwrap(), large);
    let stored: Vec<Vec<u8>> = sqlx::query_scalar("SELECT data FROM identity.roster_piece")
        .fetch_all(&identity.pool)
        .await
        .unwrap();
    let clear = "姓名".as_bytes();
    assert!(stored.iter().all(|data| !data.windows(clear.len()).any(|part| part == clear)));

    let other = identity.put(&file, 0, b"other").await.unwrap_err();
    assert_eq!((other.code(), &*reason(&other)), (Code::AlreadyExists, "ROSTER_PIECE_DIFFERS"));
    for missing in [identity.piece(&file, 1).await, identity.piece(&new_enrolment_id(), 0).await] {
        let missing = missing.unwrap_err();
        assert_eq!((missing.code(), &*reason(&missing)), (Code::NotFound, "ROSTER_FILE_NOT_FOUND"));
    }
    for (file, index, data) in [
        (&file, 160, b"x".as_slice()),
        (&file, -1, b"x"),
        (&file, 2, b""),
        (&file, 2, &[large.as_slice(), b"x"].concat()),
        (&Uuid::nil().to_string(), 2, b"x"),
    ] {
        assert_eq!(refused(identity.put(file, index, data).await), "INVALID_FIELDS");
    }
    assert_eq!(refused(identity.piece("canary", 0).await), "INVALID_FIELDS");
    assert_eq!(refused(identity.delete("canary").await), "INVALID_FIELDS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pieces_that_come_at_the_same_time_are_of_one_file_with_one_key() {
    let identity = Identity::start().await;
    let file = new_enrolment_id();
    let puts = (0..32).map(|index| {
        let (identity, file) = (&identity, &file);
        async move { identity.put(file, index % 16, &[1, u8::try_from(index % 16).unwrap()]).await }
    });
    for put in futures_util::future::join_all(puts).await {
        put.unwrap();
    }
    assert_eq!(identity.count(PIECES).await, 16);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 1);
}

#[tokio::test]
async fn who_is_shown_a_piece_is_recorded_with_the_reason() {
    let identity = Identity::start().await;
    let file = new_enrolment_id();
    identity.put(&file, 3, b"rows").await.unwrap();
    let request = GetRosterPieceRequest {
        file_id: file.clone(),
        index: 3,
        viewer_account_id: VIEWER.into(),
        purpose: "下载被退回的行".into(),
    };
    for seen in 1..=2 {
        let shown = identity.rosters().get_roster_piece(request.clone()).await.unwrap();
        assert_eq!(shown.into_inner().data, b"rows");
        assert_eq!(identity.count(REVEALED).await, seen);
    }
    // The suite itself reads it without.
    identity.piece(&file, 3).await.unwrap();
    for (viewer_account_id, purpose) in [("", "导出"), (VIEWER, ""), ("canary", "导出")] {
        let request = GetRosterPieceRequest {
            viewer_account_id: viewer_account_id.into(),
            purpose: purpose.into(),
            ..request.clone()
        };
        let answer = identity.rosters().get_roster_piece(request).await;
        assert_eq!(refused(answer), "INVALID_FIELDS");
    }
    let missing = GetRosterPieceRequest { index: 4, ..request };
    let answer = identity.rosters().get_roster_piece(missing).await;
    assert_eq!(refused(answer), "ROSTER_FILE_NOT_FOUND");
    assert_eq!(identity.count(REVEALED).await, 2);
}

#[tokio::test]
async fn a_deleted_file_is_gone_with_its_key_and_a_late_piece_is_refused() {
    let identity = Identity::start().await;
    let (file, never) = (new_enrolment_id(), new_enrolment_id());
    identity.put(&file, 0, b"rows").await.unwrap();
    for _ in 0..2 {
        identity.delete(&file).await.unwrap();
        identity.delete(&never).await.unwrap();
    }
    assert_eq!(identity.count(PIECES).await, 0);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    for file in [&file, &never] {
        assert_eq!(refused(identity.put(file, 0, b"rows").await), "ROSTER_FILE_NOT_FOUND");
        assert_eq!(refused(identity.piece(file, 0).await), "ROSTER_FILE_NOT_FOUND");
    }
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
}

#[tokio::test]
async fn a_file_goes_by_itself_seven_days_after_its_first_piece() {
    let identity = Identity::start().await;
    let file = new_enrolment_id();
    identity.put(&file, 0, b"first").await.unwrap();
    identity.pass(time::Duration::days(6));
    identity.put(&file, 1, b"second").await.unwrap();
    identity.piece(&file, 0).await.unwrap();
    identity.pass(time::Duration::days(1));
    // At once, whenever the job comes by.
    assert_eq!(refused(identity.piece(&file, 0).await), "ROSTER_FILE_NOT_FOUND");
    assert_eq!(refused(identity.put(&file, 2, b"third").await), "ROSTER_FILE_NOT_FOUND");
    for _ in 0..500 {
        if identity.count(PIECES).await + identity.count(KEYS_OF_PEOPLE).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(identity.count(PIECES).await, 0);
    assert_eq!(identity.count(KEYS_OF_PEOPLE).await, 0);
    assert_eq!(refused(identity.put(&file, 2, b"third").await), "ROSTER_FILE_NOT_FOUND");
}

/// Guarantee 21.
#[tokio::test]
async fn a_piece_that_was_moved_within_its_file_or_to_another_one_is_data_loss() {
    let identity = Identity::start().await;
    let (one, other) = (new_enrolment_id(), new_enrolment_id());
    for (file, index) in [(&one, 0), (&one, 1), (&other, 0)] {
        identity.put(file, index, b"rows").await.unwrap();
    }
    let moves = [
        "UPDATE identity.roster_piece SET index = 2 - index WHERE index IN (0, 2)",
        "UPDATE identity.roster_piece p SET data = q.data FROM identity.roster_piece q
         WHERE p.file_id = $1::uuid AND p.index = 1 AND q.file_id <> p.file_id",
    ];
    for sql in moves {
        let moved = sqlx::query(sql);
        let moved = if sql.contains("$1") { moved.bind(&one) } else { moved };
        moved.execute(&identity.pool).await.unwrap();
    }
    for (file, index) in [(&one, 2), (&one, 1), (&other, 2)] {
        assert_eq!(identity.piece(file, index).await.unwrap_err().code(), Code::DataLoss);
    }
}
