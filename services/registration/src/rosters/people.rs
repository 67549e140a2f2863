//! identity, as far as it keeps files and people of rosters.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_contracts::identity::v1::roster_service_client::RosterServiceClient;
use zhiyuan_contracts::identity::v1::{
    BatchGetRosterPeopleRequest, ErrorReason, ForgetRosterPeopleRequest, GetRosterPieceRequest,
    ImportRosterRowsRequest, ListRosterPeopleRequest, PutRosterPieceRequest, RosterPerson,
    RosterRow, RosterVerdict,
};
use zhiyuan_domain::{AccountId, Remark};
use zhiyuan_rpc::wire::timestamp;
use zhiyuan_rpc::{Remote, SuiteChannel};

use super::Fault;
use crate::error::{Error, Result};

/// As many rows, or people, as identity takes at once.
pub(super) const AT_ONCE: usize = 500;

/// A client of identity, for rosters.
#[derive(Debug, Clone)]
pub(crate) struct People {
    client: RosterServiceClient<SuiteChannel>,
}

impl People {
    pub(crate) fn new(channel: SuiteChannel) -> Self {
        Self { client: RosterServiceClient::new(channel) }
    }

    /// Keeps a piece of a file.
    ///
    /// # Errors
    /// `PieceDiffers`, `FileGone`.
    pub(super) async fn put(&self, file: Uuid, index: i16, data: Vec<u8>) -> Result<()> {
        let (file_id, index) = (file.to_string(), index.into());
        let request = PutRosterPieceRequest { file_id, index, data };
        let answer = self.client.clone().put_roster_piece(request).await.map_err(Remote::from);
        match answer {
            Ok(_kept) => Ok(()),
            Err(remote) if remote.is(ErrorReason::RosterPieceDiffers) => {
                Err(Fault::PieceDiffers.into())
            }
            Err(remote) => Err(gone_or(remote)),
        }
    }

    /// Gives a piece back; identity records who it is shown to.
    ///
    /// # Errors
    /// `FileGone`.
    pub(super) async fn piece(
        &self,
        file: Uuid,
        index: i16,
        viewer: Option<(AccountId, &Remark)>,
    ) -> Result<Vec<u8>> {
        let request = GetRosterPieceRequest {
            file_id: file.to_string(),
            index: index.into(),
            viewer_account_id: viewer.map_or_else(String::new, |(viewer, _)| viewer.to_string()),
            purpose: viewer.map_or_else(String::new, |(_, why)| why.as_str().to_owned()),
        };
        let answer = self.client.clone().get_roster_piece(request).await.map_err(Remote::from);
        Ok(answer.map_err(gone_or)?.into_inner().data)
    }

    /// Tells who the people of rows are, one verdict for each; makes those known whom nobody
    /// knows, unless it only looks.
    pub(super) async fn import(
        &self,
        rows: Vec<RosterRow>,
        validate_only: bool,
    ) -> Result<Vec<RosterVerdict>> {
        let numbers: Vec<i32> = rows.iter().map(|row| row.row_number).collect();
        let request = ImportRosterRowsRequest { rows, validate_only };
        let answer = self.client.clone().import_roster_rows(request).await.map_err(Remote::from)?;
        let verdicts = answer.into_inner().verdicts;
        if verdicts.iter().map(|verdict| verdict.row_number).eq(numbers) {
            Ok(verdicts)
        } else {
            Err(Error::Contract("verdicts of other rows"))
        }
    }

    /// Those of the people who are known; [`AT_ONCE`] at most, as on a page.
    pub(super) async fn get(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, RosterPerson>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let person_ids = ids.iter().map(Uuid::to_string).collect();
        let request = BatchGetRosterPeopleRequest { person_ids };
        let answer =
            self.client.clone().batch_get_roster_people(request).await.map_err(Remote::from)?;
        let people = answer.into_inner().people.into_iter();
        people.map(|person| Ok((id_of(&person.person_id)?, person))).collect()
    }

    /// Some of those who are on rosters and have not registered, in the order in which they were
    /// made known: after somebody, and before a time. [`AT_ONCE`] at most.
    pub(super) async fn made_known(
        &self,
        after: Uuid,
        before: OffsetDateTime,
    ) -> Result<Vec<Uuid>> {
        let request = ListRosterPeopleRequest {
            after_person_id: after.to_string(),
            made_before: Some(timestamp(before)),
        };
        let answer = self.client.clone().list_roster_people(request).await.map_err(Remote::from)?;
        answer.into_inner().person_ids.iter().map(|id| id_of(id)).collect()
    }

    /// Forgets those who have not registered; [`AT_ONCE`] at most.
    pub(super) async fn forget(&self, ids: &[Uuid]) -> Result<()> {
        let person_ids = ids.iter().map(Uuid::to_string).collect();
        let request = ForgetRosterPeopleRequest { person_ids };
        self.client.clone().forget_roster_people(request).await.map_err(Remote::from)?;
        Ok(())
    }
}

/// The id of a person, as identity tells it.
pub(super) fn id_of(person_id: &str) -> Result<Uuid> {
    Uuid::try_parse(person_id).map_err(|_form| Error::Contract("person_id"))
}

fn gone_or(remote: Remote) -> Error {
    match remote.unless(ErrorReason::RosterFileNotFound) {
        Ok(()) => Fault::FileGone.into(),
        Err(remote) => remote.into(),
    }
}
