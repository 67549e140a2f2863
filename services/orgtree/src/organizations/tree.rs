//! Where each organization lies in the tree.

use std::collections::{HashMap, HashSet};

use super::file::{Fault, Problem};

/// Deepest tree: the Youth League has six levels from the centre to a branch.
pub(super) const LEVELS: usize = 12;

/// An organization and the one above it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) parent_code: Option<&'a str>,
    /// The line that says so; `None` when it is so in the database already.
    pub(super) line: Option<u64>,
}

/// Where an organization lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The codes above it, from the root down.
    pub(super) ancestors: Vec<&'a str>,
    /// Nothing lies below it.
    pub(super) leaf: bool,
}

/// Finds the place of every organization.
///
/// # Errors
/// The lines that make it no tree.
pub(super) fn places<'a>(
    links: &HashMap<&'a str, Link<'a>>,
) -> Result<HashMap<&'a str, Place<'a>>, Vec<Fault>> {
    let parents: HashSet<&str> = links.values().filter_map(|link| link.parent_code).collect();
    let mut places = HashMap::with_capacity(links.len());
    let mut faults = Vec::new();
    for (&code, link) in links {
        match ancestors(links, code) {
            Ok(ancestors) => {
                places.insert(code, Place { ancestors, leaf: !parents.contains(code) });
            }
            // Where the database was right before, a line above is at fault, and is
            // told itself or as the one that moved a deep subtree even deeper.
            Err(problem) => {
                if let Some(line) = link.line.or_else(|| line_above(links, code)) {
                    faults.push(Fault { line, problem });
                }
            }
        }
    }
    if faults.is_empty() {
        return Ok(places);
    }
    faults.sort_unstable_by_key(|fault| fault.line);
    faults.dedup();
    Err(faults)
}

fn ancestors<'a>(
    links: &HashMap<&'a str, Link<'a>>,
    code: &'a str,
) -> Result<Vec<&'a str>, Problem> {
    let mut chain = vec![code];
    let mut at = code;
    while let Some(parent) = links.get(at).and_then(|link| link.parent_code) {
        if chain.contains(&parent) {
            return Err(Problem::Cycle);
        }
        if !links.contains_key(parent) {
            return Err(Problem::Unknown("parent_code"));
        }
        if chain.len() == LEVELS {
            return Err(Problem::Depth);
        }
        chain.push(parent);
        at = parent;
    }
    chain.reverse();
    chain.pop();
    Ok(chain)
}

/// The line of the nearest organization above that the file is about.
fn line_above<'a>(links: &HashMap<&'a str, Link<'a>>, code: &'a str) -> Option<u64> {
    let mut seen = HashSet::new();
    let mut at = code;
    while seen.insert(at) {
        let link = links.get(at)?;
        if link.line.is_some() {
            return link.line;
        }
        at = link.parent_code?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line 0 stands for the database.
    fn links<'a>(rows: &[(&'a str, &'a str, u64)]) -> HashMap<&'a str, Link<'a>> {
        rows.iter()
            .map(|&(code, parent, line)| {
                let parent_code = (!parent.is_empty()).then_some(parent);
                (code, Link { parent_code, line: (line > 0).then_some(line) })
            })
            .collect()
    }

    #[test]
    fn finds_places_in_any_order() {
        let links = links(&[("C", "B", 2), ("A", "", 0), ("B", "A", 4), ("D", "A", 0)]);
        let places = places(&links).unwrap();
        assert_eq!(places["A"], Place { ancestors: vec![], leaf: false });
        assert_eq!(places["B"], Place { ancestors: vec!["A"], leaf: false });
        assert_eq!(places["C"], Place { ancestors: vec!["A", "B"], leaf: true });
        assert_eq!(places["D"], Place { ancestors: vec!["A"], leaf: true });
    }

    #[test]
    fn tells_circles_and_what_hangs_below_them() {
        let links =
            links(&[("A", "B", 2), ("B", "A", 0), ("C", "B", 3), ("D", "D", 4), ("E", "", 5)]);
        let faults = places(&links).unwrap_err();
        let cycle = |line| Fault { line, problem: Problem::Cycle };
        assert_eq!(faults, [cycle(2), cycle(3), cycle(4)]);
    }

    #[test]
    fn tells_a_subtree_that_was_moved_too_deep() {
        let names: Vec<String> = (0..13).map(|level| format!("L{level}")).collect();
        let rows: Vec<(&str, &str, u64)> = (0..13)
            .map(|level: usize| {
                let parent = level.checked_sub(1).map_or("", |above| names[above].as_str());
                (names[level].as_str(), parent, if level == 8 { 2 } else { 0 })
            })
            .collect();
        assert!(places(&links(&rows[..12])).is_ok());
        let faults = places(&links(&rows)).unwrap_err();
        assert_eq!(faults, [Fault { line: 2, problem: Problem::Depth }]);
    }

    #[test]
    fn tells_a_parent_that_does_not_exist() {
        let faults = places(&links(&[("A", "X", 2)])).unwrap_err();
        assert_eq!(faults, [Fault { line: 2, problem: Problem::Unknown("parent_code") }]);
    }
}
