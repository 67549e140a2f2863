use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-23 0:00 UTC);

fn grant(role: Role, expires_at: Option<OffsetDateTime>) -> Grant {
    Grant {
        id: Uuid::from_u128(1),
        account_id: Uuid::from_u128(2),
        organization_code: "AH".into(),
        role,
        created_at: NOW,
        expires_at,
        granted_by: None,
        delegated_from: None,
    }
}

#[test]
fn the_table_of_roles_is_this_one() {
    use Permission::{Audit, Grant, ManageMembers, ManageOrganization, Reveal, Review, View};
    for (role, permissions) in [
        (
            Role::Administrator,
            &[Grant, ManageOrganization, ManageMembers, Review, Reveal, View, Audit][..],
        ),
        (Role::Manager, &[ManageMembers, Review, Reveal, View]),
        (Role::Viewer, &[View]),
        (Role::Auditor, &[View, Audit]),
    ] {
        assert_eq!(role.permissions(), permissions, "{role:?}");
    }
    assert_eq!(Role::with(Grant), [1]);
    assert_eq!(Role::with(Audit), [1, 4]);
}

#[test]
fn names_and_numbers_lead_back() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.name()), Some(role));
        assert_eq!(Role::of_number(role.number()), Some(role));
    }
    assert_eq!((Role::parse("root"), Role::of_number(0)), (None, None));
}

#[test]
fn the_nearest_grant_that_allows_it_decides() {
    let (near, far) = (grant(Role::Viewer, None), grant(Role::Administrator, None));
    let reaching = [near.clone(), far.clone()];
    assert_eq!(decide(&reaching, Permission::View), Verdict::Allowed(&near));
    assert_eq!(decide(&reaching, Permission::Grant), Verdict::Allowed(&far));
    assert_eq!(decide(&reaching[..1], Permission::Grant), Verdict::Forbidden);
    assert_eq!(decide(&[], Permission::View), Verdict::OutOfScope);
}

#[test]
fn a_role_is_given_by_who_holds_all_of_it() {
    let held = |roles: &[Role]| roles.iter().map(|role| grant(*role, None)).collect::<Vec<_>>();
    let administrator = held(&[Role::Administrator]);
    assert!(Role::ALL.into_iter().all(|role| holds_all(&administrator, role)));
    let manager = held(&[Role::Manager]);
    assert!(holds_all(&manager, Role::Viewer));
    assert!(!holds_all(&manager, Role::Auditor) && !holds_all(&manager, Role::Administrator));
    // Two roles together.
    assert!(holds_all(&held(&[Role::Manager, Role::Auditor]), Role::Auditor));
    assert!(!holds_all(&[], Role::Viewer));
}

#[test]
fn whoever_administers_the_root_for_longest_stays() {
    let until = |at| grant(Role::Administrator, at);
    let (soon, late) = (NOW + time::Duration::days(1), NOW + time::Duration::days(2));
    for (without, others, stays) in [
        (None, vec![], false),
        (None, vec![None], true),
        // For a day there would be one, and then nobody.
        (None, vec![Some(soon), Some(late)], false),
        (Some(soon), vec![Some(late)], true),
        (Some(soon), vec![Some(soon)], true),
        (Some(late), vec![Some(soon)], false),
        (Some(late), vec![Some(soon), None], true),
    ] {
        let others: Vec<Grant> = others.into_iter().map(until).collect();
        assert_eq!(stays_administered(&until(without), &others), stays, "{without:?} {others:?}");
    }
}

#[test]
fn a_lease_is_no_longer_than_its_grant() {
    let until = |at: OffsetDateTime| lease(&grant(Role::Viewer, Some(at)), NOW);
    assert_eq!(lease(&grant(Role::Viewer, None), NOW), Duration::from_secs(3));
    assert_eq!(until(NOW + time::Duration::seconds(10)), Duration::from_secs(3));
    assert_eq!(until(NOW + time::Duration::milliseconds(1500)), Duration::from_millis(1500));
    assert_eq!(until(NOW - time::Duration::seconds(1)), Duration::ZERO);
    assert!(OVER_AFTER >= LEASE + Duration::from_secs(2));
}
