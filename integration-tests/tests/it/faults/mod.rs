//! What is needed is not there, full, silent or too slow: the answer is clear, nothing is
//! lost, and all is well again without a human.

mod callers;
mod database;
mod disk;
mod overload;
mod vendors;

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use tonic::Code;
use zhiyuan_contracts::identity::v1::{ListConsentTextsRequest, ListConsentTextsResponse};
use zhiyuan_contracts::orgtree::v1::{ListRegionsRequest, ListRegionsResponse};
use zhiyuan_contracts::registration::v1::{RegisterRequest, Volunteer};
use zhiyuan_testkit::person;

use crate::harness::client::{LIST_CONSENT_TEXTS, LIST_REGIONS};
use crate::harness::http::Http;
use crate::harness::{Client, Door, Refusal};

const AT_ONCE: usize = 8;
const POLL: Duration = Duration::from_millis(20);

/// Asserts that an answer tells a caller to come again, in words and by code, and that
/// nobody is blamed for it.
fn assert_come_again(refusal: &Refusal) {
    let later = matches!(
        refusal.code,
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Aborted
    );
    assert!(later && !refusal.reason.is_empty(), "{refusal:?}");
    assert!(!refusal.message.is_ascii(), "{refusal:?}");
    // Who waited until the deadline has waited long enough.
    let told = refusal.retry_after.is_some() || refusal.code == Code::DeadlineExceeded;
    assert!(told, "{refusal:?}");
}

async fn regions(door: &Door) -> Result<ListRegionsResponse, Refusal> {
    let request = ListRegionsRequest { page_size: 5, ..Default::default() };
    door.call(LIST_REGIONS, &request).await
}

/// The one method that needs no database.
async fn consent_texts(door: &Door) -> Result<ListConsentTextsResponse, Refusal> {
    door.call(LIST_CONSENT_TEXTS, &ListConsentTextsRequest::default()).await
}

async fn is_ready(client: &Client) -> bool {
    let page = format!("http://{}/readyz", client.site.addresses.gateway);
    let answer = Http::new().send(http::Method::GET, &page, &[], Vec::new()).await;
    answer.is_ok_and(|answer| answer.status.is_success())
}

/// Forms of so many people, each with a code.
async fn forms(client: &Client, first: u32, count: u32) -> Vec<RegisterRequest> {
    futures_util::stream::iter(first..first + count)
        .map(|n| async move { client.apply(client.door(n as usize), &person(n)).await })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Sends forms, each once.
async fn send(client: &Client, forms: &[RegisterRequest]) -> Vec<Result<(), Refusal>> {
    futures_util::stream::iter(forms.iter().enumerate())
        .map(|(n, form)| async move { client.register(client.door(n), form).await.map(drop) })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Sends forms until each is a volunteer, and a different one.
async fn register_all(client: &Client, forms: &[RegisterRequest]) -> Vec<Volunteer> {
    let volunteers: Vec<Volunteer> =
        futures_util::stream::iter(forms.iter().enumerate())
            .map(|(n, form)| async move {
                client.register_to_the_end(client.door(n), form).await.unwrap()
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
    let mut ids: Vec<&str> = volunteers.iter().map(|volunteer| volunteer.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), forms.len());
    volunteers
}

/// Waits for a condition.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}
