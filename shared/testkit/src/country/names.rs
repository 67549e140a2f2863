//! Names of organizations, made of characters that stand in many names of places.

use super::chance::{Draw, draw};
use super::organizations::Rank;

const CHARACTERS: [char; 40] = [
    '安', '定', '平', '和', '宁', '康', '泰', '昌', '兴', '隆', '永', '清', '江', '河', '湖', '海',
    '山', '川', '林', '泉', '石', '桥', '东', '南', '西', '北', '新', '城', '龙', '凤', '云', '霞',
    '金', '银', '玉', '华', '丰', '庆', '仁', '义',
];
/// Names of two characters.
const PAIRS: u64 = 1_600;

/// The name of the child that stands at a place among its siblings, below a parent.
pub(super) fn name(seed: u32, parent: u32, place: usize, rank: Rank, leaf: bool) -> String {
    let place = u64::try_from(place).unwrap_or_default();
    // From anywhere on, so that not every first child has the same name.
    let start = draw(seed, Draw::Name, parent.into());
    let pair = (start % PAIRS + place) % PAIRS;
    let mut own: String = [pair / 40, pair % 40].into_iter().filter_map(character).collect();
    // Three characters, once all pairs are taken.
    own.extend((place / PAIRS).checked_sub(1).and_then(character));
    match rank {
        Rank::Branch => format!("{own}团支部"),
        // A level without anything below is led from above.
        Rank::Country | Rank::Province | Rank::City | Rank::County | Rank::DirectCounty if leaf => {
            format!("共青团{own}工作委员会")
        }
        Rank::Country => format!("共青团{own}全国委员会"),
        Rank::Province => format!("共青团{own}省委员会"),
        Rank::City => format!("共青团{own}市委员会"),
        Rank::County | Rank::DirectCounty => format!("共青团{own}县委员会"),
        Rank::Township => format!("共青团{own}镇委员会"),
        Rank::University => format!("共青团{own}大学委员会"),
        Rank::Enterprise => format!("共青团{own}集团委员会"),
    }
}

fn character(index: u64) -> Option<char> {
    usize::try_from(index).ok().and_then(|index| CHARACTERS.get(index).copied())
}
