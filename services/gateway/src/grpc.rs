//! gRPC, passed through: bytes are not decoded.

use http::Response;
use http_body_util::{BodyExt as _, Full};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use zhiyuan_lifecycle::Tasks;
use zhiyuan_rpc::Error;

use crate::bounded::{self, Bounded, PREFIX};
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
    let (too_large, limit) = (CancellationToken::new(), sizes.request_bytes);
    let body = Body::new(Bounded::new(body, limit.saturating_add(PREFIX), too_large.clone()));
    let request = call.request(body)?;
    let streams = call.streams();
    let answer = async {
        let response = call.upstream.call(request).await?;
        // An HTTP/2 caller whose window is full doesn't let its answer be polled, so a
        // body can't keep a deadline: what can be read at once is read here.
        if streams { Ok(response) } else { whole(response, sizes.answer_bytes).await }
    };
    let answer = async {
        tokio::select! {
            biased;
            () = too_large.cancelled() => Err(bounded::too_large(limit)),
            answer = answer => match answer {
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
    if !streams {
        return Ok(response);
    }
    let place = Place::hold(call.permit, call.deadline.at(), tasks);
    Ok(response
        .map(|body| Body::new(Passage::new(body, told, call.deadline, place, too_large, limit))))
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
