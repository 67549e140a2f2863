//! gRPC, passed through: bytes are not decoded.

use http::Response;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use zhiyuan_rpc::Error;

use crate::bounded::{self, Bounded};
use crate::call::Call;
use crate::passage::{self, Passage};

/// The prefix of a message: a flag and its length.
const PREFIX: usize = 5;

/// Sends a call on and its answer back. The limit holds for all that the caller
/// sends, in bytes.
///
/// # Errors
/// `MESSAGE_TOO_LARGE`, `DEADLINE_EXCEEDED`, `UNAVAILABLE`; what the service answers
/// is no error here.
pub(crate) async fn pass(call: Call, body: Body, limit: usize) -> Result<Response<Body>, Error> {
    let too_large = CancellationToken::new();
    let body = Body::new(Bounded::new(body, limit.saturating_add(PREFIX), too_large.clone()));
    let request = call.request(body)?;
    let answer = async {
        tokio::select! {
            biased;
            () = too_large.cancelled() => Err(bounded::too_large(limit)),
            answer = call.upstream.call(request) => match answer {
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
    Ok(response.map(|body| {
        Body::new(Passage::new(body, told, call.deadline, call.permit, too_large, limit))
    }))
}
