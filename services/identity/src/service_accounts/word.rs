//! What processes are told of service accounts, and what they tell of them.

use std::sync::Arc;

use prost::Message as _;
use sqlx::PgPool;
use time::OffsetDateTime;
use zhiyuan_auth::accounts::{MOST_TOLD, Use};
use zhiyuan_auth::quota::{Count, Quota, day_of, minute_of};
use zhiyuan_auth::{AccountKey, ServiceAccount};
use zhiyuan_contracts::identity::v1::{
    ReportServiceAccountUsesRequest, ServiceAccount as WireAccount, ServiceAccountCount,
    ServiceAccountKey, ServiceAccountUse,
};
use zhiyuan_crypto::{VerifyingKey, digest};
use zhiyuan_postgres::again;
use zhiyuan_rpc::Fields;
use zhiyuan_rpc::wire::{from_timestamp, timestamp};

use super::{Account, Key, db, is_name};
use crate::error::{Error, Result};

/// More keys than an account uses between two reports.
const MOST_KEYS_TOLD: usize = 8;

/// All accounts, as they go over the wire, those that are restricted apart, and what tells
/// these lists from any others.
pub(crate) fn accounts_to_wire(
    accounts: &[Account],
) -> (Vec<WireAccount>, Vec<WireAccount>, Vec<u8>) {
    let accounts: Vec<WireAccount> = accounts
        .iter()
        .map(|account| WireAccount {
            name: account.name.clone(),
            scopes: account.scopes.clone(),
            keys: account.keys.iter().map(key_to_wire).collect(),
            calls_per_minute: account.calls_per_minute,
            calls_per_day: account.calls_per_day,
            within: account.within.clone(),
        })
        .collect();
    let mut bytes = Vec::new();
    for account in &accounts {
        // Each with its length, so that no two lists have the same bytes.
        bytes.extend(account.encode_length_delimited_to_vec());
    }
    let version = digest::unkeyed(&bytes).to_vec();
    let (everywhere, restricted) =
        accounts.into_iter().partition(|account: &WireAccount| account.within.is_empty());
    (everywhere, restricted, version)
}

fn key_to_wire(key: &Key) -> ServiceAccountKey {
    ServiceAccountKey {
        public_key: key.public_key.clone(),
        use_time: Some(timestamp(key.use_at)),
        expire_time: Some(timestamp(key.expire_at)),
    }
}

pub(crate) fn count_to_wire((account, count): (String, Count)) -> ServiceAccountCount {
    ServiceAccountCount {
        account,
        minute: count.minute,
        calls_in_minute: count.in_minute,
        day: count.day,
        calls_in_day: count.in_day,
    }
}

/// An account as identity itself goes by it.
pub(crate) fn to_known(account: &Account) -> Result<ServiceAccount> {
    let keys = account.keys.iter().map(|key| {
        let bytes = <&[u8; 32]>::try_from(key.public_key.as_slice()).ok();
        let verifying = bytes.and_then(|bytes| VerifyingKey::from_bytes(bytes).ok());
        Ok(AccountKey {
            key: verifying.ok_or(Error::Inconsistent("identity.service_account_key"))?,
            use_at: key.use_at.unix_timestamp(),
            expire_at: key.expire_at.unix_timestamp(),
        })
    });
    Ok(ServiceAccount {
        name: account.name.as_str().into(),
        scopes: Arc::new(account.scopes.iter().cloned().collect()),
        keys: keys.collect::<Result<_>>()?,
        quota: Quota { per_minute: account.calls_per_minute, per_day: account.calls_per_day },
        within: (!account.within.is_empty())
            .then(|| Arc::new(account.within.iter().cloned().collect())),
    })
}

/// Counts what a process tells.
pub(crate) async fn count(pool: &PgPool, uses: &[Use], now: OffsetDateTime) -> Result<()> {
    let at = now.unix_timestamp();
    let work = || async {
        let mut tx = pool.begin().await?;
        db::count(&mut tx, uses, minute_of(at), day_of(at), now).await?;
        tx.commit().await?;
        Ok(())
    };
    again(Error::is_lost, work).await
}

/// Reads a report.
///
/// # Errors
/// `INVALID_FIELDS`.
pub(crate) fn parse(request: &ReportServiceAccountUsesRequest) -> Result<Vec<Use>> {
    let mut fields = Fields::new();
    let names: std::collections::BTreeSet<&str> =
        request.uses.iter().map(|told| told.account.as_str()).collect();
    if request.uses.len() > MOST_TOLD || names.len() < request.uses.len() {
        fields.refuse("uses", "USES_TOO_MANY", "一次最多上报 1000 个服务账号，且每个只能出现一次");
        return Err(fields.into_error().into());
    }
    let mut uses = Vec::with_capacity(request.uses.len());
    for (index, told) in request.uses.iter().enumerate() {
        uses.extend(parse_one(&mut fields, index, told));
    }
    fields.finish()?;
    Ok(uses)
}

fn parse_one(fields: &mut Fields, index: usize, told: &ServiceAccountUse) -> Option<Use> {
    if !is_name(&told.account) {
        let message = "服务账号的名称格式不正确";
        fields.refuse(&format!("uses[{index}].account"), "ACCOUNT_NAME_FORMAT", message);
    }
    if told.keys.len() > MOST_KEYS_TOLD {
        let message = "一个服务账号一次最多上报 8 个密钥";
        fields.refuse(&format!("uses[{index}].keys"), "KEYS_TOO_MANY", message);
        return None;
    }
    let mut keys = Vec::with_capacity(told.keys.len());
    for (number, key) in told.keys.iter().enumerate() {
        let field = |name| format!("uses[{index}].keys[{number}].{name}");
        if !is_name(&key.key_id) {
            fields.refuse(&field("key_id"), "KEY_ID_FORMAT", "密钥编号格式不正确");
        }
        match key.last_use_time.as_ref().and_then(from_timestamp) {
            Some(at) => keys.push((key.key_id.as_str().into(), at.unix_timestamp())),
            None => fields.refuse(&field("last_use_time"), "TIME_INVALID", "使用时间格式不正确"),
        }
    }
    Some(Use { account: told.account.as_str().into(), calls: told.calls, keys })
}
