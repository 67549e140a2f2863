//! Health and reflection, which have no policy of ours and are bounded all the same.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use zhiyuan_contracts::access::v1::LimitClass;

use super::connections::Connection;
use super::health::{self, Stopping};
use crate::arrival::{self, PREFIX};
use crate::deadline;
use crate::error::Error;
use crate::server::Leaving;
use crate::streamed::Streamed;

/// The largest request of health, in bytes: it is the name of a service.
const HEALTH_BYTES: usize = 1024;

/// The largest message to reflection, in bytes: it is the name of a file or a symbol.
const REFLECTION_BYTES: usize = 16 * 1024;

/// Whether a path is of health or reflection.
pub(crate) fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || is_reflection(path)
}

pub(super) fn is_reflection(path: &str) -> bool {
    path.starts_with("/grpc.reflection.")
}

/// Answers: probes always, streams as long as there is a place for them. A place is
/// taken once the first message is there, so that nobody keeps one by sending nothing.
pub(super) async fn answer<S>(
    inner: S,
    request: Request<Body>,
    connection: &Arc<Connection>,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    match request.uri().path() {
        health::CHECK if connection.stopping().is_cancelled() => Ok(health::not_serving()),
        health::CHECK => {
            let limit = connection.bounds().read(request.headers())?;
            let request = deadline::run(limit, whole(request)).await??;
            Ok(call(inner, request).await)
        }
        health::WATCH => watch(inner, request, connection).await,
        path if is_reflection(path) => reflect(inner, request, connection).await,
        _ => Ok(call(inner, request).await),
    }
}

async fn call<S>(inner: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let Ok(response) = super::front::call(inner, request).await;
    response
}

/// A watcher may stay as long as it likes.
async fn watch<S>(
    inner: S,
    request: Request<Body>,
    connection: &Arc<Connection>,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let bounds = connection.bounds();
    let limit = bounds.of(LimitClass::Stream, request.headers())?;
    let at = limit.map(|limit| Instant::now() + limit);
    let soon = limit.unwrap_or(bounds.default).min(bounds.default);
    let request = deadline::run(soon, whole(request)).await??;
    let place = enter(connection.watch_places())?;
    let response = call(inner, request).await;
    let stop = connection.stopping().clone();
    let response = response.map(|body| Body::new(Stopping::new(body, stop)));
    Ok(streamed(response, at, place, connection))
}

/// Whoever asks for descriptors is done soon: the stream has a deadline.
async fn reflect<S>(
    inner: S,
    request: Request<Body>,
    connection: &Arc<Connection>,
) -> Result<Response<Body>, Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let bounds = connection.bounds();
    let named = bounds.of(LimitClass::Stream, request.headers())?;
    let limit = named.unwrap_or(bounds.max).min(bounds.max);
    let at = Instant::now() + limit;
    let begun = begun(request, at, connection);
    let request = deadline::run(limit.min(bounds.default), begun).await??;
    let place = enter(connection.reflection_places())?;
    Ok(streamed(call(inner, request).await, Some(at), place, connection))
}

fn enter(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    places.try_acquire_owned().map_err(|_full| Error::overloaded(Duration::from_secs(1)))
}

fn streamed(
    response: Response<Body>,
    at: Option<Instant>,
    place: OwnedSemaphorePermit,
    connection: &Arc<Connection>,
) -> Response<Body> {
    if response.headers().contains_key(Status::GRPC_STATUS) {
        return response;
    }
    let leaving = Leaving::when(Some(connection.leaving.clone()));
    response.map(|body| Body::new(Streamed::new(body, at, place.into(), leaving, None)))
}

async fn whole(request: Request<Body>) -> Result<Request<Body>, Error> {
    let (head, body) = request.into_parts();
    let message = arrival::whole(body, HEALTH_BYTES + PREFIX, &head.extensions).await?;
    Ok(Request::from_parts(head, Body::new(Full::new(message))))
}

/// Waits for the first message of a stream of requests; what has arrived meanwhile
/// counts for the connection. The stream ends at the deadline, and with a message over
/// the limit.
async fn begun(
    request: Request<Body>,
    at: Instant,
    connection: &Arc<Connection>,
) -> Result<Request<Body>, Error> {
    let (head, mut body) = request.into_parts();
    let arriving = connection.arriving();
    let (mut messages, mut parts, mut held) = (Messages::default(), Vec::new(), Vec::new());
    while messages.complete == 0
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_broken| Error::malformed_request())?;
        let Ok(data) = frame.into_data() else { continue };
        messages.pass(&data)?;
        held.push(connection.keep(data.len()));
        parts.push(Ok::<_, Status>(Frame::data(data)));
    }
    drop(arriving);
    let rest = BodyStream::new(body).map(move |frame| {
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            messages.pass(data)?;
        }
        Ok(frame)
    });
    // Without an end of its own the task that reads it would outlive the answer.
    let all = stream::iter(parts).chain(rest).take_until(tokio::time::sleep_until(at));
    Ok(Request::from_parts(head, Body::new(StreamBody::new(all))))
}

/// Where in its messages a stream of requests is.
#[derive(Debug, Default)]
struct Messages {
    /// What has come of the prefix of a message.
    prefix: Vec<u8>,
    /// Bytes of the message that are still to come.
    left: usize,
    complete: usize,
}

impl Messages {
    /// Follows bytes that came. The decoder makes room for a message as soon as it is
    /// announced, so its length is looked at here, before.
    fn pass(&mut self, mut data: &[u8]) -> Result<(), Error> {
        while let [first, later @ ..] = data {
            if self.left > 0 {
                let (now, later) = data.split_at(self.left.min(data.len()));
                self.left -= now.len();
                self.complete += usize::from(self.left == 0);
                data = later;
                continue;
            }
            self.prefix.push(*first);
            data = later;
            if let &[_flag, a, b, c, d] = self.prefix.as_slice() {
                let length = usize::try_from(u32::from_be_bytes([a, b, c, d]));
                self.left =
                    length.ok().filter(|length| *length <= REFLECTION_BYTES).ok_or_else(|| {
                        let limit = REFLECTION_BYTES.to_string();
                        Error::message_too_large().with_metadata("limit_bytes", limit)
                    })?;
                self.complete += usize::from(self.left == 0);
                self.prefix.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        let sent = [&[0, 0, 0, 0, 3, 7, 7, 7][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 7]].concat();
        for size in 1..=sent.len() {
            let mut messages = Messages::default();
            for part in sent.chunks(size) {
                messages.pass(part).unwrap();
            }
            assert_eq!((messages.complete, messages.left), (3, 0), "in parts of {size}");
        }
    }

    #[test]
    fn a_message_is_refused_by_what_it_announces() {
        let mut messages = Messages::default();
        messages.pass(&[0, 0, 0, 0, 1, 7, 0, 0, 0x40]).unwrap();
        assert_eq!(messages.pass(&[0, 1]).unwrap_err().reason(), "MESSAGE_TOO_LARGE");
        assert!(Messages::default().pass(&[0, 0, 0, 0x40, 0]).is_ok());
    }
}
