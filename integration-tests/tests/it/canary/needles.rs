//! What must be nowhere, in every form in which it might be somewhere.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zhiyuan_testkit::Person;

/// Byte strings to look for, all in one pass.
#[derive(Default)]
pub(super) struct Needles {
    all: Vec<(String, Vec<u8>)>,
    /// By their first two bytes.
    by_start: HashMap<u16, Vec<usize>>,
}

impl Needles {
    /// Looks for everything that tells who this is.
    pub(super) fn add_person(&mut self, label: &str, person: &Person) {
        // Without the check character, which comes as `X`, `x` or `Ｘ`.
        self.add(&format!("{label}: ID number"), &person.id_number[..17]);
        self.add(&format!("{label}: phone"), &person.mobile);
        self.add(&format!("{label}: name"), &person.name);
    }

    /// Looks for a secret.
    pub(super) fn add(&mut self, label: &str, secret: &str) {
        let wide: String = secret.chars().map(wide).collect();
        let escaped: String = secret.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        for (form, text) in [("as it is", secret), ("full-width", &wide), ("escaped", &escaped)] {
            self.push(label, form, text.as_bytes().to_vec());
        }
        if secret.is_ascii() && secret.len() > 10 {
            for grouped in groupings(secret) {
                self.push(label, "in groups", grouped.into_bytes());
            }
        }
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.push(label, "in hexadecimal", hex.to_uppercase().into_bytes());
        self.push(label, "in hexadecimal", hex.into_bytes());
        for offset in 0..3 {
            self.push(label, "in base64", base64(secret.as_bytes(), offset));
        }
        let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.push(label, "in UTF-16", utf16);
    }

    fn push(&mut self, label: &str, form: &str, bytes: Vec<u8>) {
        let start = u16::from_be_bytes([bytes[0], bytes[1]]);
        self.by_start.entry(start).or_default().push(self.all.len());
        self.all.push((format!("{label} {form}"), bytes));
    }

    /// What is found in there.
    pub(super) fn find(&self, haystack: &[u8]) -> BTreeSet<&str> {
        let mut starts = vec![false; 1 << 16];
        for start in self.by_start.keys() {
            starts[usize::from(*start)] = true;
        }
        let mut found = BTreeSet::new();
        let mut last = 0_u16;
        for (at, byte) in haystack.iter().enumerate() {
            last = (last << 8) | u16::from(*byte);
            if at > 0 && starts[usize::from(last)] {
                let here = &haystack[at - 1..];
                let hits = self.by_start[&last].iter().map(|index| &self.all[*index]);
                found.extend(
                    hits.filter(|(_, needle)| here.starts_with(needle))
                        .map(|(label, _)| label.as_str()),
                );
            }
        }
        found
    }

    /// What is found in the files below a folder, as `file: what`.
    pub(super) fn find_in_folder(&self, folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let (path, kind) = entry.map(|e| (e.path(), e.file_type().unwrap())).unwrap();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    // The server may delete a file of its own meanwhile.
                    let content = std::fs::read(&path).unwrap_or_default();
                    let hits = self.find(&content);
                    found.extend(hits.iter().map(|hit| format!("{}: {hit}", path.display())));
                }
            }
        }
        found
    }
}

fn wide(c: char) -> char {
    if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xFEE0).unwrap() } else { c }
}

/// The groups in which people write numbers of 11 and of 18 digits.
fn groupings(number: &str) -> Vec<String> {
    let cuts: &[usize] = if number.len() == 11 { &[3, 7] } else { &[6, 14] };
    let separated = |separator: &str| {
        let mut text = number.to_owned();
        for cut in cuts.iter().rev() {
            text.insert_str(*cut, separator);
        }
        text
    };
    vec![separated(" "), separated("-")]
}

/// What stands in a base64 text around it does not depend on the neighbours.
fn base64(bytes: &[u8], offset: usize) -> Vec<u8> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(bytes);
    let text = STANDARD_NO_PAD.encode(&padded).into_bytes();
    let first = if offset == 0 { 0 } else { offset + 1 };
    let whole = padded.len() / 3 * 4;
    text[first..whole].to_vec()
}
