//! proto3 JSON from and to protobuf, by descriptor.

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use zhiyuan_contracts::rpc::v1::ErrorReason as Common;
use zhiyuan_rpc::{Code, Error};

use super::scan::{self, Fault};

/// The longest name of a field that is repeated in a message.
const LONGEST_NAME: usize = 128;

/// Reads a JSON request into protobuf. Names may be `lowerCamelCase` or as in the
/// contract.
///
/// # Errors
/// `MALFORMED_REQUEST`; the message names the field and never holds a value.
pub(super) fn read(desc: &MessageDescriptor, json: &[u8]) -> Result<Vec<u8>, Error> {
    scan::scan(desc, json).map_err(|(fault, error)| match fault {
        Some(fault) => refused(&fault),
        None => malformed(format!(
            "请求不是有效的 JSON（第 {} 行第 {} 列）",
            error.line(),
            error.column()
        )),
    })?;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    match DynamicMessage::deserialize_with_options(desc.clone(), tracked, &options) {
        Ok(message) => Ok(message.encode_to_vec()),
        Err(_echoes_the_value) => Err(mistyped(&track.path().to_string())),
    }
}

/// Makes sure that bytes are a message, so that a service does not find out.
///
/// # Errors
/// `MALFORMED_REQUEST`.
pub(super) fn check(desc: &MessageDescriptor, bytes: &[u8]) -> Result<(), Error> {
    match DynamicMessage::decode(desc.clone(), bytes) {
        Ok(_message) => Ok(()),
        Err(_details) => Err(malformed("请求不是有效的 protobuf 消息".to_owned())),
    }
}

/// Writes an answer as JSON.
///
/// # Errors
/// `INTERNAL` when the service answered something else than its contract says.
pub(super) fn write(desc: &MessageDescriptor, bytes: Bytes) -> Result<Vec<u8>, Error> {
    let message = DynamicMessage::decode(desc.clone(), bytes)
        .map_err(|_details| Error::internal("the answer is no message of the contract"))?;
    let mut json = serde_json::Serializer::new(Vec::new());
    message
        .serialize_with_options(&mut json, &SerializeOptions::new())
        .map_err(|_details| Error::internal("the answer can't be written as JSON"))?;
    Ok(json.into_inner())
}

fn malformed(message: String) -> Error {
    Error::new(Code::InvalidInput, Common::MalformedRequest, message)
}

fn refused(fault: &Fault) -> Error {
    let (path, says) = match fault {
        Fault::Unknown(path) => (path, "不是此接口的字段，请检查拼写"),
        Fault::Repeated(path) => (path, "重复出现，请只保留一个"),
        Fault::NotFinite(path) => (path, "应为有限的数字"),
        Fault::Imprecise(path) => (path, "为 64 位整数，请写成字符串"),
    };
    about(path, says)
}

fn mistyped(path: &str) -> Error {
    if path == "." {
        return malformed("请求应为一个 JSON 对象，字段见接口说明".to_owned());
    }
    about(path, "的类型或取值不正确")
}

/// Names a field when its name can't be anything else than one.
fn about(path: &str, says: &str) -> Error {
    let starts = path.starts_with(|first: char| first.is_ascii_alphabetic());
    let named = starts
        && path.len() <= LONGEST_NAME
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.[]".contains(&byte));
    if named {
        malformed(format!("字段 {path} {says}")).with_metadata("field", path)
    } else {
        malformed(format!("请求中有一个字段{says}"))
    }
}
