//! How much of what is refused to one account the audit has: whoever tries without end fills
//! no chain that is kept for good, and can't try without being seen either.

mod db;
pub(crate) mod job;
mod noting;

pub(crate) use noting::Refusals;

/// So many refused changes of one account within an hour are recorded one by one.
const WHOLE: i64 = 20;

/// What the audit has of a refused change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// All of it.
    Whole,
    /// That there were so many.
    Number,
    /// Nothing: it is counted beside the audit.
    Counted,
}

/// What is told of the refusal that is the `count`th within the hour: beyond the first ones
/// each time that the number has doubled.
fn told(count: i64) -> Told {
    if count <= WHOLE {
        Told::Whole
    } else if count % WHOLE == 0 && (count / WHOLE).count_ones() == 1 {
        Told::Number
    } else {
        Told::Counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_refusals_are_some_dozens_of_records() {
        let all = || (1..=1_000_000).map(told);
        assert_eq!(all().filter(|told| *told == Told::Whole).count(), 20);
        assert_eq!(all().filter(|told| *told == Told::Number).count(), 15);
        let numbers: Vec<i64> = (1..200).filter(|count| told(*count) == Told::Number).collect();
        assert_eq!(numbers, [40, 80, 160]);
    }
}
