use std::sync::Arc;

use time::Duration;
use time::macros::datetime;
use zhiyuan_contracts::identity::v1::ChallengeSolution;
use zhiyuan_crypto::{
    BlindIndexKeys, DataKey, FieldCipher, International, Key32, KeyStore, KeyStoreError,
    KeyedDigest, Suite,
};
use zhiyuan_rpc::Fields;

use super::*;
use crate::challenges::solution_field;

const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
const RULES: Rules =
    Rules { normal_per_minute: 1, normal_failures_per_minute: 1, difficulty_bits: 6, max_bits: 10 };
const SCOPE: Scope<'static> = Scope { method: "SendSmsCode", purpose: 1, subject_index: &[1; 32] };

/// No key of a person is needed here.
#[derive(Debug)]
struct NoStore;

#[async_trait::async_trait]
impl KeyStore for NoStore {
    async fn create(&self, _: Uuid) -> std::result::Result<DataKey, KeyStoreError> {
        Err(KeyStoreError::Destroyed)
    }
    async fn destroy(&self, _: Uuid) -> std::result::Result<(), KeyStoreError> {
        Ok(())
    }
    async fn create_many(&self, _: &[Uuid]) -> std::result::Result<Vec<DataKey>, KeyStoreError> {
        Err(KeyStoreError::Destroyed)
    }
    async fn get_many(
        &self,
        _: &[Uuid],
    ) -> std::result::Result<std::collections::HashMap<Uuid, DataKey>, KeyStoreError> {
        Ok(std::collections::HashMap::new())
    }
    async fn destroy_many(&self, _: &[Uuid]) -> std::result::Result<(), KeyStoreError> {
        Ok(())
    }
}

fn challenges(key: u8) -> Challenges {
    let suite: Arc<dyn Suite> = Arc::new(International);
    let keys = || [(1_i16, Key32::from_bytes([key; 32]))].into();
    let vault = Vault::new(
        Arc::new(NoStore),
        FieldCipher::new(Arc::clone(&suite)),
        BlindIndexKeys::new(Arc::clone(&suite), keys()),
        KeyedDigest::new(suite, 1, keys()).unwrap(),
    );
    Challenges { rules: RULES, vault, captcha: None }
}

fn need(load: u32) -> Option<Need> {
    RULES.required(load, 0, false)
}

/// The challenge, the bits that it asks for, and what was wrong.
fn refused(result: Result<Option<Solved>>) -> (String, u8, Option<Fault>) {
    match result {
        Err(Error::ChallengeRequired { challenge, bits, fault, captcha: false }) => {
            (challenge, bits, fault)
        }
        other => panic!("{other:?}"),
    }
}

fn given(load: u32) -> String {
    refused(challenges(1).judge(&SCOPE, need(load), None, NOON)).0
}

fn with_nonce(challenge: &str, nonce: &str) -> Solution {
    let solution = ChallengeSolution {
        challenge: challenge.into(),
        nonce: nonce.into(),
        ..Default::default()
    };
    solution_field(&mut Fields::new(), "solution", Some(&solution)).unwrap()
}

fn work(solution: &Solution) -> &Work {
    match solution {
        Solution::Work(work) => work,
        Solution::Captcha(_) => panic!("a ticket is no work"),
    }
}

/// Does the work, or just not.
fn worked(challenge: &str, right: bool) -> Solution {
    (0..)
        .map(|nonce: u64| with_nonce(challenge, &nonce.to_string()))
        .find(|solution| work(solution).is_solved() == right)
        .unwrap()
}

fn fault_at(scope: &Scope<'_>, load: u32, solution: &Solution, now: OffsetDateTime) -> Fault {
    refused(challenges(1).judge(scope, need(load), Some(solution), now)).2.unwrap()
}

#[test]
fn who_need_not_work_is_let_in_and_spends_nothing() {
    let solution = worked(&given(1), true);
    for solution in [None, Some(&solution)] {
        assert!(challenges(1).judge(&SCOPE, None, solution, NOON).unwrap().is_none());
    }
}

#[test]
fn a_solved_challenge_lets_in() {
    let solution = worked(&given(1), true);
    let solved = challenges(1).judge(&SCOPE, need(1), Some(&solution), NOON).unwrap().unwrap();
    assert_eq!(solved.expire_at, NOON + LIFE);
}

#[test]
fn the_harder_the_longer_and_no_two_challenges_are_the_same() {
    let bits = |load| refused(challenges(1).judge(&SCOPE, need(load), None, NOON)).1;
    assert_eq!([1, 2, 4, 8, 16, 32].map(bits), [6, 7, 8, 9, 10, 10]);
    assert_ne!(given(1), given(1));
}

#[test]
fn work_that_was_not_done_is_refused() {
    assert_eq!(fault_at(&SCOPE, 1, &worked(&given(1), false), NOON), Fault::Wrong);
}

#[test]
fn a_challenge_is_good_for_two_minutes() {
    let solution = worked(&given(1), true);
    let almost = NOON + LIFE - Duration::SECOND;
    assert!(challenges(1).judge(&SCOPE, need(1), Some(&solution), almost).is_ok());
    assert_eq!(fault_at(&SCOPE, 1, &solution, NOON + LIFE), Fault::Expired);
}

#[test]
fn a_challenge_of_one_thing_is_refused_for_another() {
    let solution = worked(&given(1), true);
    for foreign in [
        Scope { method: "SignIn", ..SCOPE },
        Scope { purpose: 2, ..SCOPE },
        Scope { subject_index: &[2; 32], ..SCOPE },
    ] {
        assert_eq!(fault_at(&foreign, 1, &solution, NOON), Fault::Wrong, "{foreign:?}");
    }
}

#[test]
fn nobody_else_makes_challenges_and_nobody_makes_them_easier() {
    let elsewhere = refused(challenges(2).judge(&SCOPE, need(1), None, NOON)).0;
    assert_eq!(fault_at(&SCOPE, 1, &worked(&elsewhere, true), NOON), Fault::Wrong);
    // Each part of the terms is authenticated; of the bits a solution for none is known.
    let right = worked(&given(4), true);
    let right = work(&right);
    for terms in [
        Terms { bits: 0, ..right.terms },
        Terms { expire_at: right.terms.expire_at + 60, ..right.terms },
        Terms { challenge_id: Uuid::nil(), ..right.terms },
        Terms { key_version: 2, ..right.terms },
    ] {
        let forged = worked(&text::write(&terms, &right.mac), true);
        assert_eq!(fault_at(&SCOPE, 1, &forged, NOON), Fault::Wrong, "{terms:?}");
    }
}

#[test]
fn a_challenge_of_quieter_times_is_too_easy() {
    let solution = worked(&given(1), true);
    assert!(challenges(1).judge(&SCOPE, need(2), Some(&solution), NOON).is_ok());
    assert_eq!(fault_at(&SCOPE, 4, &solution, NOON), Fault::TooEasy);
}
