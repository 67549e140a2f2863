//! The frame of a gRPC message: a flag, the length as four bytes, the message.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Frames a message.
pub(super) fn wrap(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Takes the only message out of its frame; `None` when it is compressed, cut, or
/// not the only one.
pub(super) fn unwrap(framed: &Bytes) -> Option<Bytes> {
    let (prefix, message) = framed.split_first_chunk::<5>()?;
    let [flag, length @ ..] = *prefix;
    let whole = usize::try_from(u32::from_be_bytes(length)).ok()? == message.len();
    (flag == 0 && whole).then(|| framed.slice(5..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_out_as_it_went_in() {
        for message in [b"".as_slice(), b"abc", &[7; 70_000]] {
            assert_eq!(unwrap(&wrap(message)).unwrap(), message);
        }
    }

    #[test]
    fn refuses_what_is_not_one_whole_plain_message() {
        let bad: [&[u8]; 5] =
            [b"", b"\0\0\0\0", b"\0\0\0\0\x02a", b"\x01\0\0\0\x01a", b"\0\0\0\0\0\0\0\0\0\0"];
        for framed in bad {
            assert!(unwrap(&Bytes::copy_from_slice(framed)).is_none(), "{framed:?}");
        }
    }
}
