//! What looks like chance, and is the same each time.

/// What is drawn, so that two draws of one thing have nothing to do with each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Draw {
    Children,
    Rank,
    Size,
    People,
    Own,
    Name,
    RosterRate,
    RegisteredRate,
    LeagueRate,
    Member,
    Registered,
    Verified,
    League,
    Id,
}

/// A number of 64 random bits (SplitMix64, of Steele, Lea and Flood).
pub(super) fn draw(seed: u32, what: Draw, number: u64) -> u64 {
    let stream = (u64::from(seed) << 8) | what as u64;
    mix(number.wrapping_add(mix(stream)))
}

/// One of so many, 0 if there is none.
pub(super) fn below(limit: u64, seed: u32, what: Draw, number: u64) -> u64 {
    draw(seed, what, number).checked_rem(limit).unwrap_or_default()
}

fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Shares something out by weights, exactly, and nobody is off by more than one.
pub(super) fn share_out(whole: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().copied().map(u128::from).sum();
    let (mut weighed, mut given) = (0_u128, 0_u64);
    let share = |weight: &u64| {
        weighed += u128::from(*weight);
        let upto = (u128::from(whole) * weighed).checked_div(sum).unwrap_or_default();
        // No more than the whole.
        let upto = u64::try_from(upto).unwrap_or(whole);
        let share = upto - given;
        given = upto;
        share
    };
    weights.iter().map(share).collect()
}
