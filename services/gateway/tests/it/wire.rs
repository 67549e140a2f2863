//! Requests that no proper client sends, byte by byte.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::suite::{SEND, Suite};

/// Sends bytes, and reads until the gateway closes the connection.
pub(crate) async fn send(suite: &Suite, bytes: &str) -> String {
    let mut stream = TcpStream::connect(suite.address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_second_length_smuggles_no_second_request() {
    let suite = Suite::start().await;
    for lengths in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "content-length: 2\r\ncontent-length: 60",
    ] {
        let answer = send(
            &suite,
            &format!(
                "POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 {lengths}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n\
                 GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
            ),
        )
        .await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lengths}: {answer}");
        assert!(!answer.contains("alive"), "{lengths}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_ended_by_the_deadline() {
    let suite = Suite::start().await;
    let answer = send(
        &suite,
        &format!(
            "POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             connect-timeout-ms: 200\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{"
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("DEADLINE_EXCEEDED"), "{answer}");
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_no_service() {
    let suite = Suite::start().await;
    let mut stream = TcpStream::connect(suite.address).await.unwrap();
    let half = format!(
        "POST {SEND} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{}}"
    );
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(suite.seen.lock().unwrap().is_empty());
}
