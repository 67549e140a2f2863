use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::consent_service_server::ConsentService;
use zhiyuan_contracts::identity::v1::{
    ConsentEntry, ConsentOccasion, ConsentState, ConsentText, GiveConsentRequest,
    GiveConsentResponse, ListConsentTextsRequest, ListConsentTextsResponse,
    ListMyConsentEntriesRequest, ListMyConsentEntriesResponse, ListMyConsentsRequest,
    ListMyConsentsResponse, WithdrawConsentRequest, WithdrawConsentResponse,
};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Fields, PersonIdentity};

use super::{Entry, Ledger, Occasion, Purpose, Standing, Text, db};
use crate::error::Error;

/// Characters of a version, as in the form of registering.
const LONGEST_VERSION: usize = 32;

/// `zhiyuan.identity.v1.ConsentService`.
#[derive(Debug)]
pub(crate) struct Consents {
    ledger: Ledger,
}

impl Consents {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// A page of the texts in force, by their place in the list.
    fn texts(
        &self,
        page_size: i32,
        page_token: &str,
        list: &str,
    ) -> Result<(Vec<&Text>, String), Error> {
        let page = Page::parse(page_size, page_token, &[list])?;
        let after = page.after_key(|key| key.parse::<usize>().ok())?;
        let rows: Vec<(usize, &Text)> = self
            .ledger
            .texts
            .iter()
            .enumerate()
            .filter(|(index, _)| after.is_none_or(|after| *index > after))
            .take(usize::try_from(page.fetch()).unwrap_or(usize::MAX))
            .collect();
        let (rows, next_page_token) = page.cut(rows, |(index, _)| index.to_string());
        Ok((rows.into_iter().map(|(_, text)| text).collect(), next_page_token))
    }

    async fn mine(
        &self,
        account_id: Uuid,
        request: &ListMyConsentsRequest,
    ) -> Result<ListMyConsentsResponse, Error> {
        let (texts, next_page_token) =
            self.texts(request.page_size, &request.page_token, "my_consents")?;
        let mut conn = self.ledger.pool.acquire().await?;
        let stands = db::standings(&mut conn, account_id).await?;
        let of = |text: &Text| stands.iter().find(|stands| stands.purpose == text.purpose);
        let consents = texts.iter().map(|text| state(text, of(text))).collect();
        Ok(ListMyConsentsResponse { consents, next_page_token })
    }

    async fn entries(
        &self,
        account_id: Uuid,
        request: &ListMyConsentEntriesRequest,
    ) -> Result<ListMyConsentEntriesResponse, Error> {
        let page = Page::parse(request.page_size, &request.page_token, &["consent_entries"])?;
        let before = page.after_key(|key| key.parse::<i32>().ok().filter(|number| *number > 0))?;
        let mut conn = self.ledger.pool.acquire().await?;
        let rows = db::list(&mut conn, account_id, before, page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row: &Entry| row.number.to_string());
        let entries = rows.into_iter().map(entry).collect();
        Ok(ListMyConsentEntriesResponse { entries, next_page_token })
    }

    fn state_of(&self, purpose: Purpose, stands: Option<&Standing>) -> Result<ConsentState, Error> {
        let text = self.ledger.texts.in_force(purpose);
        text.map(|text| state(text, stands)).ok_or(Error::Inconsistent("texts of consents"))
    }
}

fn purpose(fields: &mut Fields, field: &str, wire: i32) -> Option<Purpose> {
    let purpose = Purpose::from_wire(wire);
    if purpose.is_none() {
        fields.refuse(field, "CONSENT_PURPOSE_UNKNOWN", "同意事项不存在，请刷新页面后重试");
    }
    purpose
}

fn given(request: &GiveConsentRequest) -> Result<(Purpose, &str), Error> {
    let mut fields = Fields::new();
    let consent = request.consent.as_ref();
    let purpose =
        purpose(&mut fields, "consent.purpose", consent.map_or(0, |consent| consent.purpose));
    let version = consent.map_or("", |consent| consent.version.as_str());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let fits = !version.is_empty() && version.len() <= LONGEST_VERSION;
    if !fits || !version.chars().all(plain) {
        let message = "告知书版本格式不正确，请刷新页面后重试";
        fields.refuse("consent.version", "CONSENT_VERSION_FORMAT", message);
    }
    let Some(purpose) = purpose else { return Err(fields.into_error().into()) };
    fields.finish()?;
    Ok((purpose, version))
}

fn state(text: &Text, stands: Option<&Standing>) -> ConsentState {
    ConsentState {
        purpose: text.purpose.to_wire().into(),
        given: stands.is_some_and(|stands| stands.given),
        version: stands.map(|stands| stands.version.clone()).unwrap_or_default(),
        change_time: stands.map(|stands| timestamp(stands.since)),
        version_in_force: text.version.clone(),
        entry: stands.map_or(0, |stands| stands.number),
    }
}

fn entry(entry: Entry) -> ConsentEntry {
    let occasion = match entry.occasion {
        Occasion::Registering => ConsentOccasion::Registering,
        Occasion::SignedIn => ConsentOccasion::SignedIn,
    };
    ConsentEntry {
        number: entry.number,
        purpose: entry.purpose.to_wire().into(),
        version: entry.version,
        text_hash: entry.text_hash.unwrap_or_default(),
        given: entry.given,
        occasion: occasion.into(),
        time: Some(timestamp(entry.entered_at)),
    }
}

fn text(text: &Text) -> ConsentText {
    ConsentText {
        purpose: text.purpose.to_wire().into(),
        version: text.version.clone(),
        required: text.required,
        title: text.title.clone(),
        body: text.body.clone(),
        effective_time: Some(timestamp(text.effective)),
    }
}

#[async_trait]
impl ConsentService for Consents {
    async fn list_consent_texts(
        &self,
        request: Request<ListConsentTextsRequest>,
    ) -> Result<Response<ListConsentTextsResponse>, Status> {
        let request = request.get_ref();
        let (texts, next_page_token) =
            self.texts(request.page_size, &request.page_token, "consents")?;
        let consent_texts = texts.into_iter().map(text).collect();
        Ok(Response::new(ListConsentTextsResponse { consent_texts, next_page_token }))
    }

    async fn list_my_consents(
        &self,
        request: Request<ListMyConsentsRequest>,
    ) -> Result<Response<ListMyConsentsResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.mine(person.account_id, request.get_ref()).await?))
    }

    async fn list_my_consent_entries(
        &self,
        request: Request<ListMyConsentEntriesRequest>,
    ) -> Result<Response<ListMyConsentEntriesResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        Ok(Response::new(self.entries(person.account_id, request.get_ref()).await?))
    }

    async fn give_consent(
        &self,
        request: Request<GiveConsentRequest>,
    ) -> Result<Response<GiveConsentResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let seen = request.get_ref().seen_entry;
        let (purpose, version) = given(request.get_ref())?;
        let stands = self.ledger.give(person.account_id, (purpose, version), seen).await?;
        let consent = Some(self.state_of(purpose, Some(&stands))?);
        Ok(Response::new(GiveConsentResponse { consent }))
    }

    async fn withdraw_consent(
        &self,
        request: Request<WithdrawConsentRequest>,
    ) -> Result<Response<WithdrawConsentResponse>, Status> {
        let person = PersonIdentity::of(&request)?;
        let mut fields = Fields::new();
        let Some(purpose) = purpose(&mut fields, "purpose", request.get_ref().purpose) else {
            return Err(Error::from(fields.into_error()).into());
        };
        let stands = self.ledger.withdraw(person.account_id, purpose).await?;
        let consent = Some(self.state_of(purpose, stands.as_ref())?);
        Ok(Response::new(WithdrawConsentResponse { consent }))
    }
}
