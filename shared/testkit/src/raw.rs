//! HTTP/2 by hand, for what no client library would send.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A kind of frame: the headers of a stream.
pub const HEADERS: u8 = 1;
/// A kind of frame: the end of a stream, by force.
pub const RST_STREAM: u8 = 3;
/// A kind of frame: what one side takes.
pub const SETTINGS: u8 = 4;
/// A kind of frame: the end of the connection.
pub const GOAWAY: u8 = 7;
/// A kind of frame: more headers.
pub const CONTINUATION: u8 = 9;
/// A flag of [`HEADERS`]: they are complete.
pub const END_HEADERS: u8 = 4;

/// A frame; its payload is shorter than 16 MiB.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [length.as_slice(), &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that is in no table (HPACK, literal without indexing).
///
/// # Panics
/// When name or value has more than 126 bytes, whose length takes more than one.
#[must_use]
pub fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127, "longer texts take more bytes for their length");
        [&[u8::try_from(text.len()).unwrap_or(0)], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// The headers of a call.
#[must_use]
pub fn call(path: &str) -> Vec<u8> {
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":authority", "fixture"),
        header(":path", path),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// Says hello.
///
/// # Errors
/// When the connection is closed.
pub async fn hello(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PREFACE).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await
}

/// The next frame of the server: kind, stream, payload; nothing when it has closed.
pub async fn next(stream: &mut TcpStream) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, _flags, number @ ..] = head;
    let length = u32::from_be_bytes([0, a, b, c]);
    let mut payload = vec![0; usize::try_from(length).ok()?];
    stream.read_exact(&mut payload).await.ok()?;
    Some((kind, u32::from_be_bytes(number) & 0x7fff_ffff, payload))
}

/// Reads what comes until the server closes; whether it does within ten seconds.
pub async fn closes(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    let closed = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    tokio::time::timeout(Duration::from_secs(10), closed).await.is_ok()
}
