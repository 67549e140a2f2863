//! Issuing a draft: its number, its files, their signatures.

use std::collections::BTreeSet;

use prost::Message as _;
use sqlx::PgConnection;
use uuid::Uuid;
use zhiyuan_contracts::orgtree::v1::IssuePeriodicNoticeResponse;
use zhiyuan_domain::shanghai_date;
use zhiyuan_postgres::again;

use super::db::{self, File};
use super::document::Format;
use super::grpc::{Notices, to_wire};
use super::rendition::{self, Reader};
use super::{Fault, Issued, Notice, Table, records};
use crate::authority::giving;
use crate::counts;
use crate::error::{Error, Result};
use crate::requests::{self, Request};

impl Notices {
    /// Issues a draft, once for each call.
    pub(super) async fn issue(
        &self,
        call: &Request,
        id: Uuid,
        supersedes: Option<Uuid>,
    ) -> Result<IssuePeriodicNoticeResponse> {
        let issued = again(Error::is_lost, async || self.issue_once(call, id, supersedes).await);
        let issued = issued.await;
        self.note(call, &issued, records::ISSUED, None, Some(id)).await?;
        issued
    }

    async fn issue_once(
        &self,
        call: &Request,
        id: Uuid,
        supersedes: Option<Uuid>,
    ) -> Result<IssuePeriodicNoticeResponse> {
        let mut transaction = self.pool.begin().await?;
        counts::db::keep_tree(&mut transaction).await?;
        // The place where the changes of a notice wait, unless it is gone already.
        if let Some(found) = db::find(&mut *transaction, id).await? {
            db::alone(&mut transaction, &found.issuer_code).await?;
        }
        // Not before: it may have waited.
        let now = self.clock.now();
        if let Some(before) = requests::db::find_answer(&mut transaction, call).await? {
            return IssuePeriodicNoticeResponse::decode(before.as_slice())
                .map_err(|_form| Error::Inconsistent("orgtree.request"));
        }
        let (draft, right) = self.hold(&mut transaction, call.caller, id, now).await?;
        if draft.issued.is_some() {
            return Err(Fault::Issued.into());
        }
        giving::require_open(&mut transaction, &draft.issuer_code).await?;
        if let Some(other) = supersedes {
            may_supersede(&mut transaction, &draft, other).await?;
        }
        let year = shanghai_date(now).year();
        db::issue(&mut transaction, &draft, year, supersedes, call.caller, now).await?;
        let notice = db::find(&mut *transaction, id).await?.ok_or(Fault::NotFound)?;
        let issued = notice.issued.as_ref().ok_or(Error::Inconsistent("orgtree.notice"))?;
        let table = db::table(&mut *transaction, id).await?;
        self.write(&mut transaction, &notice, issued, &table).await?;
        let record = records::done(call.caller, records::ISSUED, &notice)
            .with("allowed_by", right)
            .with("number", issued.number());
        let record = match supersedes {
            Some(other) => record.with("supersedes", other),
            None => record,
        };
        self.trail.append(&mut transaction, &record).await?;
        let answer = IssuePeriodicNoticeResponse { notice: Some(to_wire(&notice)) };
        requests::db::insert(&mut transaction, call, &answer.encode_to_vec(), now).await?;
        transaction.commit().await?;
        tracing::info!(notice.id = %id, caller.id = %call.caller, "a notice was issued");
        Ok(answer)
    }

    /// Writes all files, and keeps them with their signatures and the key.
    async fn write(
        &self,
        transaction: &mut PgConnection,
        notice: &Notice,
        issued: &Issued,
        table: &Table,
    ) -> Result<()> {
        let key = self.keys.public();
        let key_id = key.key_id();
        db::insert_key(&mut *transaction, &key_id, key.as_bytes()).await?;
        for (whole, reader) in [(true, Reader::Issuer), (false, Reader::Addressed(BTreeSet::new()))]
        {
            let shown = rendition::render(notice, table, &reader);
            for format in Format::ALL {
                let content = format.write(notice, issued, &shown);
                let signature = self.keys.sign(&content).to_vec();
                let file = File { content, key_id: key_id.clone(), signature };
                db::insert_file(&mut *transaction, notice.id, whole, format, &file).await?;
            }
        }
        Ok(())
    }
}

/// Whether a notice may take the place of another one: of the same organization, once.
async fn may_supersede(transaction: &mut PgConnection, draft: &Notice, other: Uuid) -> Result<()> {
    let other = db::find(&mut *transaction, other).await?;
    let other = other.filter(|other| other.issuer_code == draft.issuer_code);
    let issued = other.ok_or(Fault::NotFound)?.issued.ok_or(Fault::NotIssued)?;
    if issued.superseded_by.is_some() { Err(Fault::Superseded.into()) } else { Ok(()) }
}
