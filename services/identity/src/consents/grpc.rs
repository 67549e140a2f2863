use tonic::{Request, Response, Status, async_trait};
use zhiyuan_contracts::identity::v1::consent_service_server::ConsentService;
use zhiyuan_contracts::identity::v1::{
    ConsentText, ListConsentTextsRequest, ListConsentTextsResponse,
};
use zhiyuan_rpc::page::Page;

use super::{Text, Texts};
use zhiyuan_rpc::wire::timestamp;

/// `zhiyuan.identity.v1.ConsentService`.
#[derive(Debug)]
pub(crate) struct Consents {
    texts: Texts,
}

impl Consents {
    pub(crate) fn new(texts: Texts) -> Self {
        Self { texts }
    }
}

#[async_trait]
impl ConsentService for Consents {
    async fn list_consent_texts(
        &self,
        request: Request<ListConsentTextsRequest>,
    ) -> Result<Response<ListConsentTextsResponse>, Status> {
        let request = request.into_inner();
        let page = Page::parse(request.page_size, &request.page_token, &["consents"])?;
        let after = page.after_key(|key| key.parse::<usize>().ok())?;
        let rows: Vec<(usize, &Text)> = self
            .texts
            .iter()
            .enumerate()
            .filter(|(index, _)| after.is_none_or(|after| *index > after))
            .take(usize::try_from(page.fetch()).unwrap_or(usize::MAX))
            .collect();
        let (rows, next_page_token) = page.cut(rows, |(index, _)| index.to_string());
        Ok(Response::new(ListConsentTextsResponse {
            consent_texts: rows.into_iter().map(|(_, text)| to_wire(text)).collect(),
            next_page_token,
        }))
    }
}

fn to_wire(text: &Text) -> ConsentText {
    ConsentText {
        purpose: text.purpose.to_wire().into(),
        version: text.version.clone(),
        required: text.required,
        title: text.title.clone(),
        body: text.body.clone(),
        effective_time: Some(timestamp(text.effective)),
    }
}
