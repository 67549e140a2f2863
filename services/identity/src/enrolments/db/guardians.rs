//! On what ground somebody of 14 to 17 registers.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use zhiyuan_domain::Partition;

use crate::enrolments::guardian::Relation;
use crate::error::{Error, Result};

/// What the verdict on the codes stores of a guardian: nothing that is personal.
#[derive(Debug)]
pub(crate) struct Accepted<'a> {
    pub(crate) challenge_id: Uuid,
    pub(crate) phone_index: &'a [u8],
    pub(crate) relation: Relation,
}

/// On what ground an applicant registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// The person is an adult.
    Adult,
    /// Of 16 or 17, and lives on own income.
    OwnIncome,
    /// A guardian consents.
    Consent { relation: Relation, challenge_id: Uuid },
}

impl Ground {
    pub(super) fn from_columns(
        (relation, challenge_id): (Option<i16>, Option<Uuid>),
        own_income: bool,
    ) -> Result<Self> {
        match (relation, challenge_id) {
            (Some(relation), Some(challenge_id)) => {
                let relation = Relation::from_column(relation)
                    .ok_or(Error::Inconsistent("identity.enrolment"))?;
                Ok(Self::Consent { relation, challenge_id })
            }
            _ if own_income => Ok(Self::OwnIncome),
            _ => Ok(Self::Adult),
        }
    }
}

/// What is kept of the ground on which a minor registered.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) account_id: Uuid,
    pub(crate) ground: Ground,
    /// Sealed; with a consent.
    pub(crate) guardian: Option<&'a [u8]>,
    /// Of the text on registering.
    pub(crate) consent_version: &'a str,
    pub(crate) consented_at: OffsetDateTime,
}

/// Keeps it with the account; nothing of an adult.
#[tracing::instrument(name = "db.guardian_consent.insert", skip_all)]
pub(crate) async fn insert(tx: &mut PgConnection, kept: &Kept<'_>) -> Result<()> {
    let (own_income, consent) = match kept.ground {
        Ground::Adult => return Ok(()),
        Ground::OwnIncome => (true, None),
        Ground::Consent { relation, challenge_id } => (false, Some((relation, challenge_id))),
    };
    sqlx::query!(
        "INSERT INTO identity.guardian_consent
             (partition, account_id, own_income, relation, guardian, challenge_id,
              consent_version, consented_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        Partition::of(kept.account_id).get(),
        kept.account_id,
        own_income,
        consent.map(|(relation, _)| relation.as_column()),
        kept.guardian,
        consent.map(|(_, challenge_id)| challenge_id),
        kept.consent_version,
        kept.consented_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The consent of a guardian, its personal part sealed.
#[derive(Debug)]
pub(crate) struct Consent {
    pub(crate) relation: Relation,
    pub(crate) guardian: Vec<u8>,
    pub(crate) consent_version: String,
    pub(crate) consented_at: OffsetDateTime,
}

/// The consent that an account was registered with, if a guardian had to give one.
#[tracing::instrument(name = "db.guardian_consent.find", skip_all)]
pub(crate) async fn find(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<Consent>> {
    let row = sqlx::query!(
        r#"SELECT relation AS "relation!", guardian AS "guardian!", consent_version, consented_at
           FROM identity.guardian_consent
           WHERE partition = $1 AND account_id = $2 AND NOT own_income"#,
        Partition::of(account_id).get(),
        account_id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Consent {
            relation: Relation::from_column(row.relation)
                .ok_or(Error::Inconsistent("identity.guardian_consent"))?,
            guardian: row.guardian,
            consent_version: row.consent_version,
            consented_at: row.consented_at,
        })
    })
    .transpose()
}
