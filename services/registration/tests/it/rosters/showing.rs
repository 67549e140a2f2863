//! Rejected rows are given back, to be corrected and sent again.

use std::time::Duration;

use tonic::Code;

use super::{ACTS, Secretary, assert_refused, counts, file, line, young};
use crate::harness::{Recovery, Service};

/// Row 15: what is given back holds no formula.
#[tokio::test]
async fn row_15_rejected_rows_come_back_with_what_is_wrong_and_without_formulas() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let number = young(2).id_number;
    let text = format!(
        "备注,姓名,身份证号\n,{},{}\n=HYPERLINK(1),=cmd,{number}\n",
        young(1).name,
        young(1).id_number
    );
    let import = secretary.import(text.as_bytes()).await;
    assert_eq!(counts(&import), [1, 0, 0, 0, 1]);
    let shown = secretary.rejected(&import.id, 0).await.unwrap();
    let expected = format!(
        "\u{feff}备注,姓名,身份证号,行号,问题\r\n'=HYPERLINK(1),'=cmd,'{number},3,\
         姓名缺失或不规范，请填写与身份证一致的姓名\r\n"
    );
    assert_eq!((String::from_utf8(shown.data).unwrap(), shown.next_offset), (expected.clone(), 0));
    // Identity records it once, and so does this service.
    let me = secretary.id.to_string();
    assert_eq!(service.rosters.with(|it| it.shown.clone()), [(me, "更正名册".to_owned())]);
    let acts = service.sql(ACTS).await;
    assert!(acts.ends_with("registration.roster.rejected_rows_shown DONE 更正名册"), "{acts}");
    // Corrected, it is imported: the two columns are none of it.
    let corrected = expected.replace("'=cmd", &young(2).name);
    assert_eq!(counts(&secretary.import(corrected.as_bytes()).await), [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_long_file_is_given_back_in_pieces() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let remark = "很长的备注".repeat(60);
    let rows: String = (0..2_000).map(|n| format!("张三,{n},{remark}\n")).collect();
    let text = format!("姓名,身份证号,备注\n{rows}") + &line(1).replace('\n', "") + "\n";
    let import = secretary.checked(text.as_bytes()).await;
    assert_eq!(counts(&import), [1, 0, 0, 0, 2_000]);
    let (mut all, mut offset) = (Vec::new(), 0);
    loop {
        let piece = secretary.rejected(&import.id, offset).await.unwrap();
        assert!(piece.data.len() <= 1024 * 1024);
        all.extend(piece.data);
        offset = piece.next_offset;
        if offset == 0 {
            break;
        }
        assert_eq!(usize::try_from(offset).unwrap(), all.len());
    }
    let all = String::from_utf8(all).unwrap();
    assert!(all.len() > 1024 * 1024);
    assert_eq!(all.lines().count(), 2_001);
}

#[tokio::test]
async fn a_file_is_gone_after_seven_days() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.checked(file([1]).as_bytes()).await;
    let never = secretary.create(&secretary.form(b"x")).await.unwrap();
    // Gone at identity already.
    service.rosters.with(|state| state.pieces.clear());
    let gone = || async { secretary.rejected(&import.id, 0).await };
    assert_refused(gone().await, Code::FailedPrecondition, "ROSTER_FILE_GONE");
    service.clock.advance(Duration::from_secs(7 * 24 * 3600 + 1));
    let calls = service.rosters.calls("get");
    assert_refused(gone().await, Code::FailedPrecondition, "ROSTER_FILE_GONE");
    assert_eq!(service.rosters.calls("get"), calls);
    // What was never uploaded has failed.
    secretary.until(&never.id, super::RosterImportState::Failed).await;
    secretary.go_on(&import.id).await;
    let failed = secretary.until(&import.id, super::RosterImportState::Failed).await;
    assert_eq!(failed.failure(), zhiyuan_contracts::registration::v1::RosterFailure::Gone);
}

#[tokio::test]
async fn imports_are_forgotten_after_a_year_and_members_are_not() {
    let service = Service::start(Recovery::On).await;
    let secretary = Secretary::new(&service).await;
    let import = secretary.import(file([1]).as_bytes()).await;
    service.clock.advance(Duration::from_secs(366 * 24 * 3600));
    service
        .until("it is forgotten", async |it| {
            it.sql("SELECT count(*) FROM registration.roster_import_row").await == "0"
        })
        .await;
    assert_refused(secretary.get(&import.id).await, Code::NotFound, "ROSTER_IMPORT_NOT_FOUND");
    let member = secretary.members().await.remove(0);
    assert_eq!((&*member.import_id, member.row_number), ("", 0));
}
