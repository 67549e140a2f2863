//! Parsing all fields of a request before anything is answered.

use prost_types::Timestamp;
use time::OffsetDateTime;
use zhiyuan_domain::Violation;

use crate::error::{Error, FieldFault};
use crate::wire::from_timestamp;

/// Collects what is wrong with the fields of one request, so that a person is told
/// everything at once.
#[derive(Debug, Default)]
pub struct Fields {
    faults: Vec<FieldFault>,
    /// What the names of all fields begin with.
    within: &'static str,
}

impl Fields {
    /// Starts with no faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with no faults, for the fields of a message within another one: `within` is
    /// where, such as `registration.`.
    pub fn within(within: &'static str) -> Self {
        Self { faults: Vec::new(), within }
    }

    fn note(&mut self, field: &str, violation: impl Into<Violation>) {
        self.faults.push(FieldFault::new(format!("{}{field}", self.within), violation));
    }

    /// Keeps the value, or notes what is wrong with it.
    pub fn take<T, E: Into<Violation>>(&mut self, field: &str, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(field, error);
                None
            }
        }
    }

    /// Keeps a time, if one is given, or notes that there is none like it.
    pub fn take_time(
        &mut self,
        field: &str,
        time: Option<&Timestamp>,
    ) -> Option<Option<OffsetDateTime>> {
        let none_such = || Violation {
            reason: "TIME_FORM",
            message: "时间超出范围，请填写有效的时间".to_owned(),
        };
        let parsed = time.map(|at| from_timestamp(at).ok_or_else(none_such));
        self.take(field, parsed.transpose())
    }

    /// Notes a fault that is found by hand.
    pub fn refuse(&mut self, field: &str, reason: &'static str, message: impl Into<String>) {
        self.note(field, Violation { reason, message: message.into() });
    }

    /// Takes over what is wrong with the fields of a message within this one, which stand at a
    /// place such as `parts[0].`.
    pub fn absorb(&mut self, within: &str, other: Self) {
        let faults = other.faults.into_iter().map(|mut fault| {
            fault.field.insert_str(0, within);
            fault.field.insert_str(0, self.within);
            fault
        });
        self.faults.extend(faults);
    }

    /// The error that tells all faults, if there are any.
    ///
    /// # Errors
    /// `INVALID_FIELDS` when a fault was noted.
    pub fn finish(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::invalid_fields(self.faults)) }
    }

    /// Ends the collection when a value that is needed is missing.
    ///
    /// # Errors
    /// `INVALID_FIELDS` always; the signature serves `let … else`.
    pub fn into_error(self) -> Error {
        Error::invalid_fields(self.faults)
    }
}
