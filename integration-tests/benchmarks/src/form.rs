//! Forms that are ready to be sent: everybody has been sent a code, and has read it.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tonic::transport::Channel;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::consent_service_client::ConsentServiceClient;
use zhiyuan_contracts::identity::v1::sms_code_service_client::SmsCodeServiceClient;
use zhiyuan_contracts::identity::v1::{
    Consent, ListConsentTextsRequest, SendSmsCodeRequest, SmsPurpose,
};
use zhiyuan_contracts::registration::v1::RegisterRequest;
use zhiyuan_testkit::{Person, person};

use crate::stage::Stage;

/// 蜀山区 of 合肥市, and an organization there that takes registrations.
pub(crate) const REGION: &str = "340104";
pub(crate) const ORGANIZATION: &str = "AH-340104001";

/// Codes that are asked for at once; identity lets in 64.
const AT_ONCE: usize = 32;

type Http = Client<HttpConnector, Empty<Bytes>>;

/// Makes forms of people who are not registered. Their codes live for 5 minutes.
pub(crate) async fn prepare(stage: &Stage, count: usize) -> anyhow::Result<Vec<RegisterRequest>> {
    let start = stage.take_people(count);
    prepare_of(stage, (start..).take(count).map(person).collect()).await
}

/// Makes forms of these people.
pub(crate) async fn prepare_of(
    stage: &Stage,
    people: Vec<Person>,
) -> anyhow::Result<Vec<RegisterRequest>> {
    let channels = stage.channels("identity", 4).await?;
    let first = channels.first().context("no connection")?.clone();
    let texts = ConsentServiceClient::new(first)
        .list_consent_texts(ListConsentTextsRequest::default())
        .await?
        .into_inner();
    let consents: Vec<Consent> = texts
        .consent_texts
        .into_iter()
        .filter(|text| text.required)
        .map(|text| Consent { purpose: text.purpose, version: text.version })
        .collect();
    // Everybody of one region would wait for its next number.
    let regions: Vec<String> =
        sqlx::query_scalar("SELECT code FROM orgtree.region WHERE leaf AND code LIKE '34%'")
            .fetch_all(&mut stage.database("zhiyuan").await?)
            .await?;
    let simulators = stage.address("simulators");
    let http = client();
    let people = people.into_iter().zip(channels.iter().cycle()).zip(regions.iter().cycle());
    futures_util::stream::iter(people)
        .map(|((person, channel), region)| {
            let (http, consents, region) = (http.clone(), consents.clone(), region.clone());
            prepare_one(person, channel.clone(), simulators, http, consents, region)
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

fn client() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Has a code sent to a phone, and reads it there: what it was sent by, and the code.
pub(crate) async fn sent_code(
    stage: &Stage,
    phone: &str,
    purpose: SmsPurpose,
) -> anyhow::Result<(String, String)> {
    let channel = stage.channel("identity").await?;
    send(channel, stage.address("simulators"), client(), phone, purpose).await
}

async fn send(
    channel: Channel,
    simulators: SocketAddr,
    http: Http,
    phone: &str,
    purpose: SmsPurpose,
) -> anyhow::Result<(String, String)> {
    let request = SendSmsCodeRequest {
        phone: phone.to_owned(),
        purpose: purpose.into(),
        ..Default::default()
    };
    let sent = SmsCodeServiceClient::new(channel).send_sms_code(request).await?.into_inner();
    let inbox = format!("http://{simulators}/sms?phone={phone}");
    let body = http.get(inbox.parse()?).await?.into_body().collect().await?.to_bytes();
    let messages: Value = serde_json::from_slice(&body)?;
    let code = messages.pointer("/0/code").and_then(Value::as_str).context("no code was sent")?;
    Ok((sent.challenge_id, code.to_owned()))
}

async fn prepare_one(
    person: Person,
    channel: Channel,
    simulators: SocketAddr,
    http: Http,
    consents: Vec<Consent>,
    region_code: String,
) -> anyhow::Result<RegisterRequest> {
    let (sms_challenge_id, sms_code) =
        send(channel, simulators, http, &person.mobile, SmsPurpose::Register).await?;
    Ok(RegisterRequest {
        request_id: Uuid::new_v4().to_string(),
        name: person.name,
        id_number: person.id_number,
        region_code,
        organization_code: ORGANIZATION.to_owned(),
        phone: person.mobile,
        sms_challenge_id,
        sms_code,
        password: "tidal-Maple7".to_owned(),
        league_member: true,
        consents,
        ..RegisterRequest::default()
    })
}
