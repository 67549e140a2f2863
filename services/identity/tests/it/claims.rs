//! Claims on an ID number that somebody else holds.

use futures_util::future::join_all;
use time::Duration;
use tonic::{Response, Status};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::account_service_client::AccountServiceClient;
use zhiyuan_contracts::identity::v1::claim_service_client::ClaimServiceClient;
use zhiyuan_contracts::identity::v1::{
    AcceptClaimRequest, BatchGetClaimsRequest, BeginEnrolmentRequest, CarryOutClaimRequest,
    ClaimState, ClaimStatus, CloseMyAccountRequest, DecideEnrolmentRequest, Enrolment,
    EnrolmentDecision, EnrolmentRefusal, EnrolmentState, ListMyClaimsRequest, MyClaim,
    RejectClaimRequest, RespondToClaimRequest, RevealApplicantRequest, ShowClaimRequest,
    ShowClaimResponse, SmsPurpose, Tokens,
};
use zhiyuan_rpc::SuiteChannel;
use zhiyuan_testkit::{Person, person};

use crate::account::{Answer, PASSWORD, refused, with};
use crate::harness::{Identity, account};

const DELAY: Duration = Duration::hours(72);
const WEEK: Duration = Duration::days(7);
const DISCARDED: EnrolmentState = EnrolmentState::Discarded;
const STATEMENT: &str = "这是我的身份证号码，\n被同学冒用了。";

/// Somebody who has registered with the number of another person, and that person.
struct Case {
    identity: Identity,
    squatter: Person,
    tokens: Tokens,
    owner: Person,
}

impl Identity {
    fn claims(&self) -> ClaimServiceClient<SuiteChannel> {
        ClaimServiceClient::new(self.suite())
    }

    async fn sql(&self, query: &str) -> String {
        let query = sqlx::AssertSqlSafe(format!("SELECT ({query})::text"));
        let found: Option<String> = sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap();
        found.unwrap_or_default()
    }
}

impl Case {
    async fn new() -> Self {
        let identity = Identity::start().await;
        let squatter = person(1);
        identity.register(&squatter).await;
        let tokens = identity.by_password(&squatter.mobile, PASSWORD).await.unwrap();
        let owner = Person { mobile: person(2).mobile, ..squatter.clone() };
        Self { identity, squatter, tokens, owner }
    }

    async fn form(&self, person: &Person) -> BeginEnrolmentRequest {
        self.identity.pass(Duration::MINUTE);
        let form = self.identity.application(person).await;
        BeginEnrolmentRequest { claim_statement: STATEMENT.into(), ..form }
    }

    async fn claim(&self) -> Enrolment {
        self.identity.begin(&self.form(&self.owner).await).await
    }

    /// A claim that is open; its id.
    async fn opened(&self) -> String {
        let claim = self.claim().await;
        assert_eq!(claim.state(), EnrolmentState::Review, "{claim:?}");
        claim.enrolment_id
    }

    async fn status(&self, id: &str) -> ClaimStatus {
        let request = BatchGetClaimsRequest { claim_ids: vec![id.into()], ..Default::default() };
        let answer = self.identity.claims().batch_get_claims(request).await.unwrap();
        answer.into_inner().claims.pop().unwrap()
    }

    async fn state(&self, id: &str) -> ClaimState {
        self.status(id).await.state()
    }

    async fn accept(&self, id: &str, by: [Uuid; 2]) -> Answer<ClaimState> {
        self.accept_against(id, "", by).await
    }

    /// As two have looked at it when it was against this holder.
    async fn accept_against(
        &self,
        id: &str,
        holder: &str,
        [first, second]: [Uuid; 2],
    ) -> Answer<ClaimState> {
        let request = AcceptClaimRequest {
            claim_id: id.to_owned(),
            first_by: first.to_string(),
            second_by: second.to_string(),
            holder_id: holder.to_owned(),
        };
        let answer = self.identity.claims().accept_claim(request).await?;
        Ok(answer.into_inner().claim.unwrap().state())
    }

    async fn reject(&self, id: &str, by: Option<Uuid>) -> Answer<ClaimState> {
        let rejected_by = by.map(|id| id.to_string()).unwrap_or_default();
        self.reject_against(id, "", rejected_by).await
    }

    async fn reject_against(
        &self,
        id: &str,
        holder: &str,
        rejected_by: String,
    ) -> Answer<ClaimState> {
        let holder_id = holder.to_owned();
        let request = RejectClaimRequest { claim_id: id.to_owned(), rejected_by, holder_id };
        let answer = self.identity.claims().reject_claim(request).await?;
        Ok(answer.into_inner().claim.unwrap().state())
    }

    async fn carry_out(&self, id: &str) -> Answer<ClaimState> {
        let request = CarryOutClaimRequest { claim_id: id.to_owned() };
        let answer = self.identity.claims().carry_out_claim(request).await?;
        Ok(answer.into_inner().claim.unwrap().state())
    }

    async fn show(&self, id: &str, viewer: Uuid) -> Result<ShowClaimResponse, Status> {
        let request = ShowClaimRequest {
            claim_id: id.to_owned(),
            viewer_account_id: viewer.to_string(),
            purpose: "当面核对身份证".into(),
        };
        self.identity.claims().show_claim(request).await.map(Response::into_inner)
    }

    /// As the squatter, who has signed in just now.
    async fn again(&self) -> Tokens {
        self.identity.by_password(&self.squatter.mobile, PASSWORD).await.unwrap()
    }

    async fn mine(&self) -> Vec<MyClaim> {
        let request = with(&self.again().await, ListMyClaimsRequest::default());
        let mut client = ClaimServiceClient::new(self.identity.channel());
        client.list_my_claims(request).await.unwrap().into_inner().claims
    }

    async fn respond(&self, id: &str, statement: &str) -> Answer<()> {
        let request =
            RespondToClaimRequest { claim_id: id.to_owned(), statement: statement.to_owned() };
        let mut client = ClaimServiceClient::new(self.identity.channel());
        client.respond_to_claim(with(&self.again().await, request)).await.map(|_kept| ())
    }

    async fn holder(&self) -> Uuid {
        let holder = "SELECT account_id FROM identity.number";
        sqlx::query_scalar(holder).fetch_one(&self.identity.pool).await.unwrap()
    }

    /// The squatter is in full possession.
    async fn assert_nothing_changed(&self) {
        self.identity.by_password(&self.squatter.mobile, PASSWORD).await.unwrap();
        let active = "SELECT count(*) FROM identity.account WHERE state = 'ACTIVE'";
        assert_eq!(self.identity.count(active).await, 1);
    }
}

fn two() -> [Uuid; 2] {
    [Uuid::now(), Uuid::now()]
}

/// Ids of somebody.
trait Somebody {
    fn now() -> Self;
}

impl Somebody for Uuid {
    fn now() -> Self {
        crate::harness::new_enrolment_id().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accept_and_after_the_delay_the_number_is_the_claimants() {
    let case = Case::new().await;
    let identity = &case.identity;
    let holder = case.holder().await;
    let claim = case.claim().await;
    assert_eq!(claim.state(), EnrolmentState::Review);
    assert_eq!(claim.claim_against, holder.to_string());
    let id = claim.enrolment_id;
    identity.until_texts(&case.squatter.mobile, 2).await;
    let told = identity.vendors.texts(&case.squatter.mobile).pop().unwrap();
    assert!(told.contains("有人提出认领"), "{told}");
    // The holder says something to it, and no more than that.
    case.respond(&id, "我才是本人。").await.unwrap();
    let [mine] = case.mine().await.try_into().unwrap();
    assert_eq!((mine.state(), &*mine.statement), (ClaimState::Open, "我才是本人。"));
    case.assert_nothing_changed().await;

    let [first, second] = two();
    let shown = case.show(&id, first).await.unwrap();
    assert_eq!((&*shown.name, &*shown.id_number), (&*case.owner.name, &*case.owner.id_number));
    assert_eq!((&*shown.statement, &*shown.holder_statement), (STATEMENT, "我才是本人。"));
    assert!(shown.masked_phone.contains("****") && shown.holder_masked_phone.contains("****"));
    assert_eq!(refused(case.carry_out(&id).await), "CLAIM_TOO_EARLY", "not accepted yet");
    assert_eq!(case.accept(&id, [first, second]).await.unwrap(), ClaimState::Accepted);
    assert_eq!(case.accept(&id, two()).await.unwrap(), ClaimState::Accepted, "sent again");
    identity.until_texts(&case.owner.mobile, 2).await;
    identity.pass(DELAY - Duration::SECOND);
    assert_eq!(refused(case.carry_out(&id).await), "CLAIM_TOO_EARLY");
    case.assert_nothing_changed().await;
    identity.pass(Duration::SECOND);
    // However many carry it out.
    let all = join_all([(); 4].map(|()| case.carry_out(&id))).await;
    assert!(all.iter().any(Result::is_ok), "{all:?}");
    assert_eq!(case.carry_out(&id).await.unwrap(), ClaimState::CarriedOut);
    let claimed = identity.get(&id).await.unwrap();
    assert_eq!(claimed.state(), EnrolmentState::Claimed);
    identity.activate(&id).await.unwrap();

    let tokens = identity.by_password(&case.owner.id_number, PASSWORD).await.unwrap();
    identity.sessions_of(&tokens).await.unwrap();
    let levels = "SELECT string_agg(state || ' ' || level, ',' ORDER BY claimed_at)
                  FROM identity.account";
    assert_eq!(identity.sql(levels).await, "CLOSED 1,ACTIVE 3");
    // Nothing is left of the other account that opens it or tells whose it was.
    assert_eq!(refused(identity.refresh(&case.tokens.refresh_token).await), "SESSION_OVER");
    let answer = identity.by_password(&case.squatter.mobile, PASSWORD).await;
    assert_eq!(refused(answer), "SIGN_IN_REFUSED");
    let left = "SELECT count(*) FROM identity.account WHERE state = 'CLOSED'
                AND (name IS NOT NULL OR phone IS NOT NULL OR id_number IS NOT NULL)";
    assert_eq!(identity.count(left).await, 0);
    let keys = format!("SELECT count(*) FROM keys.data_key WHERE subject = '{holder}'");
    assert_eq!(identity.sql(&keys).await, "0");
    let told = identity.until_texts(&case.squatter.mobile, 4).await;
    assert!(told.iter().any(|text| text.contains("该账号已终止")), "{told:?}");
    let of = |subject: Uuid| {
        format!(
            "SELECT string_agg(action, ',' ORDER BY n) FROM
                 (SELECT action, subject_account_id, 1000000 + seq AS n FROM identity.audit_pending
                  UNION ALL
                  SELECT action, subject_account_id, index FROM identity.audit_entry) a
             WHERE subject_account_id = '{subject}' AND action ~ 'claim|displaced'"
        )
    };
    let both = "identity.claim.revealed,identity.claim.accepted,identity.claim.accepted";
    assert_eq!(
        identity.sql(&of(holder)).await,
        format!("identity.claim.opened,identity.claim.answered,{both},identity.account.displaced")
    );
    assert_eq!(
        identity.sql(&of(account(&claimed))).await,
        format!("identity.claim.opened,{both}"),
        "the claimant reads it in the own record"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_claim_of_a_phone_three_in_thirty_days_and_none_with_the_holders_phone() {
    let case = Case::new().await;
    let identity = &case.identity;
    let own = identity.begin(&case.form(&case.squatter).await).await;
    assert_eq!(own.refusal(), EnrolmentRefusal::AlreadyRegistered);
    assert!(!own.account_id.is_empty());
    let id = case.opened().await;
    assert_eq!(case.claim().await.refusal(), EnrolmentRefusal::ClaimOpen);
    // Who does not claim is answered as ever.
    let plain = BeginEnrolmentRequest {
        claim_statement: String::new(),
        ..case.form(&Person { mobile: person(4).mobile, ..case.owner.clone() }).await
    };
    let plain = identity.begin(&plain).await;
    assert_eq!(plain.refusal(), EnrolmentRefusal::AlreadyRegistered);
    assert_eq!((&*plain.account_id, &*plain.claim_against), ("", ""));
    let mut id = id;
    for n in 0..3 {
        let by = Some(Uuid::now());
        assert_eq!(case.reject(&id, by).await.unwrap(), ClaimState::Rejected);
        assert_eq!(case.reject(&id, by).await.unwrap(), ClaimState::Rejected, "sent again");
        let ended = identity.get(&id).await.unwrap();
        assert_eq!(ended.refusal(), EnrolmentRefusal::ClaimRejected);
        identity.pass(Duration::days(1));
        let next = case.claim().await;
        if n < 2 {
            assert_eq!(next.state(), EnrolmentState::Review);
            id = next.enrolment_id;
        } else {
            assert_eq!(next.refusal(), EnrolmentRefusal::ClaimsExhausted);
        }
    }
    // Those were of this phone: they keep the owner, with another one, from nothing.
    let form = case.form(&Person { mobile: person(5).mobile, ..case.owner.clone() }).await;
    let mine = identity.begin(&form).await;
    assert_eq!(mine.state(), EnrolmentState::Review);
    assert_eq!(case.reject(&mine.enrolment_id, None).await.unwrap(), ClaimState::Expired);
    case.assert_nothing_changed().await;
    let states: Vec<ClaimState> = case.mine().await.iter().map(MyClaim::state).collect();
    assert_eq!(states[0], ClaimState::Expired);
    assert_eq!(states[1..], [ClaimState::Rejected; 3]);
    identity.pass(Duration::days(30));
    assert_eq!(case.claim().await.state(), EnrolmentState::Review);
}

/// Whoever has registered with the number has friends, who open claims that nobody decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accomplices_keep_the_owner_from_nothing() {
    let case = Case::new().await;
    let identity = &case.identity;
    let by = |n| Person { mobile: person(n).mobile, ..case.owner.clone() };
    for _ in 0..3 {
        let theirs = identity.begin(&case.form(&by(3)).await).await;
        assert_eq!(theirs.state(), EnrolmentState::Review, "{theirs:?}");
        identity.pass(WEEK);
        let ended = identity.until(&theirs.enrolment_id, EnrolmentState::Refused).await;
        assert_eq!(ended.refusal(), EnrolmentRefusal::ClaimExpired);
    }
    for _ in 0..3 {
        let theirs = identity.begin(&case.form(&by(4)).await).await;
        assert_eq!(identity.discard(&theirs.enrolment_id).await.unwrap().state(), DISCARDED);
    }
    // Two go on: the owner's is the third.
    let mut others = Vec::new();
    for n in [6, 7] {
        others.push(identity.begin(&case.form(&by(n)).await).await);
    }
    let id = case.opened().await;
    let fourth = identity.begin(&case.form(&by(8)).await).await;
    assert_eq!(fourth.refusal(), EnrolmentRefusal::ClaimOpen);
    assert_eq!(case.accept(&others[0].enrolment_id, two()).await.unwrap(), ClaimState::Accepted);
    case.accept(&id, two()).await.unwrap();
    identity.pass(DELAY);
    assert_eq!(case.carry_out(&id).await.unwrap(), ClaimState::CarriedOut);
    identity.activate(&id).await.unwrap();
    // The others have nothing left to claim, once the account is active.
    identity.pass(Duration::MINUTE);
    for other in &others {
        let ended = identity.until(&other.enrolment_id, EnrolmentState::Refused).await;
        assert_eq!(ended.refusal(), EnrolmentRefusal::ClaimAgainstProven);
        assert_eq!(case.state(&other.enrolment_id).await, ClaimState::Ended);
        assert_eq!(case.carry_out(&other.enrolment_id).await.unwrap(), ClaimState::Ended);
    }
    identity.by_password(&case.owner.id_number, PASSWORD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_proven_is_not_claimed_against() {
    let case = Case::new().await;
    let proven = "UPDATE identity.account SET level = 3";
    sqlx::query(proven).execute(&case.identity.pool).await.unwrap();
    let claim = case.claim().await;
    assert_eq!(claim.refusal(), EnrolmentRefusal::ClaimAgainstProven);
    assert!(case.mine().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_nobody_holds_is_claimed_as_ever() {
    let identity = Identity::start().await;
    let form = identity.application(&person(1)).await;
    let form = BeginEnrolmentRequest { claim_statement: STATEMENT.into(), ..form };
    assert_eq!(identity.begin(&form).await.state(), EnrolmentState::Claimed);
    assert_eq!(identity.count("SELECT count(*) FROM identity.claim").await, 0);
    assert_eq!(identity.count("SELECT level::bigint FROM identity.account").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_does_not_match_learns_nothing_of_a_claim() {
    let case = Case::new().await;
    case.identity.vendors.answer(&["02"]);
    let claim = case.claim().await;
    assert_eq!(claim.refusal(), EnrolmentRefusal::IdNameMismatch);
    assert!(case.mine().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_holder_closes_the_account_the_claim_goes_on_by_itself() {
    let case = Case::new().await;
    let identity = &case.identity;
    let id = case.opened().await;
    case.accept(&id, two()).await.unwrap();
    let phone = &case.squatter.mobile;
    let (sms_challenge_id, sms_code) = identity.code_for(phone, SmsPurpose::CloseAccount).await;
    let proof = CloseMyAccountRequest { password: PASSWORD.into(), sms_challenge_id, sms_code };
    let mut client = AccountServiceClient::new(identity.channel());
    client.close_my_account(with(&case.tokens, proof)).await.unwrap();
    assert_eq!(identity.until(&id, EnrolmentState::Claimed).await.claim_against, "");
    assert_eq!(case.state(&id).await, ClaimState::Ended);
    identity.pass(DELAY);
    assert_eq!(case.carry_out(&id).await.unwrap(), ClaimState::Ended);
    identity.activate(&id).await.unwrap();
    let levels = "SELECT string_agg(state || ' ' || level, ',' ORDER BY claimed_at)
                  FROM identity.account";
    assert_eq!(identity.sql(levels).await, "CLOSED 1,ACTIVE 1", "nobody has seen the card");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_side_of_it_looks_or_decides_and_the_two_are_two() {
    let case = Case::new().await;
    let identity = &case.identity;
    let id = case.opened().await;
    let holder = case.holder().await;
    // Another account of the claimant's phone.
    let family = Person { mobile: case.owner.mobile.clone(), ..person(9) };
    identity.pass(Duration::MINUTE);
    let claimed = identity.begin(&identity.application(&family).await).await;
    let family = account(&identity.activate(&claimed.enrolment_id).await.unwrap());
    for side in [holder, family] {
        assert_eq!(refused(case.show(&id, side).await), "CLAIM_OWN");
        for by in [[side, Uuid::now()], [Uuid::now(), side]] {
            assert_eq!(refused(case.accept(&id, by).await), "CLAIM_OWN");
        }
        assert_eq!(refused(case.reject(&id, Some(side)).await), "CLAIM_OWN");
        let request = BatchGetClaimsRequest {
            claim_ids: vec![id.clone()],
            viewer_account_id: side.to_string(),
        };
        let told = identity.claims().batch_get_claims(request).await.unwrap().into_inner();
        assert!(told.claims.iter().all(|claim| claim.own));
    }
    let one = Uuid::now();
    assert_eq!(refused(case.accept(&id, [one, one]).await), "CLAIM_NEEDS_TWO");
    assert_eq!(case.state(&id).await, ClaimState::Open);
    // One reviewer of what the register can't tell has nothing to do with it.
    let decide = DecideEnrolmentRequest {
        enrolment_id: id.clone(),
        decision: EnrolmentDecision::Accept.into(),
        decided_by: one.to_string(),
    };
    let told = identity.enrolments().decide_enrolment(decide).await;
    assert_eq!(refused(told), "ENROLMENT_NOT_IN_REVIEW");
    let reveal = RevealApplicantRequest {
        enrolment_id: id.clone(),
        viewer_account_id: one.to_string(),
        purpose: "核对".into(),
    };
    let told = identity.enrolments().reveal_applicant(reveal).await;
    assert_eq!(refused(told), "ENROLMENT_NOT_IN_REVIEW");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_decides_ends_after_a_week_and_can_be_opened_again() {
    let case = Case::new().await;
    let identity = &case.identity;
    let id = case.opened().await;
    identity.pass(WEEK - Duration::MINUTE);
    assert_eq!(case.state(&id).await, ClaimState::Open);
    identity.pass(Duration::MINUTE);
    let ended = identity.until(&id, EnrolmentState::Refused).await;
    assert_eq!(ended.refusal(), EnrolmentRefusal::ClaimExpired);
    assert_eq!(case.state(&id).await, ClaimState::Expired);
    let told = identity.until_texts(&case.owner.mobile, 2).await;
    assert!(told.iter().any(|text| text.contains("未能完成")), "{told:?}");
    let told = identity.until_texts(&case.squatter.mobile, 3).await;
    assert!(told.iter().any(|text| text.contains("账号未作变更")), "{told:?}");
    // Whatever comes late has no effect.
    assert_eq!(case.accept(&id, two()).await.unwrap(), ClaimState::Expired);
    identity.pass(DELAY);
    assert_eq!(case.carry_out(&id).await.unwrap(), ClaimState::Expired);
    assert_eq!(refused(case.respond(&id, "是我").await), "CLAIM_OVER");
    case.assert_nothing_changed().await;
    case.opened().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_accepted_can_be_ended_and_undone_until_it_is_carried_out() {
    let case = Case::new().await;
    let identity = &case.identity;
    let id = case.opened().await;
    case.accept(&id, two()).await.unwrap();
    // A week after it was opened it is not over: the delay passes.
    identity.pass(DELAY);
    assert_eq!(case.reject(&id, None).await.unwrap(), ClaimState::Expired);
    assert_eq!(case.carry_out(&id).await.unwrap(), ClaimState::Expired);
    let ended = identity.get(&id).await.unwrap();
    assert_eq!(ended.refusal(), EnrolmentRefusal::ClaimExpired);
    let id = case.opened().await;
    case.accept(&id, two()).await.unwrap();
    assert_eq!(identity.discard(&id).await.unwrap().state(), EnrolmentState::Discarded);
    identity.pass(DELAY);
    assert_eq!(case.carry_out(&id).await.unwrap(), ClaimState::Ended);
    case.assert_nothing_changed().await;
    let nobodys = Uuid::now().to_string();
    assert_eq!(refused(case.carry_out(&nobodys).await), "CLAIM_NOT_FOUND");
    assert_eq!(refused(case.respond(&nobodys, "是我").await), "CLAIM_NOT_FOUND");
}

/// The number was free for a moment, and is somebody else's: a claim is opened once more, under its
/// id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_decided_or_said_about_one_holder_is_nothing_against_another() {
    let case = Case::new().await;
    let identity = &case.identity;
    let (id, holder) = (case.opened().await, case.holder().await);
    let other = person(6);
    identity.register(&other).await;
    let other: Uuid =
        sqlx::query_scalar("SELECT account_id FROM identity.account WHERE account_id <> $1")
            .bind(holder)
            .fetch_one(&identity.pool)
            .await
            .unwrap();
    let elsewhere = other.to_string();
    assert_eq!(refused(case.accept_against(&id, &elsewhere, two()).await), "CLAIM_OVER");
    let by = Uuid::now().to_string();
    assert_eq!(refused(case.reject_against(&id, &elsewhere, by).await), "CLAIM_OVER");
    assert_eq!(case.state(&id).await, ClaimState::Open);
    // This very moment, when it was looked at and is not locked yet.
    let reopen = async |waits: std::pin::Pin<Box<dyn Future<Output = Answer<()>> + '_>>| {
        let claim_id: Uuid = id.parse().unwrap();
        let mut tx = identity.pool.begin().await.unwrap();
        let held = "SELECT FROM identity.enrolment WHERE enrolment_id = $1 FOR UPDATE";
        sqlx::query(held).bind(claim_id).execute(&mut *tx).await.unwrap();
        let reopened = "UPDATE identity.claim SET partition = a.partition, holder_id = a.account_id
                        FROM identity.account a
                        WHERE a.account_id <> holder_id AND claim_id = $1";
        sqlx::query(reopened).bind(claim_id).execute(&mut *tx).await.unwrap();
        let release = async {
            let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                           WHERE NOT l.granted AND a.datname = current_database()";
            while identity.count(waiting).await == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            tx.commit().await.unwrap();
        };
        tokio::join!(waits, release).0
    };
    let accepting = Box::pin(async { case.accept(&id, two()).await.map(drop) });
    assert_eq!(refused(reopen(accepting).await), "CLAIM_OVER");
    assert_eq!(case.state(&id).await, ClaimState::Open);
    let rejecting = Box::pin(async { case.reject(&id, Some(Uuid::now())).await.map(drop) });
    assert_eq!(refused(reopen(rejecting).await), "CLAIM_OVER");
    let saying = Box::pin(case.respond(&id, "我才是本人。"));
    assert_eq!(refused(reopen(saying).await), "CLAIM_OVER");
    assert_eq!(case.state(&id).await, ClaimState::Open);
    assert_eq!(
        identity.count("SELECT count(*) FROM identity.claim WHERE answer IS NOT NULL").await,
        0
    );
}
