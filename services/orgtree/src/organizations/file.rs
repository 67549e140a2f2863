//! The CSV file that organizations are loaded from.

use std::collections::HashSet;
use std::io::Read;

use serde::Deserialize;
use zhiyuan_domain::{CreditCode, OrganizationCode, RegionCode};

use super::{Contacts, Kind, State};

/// Longest name and note, in characters.
const MAX_TEXT: usize = 200;
/// Longest telephone and group number, in characters.
const MAX_NUMBER: usize = 50;

/// What is wrong with a line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line in the file; the header is line 1.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Too few or too many fields, or not UTF-8.
    #[error("the line is malformed")]
    Malformed,
    /// A code that can't be one.
    #[error("{0} is invalid")]
    Code(&'static str),
    /// Two lines have the same code.
    #[error("code occurs in an earlier line")]
    Duplicate,
    /// Empty, too long, or with control characters.
    #[error("{0} is empty, too long, or has control characters")]
    Text(&'static str),
    /// No kind of that name.
    #[error("kind is unknown")]
    Kind,
    /// No state of that name.
    #[error("state is unknown")]
    State,
    /// An organization at work has no successor.
    #[error("successor_code is given for an organization that is not closed")]
    Successor,
    /// Another open organization, of the file or of the database, has it.
    #[error("credit_code is that of another open organization, {by}")]
    CreditCodeTaken {
        /// Which.
        by: String,
    },
    /// What a code refers to is neither in the file nor in the database.
    #[error("{0} refers to nothing that exists")]
    Unknown(&'static str),
    /// The organization is above itself, or hangs below such a circle.
    #[error("parent_code leads around in a circle")]
    Cycle,
    /// The tree is deeper than any real one.
    #[error("parent_code leads through more than 12 levels")]
    Depth,
}

/// A line of the file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: u64,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) parent_code: Option<String>,
    pub(super) region_code: Option<String>,
    pub(super) state: State,
    pub(super) successor_code: Option<String>,
    pub(super) contacts: Contacts,
    pub(super) credit_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    code: String,
    name: String,
    kind: String,
    parent_code: String,
    region_code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    successor_code: String,
    #[serde(default)]
    contact_phone: String,
    #[serde(default)]
    contact_group_number: String,
    #[serde(default)]
    contact_note: String,
    #[serde(default)]
    credit_code: String,
}

/// Reads a file, in any order of lines. The faults are of single lines; whether
/// codes refer to something is not known here.
///
/// # Errors
/// When the header is not the expected one, or reading fails.
pub(super) fn read(mut source: impl Read) -> Result<(Vec<Entry>, Vec<Fault>), csv::Error> {
    let mut text = Vec::new();
    source.read_to_end(&mut text)?;
    unify_line_ends(&mut text);
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let headers = reader.byte_headers()?.clone();
    check(&headers)?;
    let (mut entries, mut faults) = (Vec::new(), Vec::new());
    let mut codes = HashSet::new();
    let mut record = csv::ByteRecord::new();
    loop {
        let problem = match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok((entries, faults)),
            Ok(true) => None,
            Err(_) => Some(Problem::Malformed),
        };
        // Where the reader stands after the record: the record's own position is that
        // of empty lines before it.
        let line = reader.position().line().saturating_sub(1);
        let parsed = match problem {
            Some(problem) => Err(problem),
            None => record
                .deserialize(Some(&headers))
                .map_err(|_| Problem::Malformed)
                .and_then(|record| entry(line, record)),
        };
        match parsed {
            Ok(entry) if !codes.insert(entry.code.clone()) => {
                faults.push(Fault { line, problem: Problem::Duplicate });
            }
            Ok(entry) => entries.push(entry),
            Err(problem) => faults.push(Fault { line, problem }),
        }
    }
}

/// Ends every line, the last one too, with a line feed alone: the lines of other
/// files are counted wrongly.
fn unify_line_ends(text: &mut Vec<u8>) {
    let mut ended = Vec::with_capacity(text.len() + 1);
    for &byte in text.iter() {
        if byte == b'\n' && ended.last() == Some(&b'\r') {
            ended.pop();
        }
        ended.push(byte);
    }
    ended.push(b'\n');
    *text = ended;
}

/// Refuses missing and unknown columns once, instead of in every line.
fn check(headers: &csv::ByteRecord) -> Result<(), csv::Error> {
    let empty = csv::ByteRecord::from(vec![""; headers.len()]);
    empty.deserialize::<Record>(Some(headers)).map(drop)
}

fn entry(line: u64, record: Record) -> Result<Entry, Problem> {
    let state = match record.state.as_str() {
        "" => State::Active,
        name => State::parse(name).ok_or(Problem::State)?,
    };
    let successor_code = organization("successor_code", &record.successor_code)?;
    if successor_code.is_some() && state != State::Closed {
        return Err(Problem::Successor);
    }
    let name = text("name", &record.name, MAX_TEXT)?;
    if name.is_empty() {
        return Err(Problem::Text("name"));
    }
    let region_code = match record.region_code.as_str() {
        "" => None,
        code => {
            Some(RegionCode::parse(code).map_err(|_| Problem::Code("region_code"))?.to_string())
        }
    };
    Ok(Entry {
        line,
        code: organization("code", &record.code)?.ok_or(Problem::Code("code"))?,
        name,
        kind: Kind::parse(&record.kind).ok_or(Problem::Kind)?,
        parent_code: organization("parent_code", &record.parent_code)?,
        region_code,
        state,
        successor_code,
        contacts: Contacts {
            phone: text("contact_phone", &record.contact_phone, MAX_NUMBER)?,
            group_number: text("contact_group_number", &record.contact_group_number, MAX_NUMBER)?,
            note: text("contact_note", &record.contact_note, MAX_TEXT)?,
        },
        credit_code: match record.credit_code.as_str() {
            "" => None,
            code => {
                Some(CreditCode::parse(code).map_err(|_| Problem::Code("credit_code"))?.to_string())
            }
        },
    })
}

fn organization(column: &'static str, code: &str) -> Result<Option<String>, Problem> {
    match code {
        "" => Ok(None),
        code => OrganizationCode::parse(code)
            .map(|code| Some(code.as_str().to_owned()))
            .map_err(|_| Problem::Code(column)),
    }
}

fn text(column: &'static str, text: &str, max: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.chars().count() > max || text.chars().any(char::is_control) {
        return Err(Problem::Text(column));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "code,name,kind,parent_code,region_code,state,successor_code,\
                          contact_phone,contact_group_number,contact_note,credit_code";

    fn problem(line: &str) -> Problem {
        let text = format!("{HEADER}\nAH,团省委,PROVINCIAL,,340000,,,,,,\n{line}\n");
        let (entries, faults) = read(text.as_bytes()).unwrap();
        assert_eq!((entries.len(), faults.len()), (1, 1), "{line}");
        assert_eq!(faults[0].line, 3, "{line}");
        faults[0].problem.clone()
    }

    #[test]
    fn reads_the_demonstration_province() {
        let (entries, faults) = read(super::super::ANHUI).unwrap();
        assert_eq!((entries.len(), faults.as_slice()), (1699, [].as_slice()));
        let root = &entries[0];
        assert_eq!((root.code.as_str(), root.parent_code.as_deref()), ("AH", None));
        assert_eq!(root.contacts.phone, "0551-63609733");
        assert_eq!(root.contacts.group_number, "551670865");
    }

    #[test]
    fn tells_what_is_wrong_with_a_line() {
        for (line, expected) in [
            ("A B,团委,TOWNSHIP,AH,,,,,,,", Problem::Code("code")),
            (",团委,TOWNSHIP,AH,,,,,,,", Problem::Code("code")),
            ("B,团委,TOWNSHIP,A_H,,,,,,,", Problem::Code("parent_code")),
            ("B,团委,TOWNSHIP,AH,34,,,,,,", Problem::Code("region_code")),
            ("B,团委,TOWNSHIP,AH,,CLOSED,-,,,,", Problem::Code("successor_code")),
            ("AH,团委,TOWNSHIP,,,,,,,,", Problem::Duplicate),
            ("B, ,TOWNSHIP,AH,,,,,,,", Problem::Text("name")),
            ("B,团\u{0}委,TOWNSHIP,AH,,,,,,,", Problem::Text("name")),
            ("B,团委,township,AH,,,,,,,", Problem::Kind),
            ("B,团委,TOWNSHIP,AH,,OPEN,,,,,", Problem::State),
            ("B,团委,TOWNSHIP,AH,,,AH,,,,", Problem::Successor),
            ("B,团委,TOWNSHIP,AH,,,,1\t2,,,", Problem::Text("contact_phone")),
            ("B,团委,TOWNSHIP,AH,,,,,,,51340000MJ0000034G", Problem::Code("credit_code")),
            ("B,团委,TOWNSHIP", Problem::Malformed),
        ] {
            assert_eq!(problem(line), expected, "{line}");
        }
        assert_eq!(
            problem(&format!("B,{},TOWNSHIP,AH,,,,,,,", "团".repeat(201))),
            Problem::Text("name")
        );
    }

    #[test]
    fn a_line_that_is_no_utf8_is_malformed() {
        let mut bytes = format!("{HEADER}\nAH,").into_bytes();
        bytes.extend_from_slice(b"\xff\xfe,PROVINCIAL,,,,,,,,\n");
        let (_, faults) = read(bytes.as_slice()).unwrap();
        assert_eq!(faults, [Fault { line: 2, problem: Problem::Malformed }]);
    }

    #[test]
    fn reads_what_spreadsheets_write() {
        let text =
            "\u{feff}code,name,kind,parent_code,region_code\r\nah,\"团 省委\",PROVINCIAL,,\r\n";
        let (entries, faults) = read(text.as_bytes()).unwrap();
        assert!(faults.is_empty());
        assert_eq!((entries[0].code.as_str(), entries[0].name.as_str()), ("AH", "团 省委"));
        assert_eq!((entries[0].line, entries[0].state), (2, State::Active));
    }

    #[test]
    fn counts_lines_as_an_editor_does() {
        for end in ["\n", "\r\n"] {
            let lines =
                ["code,name,kind,parent_code,region_code", "", "A,甲,COUNTY,,", "", "B,,COUNTY,,"];
            let (entries, faults) = read(lines.join(end).as_bytes()).unwrap();
            assert_eq!((entries[0].line, faults[0].line), (3, 5));
        }
    }

    #[test]
    fn refuses_missing_and_unknown_columns() {
        for header in ["code,name", "code,name,kind,parent_code,region_code,contact_phnoe"] {
            assert!(read(format!("{header}\n").as_bytes()).is_err(), "{header}");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        let fault = Fault { line: 7, problem: Problem::Unknown("parent_code") };
        assert_eq!(fault.to_string(), "line 7: parent_code refers to nothing that exists");
    }
}
