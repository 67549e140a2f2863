//! What administrators see of imports and members.

use std::collections::HashMap;

use uuid::Uuid;
use zhiyuan_contracts::identity::v1::RosterPerson;
use zhiyuan_contracts::registration::v1::RosterMember;
use zhiyuan_domain::{AccountId, OrganizationCode, month_of, shanghai_date};
use zhiyuan_rpc::page::Page;
use zhiyuan_rpc::wire::timestamp;

use super::permission::Act;
use super::{Fault, Import, KEPT, Rosters, db};
use crate::error::Result;

/// Which members are listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    pub(super) unregistered_only: bool,
    pub(super) aged_out_only: bool,
    pub(super) returned_only: bool,
}

impl Filter {
    /// As a token names it.
    pub(super) fn name(self) -> String {
        let flag = |set, name| if set { name } else { "" };
        format!(
            "{}{}{}",
            flag(self.unregistered_only, "u"),
            flag(self.aged_out_only, "a"),
            flag(self.returned_only, "r")
        )
    }
}

impl Rosters {
    /// An import.
    ///
    /// # Errors
    /// See `RosterService.GetRosterImport`.
    pub(super) async fn get(&self, me: AccountId, id: Uuid) -> Result<Import> {
        let import = self.find(id).await?;
        let act = Act::look(me, Fault::ImportNotFound);
        self.allowed(act, &import.organization).await?;
        Ok(import)
    }

    /// Imports of an organization, the newest first.
    ///
    /// # Errors
    /// See `RosterService.ListRosterImports`.
    pub(super) async fn list_imports(
        &self,
        me: AccountId,
        organization: &OrganizationCode,
        page: &Page,
    ) -> Result<(Vec<Import>, String)> {
        let before = page.after_key(|key| Uuid::try_parse(key).ok())?.unwrap_or(Uuid::max());
        self.allowed(Act::look(me, Fault::OrganizationNotFound), organization).await?;
        let imports = db::list(&self.pool, organization, before, page.fetch()).await?;
        Ok(page.cut(imports, |import| import.id.to_string()))
    }

    /// What became of the rows of an import.
    ///
    /// # Errors
    /// See `RosterService.ListRosterImportRows`.
    pub(super) async fn list_rows(
        &self,
        me: AccountId,
        id: Uuid,
        rejected_only: bool,
        page: &Page,
    ) -> Result<(Vec<db::Row>, String)> {
        let after = page.after_key(|key| key.parse().ok())?.unwrap_or(0);
        self.get(me, id).await?;
        let rows = db::list_rows(&self.pool, id, rejected_only, after, page.fetch()).await?;
        Ok(page.cut(rows, |row| row.row_number.to_string()))
    }

    /// Members of an organization, or those whom it got back.
    ///
    /// # Errors
    /// See `RosterService.ListRosterMembers`.
    pub(super) async fn list_members(
        &self,
        me: AccountId,
        organization: &OrganizationCode,
        filter: Filter,
        page: &Page,
    ) -> Result<(Vec<RosterMember>, String)> {
        let after = page.after_key(|key| Uuid::try_parse(key).ok())?.unwrap_or(Uuid::nil());
        self.allowed(Act::look(me, Fault::OrganizationNotFound), organization).await?;
        if filter.returned_only {
            return self.list_returned(organization, after, page).await;
        }
        let month = month_of(shanghai_date(self.clock.now()));
        let ended_before = filter.aged_out_only.then_some(&*month);
        let which = (filter.unregistered_only, ended_before);
        let found = db::listed(&self.pool, organization, which, after, page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |member| member.person_id.to_string());
        let ids: Vec<Uuid> = found.iter().map(|member| member.person_id).collect();
        let people = self.people.get(&ids).await?;
        let members = found.into_iter().map(|member| listed(member, &people));
        Ok((members.collect(), next_page_token))
    }

    async fn list_returned(
        &self,
        organization: &OrganizationCode,
        after: Uuid,
        page: &Page,
    ) -> Result<(Vec<RosterMember>, String)> {
        let since = self.clock.now() - KEPT;
        let found = db::returned(&self.pool, organization, since, after, page.fetch()).await?;
        let (found, next_page_token) = page.cut(found, |one| one.person_id.to_string());
        // Nobody knows their names any more: the row of the file tells.
        let members = found.into_iter().map(|one| RosterMember {
            person_id: one.person_id.to_string(),
            since: Some(timestamp(one.since)),
            ends_in: one.ends_in,
            row_number: row_of(one.import_id, one.row_number),
            import_id: one.import_id.map_or_else(String::new, |id| id.to_string()),
            return_time: Some(timestamp(one.left_at)),
            ..RosterMember::default()
        });
        Ok((members.collect(), next_page_token))
    }
}

fn listed(member: db::Listed, people: &HashMap<Uuid, RosterPerson>) -> RosterMember {
    let person = people.get(&member.person_id);
    RosterMember {
        person_id: member.person_id.to_string(),
        masked_name: person.map_or_else(String::new, |person| person.masked_name.clone()),
        registered: member.registered || person.is_some_and(|person| person.registered),
        since: Some(timestamp(member.since)),
        ends_in: member.ends_in,
        row_number: row_of(member.import_id, member.row_number),
        import_id: member.import_id.map_or_else(String::new, |id| id.to_string()),
        return_time: None,
    }
}

/// The row by which somebody came, as long as the import is known.
fn row_of(import: Option<Uuid>, row_number: Option<i32>) -> i32 {
    import.and(row_number).unwrap_or_default()
}
