use proptest::prelude::*;
use sha2::Digest as _;

use super::*;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Keys below 32 bytes are filled with zeros, longer than a block hashed: both as HMAC does.
fn mac_key(key: &[u8]) -> Key32 {
    if key.len() > 64 {
        return Key32::from_bytes(Sha256::digest(key).into());
    }
    let mut bytes = [0; 32];
    bytes[..key.len()].copy_from_slice(key);
    Key32::from_bytes(bytes)
}

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16, the vectors that
/// were submitted to NIST: key, nonce, plaintext, associated data, ciphertext, tag.
const GCM: [[&str; 6]; 4] = [
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "",
        "",
        "530f8afbc74536b9a963b4f1c4cb738b",
    ],
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ],
];

#[test]
fn agrees_with_the_vectors_of_aes_256_gcm() {
    for [key, nonce, plaintext, aad, ciphertext, tag] in GCM {
        let key = Key32::try_from(hex(key).as_slice()).unwrap();
        let (aad, plaintext) = (hex(aad), hex(plaintext));
        let sealed = [hex(nonce), hex(ciphertext), hex(tag)].concat();
        let nonce = hex(nonce).try_into().unwrap();
        assert_eq!(International::seal_with(&key, nonce, &aad, &plaintext), Ok(sealed.clone()));
        assert_eq!(*International.open(&key, &aad, &sealed).unwrap(), plaintext);
    }
}

/// RFC 4231, 4.2–4.5, 4.7 and 4.8 (4.6 is about truncation, which is not used).
#[test]
fn agrees_with_the_vectors_of_hmac_sha_256() {
    let vectors: [(&[u8], &[u8], &str); 6] = [
        (
            &[0x0b; 20],
            b"Hi There",
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 20],
            &[0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            &std::array::from_fn::<u8, 25, _>(|at| at as u8 + 1),
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size \
              data. The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, message, expected) in vectors {
        assert_eq!(International.mac(&mac_key(key), message).as_slice(), hex(expected));
    }
}

#[test]
fn refuses_a_text_too_short_to_hold_nonce_and_tag() {
    let key = Key32::generate();
    for length in 0..NONCE + 16 {
        assert_eq!(
            International.open(&key, b"", &vec![0; length]),
            Err(AeadError::Unauthentic),
            "{length} bytes"
        );
    }
}

#[test]
fn the_same_text_is_never_sealed_the_same() {
    let key = Key32::generate();
    let seal = || International.seal(&key, b"aad", b"text").unwrap();
    assert_ne!(seal(), seal());
}

proptest! {
    #[test]
    fn opens_what_it_sealed_and_nothing_else(
        plaintext: Vec<u8>, aad: Vec<u8>, at: proptest::sample::Index, bit in 0..8_u8,
    ) {
        let key = Key32::generate();
        let mut sealed = International.seal(&key, &aad, &plaintext).unwrap();
        prop_assert_eq!(&*International.open(&key, &aad, &sealed).unwrap(), &plaintext);

        let other_aad = [aad.as_slice(), b"."].concat();
        prop_assert!(International.open(&key, &other_aad, &sealed).is_err());
        prop_assert!(International.open(&Key32::generate(), &aad, &sealed).is_err());
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(International.open(&key, &aad, &sealed).is_err());
    }
}
