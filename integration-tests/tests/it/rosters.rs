//! A roster brings the members of an organization, and they register: what the secretary of a
//! committee does, what the people on it do, and what the level above sees of it.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::{
    ListOrganizationStatisticsRequest, ListOrganizationStatisticsResponse, OrganizationFigures,
};
use zhiyuan_contracts::registration::v1::{
    CreateRosterImportRequest, CreateRosterImportResponse, GetRejectedRosterRowsRequest,
    GetRejectedRosterRowsResponse, GetRosterImportRequest, GetRosterImportResponse,
    ListRosterMembersRequest, ListRosterMembersResponse, RemoveRosterMembersRequest,
    RemoveRosterMembersResponse, RosterImport, RosterImportState, RosterLeavingReason,
    RosterMember, StartRosterImportRequest, StartRosterImportResponse, UploadRosterPieceRequest,
    UploadRosterPieceResponse,
};
use zhiyuan_testkit::{Person, person};

use crate::counts::assert_recounted;
use crate::harness::caller::{AUTHORIZATION, Member};
use crate::harness::client::{ORGANIZATION, patiently};
use crate::harness::{Client, Door, Own, Refusal, Site};

const ROSTERS: &str = "/zhiyuan.registration.v1.RosterService/";
const STATISTICS: &str = "/zhiyuan.orgtree.v1.StatisticsService/ListOrganizationStatistics";
/// Above the organization, and beside it.
const COUNTY: &str = "AH-340104";
const BESIDE: &str = "AH-340104002";
const PATIENCE: Duration = Duration::from_secs(90);
const PIECE: usize = 128 * 1024;
/// The first of the people on the rosters: all of the age of members.
const FIRST: u32 = 128_180;

/// Somebody on a roster.
fn member(n: u32) -> Person {
    person(FIRST + n)
}

/// A secretary who has signed in with both factors, by one door.
struct Secretary {
    door: Door,
    bearer: String,
}

impl Secretary {
    async fn new(site: &Site, door: &Door) -> Self {
        let mut member = Member::registered(site).await;
        member.make_administrator(site).await;
        Self { door: door.clone(), bearer: member.sign_in_with_both(site).await }
    }

    async fn call<Q, R>(&self, path: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        let bearer = [(AUTHORIZATION, self.bearer.as_str())];
        patiently(|| self.door.call_with(path, request, &bearer)).await
    }

    async fn roster<Q, R>(&self, method: &str, request: &Q) -> Result<R, Refusal>
    where
        Q: prost::Message + Clone + 'static,
        R: prost::Message + Default + 'static,
    {
        self.call(&format!("{ROSTERS}{method}"), request).await
    }

    /// Uploads a file, and waits until it was looked at.
    async fn check(&self, code: &str, file: &[u8]) -> RosterImport {
        let digest = Sha256::digest(file);
        let request = CreateRosterImportRequest {
            request_id: Uuid::new_v4().to_string(),
            organization_code: code.to_owned(),
            file_name: "团员名册.csv".to_owned(),
            size_bytes: i64::try_from(file.len()).unwrap(),
            sha256: digest.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            }),
        };
        let created: CreateRosterImportResponse =
            self.roster("CreateRosterImport", &request).await.unwrap();
        let id = created.import.unwrap().id;
        for (index, data) in file.chunks(PIECE).enumerate() {
            let request = UploadRosterPieceRequest {
                import_id: id.clone(),
                index: i32::try_from(index).unwrap(),
                data: data.to_vec(),
            };
            let _: UploadRosterPieceResponse =
                self.roster("UploadRosterPiece", &request).await.unwrap();
        }
        self.until(&id, RosterImportState::Checked).await
    }

    /// Imports what was looked at.
    async fn import(&self, id: &str) -> RosterImport {
        let request = StartRosterImportRequest {
            request_id: Uuid::new_v4().to_string(),
            import_id: id.to_owned(),
        };
        let _: StartRosterImportResponse =
            self.roster("StartRosterImport", &request).await.unwrap();
        self.until(id, RosterImportState::Done).await
    }

    async fn until(&self, id: &str, state: RosterImportState) -> RosterImport {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = GetRosterImportRequest { import_id: id.to_owned() };
            let answer: GetRosterImportResponse =
                self.roster("GetRosterImport", &request).await.unwrap();
            let import = answer.import.unwrap();
            if import.state() == state {
                return import;
            }
            assert!(Instant::now() < until, "{import:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn members(&self, code: &str) -> Vec<RosterMember> {
        let request =
            ListRosterMembersRequest { organization_code: code.to_owned(), ..Default::default() };
        let answer: ListRosterMembersResponse =
            self.roster("ListRosterMembers", &request).await.unwrap();
        assert_eq!(answer.next_page_token, "");
        answer.members
    }

    /// The figures of an organization with all below it, once so many are members there.
    async fn figures(&self, code: &str, members: i64, registered: i64) -> OrganizationFigures {
        let until = Instant::now() + PATIENCE;
        loop {
            let request = ListOrganizationStatisticsRequest {
                organization_code: code.to_owned(),
                ..Default::default()
            };
            let answer: ListOrganizationStatisticsResponse =
                self.call(STATISTICS, &request).await.unwrap();
            let figures = answer.organization.unwrap().subtree.unwrap();
            if (figures.members, figures.registered_members) == (members, registered) {
                return figures;
            }
            assert!(Instant::now() < until, "{figures:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A file as it comes: a title, headings in another order, some phones, a wrong row.
fn roster(people: &[Person], with_phone: impl Fn(usize) -> bool) -> String {
    let mut text = String::from("\u{feff}某某团支部团员名册,,\n身份证号,姓名,联系电话\n");
    for (index, person) in people.iter().enumerate() {
        let phone = if with_phone(index) { person.mobile.as_str() } else { "" };
        let id_number = person.id_number.to_lowercase();
        writeln!(text, "{id_number},{},{phone}", person.name).unwrap();
    }
    text
}

fn counts(import: &RosterImport) -> [i32; 5] {
    let counts = import.counts.unwrap();
    [counts.new, counts.new_registered, counts.unchanged, counts.updated, counts.rejected]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roster_brings_the_members_and_they_register() {
    let suite = Own::start("rosters").await;
    let site = &suite.site;
    let client = Client::of(site);
    let secretary = Secretary::new(site, &client.grpc).await;
    let other = Secretary::new(site, &client.json).await;
    let people: Vec<Person> = (0..6).map(member).collect();
    // One has registered before anybody made a list.
    let early = client.apply(&client.json, &people[5]).await;
    client.register_to_the_end(&client.json, &early).await.unwrap();

    let mut file = roster(&people, |index| index % 2 == 0);
    file.push_str("=cmd|' /C calc'!A0,=1+1,\n");
    let checked = secretary.check(ORGANIZATION, file.as_bytes()).await;
    assert_eq!((checked.rows, counts(&checked)), (7, [5, 1, 0, 0, 1]));
    // Nothing has changed by that.
    assert_eq!(secretary.members(ORGANIZATION).await, []);
    let done = secretary.import(&checked.id).await;
    assert_eq!(counts(&done), [5, 1, 0, 0, 1]);
    let members = secretary.members(ORGANIZATION).await;
    assert_eq!(members.len(), 6);
    assert_eq!(members.iter().filter(|member| member.registered).count(), 1);
    assert!(members.iter().all(|member| member.masked_name.contains('*')), "{members:?}");
    for code in [ORGANIZATION, COUNTY, "AH"] {
        let figures = secretary.figures(code, 6, 1).await;
        assert_eq!(figures.registered_per_ten_thousand, Some(1_666), "{code}");
    }
    // The rejected row comes back, and does nothing in a spreadsheet.
    let request = GetRejectedRosterRowsRequest {
        import_id: checked.id.clone(),
        offset: 0,
        purpose: "更正名册".to_owned(),
    };
    let rejected: GetRejectedRosterRowsResponse =
        secretary.roster("GetRejectedRosterRows", &request).await.unwrap();
    let text = String::from_utf8(rejected.data).unwrap();
    assert!(text.contains("'=cmd") && text.contains("'=1+1"), "{text}");
    assert!(people.iter().all(|person| !text.contains(&person.id_number)));

    // They register: with the roster's phone, with another one, on a roster without phone.
    for (index, person) in people.iter().enumerate().take(3) {
        let stranger = Person { mobile: member(100 + index as u32).mobile, ..person.clone() };
        let applicant = if index == 2 { &stranger } else { person };
        let form = client.apply(client.door(index), applicant).await;
        client.register_to_the_end(client.door(index), &form).await.unwrap();
    }
    client.wait_for_text(&people[2].mobile, "名册").await;
    secretary.figures(COUNTY, 6, 4).await;
    let registered: Vec<_> =
        secretary.members(ORGANIZATION).await.into_iter().filter(|one| one.registered).collect();
    assert_eq!(registered.len(), 4);
    let mut main = site.main_database().await;
    let levels: Vec<(Uuid, i16)> = sqlx::query_as(
        "SELECT volunteer_id, level FROM registration.volunteer WHERE volunteer_id = ANY($1)",
    )
    .bind(registered.iter().map(|one| one.person_id.parse().unwrap()).collect::<Vec<Uuid>>())
    .fetch_all(&mut main)
    .await
    .unwrap();
    let mut levels: Vec<i16> = levels.into_iter().map(|(_, level)| level).collect();
    levels.sort_unstable();
    // The one with the roster's phone alone stands higher. Whoever had registered before keeps
    // what that proved.
    assert_eq!(levels, [1, 1, 1, 2]);

    // The same file again changes nothing; on another roster nobody of it goes.
    let again = secretary.check(ORGANIZATION, file.as_bytes()).await;
    assert_eq!(counts(&again), [0, 0, 6, 0, 1]);
    let taken = other.check(BESIDE, roster(&people, |_| false).as_bytes()).await;
    assert_eq!(counts(&taken), [0, 0, 0, 0, 6]);
    let done = other.import(&taken.id).await;
    assert_eq!(counts(&done), [0, 0, 0, 0, 6]);
    assert_recounted(site).await;

    // Leaving is said; then there is another roster to be on.
    let left = &registered[0].person_id;
    let request = RemoveRosterMembersRequest {
        request_id: Uuid::new_v4().to_string(),
        organization_code: ORGANIZATION.to_owned(),
        person_ids: vec![left.clone()],
        reason: RosterLeavingReason::Left.into(),
    };
    let removed: RemoveRosterMembersResponse =
        secretary.roster("RemoveRosterMembers", &request).await.unwrap();
    assert_eq!(removed.removed, 1);
    let taken = other.check(BESIDE, roster(&people, |_| false).as_bytes()).await;
    assert_eq!(counts(&taken), [0, 1, 0, 0, 5]);
    other.import(&taken.id).await;
    assert_eq!(other.members(BESIDE).await[0].person_id, *left);
    secretary.figures(BESIDE, 1, 1).await;
    secretary.figures(ORGANIZATION, 5, 3).await;
    assert_recounted(site).await;
    // Where the secretary administers nothing there is nothing.
    let nowhere = ListRosterMembersRequest {
        organization_code: "AH-999999".to_owned(),
        ..Default::default()
    };
    let told = secretary
        .roster::<_, ListRosterMembersResponse>("ListRosterMembers", &nowhere)
        .await
        .unwrap_err();
    assert_eq!((told.code, &*told.reason), (Code::NotFound, "ORGANIZATION_NOT_FOUND"));
    suite.stop().await;
}
