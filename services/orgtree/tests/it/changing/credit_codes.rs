//! Unified social credit codes of organizations.

use tonic::Code;
use tonic_types::StatusExt as _;
use zhiyuan_contracts::orgtree::v1::{
    CreateOrganizationRequest, GetOrganizationRequest, OrganizationDetails,
};
use zhiyuan_rpc::wire::timestamp;

use super::{administrator, create, creates, details, get, update, updates};
use crate::authority::{HEADER, Suite};
use crate::dated::now;
use crate::harness::{assert_field, assert_refused, load};

const ONE: &str = "51340000MJ0000034F";
const OTHER: &str = "52340100MJ0000042C";

fn coded(name: &str, code: &str) -> OrganizationDetails {
    OrganizationDetails { credit_code: code.to_owned(), ..details(name) }
}

fn makes(code: &str, name: &str, credit_code: &str) -> CreateOrganizationRequest {
    CreateOrganizationRequest {
        details: Some(coded(name, credit_code)),
        ..creates(code, "A-1", "")
    }
}

#[tokio::test]
async fn a_code_is_of_one_open_organization_and_is_told() {
    let suite = Suite::on_province().await;
    let pool = suite.database.pool().await;
    let mut admin = administrator(&suite, 1, "A").await;
    let made = create(&mut admin, makes("A-1-2", "暖阳", " 51340000mj0000034f")).await.unwrap();
    assert_eq!(made.credit_code, ONE);
    assert_eq!(get(&suite, "A-1-2").await, made);
    let status = create(&mut admin, makes("A-1-3", "春风", ONE)).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "CREDIT_CODE_TAKEN");
    // By whom, so that it can be undone.
    let told = status.get_error_details().error_info().unwrap().metadata.clone();
    assert_eq!(told.get("organization_code").map(String::as_str), Some("A-1-2"));
    for (code, reason) in [
        ("51340000MJ0000034", "CREDIT_CODE_LENGTH"),
        ("51340000MJ000003OF", "CREDIT_CODE_CHARACTERS"),
        ("51340000MJ0000035F", "CREDIT_CODE_BODY"),
        ("51340000MJ0000034G", "CREDIT_CODE_CHECKSUM"),
    ] {
        let status = create(&mut admin, makes("A-1-3", "春风", code)).await.unwrap_err();
        assert_field(&status, "details.credit_code", reason);
    }
    let there = get(&suite, "A-1-1").await;
    let wanted = updates(&there, &["credit_code"], coded("", ONE));
    let status = update(&mut admin, wanted).await.unwrap_err();
    assert_refused(&status, Code::AlreadyExists, "CREDIT_CODE_TAKEN");
    let changed =
        update(&mut admin, updates(&there, &["credit_code"], coded("", OTHER))).await.unwrap();
    assert_eq!((&*changed.credit_code, &changed.name), (OTHER, &there.name));
    // What is not named stays; and the own one is no other one's.
    let changed = update(&mut admin, updates(&changed, &["name"], details("新镇"))).await.unwrap();
    assert_eq!(changed.credit_code, OTHER);
    let changed =
        update(&mut admin, updates(&changed, &["credit_code"], coded("", OTHER))).await.unwrap();
    let changed =
        update(&mut admin, updates(&changed, &["credit_code"], coded("", ""))).await.unwrap();
    assert_eq!(changed.credit_code, "");

    // Of the present alone.
    let request = GetOrganizationRequest {
        code: "A-1-2".into(),
        as_of_time: Some(timestamp(now(&pool).await)),
    };
    let was = suite.service.organizations().get_organization(request).await.unwrap();
    assert_eq!(was.into_inner().organization.unwrap().credit_code, "");
    // The database knows it too, when all is done.
    let error = sqlx::query("UPDATE orgtree.organization SET credit_code = $1 WHERE code = 'A-2'")
        .bind(ONE)
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "23P01");
    // Nothing is kept of the many that have none.
    let rule: String = sqlx::query_scalar(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint
         WHERE conname = 'organization_credit_code_once'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(rule.contains("credit_code IS NOT NULL"), "{rule}");
    // Who is closed has it no more.
    sqlx::query("UPDATE orgtree.organization SET state = 2 WHERE code = 'A-1-2'")
        .execute(&pool)
        .await
        .unwrap();
    create(&mut admin, makes("A-1-3", "春风", ONE)).await.unwrap();
    suite.stop().await;
}

#[tokio::test]
async fn a_file_gives_codes_and_gives_none_to_two() {
    let suite = Suite::on_province().await;
    let header = format!("{HEADER},credit_code");
    let file = |one: &str, other: &str| {
        format!(
            "{header}\nA-1-1,镇一一,TOWNSHIP,A-1,,,,{one}\nA-2-1,镇二一,TOWNSHIP,A-2,,,,{other}\n"
        )
    };
    load(&suite.database, &file(ONE, OTHER)).await.unwrap();
    let codes = || async {
        [get(&suite, "A-1-1").await.credit_code, get(&suite, "A-2-1").await.credit_code]
    };
    assert_eq!(codes().await, [ONE, OTHER]);
    let revision = get(&suite, "A-1-1").await.etag;
    // They change places.
    load(&suite.database, &file(OTHER, ONE)).await.unwrap();
    assert_eq!(codes().await, [OTHER, ONE]);
    assert_ne!(get(&suite, "A-1-1").await.etag, revision, "it is told of");
    let twice = load(&suite.database, &file(ONE, ONE)).await.unwrap_err();
    let told = zhiyuan_rpc::chain(&twice);
    let expected = "line 3: credit_code is that of another open organization, A-1-1";
    assert!(told.contains(expected), "{told}");
    let elsewhere = format!("{header}\nA-2,市二,MUNICIPAL,A,,,,{ONE}\n");
    let told = zhiyuan_rpc::chain(&load(&suite.database, &elsewhere).await.unwrap_err());
    assert!(told.contains("another open organization, A-2-1"), "{told}");
    assert_eq!(codes().await, [OTHER, ONE]);
    suite.stop().await;
}
