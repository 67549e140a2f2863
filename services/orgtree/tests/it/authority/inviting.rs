use std::time::Duration;

use futures_util::future::{join, join_all};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    AcceptInvitationRequest, ConfirmInvitationRequest, CreateDelegationRequest, CreateGrantRequest,
    CreateInvitationRequest, HandOverRequest, InvitationState, ListInvitationsRequest, Permission,
    Role, Verdict, WithdrawInvitationRequest,
};
use zhiyuan_domain::Clock as _;
use zhiyuan_orgtree::Role as TypedRole;

use super::{
    Suite, accept, accepts, account, confirm, confirms, give, gives, hands_over, invitations,
    invite, invites, refusal, revokes, withdraws,
};
use crate::harness::{assert_field, assert_refused, told};

const DAY: Duration = Duration::from_hours(24);

/// The province with an administrator, 1.
async fn administered() -> Suite {
    let suite = Suite::on_province().await;
    suite.make(account(1), "A", TypedRole::Administrator).await;
    suite
}

#[tokio::test]
async fn a_role_comes_by_a_code_and_a_number_and_counts_once_it_is_confirmed() {
    let suite = administered().await;
    let mut inviter = suite.inviter(account(1));
    let request = CreateInvitationRequest {
        note: " 镇一书记 ".into(),
        valid_days: 3,
        ..invites(" ａ-1 ", Role::Manager)
    };
    let made = invite(&mut inviter, request).await.unwrap();
    let (code, invitation) = (made.invitation_code, made.invitation.unwrap());
    assert_eq!((code.len(), invitation.state()), (8, InvitationState::Open));
    assert_eq!((&*invitation.organization_code, &*invitation.note), ("A-1", "镇一书记"));
    assert_eq!(invitation.expire_time, Some(suite.clock_in(3 * DAY)));
    // As people write it.
    let spelled = format!(" {}-{}", &code[..4].to_lowercase(), &code[4..]);
    let accepted = accept(&mut suite.inviter(account(2)), &spelled).await.unwrap();
    assert_eq!((accepted.role(), &*accepted.organization_code), (Role::Manager, "A-1"));
    assert_eq!(accepted.expire_time, Some(suite.clock_in(7 * DAY)));
    let verdict = suite.verdict(account(2), "A-1", Permission::View).await;
    assert_eq!(verdict, Verdict::OutOfScope, "nobody has confirmed");
    let [waiting] = &invitations(&mut inviter, "A", 0).await.unwrap()[..] else { panic!() };
    assert_eq!(waiting.state(), InvitationState::Accepted);
    assert_eq!(waiting.account_id, account(2).to_string());

    let digit = if accepted.check_number.starts_with('0') { '1' } else { '0' };
    let wrong = format!("{digit}{}", &accepted.check_number[1..]);
    let wrong = ConfirmInvitationRequest { check_number: wrong, ..confirms(&accepted) };
    let wrong = confirm(&mut inviter, wrong).await.unwrap_err();
    assert_refused(&wrong, Code::FailedPrecondition, "CHECK_NUMBER_WRONG");
    let request = confirms(&accepted);
    let grant = confirm(&mut inviter, request.clone()).await.unwrap();
    assert_eq!(
        (&grant.account_id, &grant.granted_by, grant.role()),
        (&account(2).to_string(), &account(1).to_string(), Role::Manager)
    );
    assert_eq!(confirm(&mut inviter, request).await.unwrap(), grant);
    let verdict = suite.verdict(account(2), "A-1-1", Permission::Review).await;
    assert_eq!(verdict, Verdict::Allowed);
    let [confirmed] = &invitations(&mut inviter, "", 0).await.unwrap()[..] else { panic!() };
    assert_eq!((confirmed.state(), &confirmed.grant_id), (InvitationState::Confirmed, &grant.id));
    // Another call finds it over, and so does who would take it back.
    let over = confirm(&mut inviter, confirms(&accepted)).await.unwrap_err();
    assert_refused(&over, Code::FailedPrecondition, "INVITATION_OVER");
    let over = inviter.withdraw_invitation(withdraws(&accepted.invitation_id)).await.unwrap_err();
    assert_refused(&over, Code::FailedPrecondition, "INVITATION_OVER");
    suite.stop().await;
}

#[tokio::test]
async fn a_code_that_is_not_good_has_one_answer_whatever_the_reason() {
    let suite = administered().await;
    let mut administrator = suite.inviter(account(1));
    let deputy = CreateGrantRequest {
        expire_time: Some(suite.clock_in(40 * DAY)),
        ..gives(account(5), "A-1", Role::Administrator)
    };
    let deputy = give(&mut suite.person(account(1)), deputy).await.unwrap();
    let code = async |who: u128, wanted: CreateInvitationRequest| {
        invite(&mut suite.inviter(account(who)), wanted).await.unwrap()
    };
    let used = code(1, invites("A-1", Role::Viewer)).await.invitation_code;
    accept(&mut suite.inviter(account(10)), &used).await.unwrap();
    let withdrawn = code(1, invites("A-1", Role::Viewer)).await;
    let id = withdrawn.invitation.unwrap().id;
    administrator.withdraw_invitation(withdraws(&id)).await.unwrap();
    // Taken back once more, it stays so.
    administrator.withdraw_invitation(withdraws(&id)).await.unwrap();
    let short = CreateInvitationRequest { valid_days: 1, ..invites("A-1", Role::Viewer) };
    let expired = code(1, short).await.invitation_code;
    let until = CreateInvitationRequest {
        expire_time: Some(suite.clock_in(39 * DAY)),
        ..invites("A-1-1", Role::Viewer)
    };
    let of_nobody = code(5, until).await.invitation_code;
    let revoked = suite.person(account(1)).revoke_grant(revokes(&deputy.id)).await.unwrap_err();
    assert_eq!(refusal(&revoked).1, "REVOCATION_IN_PROGRESS");
    suite.clock.advance(DAY);
    let mut answers = Vec::new();
    let codes = ["ABCD2345", &used, &withdrawn.invitation_code, &expired, &of_nobody];
    for (n, code) in (20..).zip(codes) {
        let refused = accept(&mut suite.inviter(account(n)), code).await.unwrap_err();
        assert_refused(&refused, Code::NotFound, "INVITATION_NOT_FOUND");
        answers.push((refused.message().to_owned(), refused.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    suite.stop().await;
}

#[tokio::test]
async fn five_wrong_codes_within_the_hour_are_looked_at_and_right_ones_are_not_counted() {
    let suite = administered().await;
    let replica = suite.replica().await;
    let mut codes = Vec::new();
    for _ in 0..7 {
        let made = invite(&mut suite.inviter(account(1)), invites("A-1", Role::Viewer)).await;
        codes.push(made.unwrap().invitation_code);
    }
    let request = accepts(&codes[0]);
    let mut guesser = suite.inviter(account(2));
    let first = guesser.accept_invitation(request.clone()).await.unwrap().into_inner();
    for code in &codes[1..6] {
        accept(&mut guesser, code).await.unwrap();
    }
    let guesses = (0..40).map(|n| {
        let service = if n % 2 == 0 { &suite.service } else { &replica };
        let mut guesser = suite.inviter_at(service, account(2));
        async move { accept(&mut guesser, "ABCD2345").await.unwrap_err() }
    });
    let answers = join_all(guesses).await;
    let looked_at = answers.iter().filter(|status| status.code() == Code::NotFound).count();
    assert_eq!(looked_at, 5);
    for status in answers.iter().filter(|status| status.code() != Code::NotFound) {
        assert_refused(status, Code::ResourceExhausted, "INVITATION_CODES_WRONG");
        let wait = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(wait, Duration::from_hours(1), "the clock stands at the full hour");
    }
    let right = accept(&mut guesser, &codes[6]).await.unwrap_err();
    assert_refused(&right, Code::ResourceExhausted, "INVITATION_CODES_WRONG");
    // What was accepted before is answered again; and nobody else is held up.
    assert_eq!(guesser.accept_invitation(request).await.unwrap().into_inner(), first);
    let wrong = accept(&mut suite.inviter(account(3)), "ABCD2345").await.unwrap_err();
    assert_refused(&wrong, Code::NotFound, "INVITATION_NOT_FOUND");
    suite.clock.advance(Duration::from_hours(1));
    accept(&mut suite.inviter(account(2)), &codes[6]).await.unwrap();
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn many_accounts_together_try_no_more_than_a_thousand_codes_within_the_hour() {
    let suite = administered().await;
    let made = invite(&mut suite.inviter(account(1)), invites("A-1", Role::Viewer)).await;
    let code = made.unwrap().invitation_code;
    let fill = "INSERT INTO orgtree.wrong_code (caller, hour, wrong)
                SELECT gen_random_uuid(), date_trunc('hour', $1::timestamptz), 5
                FROM generate_series(1, $2)";
    let pool = suite.database.pool().await;
    let fill = async |accounts: i32| {
        let now = suite.clock.now();
        sqlx::query(fill).bind(now).bind(accounts).execute(&pool).await.unwrap();
    };
    fill(199).await;
    for n in 20..25 {
        let wrong = accept(&mut suite.inviter(account(n)), "ABCD2345").await.unwrap_err();
        assert_refused(&wrong, Code::NotFound, "INVITATION_NOT_FOUND");
    }
    for code in ["ABCD2345", &code] {
        let refused = accept(&mut suite.inviter(account(30)), code).await.unwrap_err();
        assert_refused(&refused, Code::ResourceExhausted, "INVITATION_CODES_WRONG");
    }
    suite.clock.advance(Duration::from_hours(1));
    accept(&mut suite.inviter(account(30)), &code).await.unwrap();
    suite.stop().await;
}

/// Rows 10, 11 and 12.
#[tokio::test]
async fn nobody_invites_to_more_than_they_may_give_and_nobody_to_oneself() {
    let suite = administered().await;
    suite.make(account(3), "A-1", TypedRole::Manager).await;
    let deputy = CreateGrantRequest {
        expire_time: Some(suite.clock_in(DAY)),
        ..gives(account(4), "A-1", Role::Administrator)
    };
    give(&mut suite.person(account(1)), deputy).await.unwrap();
    for (n, code, role, refused, reason) in [
        (3, "A-1", Role::Viewer, Code::PermissionDenied, "PERMISSION_MISSING"),
        (3, "A-2", Role::Viewer, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (4, "A", Role::Viewer, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        (4, "A-7", Role::Viewer, Code::NotFound, "ORGANIZATION_NOT_FOUND"),
        // For ever, by somebody who administers for a day.
        (4, "A-1", Role::Viewer, Code::PermissionDenied, "ROLE_ABOVE_OWN"),
    ] {
        let status = invite(&mut suite.inviter(account(n)), invites(code, role)).await.unwrap_err();
        assert_refused(&status, refused, reason);
    }
    let closed = invite(&mut suite.inviter(account(1)), invites("A-1-9", Role::Viewer)).await;
    assert_refused(&closed.unwrap_err(), Code::FailedPrecondition, "ORGANIZATION_CLOSED");

    let made = invite(&mut suite.inviter(account(1)), invites("A-1", Role::Auditor)).await.unwrap();
    let own = accept(&mut suite.inviter(account(1)), &made.invitation_code).await.unwrap_err();
    assert_refused(&own, Code::PermissionDenied, "GRANT_TO_SELF");
    // Whoever administers the place accepts, and is not the one who confirms.
    let accepted = accept(&mut suite.inviter(account(4)), &made.invitation_code).await.unwrap();
    let own = confirm(&mut suite.inviter(account(4)), confirms(&accepted)).await.unwrap_err();
    assert_refused(&own, Code::PermissionDenied, "GRANT_TO_SELF");
    for (n, refused, reason) in [
        (3, Code::PermissionDenied, "PERMISSION_MISSING"),
        (9, Code::NotFound, "INVITATION_NOT_FOUND"),
    ] {
        let mut other = suite.inviter(account(n));
        let status = confirm(&mut other, confirms(&accepted)).await.unwrap_err();
        assert_refused(&status, refused, reason);
        let withdraw = withdraws(&accepted.invitation_id);
        let status = other.withdraw_invitation(withdraw).await.unwrap_err();
        assert_refused(&status, refused, reason);
    }
    // Another administrator of the place may, by the right of their own.
    suite.make(account(6), "A-1", TypedRole::Administrator).await;
    let grant = confirm(&mut suite.inviter(account(6)), confirms(&accepted)).await.unwrap();
    assert_eq!(grant.granted_by, account(6).to_string());
    suite.stop().await;
}

#[tokio::test]
async fn the_rights_of_who_confirms_count_as_they_are_then() {
    let suite = administered().await;
    suite.make(account(2), "A", TypedRole::Administrator).await;
    let end = suite.clock_in(30 * DAY);
    let deputy = CreateGrantRequest {
        expire_time: Some(end),
        ..gives(account(5), "A-1", Role::Administrator)
    };
    give(&mut suite.person(account(1)), deputy).await.unwrap();
    let wanted = CreateInvitationRequest { expire_time: Some(end), ..invites("A-1", Role::Viewer) };
    let made = invite(&mut suite.inviter(account(5)), wanted).await.unwrap();
    let early = ConfirmInvitationRequest {
        invitation_id: made.invitation.unwrap().id,
        check_number: "000000".into(),
        request_id: Uuid::new_v4().to_string(),
    };
    let early = confirm(&mut suite.inviter(account(5)), early).await.unwrap_err();
    assert_refused(&early, Code::FailedPrecondition, "INVITATION_NOT_ACCEPTED");
    suite.clock.advance(19 * DAY);
    let accepted = accept(&mut suite.inviter(account(7)), &made.invitation_code).await.unwrap();
    suite.clock.advance(6 * DAY);
    // Of those who can't give it any more, nobody can; others go on.
    let pool = suite.database.pool().await;
    sqlx::query("UPDATE orgtree.authority_grant SET revoked_at = $2 WHERE account_id = $1")
        .bind(account(5))
        .bind(suite.clock.now())
        .execute(&pool)
        .await
        .unwrap();
    let lost = confirm(&mut suite.inviter(account(5)), confirms(&accepted)).await.unwrap_err();
    assert_refused(&lost, Code::NotFound, "INVITATION_NOT_FOUND");
    let unknown = confirms(&accepted);
    let unknown = ConfirmInvitationRequest { invitation_id: account(9).to_string(), ..unknown };
    let unknown = confirm(&mut suite.inviter(account(2)), unknown).await.unwrap_err();
    assert_refused(&unknown, Code::NotFound, "INVITATION_NOT_FOUND");
    sqlx::query("INSERT INTO orgtree.closed_account VALUES ($1, now())")
        .bind(account(7))
        .execute(&pool)
        .await
        .unwrap();
    let closed = confirm(&mut suite.inviter(account(2)), confirms(&accepted)).await.unwrap_err();
    assert_refused(&closed, Code::FailedPrecondition, "ACCOUNT_CLOSED");
    sqlx::query("TRUNCATE orgtree.closed_account")
        .execute(&sqlx::PgPool::connect(&suite.database.admin_url()).await.unwrap())
        .await
        .unwrap();
    let has = give(&mut suite.person(account(2)), gives(account(7), "A-1", Role::Viewer)).await;
    let has = has.unwrap().id;
    let again = confirm(&mut suite.inviter(account(2)), confirms(&accepted)).await.unwrap_err();
    assert_refused(&again, Code::AlreadyExists, "GRANT_EXISTS");
    assert_eq!(again.get_error_details().error_info().unwrap().metadata["grant_id"], has);
    // A week after it was accepted it is over.
    suite.clock.advance(DAY);
    let late = confirm(&mut suite.inviter(account(2)), confirms(&accepted)).await.unwrap_err();
    assert_refused(&late, Code::FailedPrecondition, "INVITATION_OVER");
    suite.stop().await;
}

#[tokio::test]
async fn the_same_call_has_one_code_and_one_number_and_the_service_keeps_neither() {
    let suite = administered().await;
    let mut inviter = suite.inviter(account(1));
    let request = invites("A-1", Role::Viewer);
    let made = invite(&mut inviter, request.clone()).await.unwrap();
    let replica = suite.replica().await;
    let spelled = CreateInvitationRequest {
        organization_code: "a-1".into(),
        valid_days: 20,
        ..request.clone()
    };
    let again = invite(&mut suite.inviter_at(&replica, account(1)), spelled).await.unwrap();
    assert_eq!(again, made);
    for other in [
        CreateInvitationRequest { role: Role::Auditor.into(), ..request.clone() },
        CreateInvitationRequest { note: "别人".into(), ..request.clone() },
        CreateInvitationRequest { valid_days: 19, ..request.clone() },
    ] {
        let refused = invite(&mut inviter, other).await.unwrap_err();
        assert_refused(&refused, Code::AlreadyExists, "REQUEST_ID_REUSED");
    }
    let request = accepts(&made.invitation_code);
    let mut invited = suite.inviter_at(&replica, account(2));
    let accepted = invited.accept_invitation(request.clone()).await.unwrap().into_inner();
    let mut here = suite.inviter(account(2));
    assert_eq!(here.accept_invitation(request.clone()).await.unwrap().into_inner(), accepted);
    let other = AcceptInvitationRequest { invitation_code: "ABCD2345".into(), ..request };
    let other = here.accept_invitation(other).await.unwrap_err();
    assert_refused(&other, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let request = confirms(&accepted);
    confirm(&mut inviter, request.clone()).await.unwrap();
    let other = ConfirmInvitationRequest { check_number: "999999".into(), ..request };
    let other = confirm(&mut inviter, other).await.unwrap_err();
    assert_refused(&other, Code::AlreadyExists, "REQUEST_ID_REUSED");
    let withdraw = withdraws(
        &invite(&mut inviter, invites("A", Role::Viewer)).await.unwrap().invitation.unwrap().id,
    );
    inviter.withdraw_invitation(withdraw.clone()).await.unwrap();
    let other = WithdrawInvitationRequest { invitation_id: account(9).to_string(), ..withdraw };
    let other = inviter.withdraw_invitation(other).await.unwrap_err();
    assert_refused(&other, Code::AlreadyExists, "REQUEST_ID_REUSED");

    let pool = suite.database.pool().await;
    // Nor is the digest of the call one that can be tried out without a key.
    let id: Uuid = accepted.invitation_id.parse().unwrap();
    let tried = [id.as_bytes(), accepted.check_number.as_bytes()].concat();
    let kept: bool = sqlx::query_scalar(
        "SELECT sha256($1) IN (SELECT digest FROM orgtree.request WHERE method = $2)",
    )
    .bind(tried)
    .bind("ConfirmInvitation")
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(!kept);
    for secret in [&made.invitation_code, &accepted.check_number] {
        let kept: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM orgtree.request WHERE position($1 IN answer) > 0)
                  + (SELECT count(*) FROM orgtree.invitation i WHERE i::text LIKE '%' || $2 || '%')",
        )
        .bind(secret.as_bytes())
        .bind(secret)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(kept, 0);
    }
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn of_two_who_accept_confirm_or_take_back_at_once_one_comes_first() {
    let suite = administered().await;
    suite.make(account(2), "A", TypedRole::Administrator).await;
    let replica = suite.replica().await;
    let (mut here, mut there) = (suite.inviter(account(1)), suite.inviter_at(&replica, account(2)));
    for round in 0..8 {
        let (one, other) = (account(100 + 2 * round), account(101 + 2 * round));
        let made = invite(&mut here, invites("A-1", Role::Viewer)).await.unwrap();
        let (mut at_one, mut at_other) = (suite.inviter(one), suite.inviter_at(&replica, other));
        let code = &made.invitation_code;
        let both = join(accept(&mut at_one, code), accept(&mut at_other, code)).await;
        let accepted = match both {
            (Ok(accepted), Err(refused)) | (Err(refused), Ok(accepted)) => {
                assert_refused(&refused, Code::NotFound, "INVITATION_NOT_FOUND");
                accepted
            }
            both => panic!("{both:?}"),
        };
        let confirming = confirm(&mut here, confirms(&accepted));
        if round % 2 == 0 {
            match join(confirming, confirm(&mut there, confirms(&accepted))).await {
                (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => {
                    assert_refused(&refused, Code::FailedPrecondition, "INVITATION_OVER");
                }
                both => panic!("{both:?}"),
            }
        } else {
            let withdrawing = there.withdraw_invitation(withdraws(&accepted.invitation_id));
            match join(confirming, withdrawing).await {
                (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => {
                    assert_refused(&refused, Code::FailedPrecondition, "INVITATION_OVER");
                }
                both => panic!("{both:?}"),
            }
        }
        // Accepting beside taking back.
        let made = invite(&mut here, invites("A-1", Role::Auditor)).await.unwrap();
        let id = made.invitation.unwrap().id;
        let withdraw = withdraws(&id);
        let taken = there.withdraw_invitation(withdraw);
        let (accepted, taken) = join(accept(&mut at_one, &made.invitation_code), taken).await;
        taken.unwrap();
        if let Ok(accepted) = accepted {
            let late = confirm(&mut here, confirms(&accepted)).await.unwrap_err();
            assert_refused(&late, Code::FailedPrecondition, "INVITATION_OVER");
        }
    }
    let counts: (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE grant_id IS NOT NULL),
                (SELECT count(*) FROM orgtree.authority_grant WHERE role = 3)
         FROM orgtree.invitation",
    )
    .fetch_one(&suite.database.pool().await)
    .await
    .unwrap();
    assert_eq!(counts.0, counts.1, "as many roles as confirmations");
    assert!((4..=8).contains(&counts.0), "{counts:?}");
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn invitations_are_seen_by_who_made_them_and_by_who_may_give_roles_there() {
    let suite = administered().await;
    suite.make(account(2), "A-1", TypedRole::Administrator).await;
    suite.make(account(3), "A-1", TypedRole::Auditor).await;
    let mut made = Vec::new();
    for (n, code) in [(1, "A"), (1, "A-1-1"), (2, "A-1"), (1, "A-2")] {
        let new = invite(&mut suite.inviter(account(n)), invites(code, Role::Viewer)).await;
        made.push(new.unwrap().invitation.unwrap().id);
        suite.clock.advance(Duration::from_millis(1));
    }
    let of = async |n, below: &str| {
        let found = invitations(&mut suite.inviter(account(n)), below, 1).await;
        let ids = |found: Vec<_>| -> Vec<usize> {
            let place = |one: &zhiyuan_contracts::orgtree::v1::Invitation| {
                made.iter().position(|id| *id == one.id).unwrap()
            };
            found.iter().map(place).collect()
        };
        found.map(ids).map_err(|status| refusal(&status).1)
    };
    // The latest first.
    assert_eq!((of(1, "").await, of(1, "A-1").await), (Ok(vec![3, 2, 1, 0]), Ok(vec![2, 1])));
    assert_eq!((of(2, "").await, of(2, "A-1").await), (Ok(vec![2, 1]), Ok(vec![2, 1])));
    assert_eq!((of(3, "").await, of(9, "").await), (Ok(vec![]), Ok(vec![])));
    let (missing, hidden) = ("PERMISSION_MISSING".to_owned(), "ORGANIZATION_NOT_FOUND".to_owned());
    assert_eq!((of(3, "A-1").await, of(2, "A").await), (Err(missing), Err(hidden)));
    let first = ListInvitationsRequest { page_size: 1, ..ListInvitationsRequest::default() };
    let page = suite.inviter(account(1)).list_invitations(first.clone()).await.unwrap();
    let second = ListInvitationsRequest { page_token: page.into_inner().next_page_token, ..first };
    let other = suite.inviter(account(2)).list_invitations(second).await.unwrap_err();
    assert_refused(&other, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    suite.stop().await;
}

#[tokio::test]
async fn nobody_has_more_than_two_hundred_open_and_old_ones_are_forgotten() {
    let suite = administered().await;
    let pool = suite.database.pool().await;
    sqlx::query(
        "INSERT INTO orgtree.invitation
             (invitation_id, code_digest, organization_code, role, invited_by, note, created_at,
              expires_at)
         SELECT gen_random_uuid(), sha256(n::text::bytea), 'A', 3, $1, '', $2, $3
         FROM generate_series(1, 199) AS n",
    )
    .bind(account(1))
    .bind(suite.clock.now())
    .bind(suite.clock.now() + DAY)
    .execute(&pool)
    .await
    .unwrap();
    let mut inviter = suite.inviter(account(1));
    let last = invite(&mut inviter, invites("A", Role::Viewer)).await.unwrap();
    let full = invite(&mut inviter, invites("A", Role::Viewer)).await.unwrap_err();
    assert_refused(&full, Code::ResourceExhausted, "INVITATIONS_TOO_MANY");
    let id = last.invitation.unwrap().id;
    inviter.withdraw_invitation(withdraws(&id)).await.unwrap();
    invite(&mut inviter, invites("A", Role::Viewer)).await.unwrap();
    accept(&mut suite.inviter(account(2)), "ABCD2345").await.unwrap_err();
    let kept = async || -> (i64, i64) {
        let sql = "SELECT (SELECT count(*) FROM orgtree.invitation),
                          (SELECT count(*) FROM orgtree.wrong_code)";
        sqlx::query_as(sql).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(kept().await, (201, 1));
    // Each start looks for old ones.
    suite.clock.advance(180 * DAY + Duration::from_secs(1));
    let replica = suite.replica().await;
    let waiting = async {
        while kept().await != (0, 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    replica.stop().await;
    suite.stop().await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_an_invitation_is_told_at_once() {
    let suite = administered().await;
    let mut person = suite.inviter(account(1));
    let fields = |status: tonic::Status| -> Vec<String> {
        let (code, reason, fields) = told(&status);
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        fields.into_iter().map(|(field, _)| field).collect()
    };
    let year_zero = Some(prost_types::Timestamp { seconds: i64::MIN, nanos: 0 });
    let wrong = CreateInvitationRequest {
        expire_time: year_zero,
        note: "13900000000".into(),
        valid_days: 21,
        ..CreateInvitationRequest::default()
    };
    let wrong = fields(invite(&mut person, wrong).await.unwrap_err());
    let all = ["request_id", "organization_code", "role", "expire_time", "note", "valid_days"];
    assert_eq!(wrong, all);
    let wrong = CreateDelegationRequest {
        note: "a\nb".into(),
        valid_days: -1,
        ..CreateDelegationRequest::default()
    };
    let wrong = fields(person.create_delegation(wrong).await.unwrap_err());
    let all = ["request_id", "grant_id", "organization_code", "expire_time", "note", "valid_days"];
    assert_eq!(wrong, all);
    let wrong =
        fields(person.accept_invitation(AcceptInvitationRequest::default()).await.unwrap_err());
    assert_eq!(wrong, ["request_id", "invitation_code"]);
    let wrong = ConfirmInvitationRequest::default();
    let wrong = fields(person.confirm_invitation(wrong).await.unwrap_err());
    assert_eq!(wrong, ["request_id", "invitation_id", "check_number"]);
    let wrong = fields(person.hand_over(HandOverRequest::default()).await.unwrap_err());
    assert_eq!(wrong, ["request_id", "invitation_id", "check_number"]);
    let wrong = WithdrawInvitationRequest::default();
    let wrong = fields(person.withdraw_invitation(wrong).await.unwrap_err());
    assert_eq!(wrong, ["request_id", "invitation_id"]);
    let past = CreateInvitationRequest {
        expire_time: Some(suite.clock_in(Duration::ZERO)),
        ..invites("A", Role::Viewer)
    };
    assert_field(&invite(&mut person, past).await.unwrap_err(), "expire_time", "TIME_PAST");
    let wrong = ListInvitationsRequest { page_size: -1, ..Default::default() };
    let wrong = person.list_invitations(wrong).await.unwrap_err();
    assert_field(&wrong, "page_size", "PAGE_SIZE_NEGATIVE");
    suite.stop().await;
}

#[tokio::test]
async fn invitations_need_the_second_factor() {
    let suite = administered().await;
    let bearer = suite.bearer(account(1), false);
    let channel = suite.service.channel.clone();
    let mut weak = super::InvitationServiceClient::with_interceptor(channel, bearer);
    let missing = (Code::FailedPrecondition, "SECOND_FACTOR_REQUIRED".to_owned());
    let accepted = Default::default();
    for status in [
        invite(&mut weak, invites("A", Role::Viewer)).await.unwrap_err(),
        weak.create_delegation(CreateDelegationRequest::default()).await.unwrap_err(),
        accept(&mut weak, "ABCD2345").await.unwrap_err(),
        invitations(&mut weak, "", 0).await.unwrap_err(),
        confirm(&mut weak, confirms(&accepted)).await.unwrap_err(),
        weak.hand_over(hands_over(&accepted)).await.unwrap_err(),
        weak.withdraw_invitation(withdraws("")).await.unwrap_err(),
    ] {
        assert_eq!(refusal(&status), missing);
    }
    suite.stop().await;
}
