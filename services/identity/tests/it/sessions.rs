//! Sessions, the keys they are signed with, and how they end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use time::Duration;
use tonic::Code;
use zhiyuan_contracts::identity::v1::session_service_client::SessionServiceClient;
use zhiyuan_contracts::identity::v1::{
    EndOtherSessionsRequest, EndSessionRequest, ListRevocationsRequest, ListSessionsRequest,
    ListSigningKeysRequest, RefreshSessionRequest, SignOutRequest, Tokens,
};
use zhiyuan_domain::{Clock as _, ManualClock, SharedClock, SystemClock};
use zhiyuan_testkit::{Person, person};

use crate::account::{PASSWORD, password_of, refused, sessions, sign_ins, with};
use crate::harness::Identity;

pub(crate) async fn signed_in() -> (Identity, Person, Tokens) {
    let (identity, person) = (Identity::start().await, person(1));
    identity.register(&person).await;
    let tokens = identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    (identity, person, tokens)
}

pub(crate) async fn is_refused(identity: &Identity, tokens: &Tokens) -> bool {
    match identity.sessions_of(tokens).await {
        Ok(_) => false,
        Err(status) => {
            assert_eq!(status.code(), Code::Unauthenticated);
            assert_eq!(crate::codes::reason(&status), "TOKEN_INVALID");
            true
        }
    }
}

#[tokio::test]
async fn an_account_that_is_disabled_is_not_gone_on_with() {
    let (identity, _, tokens) = signed_in().await;
    let sql = "UPDATE identity.account SET state = 'DISABLED'";
    sqlx::query(sql).execute(&identity.pool).await.unwrap();
    assert_eq!(refused(identity.refresh(&tokens.refresh_token).await), "SESSION_OVER");
    // Its session has ended with that, for good.
    assert_eq!(identity.count("SELECT count(*) FROM identity.session").await, 0);
    assert_eq!(identity.count("SELECT count(*) FROM identity.session_end").await, 1);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_copy_ends_the_session() {
    let (identity, _, first) = signed_in().await;
    let second = identity.refresh(&first.refresh_token).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    let third = identity.refresh(&second.refresh_token).await.unwrap();
    assert!(!is_refused(&identity, &third).await);
    // Whoever copied the first one.
    assert_eq!(refused(identity.refresh(&first.refresh_token).await), "SESSION_OVER");
    assert_eq!(refused(identity.refresh(&third.refresh_token).await), "SESSION_OVER");
    assert!(is_refused(&identity, &third).await);
}

#[tokio::test]
async fn of_twenty_refreshes_at_once_one_succeeds_at_most() {
    let (identity, _, tokens) = signed_in().await;
    let all = (0..20).map(|_| identity.refresh(&tokens.refresh_token));
    let answers = join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(is_refused(&identity, &tokens).await);
}

#[tokio::test]
async fn forged_refresh_tokens_are_refused_and_end_nothing() {
    let (identity, _, tokens) = signed_in().await;
    let good = tokens.refresh_token.as_str();
    for malformed in ["", "x", &good[..good.len() - 1], &format!("{good}A"), &format!("{good}=")] {
        assert_eq!(refused(identity.refresh(malformed).await), "INVALID_FIELDS", "{malformed}");
    }
    let mut forged = Vec::new();
    for at in [0, 5, 30, 50, 60, 90] {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    for token in forged {
        assert_eq!(refused(identity.refresh(&token).await), "SESSION_OVER", "{token}");
    }
    identity.refresh(good).await.unwrap();
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_renewed_and_at_the_latest_after_half_a_year() {
    let (identity, _, mut tokens) = signed_in().await;
    for _ in 0..8 {
        identity.pass(Duration::days(21));
        tokens = identity.refresh(&tokens.refresh_token).await.unwrap();
    }
    identity.pass(Duration::days(21));
    assert_eq!(refused(identity.refresh(&tokens.refresh_token).await), "SESSION_OVER");
    let idle = identity.by_password(&person(1).mobile, PASSWORD).await.unwrap();
    identity.pass(Duration::days(30));
    assert_eq!(refused(identity.refresh(&idle.refresh_token).await), "SESSION_OVER");
}

#[tokio::test]
async fn a_cookie_that_holds_no_token_keeps_nobody_from_signing_out() {
    let (identity, _, tokens) = signed_in().await;
    let renewed = tokens.refresh_token.clone();
    let by_cookie = |field: &str, cookies: &[&str]| {
        let mut request = tonic::Request::new(SignOutRequest { refresh_token: field.to_owned() });
        for cookie in cookies {
            request.metadata_mut().append("zhiyuan-refresh-token", cookie.parse().unwrap());
        }
        let mut client = sign_ins(identity.channel());
        async move { client.sign_out(request).await }
    };
    for garbled in ["", "x", "a.b.c", &renewed[1..], "%E5%BF%97"] {
        by_cookie("", &[garbled]).await.unwrap();
        // Nor does it renew a session: the gateway clears what is left of one then.
        let mut request = tonic::Request::new(RefreshSessionRequest::default());
        request.metadata_mut().insert("zhiyuan-refresh-token", garbled.parse().unwrap());
        let answer = sign_ins(identity.channel()).refresh_session(request).await;
        assert_eq!(refused(answer), "SESSION_OVER", "{garbled}");
    }
    assert_eq!(refused(by_cookie(&renewed, &[&renewed]).await), "INVALID_FIELDS");
    assert_eq!(refused(by_cookie("", &[&renewed, &renewed]).await), "INVALID_FIELDS");
    assert!(!is_refused(&identity, &tokens).await);
    by_cookie("", &[&renewed]).await.unwrap();
    assert!(is_refused(&identity, &tokens).await);
}

#[tokio::test]
async fn signing_out_counts_at_once_here_and_within_five_seconds_elsewhere() {
    let (identity, _, tokens) = signed_in().await;
    let (replica, _tasks) = identity.replica().await;
    let list = || with(&tokens, ListSessionsRequest::default());
    let wait = Instant::now();
    // The replica has asked which keys there are.
    while sessions(&replica).list_sessions(list()).await.is_err() {
        assert!(wait.elapsed().as_secs() < 5);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let sign_out = async |refresh_token: &str| {
        let request = SignOutRequest { refresh_token: refresh_token.to_owned() };
        sign_ins(identity.channel()).sign_out(request).await
    };
    assert_eq!(refused(sign_out("").await), "INVALID_FIELDS");
    assert_eq!(refused(sign_out("of.something.else").await), "INVALID_FIELDS");
    let mut forged = tokens.refresh_token.clone().into_bytes();
    forged[90] = if forged[90] == b'A' { b'B' } else { b'A' };
    sign_out(std::str::from_utf8(&forged).unwrap()).await.unwrap();
    assert!(!is_refused(&identity, &tokens).await);
    // By an older token of the session too, and it needs no access token.
    let renewed = identity.refresh(&tokens.refresh_token).await.unwrap();
    sign_out(&tokens.refresh_token).await.unwrap();
    sign_out(&renewed.refresh_token).await.unwrap();
    let over = Instant::now();
    assert!(is_refused(&identity, &tokens).await);
    assert_eq!(refused(identity.refresh(&renewed.refresh_token).await), "SESSION_OVER");
    while sessions(&replica).list_sessions(list()).await.is_ok() {
        assert!(over.elapsed().as_secs() < 5);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // For good.
    assert_eq!(refused(sessions(&replica).list_sessions(list()).await), "TOKEN_INVALID");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_and_those_of_others_are_not_there() {
    let (identity, one, first) = signed_in().await;
    identity.pass(Duration::SECOND);
    let second = identity.by_password(&one.mobile, PASSWORD).await.unwrap();
    let other = person(2);
    identity.register(&other).await;
    let foreign = identity.by_password(&other.mobile, PASSWORD).await.unwrap();
    let listed = identity.sessions_of(&second).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed[0].current && !listed[1].current);
    let end = |tokens: &Tokens, id: &str| {
        let request = with(tokens, EndSessionRequest { session_id: id.to_owned() });
        let mut client = sessions(&identity.address);
        async move { client.end_session(request).await }
    };
    let id = &listed[1].id;
    assert_eq!(refused(end(&foreign, id).await), "SESSION_NOT_FOUND");
    assert_eq!(refused(end(&second, "1").await), "INVALID_FIELDS");
    end(&second, id).await.unwrap();
    end(&second, id).await.unwrap();
    assert!(is_refused(&identity, &first).await);
    assert!(!is_refused(&identity, &second).await);
    let third = identity.by_password(&one.mobile, PASSWORD).await.unwrap();
    let request = with(&third, EndOtherSessionsRequest {});
    let ended = sessions(&identity.address).end_other_sessions(request).await.unwrap();
    assert_eq!(ended.into_inner().ended, 1);
    assert!(is_refused(&identity, &second).await);
    assert!(!is_refused(&identity, &foreign).await);
    let request = with(&third, ListSessionsRequest { page_size: -1, ..Default::default() });
    let refusal = sessions(&identity.address).list_sessions(request).await;
    assert_eq!(refused(refusal), "INVALID_FIELDS");
    let token = ListSessionsRequest { page_token: "forged".into(), ..Default::default() };
    let refusal = sessions(&identity.address).list_sessions(with(&third, token)).await;
    assert_eq!(refused(refusal), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn the_twenty_first_session_ends_the_one_that_was_used_longest_ago() {
    let (identity, person, first) = signed_in().await;
    let mut last = first.clone();
    for _ in 0..20 {
        identity.pass(Duration::SECOND);
        last = identity.by_password(&person.mobile, PASSWORD).await.unwrap();
    }
    assert_eq!(identity.sessions_of(&last).await.unwrap().len(), 20);
    assert!(is_refused(&identity, &first).await);
}

#[tokio::test]
async fn keys_change_without_anybody_noticing() {
    let (identity, _, old) = signed_in().await;
    let keys = async || {
        let request = ListSigningKeysRequest::default();
        let listed = sessions(&identity.address).list_signing_keys(request).await.unwrap();
        listed.into_inner().keys
    };
    let first = keys().await;
    assert_eq!(first.len(), 1);
    // Ten minutes before the first retires, the second is there.
    identity.pass(Duration::days(30) - Duration::minutes(9));
    for _ in 0..200 {
        if keys().await.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let both = keys().await;
    assert_eq!((both.len(), &both[0].id), (2, &first[0].id));
    let tokens = identity.refresh(&old.refresh_token).await.unwrap();
    let header = |tokens: &Tokens| tokens.access_token.split('.').next().unwrap().to_owned();
    assert_eq!(header(&tokens), header(&old));
    // The next one signs, and the token of the first counts until it ends.
    identity.pass(Duration::minutes(9));
    let next = identity.refresh(&tokens.refresh_token).await.unwrap();
    assert_ne!(header(&next), header(&tokens));
    assert!(!is_refused(&identity, &tokens).await);
    assert!(!is_refused(&identity, &next).await);
    // A key that is deleted by hand ends its tokens, and no session.
    let sql = "DELETE FROM identity.signing_key WHERE public_key = $1";
    sqlx::query(sql).bind(&both[1].public_key).execute(&identity.pool).await.unwrap();
    let wait = Instant::now();
    while !is_refused(&identity, &next).await {
        assert!(wait.elapsed().as_secs() < 5);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_process_whose_clock_is_far_ahead_deletes_no_key_and_signs_nothing() {
    let (identity, person, tokens) = signed_in().await;
    let mut config = identity.config.clone();
    config.feed.max_skew_ms = 60_000;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let (replica, _tasks) = identity.replica_with(&config, &(clock.clone() as SharedClock)).await;
    clock.advance(std::time::Duration::from_secs(400 * 86_400));
    let wait = Instant::now();
    let channel = zhiyuan_rpc::connect_lazy(&replica).unwrap();
    loop {
        let request = password_of(&person.mobile, PASSWORD);
        match sign_ins(channel.clone()).sign_in(request).await {
            Err(status) if status.code() == Code::Unavailable => break,
            _ => assert!(wait.elapsed().as_secs() < 5),
        }
    }
    // It tells nobody that keys are over either.
    let request = ListSigningKeysRequest::default();
    let told = sessions(&replica).list_signing_keys(request).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable);
    assert_eq!(identity.count("SELECT count(*) FROM identity.signing_key").await, 1);
    assert!(!is_refused(&identity, &tokens).await);
    // When the clock is right again, so is all else.
    clock.set(SystemClock.now());
    let wait = Instant::now();
    while sign_ins(channel.clone()).sign_in(password_of(&person.mobile, PASSWORD)).await.is_err() {
        assert!(wait.elapsed().as_secs() < 5);
    }
}

#[tokio::test]
async fn more_ended_sessions_than_fit_into_one_answer_come_in_several_and_none_is_passed_over() {
    let identity = Identity::start().await;
    let mut client = SessionServiceClient::new(identity.suite());
    let end = "INSERT INTO identity.session_end (session_id, ended_at)
               SELECT gen_random_uuid(), clock_timestamp() FROM generate_series(1, $1::integer)
               RETURNING session_id";
    // Begun before the others, and committed while they are read.
    let mut late = identity.pool.begin().await.unwrap();
    let late_one: uuid::Uuid = sqlx::query_scalar(end).bind(1).fetch_one(&mut *late).await.unwrap();
    let others: Vec<uuid::Uuid> =
        sqlx::query_scalar(end).bind(10_000).fetch_all(&identity.pool).await.unwrap();
    let mut ask = async |cursor: &str| {
        let request = ListRevocationsRequest { cursor: cursor.to_owned(), ..Default::default() };
        client.list_revocations(request).await.unwrap().into_inner()
    };
    let mut answer = ask("").await;
    let mut sizes = vec![answer.ended_sessions.len()];
    let mut heard: BTreeSet<Vec<u8>> = answer.ended_sessions.into_iter().collect();
    late.commit().await.unwrap();
    while answer.more {
        answer = ask(&answer.cursor).await;
        sizes.push(answer.ended_sessions.len());
        heard.extend(answer.ended_sessions);
    }
    assert_eq!(sizes, [4096, 4096, 1808]);
    assert!(others.iter().all(|id| heard.contains(id.as_bytes().as_slice())));
    assert!(!heard.contains(late_one.as_bytes().as_slice()));
    let mut again = BTreeSet::new();
    loop {
        answer = ask(&answer.cursor).await;
        again.extend(answer.ended_sessions);
        if !answer.more {
            break;
        }
    }
    assert!(again.contains(late_one.as_bytes().as_slice()));
    // And then there is nothing new.
    assert!(ask(&answer.cursor).await.ended_sessions.is_empty());
}
