//! What every request passes before it reaches the service of the process.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::connections::{Connection, OpenCall};
use super::health::{self, Stopping};
use super::unread::Unread;
use crate::error::Error;
use crate::server::Leaving;
use crate::streamed::Streamed;

/// The service of one connection.
pub(super) struct Front<S> {
    inner: S,
    connection: Arc<Connection>,
    /// Whether reflection is answered.
    reflects: bool,
}

impl<S> Front<S> {
    pub(super) fn new(inner: S, connection: Arc<Connection>, reflects: bool) -> Self {
        Self { inner, connection, reflects }
    }
}

/// Health and reflection, which have no policy of ours.
pub(crate) fn is_standard(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || is_reflection(path)
}

fn is_reflection(path: &str) -> bool {
    path.starts_with("/grpc.reflection.")
}

impl<S> hyper::service::Service<Request<Incoming>> for Front<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (inner, connection) = (self.inner.clone(), Arc::clone(&self.connection));
        // Before the first poll: from now on the connection isn't idle.
        let open = connection.call();
        let hidden = !self.reflects && is_reflection(request.uri().path());
        Box::pin(async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Arc::clone(&connection));
            let response = if hidden {
                Status::from(Error::method_not_found()).into_http()
            } else if is_standard(request.uri().path()) {
                standard(inner, request, &connection).await?
            } else {
                call(inner, request).await?
            };
            Ok(sent(response, connection, open))
        })
    }
}

fn sent(response: Response<Body>, connection: Arc<Connection>, open: OpenCall) -> Response<Body> {
    response.map(|body| {
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        Body::new(Unread::new(body, connection, open))
    })
}

async fn call<S>(mut inner: S, request: Request<Body>) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}

/// Health and reflection: probes are always answered, streams as long as there is a
/// place for them.
async fn standard<S>(
    inner: S,
    request: Request<Body>,
    connection: &Arc<Connection>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    if request.uri().path() == health::CHECK {
        if connection.stopping().is_cancelled() {
            return Ok(health::not_serving());
        }
        return call(inner, request).await;
    }
    let Ok(place) = connection.standard_places().try_acquire_owned() else {
        let full = Error::overloaded(std::time::Duration::from_secs(1));
        return Ok(Status::from(full).into_http());
    };
    let watches = request.uri().path() == health::WATCH;
    let response = call(inner, request).await?;
    if response.headers().contains_key(Status::GRPC_STATUS) {
        return Ok(response);
    }
    let body = |body| {
        let body = match watches {
            true => Body::new(Stopping::new(body, connection.stopping().clone())),
            false => body,
        };
        Body::new(Streamed::new(
            body,
            None,
            place.into(),
            Leaving::when(Some(connection.leaving.clone())),
        ))
    };
    Ok(response.map(body))
}
