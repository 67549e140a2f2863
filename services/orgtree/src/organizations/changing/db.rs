//! The SQL of changing the tree; for who is alone with it.

use sqlx::PgConnection;
use zhiyuan_domain::CreditCode;

use super::{NewDetails, NewOrganization, Node, Size};
use crate::error::{Error, Result};
use crate::organizations::{State, search};

/// Finds an organization where it stands.
#[tracing::instrument(name = "db.organization.node", skip_all)]
pub(super) async fn find(transaction: &mut PgConnection, code: &str) -> Result<Option<Node>> {
    let row = sqlx::query!(
        "SELECT code, state, parent_code, ancestors, successor_code, folded_name, revision
         FROM orgtree.organization WHERE code = $1",
        code,
    )
    .fetch_optional(transaction)
    .await?;
    row.map(|row| {
        Ok(Node {
            code: row.code,
            state: State::of_number(row.state)
                .ok_or(Error::Inconsistent("orgtree.organization"))?,
            parent_code: row.parent_code,
            ancestors: row.ancestors,
            successor_code: row.successor_code,
            folded_name: row.folded_name,
            revision: row.revision,
        })
    })
    .transpose()
}

/// How many open ones lie right below an organization.
#[tracing::instrument(name = "db.organization.count_children", skip_all)]
pub(super) async fn count_children(transaction: &mut PgConnection, code: &str) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM orgtree.organization
           WHERE parent_code = $1 AND state = $2"#,
        code,
        State::Active.number(),
    )
    .fetch_one(transaction)
    .await?)
}

/// Whether an open organization right below one, other than `except`, has a name.
#[tracing::instrument(name = "db.organization.is_named", skip_all)]
pub(super) async fn is_named(
    transaction: &mut PgConnection,
    parent: Option<&str>,
    folded_name: &str,
    except: &str,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM orgtree.organization
                          WHERE (parent_code = $1 OR $1::text IS NULL AND parent_code IS NULL)
                            AND folded_name = $2 AND state = $3 AND code <> $4) AS "named!""#,
        parent,
        folded_name,
        State::Active.number(),
        except,
    )
    .fetch_one(transaction)
    .await?)
}

/// The open organization other than `except` that has a credit code.
#[tracing::instrument(name = "db.organization.of_credit_code", skip_all)]
pub(super) async fn of_credit_code(
    transaction: &mut PgConnection,
    credit_code: &str,
    except: &str,
) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        // In clear, so that the index is known to have it.
        "SELECT code FROM orgtree.organization
         WHERE credit_code = $1 AND state = 1 AND code <> $2",
        credit_code,
        except,
    )
    .fetch_optional(transaction)
    .await?)
}

fn grams(folded: &str) -> Vec<String> {
    search::grams(folded).into_iter().collect()
}

/// Inserts an organization right below another one.
#[tracing::instrument(name = "db.organization.insert", skip_all)]
pub(super) async fn insert(
    transaction: &mut PgConnection,
    new: &NewOrganization,
    ancestors: &[String],
) -> Result<()> {
    let details = &new.details;
    let folded = search::fold(details.name.as_str());
    sqlx::query!(
        "INSERT INTO orgtree.organization
             (code, name, kind, state, parent_code, region_code, contact_phone,
              contact_group_number, contact_note, leaf, folded_name, ancestors, grams, by_call,
              credit_code)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, true, $10, $11, $12, true, $13)",
        new.code.as_str(),
        details.name.as_str(),
        new.kind.number(),
        State::Active.number(),
        new.parent.as_str(),
        details.region.as_ref().map(ToString::to_string),
        details.contacts.phone,
        details.contacts.group_number,
        details.contacts.note,
        folded,
        ancestors,
        &grams(&folded),
        details.credit_code.as_ref().map(CreditCode::as_str),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Changes what an organization says of itself.
#[tracing::instrument(name = "db.organization.update", skip_all)]
pub(super) async fn update(
    transaction: &mut PgConnection,
    code: &str,
    new: &NewDetails,
) -> Result<()> {
    let name = new.name.as_ref().map(|name| name.as_str());
    let folded = name.map(search::fold);
    let grams = folded.as_deref().map(grams);
    let region = new.region.as_ref().map(|region| region.as_ref().map(ToString::to_string));
    let contacts = new.contacts.as_ref();
    let credit_code = new.credit_code.as_ref().map(|code| code.as_ref().map(CreditCode::as_str));
    let updated = sqlx::query!(
        "UPDATE orgtree.organization
         SET name = coalesce($2, name), folded_name = coalesce($3, folded_name),
             grams = coalesce($4, grams),
             region_code = CASE WHEN $5 THEN $6 ELSE region_code END,
             contact_phone = coalesce($7, contact_phone),
             contact_group_number = coalesce($8, contact_group_number),
             contact_note = coalesce($9, contact_note),
             credit_code = CASE WHEN $10 THEN $11 ELSE credit_code END,
             revision = revision + 1, by_call = true
         WHERE code = $1",
        code,
        name,
        folded.as_deref(),
        grams.as_deref(),
        region.is_some(),
        region.flatten(),
        contacts.map(|contacts| contacts.phone.as_str()),
        contacts.map(|contacts| contacts.group_number.as_str()),
        contacts.map(|contacts| contacts.note.as_str()),
        credit_code.is_some(),
        credit_code.flatten(),
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&updated, 1)?)
}

/// Hangs an organization, with everything below it, below another one. Of those below it only
/// the codes above change, which are not told.
#[tracing::instrument(name = "db.organization.move", skip_all)]
pub(super) async fn relocate(
    transaction: &mut PgConnection,
    node: &Node,
    parent: &str,
    ancestors: &[String],
) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.organization
         SET ancestors = $3::text[] || ancestors[$4 + 1:],
             parent_code = CASE WHEN code = $1 THEN $2 ELSE parent_code END
         WHERE orgtree.is_within(code, ancestors, $1)",
        node.code,
        parent,
        ancestors,
        i32::try_from(node.ancestors.len()).unwrap_or(i32::MAX),
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Closes an organization.
#[tracing::instrument(name = "db.organization.close", skip_all)]
pub(super) async fn close(
    transaction: &mut PgConnection,
    code: &str,
    successor: Option<&str>,
) -> Result<()> {
    let closed = sqlx::query!(
        "UPDATE orgtree.organization SET state = $2, successor_code = $3 WHERE code = $1",
        code,
        State::Closed.number(),
        successor,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&closed, 1)?)
}

/// Notes that what is told of an organization has changed, by a call.
#[tracing::instrument(name = "db.organization.raise", skip_all)]
pub(super) async fn raise(transaction: &mut PgConnection, code: &str) -> Result<()> {
    let raised = sqlx::query!(
        "UPDATE orgtree.organization SET revision = revision + 1, by_call = true WHERE code = $1",
        code,
    )
    .execute(transaction)
    .await?;
    Ok(zhiyuan_postgres::ensure_affected(&raised, 1)?)
}

/// Notes of organizations whether something lies below them.
#[tracing::instrument(name = "db.organization.set_leaf", skip_all)]
pub(super) async fn set_leaf(transaction: &mut PgConnection, codes: &[&str]) -> Result<()> {
    sqlx::query!(
        "UPDATE orgtree.organization o
         SET leaf = NOT o.leaf
         WHERE o.code = ANY($1) AND o.leaf = EXISTS (
             SELECT FROM orgtree.organization b WHERE b.parent_code = o.code)",
        codes as &[&str],
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// How much there is at an organization and below it. Who is counted and not folded yet is
/// there too.
#[tracing::instrument(name = "db.organization.size", skip_all)]
pub(super) async fn size(transaction: &mut PgConnection, node: &Node) -> Result<Size> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "organizations!",
                  count(*) FILTER (WHERE o.code <> $1 AND o.state = $2) AS "open_below!",
                  max(cardinality(o.ancestors)) AS "deepest!",
                  (SELECT greatest(sum(volunteers), sum(members), 0)::bigint FROM (
                       SELECT c.subtree_volunteers AS volunteers,
                              c.subtree_members + c.subtree_stated_members AS members
                       FROM orgtree.organization_count c WHERE c.organization_code = $1
                       UNION ALL
                       SELECT d.volunteers, d.members + d.stated_members FROM orgtree.count_delta d
                       JOIN orgtree.organization b ON b.code = d.organization_code
                       WHERE d.folded_at IS NULL
                         AND orgtree.is_within(b.code, b.ancestors, $1)) counted) AS "people!"
           FROM orgtree.organization o WHERE orgtree.is_within(o.code, o.ancestors, $1)"#,
        node.code,
        State::Active.number(),
    )
    .fetch_one(transaction)
    .await?;
    let above = i32::try_from(node.ancestors.len()).unwrap_or(i32::MAX);
    Ok(Size {
        organizations: row.organizations,
        open_below: row.open_below,
        people: row.people,
        height: row.deepest.saturating_sub(above),
    })
}
