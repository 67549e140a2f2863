//! What people agree to and take back.

use futures_util::future::join_all;
use prost::Message as _;
use tonic::transport::Channel;
use zhiyuan_contracts::identity::v1::consent_service_client::ConsentServiceClient;
use zhiyuan_contracts::identity::v1::{
    Consent, ConsentEntry, ConsentOccasion, ConsentPurpose, ConsentState, ConsentsChanged,
    GiveConsentRequest, ListConsentTextsRequest, ListMyConsentEntriesRequest,
    ListMyConsentsRequest, Tokens, WithdrawConsentRequest,
};
use zhiyuan_crypto::digest::unkeyed;
use zhiyuan_rpc::Remote;

use crate::account::{Answer, refused, with};
use crate::codes::reason;
use crate::harness::Identity;
use crate::sessions::signed_in;

const VERSION: &str = "2026-11-01";
const CREDIT: ConsentPurpose = ConsentPurpose::CreditSharing;

fn consents(address: &str) -> ConsentServiceClient<Channel> {
    ConsentServiceClient::new(zhiyuan_rpc::connect_lazy(address).unwrap())
}

/// Agrees as somebody who sees how it stands.
async fn give(
    address: &str,
    tokens: &Tokens,
    purpose: ConsentPurpose,
    version: &str,
) -> Answer<ConsentState> {
    let request = with(tokens, ListMyConsentsRequest::default());
    let listed = consents(address).list_my_consents(request).await?.into_inner().consents;
    let seen = listed.iter().find(|state| state.purpose() == purpose);
    give_after(seen.map_or(0, |state| state.entry), (address, tokens), purpose, version).await
}

async fn give_after(
    seen_entry: i32,
    (address, tokens): (&str, &Tokens),
    purpose: ConsentPurpose,
    version: &str,
) -> Answer<ConsentState> {
    let consent = Some(Consent { purpose: purpose.into(), version: version.to_owned() });
    let request = with(tokens, GiveConsentRequest { consent, seen_entry });
    Ok(consents(address).give_consent(request).await?.into_inner().consent.unwrap())
}

async fn withdraw(address: &str, tokens: &Tokens, purpose: ConsentPurpose) -> Answer<ConsentState> {
    let request = with(tokens, WithdrawConsentRequest { purpose: purpose.into() });
    Ok(consents(address).withdraw_consent(request).await?.into_inner().consent.unwrap())
}

async fn stands(identity: &Identity, tokens: &Tokens) -> Vec<(ConsentPurpose, bool)> {
    let request = with(tokens, ListMyConsentsRequest::default());
    let listed = consents(&identity.address).list_my_consents(request).await.unwrap();
    let listed = listed.into_inner().consents;
    listed.iter().map(|state| (state.purpose(), state.given)).collect()
}

async fn entries(identity: &Identity, tokens: &Tokens) -> Vec<ConsentEntry> {
    let mut request = ListMyConsentEntriesRequest { page_size: 2, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let mut client = consents(&identity.address);
        let page = client.list_my_consent_entries(with(tokens, request)).await;
        let page = page.unwrap().into_inner();
        all.extend(page.entries);
        if page.next_page_token.is_empty() {
            return all;
        }
        request = ListMyConsentEntriesRequest { page_size: 2, page_token: page.next_page_token };
    }
}

/// What was told of consents, in order.
async fn told(identity: &Identity) -> Vec<Vec<ConsentPurpose>> {
    let sql = "SELECT payload FROM identity.event
               WHERE type = 'zhiyuan.identity.v1.ConsentsChanged' ORDER BY partition, position";
    let waiting = "SELECT count(*) FROM identity.outbox";
    while identity.count(waiting).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let events: Vec<Vec<u8>> = sqlx::query_scalar(sql).fetch_all(&identity.pool).await.unwrap();
    let purposes = |event: &Vec<u8>| {
        let changed = ConsentsChanged::decode(event.as_slice()).unwrap();
        changed.given.iter().map(Consent::purpose).collect()
    };
    events.iter().map(purposes).collect()
}

#[tokio::test]
async fn a_consent_is_given_and_taken_back_as_easily_and_each_is_told() {
    let (identity, _, tokens) = signed_in().await;
    let here = &identity.address;
    use ConsentPurpose::{Insurance, PublicLists, Registration};
    let at_first =
        [(Registration, true), (CREDIT, false), (Insurance, false), (PublicLists, false)];
    assert_eq!(stands(&identity, &tokens).await, at_first);
    let given = give(here, &tokens, CREDIT, VERSION).await.unwrap();
    assert!(given.given && given.version == VERSION && given.version_in_force == VERSION);
    // Sent again, nothing changes.
    identity.pass(time::Duration::minutes(5));
    assert_eq!(give(here, &tokens, CREDIT, VERSION).await.unwrap(), given);
    let taken_back = withdraw(here, &tokens, CREDIT).await.unwrap();
    assert!(!taken_back.given && taken_back.version == VERSION);
    assert_eq!(withdraw(here, &tokens, CREDIT).await.unwrap(), taken_back);
    // What was agreed to before it was taken back, and comes late.
    let late = give_after(0, (here, &tokens), CREDIT, VERSION).await;
    assert_eq!(refused(late), "CONSENT_CHANGED");
    let late = give_after(given.entry, (here, &tokens), CREDIT, VERSION).await;
    assert_eq!(refused(late), "CONSENT_CHANGED");
    // What was never given.
    let never = withdraw(here, &tokens, Insurance).await.unwrap();
    assert!(!never.given && never.version.is_empty() && never.change_time.is_none());
    assert_eq!(stands(&identity, &tokens).await, at_first);

    let entries = entries(&identity, &tokens).await;
    let lines: Vec<_> = entries
        .iter()
        .map(|entry| (entry.number, entry.purpose(), entry.given, entry.occasion()))
        .collect();
    use ConsentOccasion::{Registering, SignedIn};
    assert_eq!(
        lines,
        [
            (3, CREDIT, false, SignedIn),
            (2, CREDIT, true, SignedIn),
            (1, Registration, true, Registering),
        ]
    );
    let texts = consents(here).list_consent_texts(ListConsentTextsRequest::default()).await;
    let shown = texts.unwrap().into_inner().consent_texts;
    let shown = format!("{}\n{}", shown[1].title, shown[1].body);
    assert_eq!(entries[1].text_hash, unkeyed(shown.as_bytes()));
    let all = [vec![Registration], vec![Registration, CREDIT], vec![Registration]];
    assert_eq!(told(&identity).await, all);
}

#[tokio::test]
async fn what_is_no_text_in_force_is_refused_and_registering_is_not_taken_back() {
    let (identity, _, tokens) = signed_in().await;
    let here = &identity.address;
    let outdated = give(here, &tokens, CREDIT, "2019-01-01").await;
    assert_eq!(refused(outdated), "CONSENT_OUTDATED");
    for version in ["", "2026 11", &"1".repeat(33)] {
        assert_eq!(refused(give(here, &tokens, CREDIT, version).await), "INVALID_FIELDS");
    }
    let unknown = give(here, &tokens, ConsentPurpose::Unspecified, VERSION).await;
    assert_eq!(refused(unknown), "INVALID_FIELDS");
    let unknown = withdraw(here, &tokens, ConsentPurpose::Unspecified).await;
    assert_eq!(refused(unknown), "INVALID_FIELDS");
    let required = withdraw(here, &tokens, ConsentPurpose::Registration).await;
    assert_eq!(refused(required), "CONSENT_REQUIRED");
    assert_eq!(identity.count("SELECT count(*) FROM identity.consent_entry").await, 1);
}

#[tokio::test]
async fn of_many_changes_at_once_in_two_processes_the_ledger_tells_one_order() {
    let (identity, _, tokens) = signed_in().await;
    let (replica, _tasks) = identity.replica().await;
    let wait = std::time::Instant::now();
    while give(&replica, &tokens, CREDIT, VERSION).await.is_err() {
        assert!(wait.elapsed().as_secs() < 5);
    }
    let addresses = [&identity.address, &replica];
    join_all((0..40).map(async |n: usize| {
        let address = addresses[n % 2];
        loop {
            let answer = if n % 4 < 2 {
                give(address, &tokens, CREDIT, VERSION).await
            } else {
                withdraw(address, &tokens, CREDIT).await
            };
            match answer {
                Ok(_) => break,
                // The machine is busy: sent again, it is done once all the same.
                Err(status) if Remote::from(status.clone()).is_transient() => {}
                // Another one was faster: looked at again.
                Err(status) if reason(&status) == "CONSENT_CHANGED" => {}
                Err(status) => panic!("{status:?}"),
            }
        }
    }))
    .await;
    let entries = entries(&identity, &tokens).await;
    let numbers: Vec<i32> = entries.iter().rev().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=i32::try_from(entries.len()).unwrap()).collect::<Vec<_>>());
    // Given, taken back, given … : who changes nothing enters nothing.
    let changes: Vec<bool> = entries.iter().rev().skip(1).map(|entry| entry.given).collect();
    assert!(changes.iter().enumerate().all(|(n, given)| *given == (n % 2 == 0)), "{changes:?}");
    let told = told(&identity).await;
    let credit: Vec<bool> = told.iter().skip(1).map(|given| given.contains(&CREDIT)).collect();
    assert_eq!(credit, changes);
}

#[tokio::test]
async fn the_ledger_is_only_added_to() {
    let (identity, _, _) = signed_in().await;
    for sql in [
        "UPDATE identity.consent_entry SET given = false",
        "DELETE FROM identity.consent_entry",
        "TRUNCATE identity.consent_entry",
    ] {
        // Not even by who owns it.
        let error = sqlx::query(sql).execute(&identity.pool).await.unwrap_err();
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "42501", "{sql}");
    }
    assert_eq!(identity.count("SELECT count(*) FROM identity.consent_entry").await, 1);
}
