//! The SQL of rosters.

mod imports;
mod members;
mod rows;
mod strays;

pub(crate) use imports::{
    begin_reading, delete_old, due, end_reading, expire_uploads, find, finish, found_by_request,
    full_since, insert, list, lock, lock_beginning, lock_leased, postpone, progress, renew,
    restart, set_rows, set_state, uploaded,
};
pub(crate) use members::{
    Joining, Left, Listed, Member, Standing, ask_to_forget, erase, forgotten, hold, join,
    left_by_request, let_go, listed, lock_members, now, put_off_forgetting, returned, standing,
    take_off, told_after, unclaimed,
};
pub(super) use rows::{
    Row, count_problem, good, insert as insert_rows, list as list_rows, problems,
    update as update_rows,
};
pub(crate) use strays::{looked, take_look};

#[cfg(test)]
mod tests {
    use zhiyuan_contracts::registration::v1::RosterRowFate;

    #[test]
    fn the_statements_know_a_rejected_row_by_its_number() {
        assert_eq!(RosterRowFate::Rejected as i32, 5);
    }
}
