//! How much one person applies for.

use std::time::Duration;

use futures_util::future::join_all;
use tonic::Code;

use super::{applicant, on_province, submit, submits, withdraw};
use crate::authority::refusal;
use crate::harness::assert_refused;

#[tokio::test]
async fn three_wait_at_a_time_and_five_are_handed_in_on_a_day() {
    let suite = on_province().await;
    let mut volunteer = applicant(&suite, 9);
    let mut made = Vec::new();
    for n in 0..3 {
        made.push(submit(&mut volunteer, submits("A-1", &format!("第{n}队"))).await.unwrap());
    }
    let status = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap_err();
    assert_refused(&status, Code::ResourceExhausted, "APPLICATIONS_TOO_MANY");
    for one in &made {
        withdraw(&mut volunteer, &one.application_id).await.unwrap();
    }
    for n in 3..5 {
        submit(&mut volunteer, submits("A-1", &format!("第{n}队"))).await.unwrap();
    }
    // It is 8 o'clock in Shanghai: the day ends in 16 hours.
    let status = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap_err();
    assert_refused(&status, Code::ResourceExhausted, "APPLICATIONS_TOO_MANY_TODAY");
    // Somebody else's day is another one.
    submit(&mut applicant(&suite, 8), submits("A-1", "春风")).await.unwrap();
    suite.clock.advance(Duration::from_hours(16) - Duration::from_secs(1));
    let mut volunteer = applicant(&suite, 9);
    let status = submit(&mut volunteer, submits("A-1", "暖阳")).await.unwrap_err();
    assert_refused(&status, Code::ResourceExhausted, "APPLICATIONS_TOO_MANY_TODAY");
    suite.clock.advance(Duration::from_secs(1));
    submit(&mut applicant(&suite, 9), submits("A-1", "暖阳")).await.unwrap();
    suite.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hands_in_many_at_once_has_three() {
    let suite = on_province().await;
    let replica = suite.replica().await;
    let handing_in = (0..8).map(|n| {
        let service = if n % 2 == 0 { &suite.service } else { &replica };
        let mut person = super::person_at(&suite, service, 9, false);
        async move { submit(&mut person, submits("A-1", &format!("第{n}队"))).await }
    });
    let handed_in = join_all(handing_in).await;
    assert_eq!(handed_in.iter().filter(|one| one.is_ok()).count(), 3, "{handed_in:?}");
    for refused in handed_in.into_iter().filter_map(Result::err) {
        let too_many = (Code::ResourceExhausted, "APPLICATIONS_TOO_MANY".to_owned());
        assert_eq!(refusal(&refused), too_many);
    }
    replica.stop().await;
    suite.stop().await;
}
