use proptest::prelude::*;
use time::{Duration, macros::date};

use super::IdNumberKind::{Citizen, ForeignPermanentResident, ResidencePermit};
use super::Sex::{Female, Male};
use super::*;

const TODAY: Date = date!(2026 - 11 - 23);

fn parse(input: &str) -> Result<IdNumber, InvalidIdNumber> {
    IdNumber::parse(input, TODAY)
}

fn with_check(first17: &str) -> String {
    format!("{first17}{}", IdNumber::check_character(first17).unwrap())
}

#[test]
fn accepts_every_kind_of_number() {
    for (text, kind, birth, sex) in [
        ("11010519491231002X", Citizen, date!(1949 - 12 - 31), Female),
        ("440524188001010014", Citizen, date!(1880 - 01 - 01), Male),
        ("341882199912310019", Citizen, date!(1999 - 12 - 31), Male),
        ("34182219980101005X", Citizen, date!(1998 - 01 - 01), Male),
        ("340826200502280025", Citizen, date!(2005 - 02 - 28), Female),
        ("340102200002290033", Citizen, date!(2000 - 02 - 29), Male),
        ("340104201106010013", Citizen, date!(2011 - 06 - 01), Male),
        ("340104190101019966", Citizen, date!(1901 - 01 - 01), Female),
        ("340826197809150116", Citizen, date!(1978 - 09 - 15), Male),
        ("810000199901010014", ResidencePermit, date!(1999 - 01 - 01), Male),
        ("820000200103150028", ResidencePermit, date!(2001 - 03 - 15), Female),
        ("830000199611110037", ResidencePermit, date!(1996 - 11 - 11), Male),
        ("934840199001010014", ForeignPermanentResident, date!(1990 - 01 - 01), Male),
        ("911392199512240025", ForeignPermanentResident, date!(1995 - 12 - 24), Female),
        ("931250200808080032", ForeignPermanentResident, date!(2008 - 08 - 08), Male),
    ] {
        if birth < EARLIEST_BIRTH {
            // An example of the standard's annex: its check character is right, its year too early.
            assert_eq!(parse(text), Err(InvalidIdNumber::BirthDateTooEarly));
            assert_eq!(with_check(&text[..17]), text);
            continue;
        }
        let number = parse(text).unwrap();
        assert_eq!(number.as_str(), text);
        assert_eq!(
            (number.kind(), number.birth_date(), number.sex()),
            (kind, birth, sex),
            "{text}"
        );
        assert_eq!(number.address_code(), &text[..6]);
        assert_eq!(number.last_eight(), &text[10..]);
        assert!(number.address_known(), "{text}");
    }
}

#[test]
fn every_check_character_occurs() {
    for tail in
        ["0180", "0041", "0092", "0033", "0084", "0025", "0076", "0017", "0068", "0009", "005X"]
    {
        let text = format!("34188220030506{tail}");
        assert_eq!(parse(&text).unwrap().as_str(), text);
    }
}

#[test]
fn refuses_a_wrong_check_character() {
    assert_eq!(parse("341882199912310018"), Err(InvalidIdNumber::Checksum));
    assert_eq!(parse("34188219991231001X"), Err(InvalidIdNumber::Checksum));
}

#[test]
fn sends_the_holder_of_a_legacy_number_to_the_current_card() {
    let refused = parse("340826780915011").unwrap_err();
    assert_eq!(refused, InvalidIdNumber::Legacy);
    assert_eq!(refused.reason(), "ID_LEGACY_FORMAT");
}

#[test]
fn spelling_does_not_matter() {
    let number = parse("11010519491231002X").unwrap();
    for text in [
        "11010519491231002x",
        "  110105 19491231 002X\n",
        "１１０１０５１９４９１２３１００２Ｘ",
        "110105\u{3000}1949\u{00A0}1231 002ｘ",
    ] {
        assert_eq!(parse(text).unwrap(), number, "{text}");
    }
}

#[test]
fn refuses_dates_that_do_not_exist() {
    for text in
        ["340826200502290012", &with_check("34082620051301001"), &with_check("34082620050001001")]
    {
        assert_eq!(parse(text), Err(InvalidIdNumber::BirthDate), "{text}");
    }
}

#[test]
fn a_birth_lies_between_1900_and_today() {
    let on = |date: &str| parse(&with_check(&format!("340826{date}001")));
    assert_eq!(on("18991231"), Err(InvalidIdNumber::BirthDateTooEarly));
    assert!(on("19000101").is_ok());
    assert_eq!(on("19000229"), Err(InvalidIdNumber::BirthDate));
    assert!(on("20261123").is_ok());
    assert_eq!(on("20261124"), Err(InvalidIdNumber::BirthDateInFuture));
}

#[test]
fn flags_a_county_that_was_never_known_and_does_not_refuse_it() {
    let number = parse(&with_check("34019920000101001")).unwrap();
    assert!(!number.address_known());
    let permit = parse(&with_check("81000120000101001")).unwrap();
    assert_eq!((permit.kind(), permit.address_known()), (ResidencePermit, false));
}

#[test]
fn refuses_a_province_or_a_city_where_a_county_must_be() {
    for text in
        ["340000200001010011", &with_check("34010020000101001"), &with_check("71000020000101001")]
    {
        assert_eq!(parse(text), Err(InvalidIdNumber::AddressLevel), "{text}");
    }
}

#[test]
fn accepts_the_cities_that_have_no_counties() {
    for address in ["441900", "442000", "460400", "620200"] {
        assert!(parse(&with_check(&format!("{address}20000101001"))).unwrap().address_known());
    }
}

#[test]
fn refuses_provinces_and_nationalities_that_do_not_exist() {
    for first17 in
        ["00010120000101001", "16010120000101001", "84000020000101001", "99984020000101001"]
    {
        assert_eq!(parse(&with_check(first17)), Err(InvalidIdNumber::Province), "{first17}");
    }
    for first17 in ["93400020000101001", "93415620000101001", "93499920000101001"] {
        assert_eq!(parse(&with_check(first17)), Err(InvalidIdNumber::Nationality), "{first17}");
    }
}

#[test]
fn refuses_other_lengths_and_characters() {
    for text in ["", "1", "34188219991231001", "3418821999123100190", "USA123456789012"] {
        assert_eq!(parse(text), Err(InvalidIdNumber::Length), "{text}");
    }
    for text in [
        "34188219991231001A",
        "3418821999123100X9",
        "34188219991231-019",
        "三41882199912310019",
        "34188219991231001١",
        "H12345678901234567",
    ] {
        assert_eq!(parse(text), Err(InvalidIdNumber::Characters), "{text}");
    }
}

#[test]
fn upgrades_legacy_numbers_for_imports() {
    let number = IdNumber::upgrade_legacy(" ３４０８２６ 780915011", TODAY).unwrap();
    assert_eq!(number.as_str(), "340826197809150116");
    let refused = |text| IdNumber::upgrade_legacy(text, TODAY).unwrap_err();
    assert_eq!(refused("340826197809150116"), InvalidIdNumber::NotLegacy);
    assert_eq!(refused("34082678091501X"), InvalidIdNumber::NotLegacy);
    assert_eq!(refused("340826781315011"), InvalidIdNumber::BirthDate);
    assert_eq!(refused("340000780915011"), InvalidIdNumber::AddressLevel);
    assert_eq!(refused("934840780915011"), InvalidIdNumber::NotLegacy);
}

#[test]
fn a_check_character_needs_17_digits() {
    assert_eq!(IdNumber::check_character("11010519491231002"), Some('X'));
    for text in ["", "1101051949123100", "110105194912310020", "1101051949123100X"] {
        assert_eq!(IdNumber::check_character(text), None, "{text}");
    }
}

#[test]
fn shows_almost_nothing() {
    let number = parse("341882199912310019").unwrap();
    assert_eq!(number.masked(), "3****************9");
    assert_eq!(format!("{number:?}"), "IdNumber(***)");
}

#[test]
fn every_reason_is_its_own() {
    use InvalidIdNumber::*;
    let all = [
        Length,
        Characters,
        Legacy,
        NotLegacy,
        Province,
        AddressLevel,
        Nationality,
        BirthDate,
        BirthDateTooEarly,
        BirthDateInFuture,
        Checksum,
    ];
    let reasons: std::collections::HashSet<_> = all.iter().map(|e| e.reason()).collect();
    let messages: std::collections::HashSet<_> = all.iter().map(|e| e.message()).collect();
    assert_eq!((reasons.len(), messages.len()), (all.len(), all.len()));
}

/// Six digits that may open a number: any county that ever was, or a foreigner's.
fn opening() -> impl Strategy<Value = String> {
    let counties = prop::sample::select(address::all()).prop_map(|code| code.to_string());
    let foreign = (
        prop::sample::select(vec!["11", "31", "34", "65"]),
        prop::sample::select(vec!["004", "036", "250", "392", "840"]),
    )
        .prop_map(|(province, nationality)| format!("9{province}{nationality}"));
    prop_oneof![4 => counties, 1 => foreign]
}

fn birth() -> impl Strategy<Value = Date> {
    (0..=(TODAY - EARLIEST_BIRTH).whole_days())
        .prop_map(|days| EARLIEST_BIRTH + Duration::days(days))
}

/// A valid number with the date and the sequence that it was made from.
fn valid() -> impl Strategy<Value = (String, Date, u16)> {
    (opening(), birth(), 0..1000_u16).prop_map(|(opening, birth, sequence)| {
        let (year, month, day) = birth.to_calendar_date();
        let month = u8::from(month);
        (with_check(&format!("{opening}{year:04}{month:02}{day:02}{sequence:03}")), birth, sequence)
    })
}

/// The same number as careless people type it.
fn respelled() -> impl Strategy<Value = (String, String)> {
    (valid(), prop::collection::vec((0..3_u8, any::<bool>()), 18)).prop_map(|((text, ..), ways)| {
        let mut typed = String::new();
        for (c, (space, wide)) in text.chars().zip(ways) {
            typed.push_str(["", " ", "\u{3000}"][usize::from(space)]);
            let c = if space == 1 { c.to_ascii_lowercase() } else { c };
            typed.push(if wide { char::from_u32(u32::from(c) + 0xFEE0).unwrap() } else { c });
        }
        (text, typed)
    })
}

proptest! {
    #[test]
    fn a_valid_number_gives_back_what_it_was_made_from((text, birth, sequence) in valid()) {
        let number = parse(&text).unwrap();
        prop_assert_eq!(number.as_str(), &text);
        prop_assert_eq!(number.birth_date(), birth);
        prop_assert_eq!(number.sex(), if sequence % 2 == 1 { Male } else { Female });
        prop_assert!(number.address_known());
    }

    #[test]
    fn any_other_character_in_one_place_is_refused((text, ..) in valid()) {
        for place in 0..18 {
            for other in "0123456789X".chars().filter(|c| !text[place..].starts_with(*c)) {
                let mut wrong = text.clone();
                wrong.replace_range(place..=place, &other.to_string());
                prop_assert!(parse(&wrong).is_err(), "place {}", place);
            }
        }
    }

    #[test]
    fn any_two_neighbours_exchanged_are_refused((text, ..) in valid()) {
        for place in 0..17 {
            let mut bytes = text.clone().into_bytes();
            bytes.swap(place, place + 1);
            let wrong = String::from_utf8(bytes).unwrap();
            prop_assert!(wrong == text || parse(&wrong).is_err(), "place {}", place);
        }
    }

    #[test]
    fn all_spellings_are_one_number((text, typed) in respelled()) {
        let number = parse(&typed).unwrap();
        prop_assert_eq!(number.as_str(), &text);
        prop_assert_eq!(&parse(number.as_str()).unwrap(), &number);
    }

    #[test]
    fn a_legacy_number_is_the_long_one_without_century_and_check(
        (text, ..) in valid().prop_filter("a citizen born 1900 to 1999", |(text, ..)| {
            &text[6..8] == "19" && !text.starts_with(['8', '9'])
        }),
    ) {
        let legacy = format!("{}{}", &text[..6], &text[8..17]);
        let upgraded = IdNumber::upgrade_legacy(&legacy, TODAY).unwrap();
        prop_assert_eq!(upgraded.as_str(), &text);
        prop_assert_eq!(parse(&legacy), Err(InvalidIdNumber::Legacy));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), almost in "[0-9Xx０-９ ]{14,20}") {
        let _ = parse(&text);
        let _ = IdNumber::upgrade_legacy(&text, TODAY);
        let _ = IdNumber::check_character(&text);
        if let Ok(number) = parse(&almost) {
            prop_assert_eq!(parse(number.as_str()).unwrap(), number);
        }
    }
}
