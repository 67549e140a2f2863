//! Three times as many calls as there is room for.

use futures_util::future::{join, join_all};
use sqlx::{Connection as _, PgConnection};
use tonic::Code;
use zhiyuan_testkit::person;

use super::{assert_come_again, consent_texts, forms, is_ready, regions, register_all, until};
use crate::crashloop::checker;
use crate::harness::client::patiently;
use crate::harness::{Client, Processes, Refusal, Settings, Site, database};

const ROOM: usize = 8;
const SENT: usize = 3 * ROOM;

/// Makes calls while a table is locked, until all that there is room for wait for it and
/// the others have been turned away; then lets go.
async fn flood<T>(
    site: &Site,
    table: &'static str,
    calls: impl Iterator<Item = impl Future<Output = Result<T, Refusal>>>,
) -> (Vec<Result<T, Refusal>>, usize) {
    let turned_away = std::sync::atomic::AtomicUsize::new(0);
    let (turned_away, order) = (&turned_away, std::sync::atomic::Ordering::Relaxed);
    let calls = calls.map(|call| async move {
        let answer = call.await;
        turned_away.fetch_add(usize::from(answer.is_err()), order);
        answer
    });
    let mut holder: PgConnection = site.main_database().await;
    let mut transaction = holder.begin().await.unwrap();
    let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *transaction).await.unwrap();
    let release = async {
        until("the others are turned away", || async { turned_away.load(order) == SENT - ROOM })
            .await;
        let before = turned_away.load(order);
        transaction.commit().await.unwrap();
        before
    };
    join(join_all(calls), release).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_times_too_many_calls_those_let_in_succeed_and_the_others_are_told_to_wait() {
    let settings = Settings {
        config: vec![
            ("gateway", format!("\n[server.limits]\nread = {ROOM}\nmessage = {ROOM}\n")),
            // A password takes its time: one at once, and few may wait for it.
            ("identity", "\n[hashing]\nconcurrency = 1\nqueue = 2\n".to_owned()),
        ],
        ..Settings::default()
    };
    let suite = Processes::start("overload", settings).await;
    let client = Client::of(&suite.site);
    let phones: Vec<String> = (0..SENT).map(|n| person(470_000 + n as u32).mobile).collect();

    let sent = phones.iter().enumerate().map(|(n, phone)| client.send_code(client.door(n), phone));
    let (answers, turned_away) = flood(&suite.site, "identity.sms_minute", sent).await;
    // They did not wait for those who were let in.
    assert_eq!(turned_away, SENT - ROOM);
    let mut refused = Vec::new();
    for (answer, phone) in answers.into_iter().zip(&phones) {
        if let Err(refusal) = answer {
            let told = (refusal.code, &*refusal.reason);
            assert_eq!(told, (Code::ResourceExhausted, "OVERLOADED"));
            assert_come_again(&refusal);
            refused.push(phone);
        }
    }
    assert_eq!(refused.len(), SENT - ROOM);
    assert_eq!(client.simulators.sms_sent().await, ROOM as u64);

    let read = (0..SENT).map(|n| regions(client.door(n)));
    let (answers, _) = flood(&suite.site, "orgtree.region", read).await;
    let refusals: Vec<Refusal> = answers.into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals.len(), SENT - ROOM);
    refusals.iter().for_each(assert_come_again);

    // After the flood everything is as before it.
    assert!(is_ready(&client).await);
    consent_texts(&client.json).await.unwrap();
    for (n, phone) in refused.into_iter().enumerate() {
        client.send_code(client.door(n), phone).await.unwrap();
    }
    assert_eq!(client.simulators.sms_sent().await, SENT as u64);

    // One after the other there is room for all; at once, for three passwords.
    let forms = forms(&client, 471_000, SENT as u32).await;
    let sent = forms.iter().enumerate().map(|(n, form)| client.register(client.door(n), form));
    let answers = join_all(sent).await;
    let refusals: Vec<Refusal> = answers.into_iter().filter_map(Result::err).collect();
    assert!(!refusals.is_empty() && refusals.len() < SENT, "{} turned away", refusals.len());
    refusals.iter().for_each(assert_come_again);
    register_all(&client, &forms).await;
    let mut main = suite.site.main_database().await;
    let volunteers = database::count(&mut main, "registration.volunteer").await;
    assert_eq!(volunteers, SENT as i64);
    assert_eq!(checker::half_done(&suite.site).await, [] as [String; 0]);
    patiently(|| regions(&client.grpc)).await.unwrap();
    suite.stop().await;
}
