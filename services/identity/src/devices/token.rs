//! The token of a device: its ids, by which its row is found, and a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;
use zhiyuan_crypto::digest;
use zhiyuan_crypto::secret::random_bytes;
use zhiyuan_rpc::Fields;

const SECRET: usize = 32;
const BYTES: usize = 16 + 16 + SECRET;
/// Characters of a token on the wire.
const CHARACTERS: usize = (BYTES * 4).div_ceil(3);

/// The token of a device. Not for logs: who has it passes for the device.
#[derive(Clone)]
pub(crate) struct DeviceToken {
    pub(crate) account_id: Uuid,
    pub(crate) device_id: Uuid,
    pub(super) secret: Zeroizing<[u8; SECRET]>,
}

impl std::fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceToken").finish_non_exhaustive()
    }
}

impl DeviceToken {
    /// Draws a token.
    pub(crate) fn generate(account_id: Uuid, device_id: Uuid) -> Self {
        Self { account_id, device_id, secret: Zeroizing::new(random_bytes()) }
    }

    /// Reads what stands on the wire.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != CHARACTERS {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (account, rest) = bytes.split_first_chunk::<16>()?;
        let (device, secret) = rest.split_first_chunk::<16>()?;
        Some(Self {
            account_id: Uuid::from_bytes(*account),
            device_id: Uuid::from_bytes(*device),
            secret: Zeroizing::new(secret.try_into().ok()?),
        })
    }

    /// As it goes on the wire.
    pub(crate) fn expose(&self) -> Zeroizing<String> {
        let ids = [self.account_id.as_bytes().as_slice(), self.device_id.as_bytes()].concat();
        let bytes = Zeroizing::new([ids.as_slice(), self.secret.as_slice()].concat());
        Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    }

    /// What is stored of it. Not keyed: 256 random bits can't be found by trying.
    pub(crate) fn hash(&self) -> [u8; 32] {
        digest::unkeyed(&[b"zhiyuan.device", self.secret.as_slice()].concat())
    }
}

/// Parses the token that a request brings in a field. An empty one is none.
pub(crate) fn token_field(fields: &mut Fields, field: &str, text: &str) -> Option<DeviceToken> {
    if text.is_empty() {
        return None;
    }
    let token = DeviceToken::parse(text);
    if token.is_none() {
        fields.refuse(field, "DEVICE_TOKEN_FORMAT", "设备标识格式不正确，请清空后重新提交");
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_wire_and_shows_nothing() {
        let token = DeviceToken::generate(Uuid::from_u128(7), Uuid::from_u128(8));
        let text = token.expose();
        assert_eq!(text.len(), 86);
        let read = DeviceToken::parse(&text).unwrap();
        assert_eq!((read.account_id, read.device_id), (token.account_id, token.device_id));
        assert_eq!(read.hash(), token.hash());
        assert_eq!(format!("{token:?}"), "DeviceToken { .. }");
    }

    #[test]
    fn two_tokens_differ_and_so_do_their_hashes() {
        let token = || DeviceToken::generate(Uuid::nil(), Uuid::nil()).hash();
        assert_ne!(token(), token());
    }

    #[test]
    fn refuses_what_is_no_token() {
        let right = DeviceToken::generate(Uuid::nil(), Uuid::nil()).expose();
        let longer = format!("{}A", *right);
        let spaced = format!(" {}", right.get(1..).unwrap());
        for text in ["", "AAAA", &longer, &spaced, right.get(1..).unwrap(), &"团".repeat(29)] {
            assert!(DeviceToken::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_empty_field_is_no_fault_and_a_malformed_one_is() {
        let mut fields = Fields::new();
        assert!(token_field(&mut fields, "device_token", "").is_none());
        fields.finish().unwrap();
        let mut fields = Fields::new();
        assert!(token_field(&mut fields, "device_token", "x").is_none());
        fields.finish().unwrap_err();
    }
}
