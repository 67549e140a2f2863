//! gRPC, passed through: bytes are not decoded.

use http::Response;
use http_body_util::{BodyExt as _, Full};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use zhiyuan_lifecycle::Tasks;
use zhiyuan_rpc::Error;
use zhiyuan_rpc::arrival::{self, PREFIX};
use zhiyuan_rpc::server::Leaving;

use crate::bounded::{self, Bounded};
use crate::call::Call;
use crate::config::MessageSizes;
use crate::passage::{self, Passage};
use crate::place::Place;

/// Sends a call on and its answer back. The limit of requests holds for all that the
/// caller sends; the limit of answers for those of unary methods.
///
/// # Errors
/// `MESSAGE_TOO_LARGE`, `DEADLINE_EXCEEDED`, `UNAVAILABLE`, `INTERNAL` for an answer
/// over the limit; what the service answers is no error here.
pub(crate) async fn pass(
    call: Call,
    body: Body,
    sizes: MessageSizes,
    tasks: &Tasks,
) -> Result<Response<Body>, Error> {
    if call.streams() {
        stream(call, body, sizes, tasks).await
    } else {
        unary(call, body, sizes).await
    }
}

async fn unary(call: Call, body: Body, sizes: MessageSizes) -> Result<Response<Body>, Error> {
    let limit = sizes.request_bytes;
    let work = async {
        // Whoever sends slowly takes no place meanwhile.
        let message = arrival::whole(body, limit.saturating_add(PREFIX), &call.extensions);
        let message = message.await.map_err(|error| bounded::told(error, limit))?;
        let _permit = call.enter()?;
        let request = call.request(Body::new(Full::new(message)))?;
        // An HTTP/2 caller whose window is full doesn't let its answer be polled, so a
        // body can't keep a deadline: what can be read at once is read here.
        whole(call.upstream.call(&call.policy, request).await?, sizes.answer_bytes).await
    };
    let mut response = call.deadline.run(work).await?;
    if response.headers().contains_key("grpc-status") {
        let code = passage::settle(response.headers_mut());
        tracing::Span::current().record("rpc.code", code as i32);
    }
    Ok(response)
}

async fn stream(
    call: Call,
    body: Body,
    sizes: MessageSizes,
    tasks: &Tasks,
) -> Result<Response<Body>, Error> {
    let (too_large, limit) = (CancellationToken::new(), sizes.request_bytes);
    let most = limit.saturating_add(PREFIX);
    let body = if call.policy.method.is_client_streaming() {
        Body::new(Bounded::new(body, most, too_large.clone()))
    } else {
        // Whoever sends slowly takes no place meanwhile, and has not as long as the stream.
        let message = arrival::whole(body, most, &call.extensions);
        let message = call.deadline.of_request(&call.bounds).run(message).await;
        Body::new(Full::new(message.map_err(|error| bounded::told(error, limit))?))
    };
    let permit = call.enter()?;
    let request = call.request(body)?;
    let answer = async {
        tokio::select! {
            biased;
            () = too_large.cancelled() => Err(bounded::too_large(limit)),
            answer = call.upstream.call(&call.policy, request) => match answer {
                Err(_broken) if too_large.is_cancelled() => Err(bounded::too_large(limit)),
                answer => answer,
            },
        }
    };
    let mut response = call.deadline.run(answer).await?;
    let told = response.headers().contains_key("grpc-status");
    if told {
        let code = passage::settle(response.headers_mut());
        tracing::Span::current().record("rpc.code", code as i32);
    }
    let place = Place::hold(permit, call.deadline.at(), tasks);
    let leaving = Leaving::of(&call.extensions);
    let end = passage::End { deadline: call.deadline, leaving, too_large, request_limit: limit };
    Ok(response.map(|body| Body::new(Passage::new(body, told, end, place))))
}

/// Reads the answer of a unary method to its end, with its status.
async fn whole(response: Response<Body>, limit: usize) -> Result<Response<Body>, Error> {
    let (head, body) = response.into_parts();
    let body = bounded::answer(body, limit).await?;
    let trailers = body.trailers().cloned();
    let data = Full::new(body.to_bytes());
    if head.headers.contains_key("grpc-status") {
        return Ok(Response::from_parts(head, Body::new(data)));
    }
    let mut trailers = trailers
        .filter(|trailers| trailers.contains_key("grpc-status"))
        .ok_or_else(|| Error::unavailable("the answer has no status"))?;
    let code = passage::settle(&mut trailers);
    tracing::Span::current().record("rpc.code", code as i32);
    let trailers = std::future::ready(Some(Ok(trailers)));
    Ok(Response::from_parts(head, Body::new(data.with_trailers(trailers))))
}
