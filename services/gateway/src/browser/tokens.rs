//! The tokens in an answer that begins or renews a session.

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use zhiyuan_contracts::identity::v1::Tokens;
use zhiyuan_rpc::Error;

/// The field of the answer, as the policy of a method says.
const FIELD: &str = "tokens";

/// Tokens, and until when they are good, in seconds of Unix time.
pub(super) struct Taken {
    pub(super) access: String,
    pub(super) access_until: i64,
    pub(super) refresh: String,
    pub(super) refresh_until: i64,
}

/// Takes the tokens out of an answer, in which their times are left.
///
/// # Errors
/// `INTERNAL` when there are none.
pub(super) fn take(output: &MessageDescriptor, message: Bytes) -> Result<(Bytes, Taken), Error> {
    let mut answer = DynamicMessage::decode(output.clone(), message)
        .map_err(|_details| Error::internal("the answer is no message of the contract"))?;
    let inner = answer
        .get_field_by_name_mut(FIELD)
        .and_then(Value::as_message_mut)
        .ok_or_else(|| Error::internal("a session began without a field for its tokens"))?;
    // Not our error: a field of another message.
    let tokens: Tokens = inner.transcode_to().map_err(Error::internal)?;
    for name in ["access_token", "refresh_token"] {
        inner.clear_field_by_name(name);
    }
    let (Some(access), Some(refresh)) = (tokens.access_expire_time, tokens.refresh_expire_time)
    else {
        return Err(Error::internal("the tokens of a session never end"));
    };
    let taken = Taken {
        access: tokens.access_token,
        access_until: access.seconds,
        refresh: tokens.refresh_token,
        refresh_until: refresh.seconds,
    };
    Ok((answer.encode_to_vec().into(), taken))
}
