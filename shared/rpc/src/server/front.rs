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
use super::standard::{self, is_reflection, is_standard};
use super::unread::Unread;
use crate::error::Error;

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
                let answer = standard::answer(inner, request, &connection).await;
                answer.unwrap_or_else(|error| Status::from(error).into_http())
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

pub(super) async fn call<S>(
    mut inner: S,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    std::future::poll_fn(|cx| inner.poll_ready(cx)).await?;
    inner.call(request).await
}
