//! Nothing personal lies about: people with distinctive names, numbers and phones go
//! through everything that can happen to a form, and then all that was written, sent
//! or told is searched for them.

mod needles;
mod rows;

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use http::Method;
use prost::Message as _;
use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::Guardian;
use zhiyuan_contracts::registration::v1::{RegisterRequest, RegistrationState};
use zhiyuan_testkit::{Person, person};

use crate::harness::client::{REGISTER, SEND_SMS_CODE, now, patiently};
use crate::harness::collector::Collector;
use crate::harness::http::Http;
use crate::harness::processes::SERVICES;
use crate::harness::{Client, Door, Processes, Refusal, Settings};

use needles::Needles;

const PASSWORD: &str = "Zq7-vK2.wR9";
const LOG: &str = "debug,h2=info,hyper=info";

/// Distinctive names, and what the register answers about each: matches first.
const SUFFIXES: [&str; 8] = ["", "", "", "", "不符", "无号", "𠮷", "超时"];
const GIVEN: [char; 8] = ['岚', '崧', '巍', '嶷', '嵘', '峤', '岱', '峋'];

/// Whoever is in the play.
fn cast() -> Vec<Person> {
    let named = |(n, (suffix, given)): (usize, (&str, char))| Person {
        name: format!("闻人霁{given}{suffix}"),
        ..person(654_321 + u32::try_from(n).unwrap())
    };
    SUFFIXES.into_iter().zip(GIVEN).enumerate().map(named).collect()
}

/// Somebody of 15, and the guardian.
fn family() -> [Person; 2] {
    let today = zhiyuan_domain::shanghai_date(now());
    [
        Person { name: "端木霁岚".into(), ..zhiyuan_testkit::minor(654_331, 15, today) },
        Person { name: "端木嵘巍".into(), ..person(654_332) },
    ]
}

/// Somebody whose name was put where it must be found: the search works.
fn planted() -> Person {
    Person { name: "澹台疏桐".into(), ..person(765_432) }
}

/// All that the suite told its callers.
#[derive(Default)]
struct Told(Vec<Vec<u8>>);

impl Told {
    fn keep<T: std::fmt::Debug>(&mut self, answer: Result<T, Refusal>) -> Result<T, Refusal> {
        match &answer {
            Ok(answer) => self.0.push(format!("{answer:?}").into_bytes()),
            Err(refusal) => self.0.push(refusal.whole.clone()),
        }
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_found_at_rest_in_logs_in_traces_or_in_answers() {
    let collector = Collector::start().await;
    let settings = Settings {
        otlp_endpoint: Some(collector.endpoint.clone()),
        log: Some(LOG),
        ..Settings::default()
    };
    let mut suite = Processes::start("canary", settings).await;
    let client = Client::of(&suite.site);
    let cast = cast();
    let mut told = Told::default();
    verdicts(&client, &cast, &mut told).await;
    register_down(&client, &cast[1], &mut told).await;
    wrong_forms(&client, &cast[2], &mut told).await;
    let family = family();
    with_guardian(&client, &family, &mut told).await;
    broken_database(&client, &cast[3], &mut told).await;

    let mut needles = Needles::default();
    for (n, person) in cast.iter().chain(&family).enumerate() {
        needles.add_person(&format!("person {n}"), person);
    }
    needles.add("password", PASSWORD);
    let mut control = Needles::default();
    control.add_person("planted", &planted());

    let mut main = suite.site.main_database().await;
    let mut keys = suite.site.key_database().await;
    plant(&suite, &mut main).await;
    main.execute("CHECKPOINT").await.unwrap();
    // Processes send their last spans, and write their last lines, when they end.
    suite.terminate().await;

    let mut found = BTreeSet::new();
    let folder = &suite.site.folder;
    found.extend(needles.find_in_folder(folder));
    let mut stored = Vec::new();
    for database in [&mut main, &mut keys] {
        stored.extend(rows::of(database).await);
    }
    let accounts = stored.iter().filter(|row| row.table == "identity.account").count();
    assert!(accounts >= 4, "{accounts} accounts, so there is nothing to search");
    for row in &stored {
        found.extend(needles.find(&row.bytes).iter().map(|hit| format!("{}: {hit}", row.table)));
    }
    let exports = collector.exports();
    let services: BTreeSet<String> =
        collector.spans().into_iter().map(|span| span.service).collect();
    assert_eq!(services, SERVICES.map(str::to_owned).into());
    for export in exports {
        found
            .extend(needles.find(&export.encode_to_vec()).iter().map(|hit| format!("span: {hit}")));
    }
    for answer in &told.0 {
        found.extend(needles.find(answer).iter().map(|hit| format!("answer: {hit}")));
    }
    for service in SERVICES {
        assert!(suite.log(service).contains("DEBUG"), "{service} logged next to nothing");
    }
    assert!(found.is_empty(), "{found:#?}");

    let places = control.find_in_folder(folder);
    for part in ["planted.txt", "postgres/cluster/base/", "postgres/cluster/pg_wal/"] {
        let forms = places.iter().filter(|place| place.contains(part)).count();
        assert!(forms >= 3, "what was planted in {part} is not found: {places:?}");
    }
    let rows = stored.iter().filter(|row| !control.find(&row.bytes).is_empty());
    let tables: BTreeSet<&str> = rows.map(|row| row.table.as_str()).collect();
    assert_eq!(tables, ["public.planted"].into());
    suite.stop().await;
}

/// Puts somebody into a file and a table, in several forms.
async fn plant(suite: &Processes, main: &mut PgConnection) {
    let somebody = planted();
    let wide: String =
        somebody.mobile.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect();
    let text = format!("{} {} {wide}", somebody.name, somebody.id_number.to_lowercase());
    fs::write(suite.site.folder.join("planted.txt"), &text).unwrap();
    main.execute("CREATE TABLE public.planted (bytes bytea)").await.unwrap();
    sqlx::query("INSERT INTO public.planted VALUES ($1)")
        .bind(text.as_bytes())
        .execute(main)
        .await
        .unwrap();
}

async fn form_of(client: &Client, door: &Door, person: &Person) -> RegisterRequest {
    RegisterRequest { password: PASSWORD.into(), ..client.apply(door, person).await }
}

/// Each answer of the register, and a second registration of one person.
async fn verdicts(client: &Client, cast: &[Person], told: &mut Told) {
    for (turn, person) in cast.iter().enumerate().filter(|(turn, _)| !(1..4).contains(turn)) {
        let door = client.door(turn);
        let form = form_of(client, door, person).await;
        let answer = told.keep(client.register_patiently(door, &form).await);
        assert_eq!(answer.is_ok(), !person.name.ends_with(['符', '号']), "person {turn}");
        let _ = told.keep(client.register(door, &form).await);
        let _ = told.keep(client.registration(door, &form.request_id).await);
    }
    let phone = person(654_400).mobile;
    let twice = Person { mobile: phone, ..cast[0].clone() };
    let mut form = form_of(client, &client.grpc, &twice).await;
    form.id_number = form.id_number.to_lowercase();
    let refusal = told.keep(client.register_patiently(&client.grpc, &form).await).unwrap_err();
    assert_eq!(refusal.reason, "ALREADY_REGISTERED");
    client.wait_for_text(&cast[0].mobile, "再次注册").await;
}

/// The guardian's code is wrong, the register knows another name, and all is well.
async fn with_guardian(client: &Client, [ward, parent]: &[Person; 2], told: &mut Told) {
    let right = RegisterRequest {
        guardian: Some(client.guardian(&client.json, parent).await),
        ..form_of(client, &client.json, ward).await
    };
    let with = |change: &dyn Fn(&mut Guardian)| {
        let mut form = RegisterRequest { request_id: Uuid::new_v4().to_string(), ..right.clone() };
        change(form.guardian.as_mut().unwrap());
        form
    };
    for (door, form) in [
        (&client.grpc, with(&|guardian| guardian.sms_code = "000000".into())),
        (&client.json, with(&|guardian| guardian.name = format!("{}不符", parent.name))),
        (&client.json, with(&|guardian| guardian.id_number = ward.id_number.clone())),
        (&client.grpc, with(&|guardian| guardian.phone = ward.mobile.clone())),
    ] {
        told.keep(client.register_patiently(door, &form).await).unwrap_err();
    }
    told.keep(client.register_patiently(&client.json, &right).await).unwrap();
    client.wait_for_text(&parent.mobile, "您以监护人身份同意注册").await;
}

/// Kept for later, and told by text message.
async fn register_down(client: &Client, person: &Person, told: &mut Told) {
    client.simulators.set_real_name("down").await;
    let form = form_of(client, &client.json, person).await;
    let answer = told.keep(client.register_patiently(&client.json, &form).await).unwrap();
    assert_eq!(answer.state(), RegistrationState::Pending);
    client.simulators.set_real_name("ok").await;
    told.keep(client.outcome(&client.json, &form.request_id).await).unwrap();
    client.wait_for_text(&person.mobile, "注册已完成").await;
}

/// Everything in the wrong place, spelt in every way.
async fn wrong_forms(client: &Client, person: &Person, told: &mut Told) {
    client.simulators.set_sms("down").await;
    let (national, id) = (&person.mobile, &person.id_number);
    let spaced = format!("+86 {} {} {}", &national[..3], &national[3..7], &national[7..]);
    told.keep(client.send_code(&client.grpc, &spaced).await).unwrap_err();
    client.simulators.set_sms("ok").await;

    let right = form_of(client, &client.json, person).await;
    let fresh = || Uuid::new_v4().to_string();
    let wide: String = id.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect();
    let minor = zhiyuan_testkit::minor(7, 13, zhiyuan_domain::shanghai_date(now()));
    let forms = [
        RegisterRequest { request_id: fresh(), sms_code: "000000".into(), ..right.clone() },
        RegisterRequest { request_id: fresh(), sms_challenge_id: fresh(), ..right.clone() },
        RegisterRequest { request_id: fresh(), consents: Vec::new(), ..right.clone() },
        RegisterRequest { request_id: fresh(), organization_code: "AH-9".into(), ..right.clone() },
        RegisterRequest { request_id: fresh(), id_number: minor.id_number, ..right.clone() },
        RegisterRequest {
            request_id: fresh(),
            password: format!("a{}", &id[6..14]),
            ..right.clone()
        },
        // Each value in a field where another belongs.
        RegisterRequest {
            request_id: id.clone(),
            name: national.clone(),
            id_number: person.name.clone(),
            region_code: national.clone(),
            organization_code: id.clone(),
            phone: wide.clone(),
            sms_challenge_id: national.clone(),
            sms_code: national.clone(),
            password: person.name.clone(),
            ..right.clone()
        },
    ];
    for form in &forms {
        for door in [&client.grpc, &client.json] {
            told.keep(client.register_patiently(door, form).await).unwrap_err();
        }
    }
    let spelt = RegisterRequest { id_number: wide, phone: spaced, ..right };
    told.keep(client.register_patiently(&client.json, &spelt).await).unwrap();
    let other = RegisterRequest { league_member: false, ..spelt };
    told.keep(client.register_patiently(&client.json, &other).await).unwrap_err();
    malformed(client, person, told).await;
}

/// What is no message, no method and no protocol.
async fn malformed(client: &Client, person: &Person, told: &mut Told) {
    let (http, base) = (Http::new(), format!("http://{}", client.site.addresses.gateway));
    let (id, phone, name) = (&person.id_number[..17], &person.mobile, &person.name);
    let json = [("content-type", "application/json")];
    let by_header = [("content-type", "application/json"), ("x-phone", phone.as_str())];
    let bearer = format!("Bearer {id}");
    let by_token = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let no_protocol = [("content-type", "text/plain")];
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let requests: Vec<(String, Headers<'_>, String)> = vec![
        (REGISTER.into(), &json, format!(r#"{{"id_number": {id}}}"#)),
        (REGISTER.into(), &json, format!(r#"{{"name": "{name}", "id_number": "{id}""#)),
        (REGISTER.into(), &json, format!(r#"{{"name": ["{name}"], "phone": {{"a": "{phone}"}}}}"#)),
        (REGISTER.into(), &json, format!(r#"{{"no_such_field": "{name} {id} {phone}"}}"#)),
        (REGISTER.into(), &json, format!(r#"{{"consents": [{{"purpose": "{name}"}}]}}"#)),
        (REGISTER.into(), &json, format!(r#"{{"league_member": "{phone}"}}"#)),
        (SEND_SMS_CODE.into(), &json, format!(r#"{{"phone": "{phone}0", "purpose": "{name}"}}"#)),
        (SEND_SMS_CODE.into(), &by_header, "{}".into()),
        (SEND_SMS_CODE.into(), &by_token, "{}".into()),
        (format!("{SEND_SMS_CODE}?phone={phone}"), &json, "{}".into()),
        (format!("{SEND_SMS_CODE}/{phone}"), &json, "{}".into()),
        (format!("/{id}"), &json, "{}".into()),
        (REGISTER.into(), &no_protocol, format!("{name} {id} {phone}")),
        (REGISTER.into(), &json, format!(r#"{{"name": "{}"}}"#, name.repeat(50_000))),
    ];
    for (path, headers, body) in requests {
        let url = format!("{base}{path}");
        // The gateway may hang up on who sends too much.
        if let Ok(answer) = http.send(Method::POST, &url, headers, body.into_bytes()).await {
            assert!(!answer.status.is_success(), "{}", answer.status);
            told.0.push(format!("{:?}", answer.headers).into_bytes());
            told.0.push(answer.body.to_vec());
        }
    }
}

/// A table is gone while a form is at work: our own fault, told and logged as one.
async fn broken_database(client: &Client, person: &Person, told: &mut Told) {
    let form = form_of(client, &client.grpc, person).await;
    for (database, table) in [
        ("main", "identity.enrolment"),
        ("keys", "keys.data_key"),
        ("main", "identity.number"),
        ("main", "registration.volunteer_serial"),
        ("main", "registration.registration"),
    ] {
        let mut admin = match database {
            "main" => client.site.main_database().await,
            _ => client.site.key_database().await,
        };
        let (schema, name) = table.split_once('.').unwrap();
        let rename = format!("ALTER TABLE {table} RENAME TO gone");
        let back = format!("ALTER TABLE {schema}.gone RENAME TO {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(rename)).execute(&mut admin).await.unwrap();
        for door in [&client.grpc, &client.json] {
            let broken = RegisterRequest { request_id: Uuid::new_v4().to_string(), ..form.clone() };
            let _ = told.keep(client.register(door, &broken).await);
            let _ = told.keep(client.register(door, &form).await);
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(back)).execute(&mut admin).await.unwrap();
    }
    // And it goes on where it was.
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let answer = patiently(|| client.register(&client.grpc, &form)).await;
        match told.keep(answer) {
            Ok(answer) if answer.state() == RegistrationState::Active => return,
            // Another request with this code may be first, and is as good.
            Err(refusal) if matches!(&*refusal.reason, "SMS_CODE_USED" | "ALREADY_REGISTERED") => {
                return;
            }
            other => assert!(tokio::time::Instant::now() < until, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
