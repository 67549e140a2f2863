//! Nobody learns from an answer whether somebody is registered: those who are known and
//! those who are not get the same bytes after the same work, up to the one exception that
//! the notice demands.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;
use zhiyuan_contracts::registration::v1::RegisterRequest;
use zhiyuan_testkit::{Person, person};

use crate::harness::client::{REGISTER, SEND_SMS_CODE};
use crate::harness::collector::Collector;
use crate::harness::http::{Answer, Http};
use crate::harness::{Client, Processes, Settings};

/// What differs from call to call and tells nothing: ids and times.
const FLEETING: [&str; 3] = ["challengeId", "expireTime", "nextSendTime"];
const HASH: &str = "password.hash";

/// An answer as its receiver sees it, and where to find the work behind it.
#[derive(Debug)]
struct Seen {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Value,
    length: usize,
    trace: String,
}

impl Seen {
    fn of(answer: &Answer) -> Self {
        let mut headers: BTreeMap<String, String> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let trace = headers.insert("x-trace-id".into(), String::new()).unwrap_or_default();
        headers.insert("date".into(), String::new());
        // It counts the bytes, and a time may have a digit less.
        headers.remove("content-length");
        let mut body = answer.json();
        for name in FLEETING {
            if let Some(value) = body.get_mut(name) {
                *value = Value::Null;
            }
        }
        let length = body.to_string().len();
        Self { status: answer.status.as_u16(), headers, body, length, trace }
    }

    fn reason(&self) -> String {
        let details = self.body["details"].as_array().cloned().unwrap_or_default();
        let reasons = details.iter().filter_map(|detail| detail["debug"]["reason"].as_str());
        reasons.collect::<Vec<_>>().join(" ")
    }

    fn assert_same_as(&self, other: &Self, what: &str) {
        assert_eq!(self.status, other.status, "{what}");
        assert_eq!(self.headers, other.headers, "{what}");
        assert_eq!(self.body.to_string(), other.body.to_string(), "{what}");
        assert_eq!(self.length, other.length, "{what}");
    }
}

async fn post(client: &Client, path: &str, body: Value) -> Seen {
    let url = format!("http://{}{path}", client.site.addresses.gateway);
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into_bytes();
    let answer = Http::new().send(Method::POST, &url, &headers, body).await.unwrap();
    Seen::of(&answer)
}

async fn ask_code(client: &Client, phone: &str) -> Seen {
    post(client, SEND_SMS_CODE, json!({"phone": phone, "purpose": "SMS_PURPOSE_REGISTER"})).await
}

async fn activate(client: &Client, phone: &str) -> Seen {
    post(client, "/zhiyuan.identity.v1.ActivationService/StartActivation", json!({"phone": phone}))
        .await
}

async fn register(client: &Client, form: &RegisterRequest) -> Seen {
    let consent =
        |version: &str| json!({"purpose": "CONSENT_PURPOSE_REGISTRATION", "version": version});
    let body = json!({
        "requestId": form.request_id,
        "name": form.name,
        "idNumber": form.id_number,
        "regionCode": form.region_code,
        "organizationCode": form.organization_code,
        "phone": form.phone,
        "smsChallengeId": form.sms_challenge_id,
        "smsCode": form.sms_code,
        "password": form.password,
        "consents": [consent(&form.consents[0].version)],
    });
    post(client, REGISTER, body).await
}

/// The form of somebody whose name, number and phone these are.
fn of(form: &RegisterRequest, name: &str, id_number: &str) -> RegisterRequest {
    RegisterRequest {
        request_id: Uuid::new_v4().to_string(),
        name: name.to_owned(),
        id_number: id_number.to_owned(),
        ..form.clone()
    }
}

fn wrong(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// All that was done in a trace: how often each span was there, by service.
fn work(collector: &Collector, trace: &str) -> BTreeMap<(String, String), usize> {
    assert_eq!(trace.len(), 32, "{trace}");
    let mut work = BTreeMap::new();
    for span in collector.spans().into_iter().filter(|span| span.trace == trace) {
        *work.entry((span.service, span.name)).or_default() += 1;
    }
    work
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_known_and_who_is_not_get_the_same_bytes_after_the_same_work() {
    let collector = Collector::start().await;
    let settings =
        Settings { otlp_endpoint: Some(collector.endpoint.clone()), ..Settings::default() };
    let mut suite = Processes::start("uniform", settings).await;
    let client = Client::of(&suite.site);
    let (known, unknown) = (person(500_000), person(500_001));
    let form = client.apply(&client.grpc, &known).await;
    client.register_to_the_end(&client.grpc, &form).await.unwrap();
    // The minute of that code is over.
    let mut main = suite.site.main_database().await;
    sqlx::query("UPDATE identity.sms_phone SET sent_at = '{}'").execute(&mut main).await.unwrap();

    let mut pairs = Vec::new();
    let code = [ask_code(&client, &known.mobile).await, ask_code(&client, &unknown.mobile).await];
    assert_eq!(code[0].status, 200, "{:?}", code[0]);
    pairs.push(("code", 0, code));
    // The wait is told in whole seconds: asked again until both are told the same one.
    let until = Instant::now() + std::time::Duration::from_secs(30);
    let soon = loop {
        let soon = [ask_code(&client, &known.mobile), ask_code(&client, &unknown.mobile)];
        let [one, other] = soon;
        let soon = [one.await, other.await];
        if soon[0].body["message"] == soon[1].body["message"] || Instant::now() > until {
            break soon;
        }
    };
    assert_eq!(soon[0].status, 429, "{:?}", soon[0]);
    pairs.push(("code, too soon", 0, soon.map(without_wait)));

    sqlx::query("UPDATE identity.sms_phone SET sent_at = '{}'").execute(&mut main).await.unwrap();
    let code = [activate(&client, &known.mobile).await, activate(&client, &unknown.mobile).await];
    assert_eq!(code[0].status, 200, "{:?}", code[0]);
    pairs.push(("activation", 0, code));

    // A stranger with a phone of their own tries the numbers of both.
    let stranger = |n: u32| Person { mobile: person(500_100 + n).mobile, ..unknown.clone() };
    let mut n = 0;
    let mut tries = Vec::new();
    for (what, name, right_code) in
        [("a guessed code", "", false), ("a name that does not match", "不符", true)]
    {
        let mut pair = Vec::new();
        for who in [&known, &unknown] {
            n += 1;
            let applied = client.apply(&client.grpc, &stranger(n)).await;
            let mut form = of(&applied, &format!("{}{name}", who.name), &who.id_number);
            if !right_code {
                form.sms_code = wrong(&form.sms_code);
            }
            let checks = client.simulators.real_name_checks().await;
            pair.push(register(&client, &form).await);
            let asked = client.simulators.real_name_checks().await - checks;
            assert_eq!(asked, u64::from(right_code), "{what}");
        }
        tries.push((what, usize::from(right_code), pair));
    }
    for (what, hashes, pair) in tries {
        let pair: [Seen; 2] = pair.try_into().unwrap();
        assert_ne!(pair[0].status, 200, "{what}");
        pairs.push((what, hashes, pair));
    }
    // The exception: a proven phone and a name that matches. One hash as well.
    let applied = client.apply(&client.grpc, &stranger(10)).await;
    let taken = register(&client, &of(&applied, &known.name, &known.id_number)).await;
    assert!(taken.body.to_string().contains("ALREADY_REGISTERED") || taken.status == 409);
    let applied = client.apply(&client.grpc, &stranger(11)).await;
    let free = register(&client, &of(&applied, &unknown.name, &unknown.id_number)).await;
    assert_eq!(free.status, 200, "{free:?}");

    // A process sends its last spans before it ends.
    suite.terminate().await;
    let hashed = |seen: &Seen| {
        let work = work(&collector, &seen.trace);
        assert!(work.keys().any(|(service, _)| service == "identity"), "{work:?}");
        work.get(&("identity".to_owned(), HASH.to_owned())).copied().unwrap_or_default()
    };
    for (what, hashes, [one, other]) in &pairs {
        one.assert_same_as(other, what);
        assert_eq!(work(&collector, &one.trace), work(&collector, &other.trace), "{what}");
        assert_eq!((hashed(one), hashed(other)), (*hashes, *hashes), "{what}");
    }
    assert_eq!((hashed(&taken), hashed(&free)), (1, 1), "{}", taken.reason());
    suite.stop().await;
}

/// How long to wait, to the nanosecond, is a time.
fn without_wait(mut seen: Seen) -> Seen {
    if let Some(details) = seen.body["details"].as_array_mut() {
        details.retain(|detail| detail["type"] != "google.rpc.RetryInfo");
    }
    seen.length = seen.body.to_string().len();
    seen
}
