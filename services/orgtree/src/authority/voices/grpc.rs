//! `AuthorityService.CheckVoices`.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use zhiyuan_contracts::orgtree::v1::{
    CheckVoicesRequest, CheckVoicesResponse, Voices as WireVoices,
};
use zhiyuan_domain::{AccountId, OrganizationCode};
use zhiyuan_rpc::Fields;

use super::{Ages, Right, Voices, of_account, together};
use crate::authority::Permission;
use crate::authority::grpc::no_permission;
use crate::error::Result;

/// Rights of one question.
const MOST_RIGHTS: usize = 500;

/// Answers as of now.
///
/// # Errors
/// `INVALID_FIELDS`; those of the database.
pub(in crate::authority) async fn check(
    connection: &mut PgConnection,
    request: &CheckVoicesRequest,
    now: OffsetDateTime,
    common: Duration,
) -> Result<CheckVoicesResponse> {
    let mut fields = Fields::new();
    let account = fields.take("account_id", AccountId::parse(&request.account_id));
    let other = match request.other_account_id.as_str() {
        "" => Some(None),
        id => fields.take("other_account_id", AccountId::parse(id)).map(Some),
    };
    let rights = rights(&mut fields, request);
    let given_by = fields.take_time("given_by_time", request.given_by_time.as_ref());
    let (Some(account), Some(other), Some(rights), Some(given_by)) =
        (account, other, rights, given_by)
    else {
        return Err(fields.into_error().into());
    };
    fields.finish()?;
    let one = of_account(connection, account.as_uuid(), &rights, now).await?;
    let voices = match other {
        None if one.counts(given_by) => Voices::Independent,
        None => Voices::None,
        Some(other) => {
            let other = of_account(connection, other.as_uuid(), &rights, now).await?;
            let ages = given_by.map(|given_by| Ages::new(given_by, now, common));
            together(&one, &other, ages)
        }
    };
    Ok(CheckVoicesResponse { voices: WireVoices::from(voices).into() })
}

fn rights(fields: &mut Fields, request: &CheckVoicesRequest) -> Option<Vec<Right>> {
    if !(1..=MOST_RIGHTS).contains(&request.rights.len()) {
        fields.refuse("rights", "RIGHTS_COUNT", "请提供 1 至 500 项权限");
        return None;
    }
    let rights: Vec<Option<Right>> = request
        .rights
        .iter()
        .enumerate()
        .map(|(index, right)| {
            let code = OrganizationCode::parse(&right.organization_code);
            let code = fields.take(&format!("rights[{index}].organization_code"), code);
            let permission = Permission::of_wire(right.permission()).ok_or_else(no_permission);
            let permission = fields.take(&format!("rights[{index}].permission"), permission);
            Some(Right { code: code?.as_str().to_owned(), permission: permission? })
        })
        .collect();
    rights.into_iter().collect()
}

impl From<Voices> for WireVoices {
    fn from(voices: Voices) -> Self {
        match voices {
            Voices::Independent => Self::Independent,
            Voices::None => Self::None,
            Voices::NoneOfOther => Self::NoneOfOther,
            Voices::Dependent => Self::Dependent,
        }
    }
}
