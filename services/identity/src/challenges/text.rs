//! Challenges and solutions as they go on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::ChallengeSolution;
use zhiyuan_crypto::digest;
use zhiyuan_rpc::Fields;

use super::leading_zero_bits;

const VERSION: u8 = 1;
/// Version, version of the key, expiry in seconds, bits, id, authentication code.
const BYTES: usize = 1 + 2 + 8 + 1 + 16 + MAC;
const MAC: usize = 32;
/// Characters of a challenge on the wire.
const CHARACTERS: usize = (BYTES * 4).div_ceil(3);
const LONGEST_NONCE: usize = 32;
const LONGEST_TICKET: usize = 1_500;

/// What a challenge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Of the key that it was authenticated under.
    pub(crate) key_version: i16,
    /// In seconds of Unix time.
    pub(crate) expire_at: i64,
    pub(crate) bits: u8,
    pub(crate) challenge_id: Uuid,
}

impl Terms {
    /// What is authenticated, together with what the challenge is given for.
    pub(crate) fn bytes(&self) -> [u8; BYTES - MAC] {
        let mut bytes = [VERSION; BYTES - MAC];
        let parts = [
            &self.key_version.to_be_bytes()[..],
            &self.expire_at.to_be_bytes(),
            &[self.bits],
            self.challenge_id.as_bytes(),
        ];
        for (place, byte) in bytes.iter_mut().skip(1).zip(parts.concat()) {
            *place = byte;
        }
        bytes
    }

    pub(crate) fn is_over(&self, now: OffsetDateTime) -> bool {
        self.expire_at <= now.unix_timestamp()
    }
}

/// Writes a challenge.
pub(crate) fn write(terms: &Terms, mac: &[u8; MAC]) -> String {
    URL_SAFE_NO_PAD.encode([terms.bytes().as_slice(), mac].concat())
}

/// What a caller brings: either has the form of one.
#[derive(Debug, Clone)]
pub(crate) enum Solution {
    /// A challenge, and the nonce that solves it.
    Work(Work),
    /// The ticket of a captcha.
    Captcha(String),
}

/// A challenge, and a nonce that may solve it.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) terms: Terms,
    pub(crate) mac: [u8; MAC],
    challenge: String,
    nonce: String,
}

impl Work {
    /// Reads a challenge and a nonce.
    fn parse(challenge: &str, nonce: &str) -> Option<Self> {
        let (terms, mac) = read(challenge)?;
        is_nonce(nonce).then(|| Self {
            terms,
            mac,
            challenge: challenge.to_owned(),
            nonce: nonce.to_owned(),
        })
    }

    /// Whether the work was done that the challenge asks for.
    pub(crate) fn is_solved(&self) -> bool {
        let hash = digest::unkeyed(format!("{}.{}", self.challenge, self.nonce).as_bytes());
        leading_zero_bits(&hash) >= u32::from(self.terms.bits)
    }
}

fn read(challenge: &str) -> Option<(Terms, [u8; MAC])> {
    if challenge.len() != CHARACTERS {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(challenge).ok()?;
    let ([version], rest) = bytes.split_first_chunk()?;
    let (key_version, rest) = rest.split_first_chunk()?;
    let (expire_at, rest) = rest.split_first_chunk()?;
    let ([bits], rest) = rest.split_first_chunk()?;
    let (challenge_id, mac) = rest.split_first_chunk()?;
    let terms = Terms {
        key_version: i16::from_be_bytes(*key_version),
        expire_at: i64::from_be_bytes(*expire_at),
        bits: *bits,
        challenge_id: Uuid::from_bytes(*challenge_id),
    };
    (*version == VERSION).then_some((terms, mac.try_into().ok()?))
}

fn is_nonce(nonce: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_NONCE).contains(&nonce.len()) && nonce.bytes().all(plain)
}

fn is_ticket(ticket: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*+=/".contains(&byte);
    ticket.len() <= LONGEST_TICKET
        && ticket.starts_with(|first: char| first.is_ascii_alphanumeric())
        && ticket.bytes().all(plain)
}

/// Parses the solution that a request brings in a field. None is no fault.
pub(crate) fn solution_field(
    fields: &mut Fields,
    field: &str,
    solution: Option<&ChallengeSolution>,
) -> Option<Solution> {
    let ChallengeSolution { challenge, nonce, captcha_ticket } = solution?;
    let message = "安全验证信息格式不正确，请刷新页面后重试";
    if !captcha_ticket.is_empty() && !is_ticket(captcha_ticket) {
        fields.refuse(&format!("{field}.captcha_ticket"), "CAPTCHA_TICKET_FORMAT", message);
    }
    if !captcha_ticket.is_empty() && challenge.is_empty() && nonce.is_empty() {
        return Some(Solution::Captcha(captcha_ticket.clone()));
    }
    if read(challenge).is_none() {
        fields.refuse(&format!("{field}.challenge"), "CHALLENGE_FORMAT", message);
    }
    if !is_nonce(nonce) {
        fields.refuse(&format!("{field}.nonce"), "CHALLENGE_NONCE_FORMAT", message);
    }
    Work::parse(challenge, nonce).map(Solution::Work)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        key_version: 258,
        expire_at: 1_800_000_000,
        bits: 8,
        challenge_id: Uuid::from_u128(0x0102_0304),
    };

    #[test]
    fn a_challenge_survives_the_wire() {
        let text = write(&TERMS, &[9; MAC]);
        assert_eq!(text.len(), 80);
        let solution = Work::parse(&text, "0").unwrap();
        assert_eq!((solution.terms, solution.mac), (TERMS, [9; MAC]));
    }

    /// The nonces were found by Python's `hashlib`.
    #[test]
    fn the_work_is_that_which_the_contract_describes() {
        let text = write(&TERMS, &[9; MAC]);
        let solved = |nonce: &str| Work::parse(&text, nonce).unwrap().is_solved();
        let found: Vec<u32> = (0..1_000).filter(|nonce: &u32| solved(&nonce.to_string())).collect();
        assert_eq!(found, FOUND);
    }

    const FOUND: [u32; 7] = [9, 219, 227, 306, 525, 738, 971];

    #[test]
    fn refuses_what_is_no_challenge_and_no_nonce() {
        let right = write(&TERMS, &[9; MAC]);
        let of_another_version = format!("Ag{}", right.get(2..).unwrap());
        for challenge in ["", "AQAB", &of_another_version, &format!("{right}A"), &"团".repeat(27)]
        {
            assert!(Work::parse(challenge, "0").is_none(), "{challenge}");
        }
        for nonce in ["", " 0", "0.1", "团", &"0".repeat(33)] {
            assert!(Work::parse(&right, nonce).is_none(), "{nonce}");
        }
    }

    #[test]
    fn a_ticket_counts_only_without_a_challenge() {
        let challenge = write(&TERMS, &[9; MAC]);
        let parse = |challenge: &str, nonce: &str, ticket: &str| {
            let solution = ChallengeSolution {
                challenge: challenge.into(),
                nonce: nonce.into(),
                captcha_ticket: ticket.into(),
            };
            let mut fields = Fields::new();
            let parsed = solution_field(&mut fields, "solution", Some(&solution));
            fields.finish().ok().and(parsed)
        };
        let longest = "a".repeat(LONGEST_TICKET);
        for ticket in ["t03*a_b-c", "a/b+c==", &longest] {
            assert!(matches!(parse("", "", ticket), Some(Solution::Captcha(_))), "{ticket}");
            assert!(matches!(parse(&challenge, "0", ticket), Some(Solution::Work(_))), "{ticket}");
        }
        for ticket in ["../a", "a b", "团", "a%00", &format!("{longest}a")] {
            assert!(parse("", "", ticket).is_none(), "{ticket}");
            assert!(parse(&challenge, "0", ticket).is_none(), "{ticket}");
        }
        assert!(parse("", "", "").is_none());
    }

    #[test]
    fn each_part_that_is_malformed_is_named() {
        let solution = ChallengeSolution { challenge: "x".into(), ..Default::default() };
        let mut fields = Fields::new();
        assert!(solution_field(&mut fields, "solution", Some(&solution)).is_none());
        let status = tonic::Status::from(fields.into_error());
        let details = tonic_types::StatusExt::get_error_details(&status);
        let named: Vec<&str> = details
            .bad_request()
            .unwrap()
            .field_violations
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(named, ["solution.challenge", "solution.nonce"]);
        let mut fields = Fields::new();
        assert!(solution_field(&mut fields, "solution", None).is_none());
        fields.finish().unwrap();
    }
}
