//! How many checks of a phone or a number the register answered with no, day by day.

use sqlx::PgConnection;
use time::Date;
use uuid::Uuid;

use crate::error::Result;

/// Reserves one failed check of a phone or a number, before the register is asked;
/// `false` if there is none left today.
#[tracing::instrument(name = "db.failed_check.reserve", skip_all)]
pub(in crate::enrolments) async fn reserve_check(
    tx: &mut PgConnection,
    subject_index: &[u8],
    day: Date,
    limit: i32,
) -> Result<bool> {
    let count = sqlx::query_scalar!(
        "INSERT INTO identity.failed_check AS f (subject_index, day, count) VALUES ($1, $2, 1)
         ON CONFLICT (subject_index, day) DO UPDATE SET count = f.count + 1 WHERE f.count < $3
         RETURNING count",
        subject_index,
        day,
        limit,
    )
    .fetch_optional(tx)
    .await?;
    Ok(count.is_some_and(|count| count <= limit))
}

/// Notes that a check was reserved for an enrolment; `false` if one was today.
#[tracing::instrument(name = "db.enrolment.set_reserved", skip_all)]
pub(in crate::enrolments) async fn set_reserved(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    day: Date,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.enrolment SET reserved_on = $2
         WHERE enrolment_id = $1 AND reserved_on IS DISTINCT FROM $2",
        enrolment_id,
        day,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that the reservation of an enrolment was given back; `false` if there is none.
#[tracing::instrument(name = "db.enrolment.clear_reserved", skip_all)]
pub(in crate::enrolments) async fn clear_reserved(
    tx: &mut PgConnection,
    enrolment_id: Uuid,
    day: Date,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE identity.enrolment SET reserved_on = NULL
         WHERE enrolment_id = $1 AND reserved_on = $2",
        enrolment_id,
        day,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a reserved check back that did not fail; a count of none is no row.
#[tracing::instrument(name = "db.failed_check.give_back", skip_all)]
pub(in crate::enrolments) async fn give_check_back(
    tx: &mut PgConnection,
    subject_index: &[u8],
    day: Date,
) -> Result<()> {
    let last = sqlx::query!(
        "DELETE FROM identity.failed_check WHERE subject_index = $1 AND day = $2 AND count <= 1",
        subject_index,
        day,
    )
    .execute(&mut *tx)
    .await?;
    if last.rows_affected() == 0 {
        sqlx::query!(
            "UPDATE identity.failed_check SET count = count - 1
             WHERE subject_index = $1 AND day = $2 AND count > 1",
            subject_index,
            day,
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}
