//! What the network can do to a call, and what is known of the request then.

use std::path::Path;
use std::time::{Duration, Instant};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::stub::{Answer, Stub};
use super::*;
use crate::vendors::{SmsError, Verdict};

fn impatient(address: &str) -> SmsVendor {
    let mut config = sms_config(address);
    config.http.timeout_ms = 200;
    SmsVendor::new(&config, clock()).unwrap()
}

#[tokio::test]
async fn a_refused_connection_was_not_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(sms(&address).send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
    let verdict = register(&address).check(&name("张三"), &id_number()).await;
    assert_eq!(verdict, Verdict::Unavailable);
}

#[tokio::test]
async fn silence_after_the_request_leaves_it_unknown() {
    let stub = Stub::start(Answer::Never).await;
    let begun = Instant::now();
    assert_eq!(
        impatient(&stub.address).send(MESSAGE, &phone(), "文").await,
        Err(SmsError::Unknown)
    );
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(stub.seen().len(), 1, "and it is not sent again");
}

#[tokio::test]
async fn silence_before_the_request_was_not_reached() {
    // Nobody ever speaks TLS there, so the request stays here.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    assert_eq!(impatient(&address).send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_it_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", "SSH-2.0-x\r\n"] {
            let (mut connection, _) = listener.accept().await.unwrap();
            assert_ne!(connection.read(&mut [0; 4096]).await.unwrap(), 0);
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let vendor = sms(&address);
    for _ in 0..3 {
        assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Err(SmsError::Unknown));
    }
    server.join_all().await;
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_the_end() {
    let stub = Stub::start(Answer::Endless(200)).await;
    assert_eq!(sms(&stub.address).send(MESSAGE, &phone(), "文").await, Err(SmsError::Unknown));
    stub.now(Answer::Endless(500));
    assert_eq!(sms(&stub.address).send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
    let limit = 64 * 1024;
    let padded = |length: usize| {
        let mut body = br#"{"code":"0"}"#.to_vec();
        body.resize(length, b' ');
        Answer::Say(200, body)
    };
    stub.now(padded(limit));
    assert_eq!(sms(&stub.address).send(MESSAGE, &phone(), "文").await, Ok(()));
    stub.now(padded(limit + 1));
    assert_eq!(sms(&stub.address).send(MESSAGE, &phone(), "文").await, Err(SmsError::Unknown));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Stub::saying(r#"{"code":"0"}"#).await;
    let stub = Stub::start(Answer::Redirect(format!("{}/", elsewhere.address))).await;
    assert_eq!(sms(&stub.address).send(MESSAGE, &phone(), "文").await, Err(SmsError::NotReached));
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn calls_in_a_row_share_a_connection() {
    let stub = Stub::saying(r#"{"code":"0"}"#).await;
    let vendor = sms(&stub.address);
    for _ in 0..5 {
        vendor.send(MESSAGE, &phone(), "文").await.unwrap();
    }
    let seen = stub.seen();
    assert!(seen.iter().all(|call| call.peer == seen[0].peer));
}

#[tokio::test]
async fn a_cancelled_call_is_no_failure_of_the_vendor() {
    let stub = Stub::start(Answer::Never).await;
    let vendor = sms(&stub.address);
    for _ in 0..6 {
        let phone = phone();
        let call = vendor.send(MESSAGE, &phone, "文");
        assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
    }
    stub.now(Answer::json(200, r#"{"code":"0"}"#));
    assert_eq!(vendor.send(MESSAGE, &phone(), "文").await, Ok(()));
}

#[tokio::test]
async fn only_a_known_authority_is_trusted() {
    let tls = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/vendors/tests/tls"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(serve_tls(listener, tls.to_owned()));

    let send = async |host: &str, authority: Option<&str>| {
        let mut config = sms_config(&format!("https://{host}:{port}"));
        config.http.ca_file = authority.map(|file| tls.join(file));
        SmsVendor::new(&config, clock()).unwrap().send(MESSAGE, &phone(), "文").await
    };
    assert_eq!(send("localhost", Some("authority.pem")).await, Ok(()));
    assert_eq!(send("localhost", None).await, Err(SmsError::NotReached));
    let other_name = send("127.0.0.1", Some("authority.pem")).await;
    assert_eq!(other_name, Err(SmsError::NotReached));

    for file in ["server.key", "README.md", "missing.pem"] {
        let mut config = sms_config("https://localhost");
        config.http.ca_file = Some(tls.join(file));
        assert_eq!(config.check().unwrap_err().key(), "http.ca_file", "{file}");
    }
}

async fn serve_tls(listener: TcpListener, tls: std::path::PathBuf) {
    let chain = vec![CertificateDer::from_pem_file(tls.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(tls.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        // Who does not trust us hangs up during the handshake.
        let Ok(mut connection) = acceptor.accept(connection).await else { continue };
        assert_ne!(connection.read(&mut [0; 4096]).await.unwrap(), 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"code\":\"0\"}";
        connection.write_all(answer).await.unwrap();
        connection.shutdown().await.unwrap();
    }
}
