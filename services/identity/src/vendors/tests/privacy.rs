//! What must never be read by anybody who reads logs.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::format::FmtSpan;

use super::stub::{Answer, Stub};
use super::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn spans_and_events_tell_the_outcome_and_nothing_personal() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    // While there is only one, a call site that another test's thread meets first is switched off
    // for all threads, because that thread has none.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);

    let stub = Stub::saying("").await;
    let mut sms_config = sms_config(&stub.address);
    sms_config.breaker.failures = 100;
    let vendor = SmsVendor::new(&sms_config, clock()).unwrap();
    let mut config = real_name_config(&stub.address);
    config.breaker.failures = 3;
    let register = RealNameRegister::new(&config, clock()).unwrap();
    // A vendor that repeats everything it was told, even where the code should be.
    let echo = format!("密文甲 {ID_NUMBER} {PHONE} 张三 424242");
    let echo = serde_json::json!({ "code": echo, "result": echo }).to_string();
    for answer in [
        Answer::json(200, r#"{"code":"0","result":"01"}"#),
        Answer::json(200, r#"{"code":"777","result":"777"}"#),
        Answer::json(200, &echo),
        Answer::json(200, &format!("{PHONE} {ID_NUMBER}")),
        Answer::json(500, &echo),
        Answer::json(503, &echo),
    ] {
        stub.now(answer);
        let _ = vendor.send(MESSAGE, &phone(), "密文甲 424242").await;
        let _ = vendor.send_code(&phone(), "密文甲 424242", "424242").await;
        let _ = register.check(&name("张三"), &id_number()).await;
    }
    drop(guard);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "vendor.sms.send{outcome=\"sent\"}",
        "vendor.sms.send{outcome=\"unknown\"}",
        "vendor.sms.send{outcome=\"not_reached\"}",
        "vendor.real_name.check{outcome=\"match\"}",
        "vendor.real_name.check{outcome=\"unavailable\"}",
        "unknown result code \"777\"",
        "unknown result code of 54 bytes",
        "answered with http status 503",
        "circuit breaker opened",
    ] {
        assert!(log.contains(expected), "{expected} is not in\n{log}");
    }
    let secrets = [PHONE, ID_NUMBER, "张三", "密文甲", "424242", "simulator\""];
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in\n{log}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let address = "https://sms.example/send?key=s3cret";
    let mut config = sms_config("http://127.0.0.1:1");
    config.request = read(&format!(
        "[vendor]\nurl = '{address}'\ncontent_type = 'form'\nheaders = {{ k = 's3cret' }}\n\
         secrets = {{ k = 's3cret' }}\nbody = 'to={{phone}}&text={{text}}&k=s3cret'"
    ));
    let vendor = SmsVendor::new(&config, clock()).unwrap();
    let shown = format!("{config:?} {vendor:?} {:?}", config.request.body);
    assert!(shown.contains("sms.example"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let register = register("http://127.0.0.1:1");
    assert!(format!("{register:?}").contains("RealNameRegister"));
}
