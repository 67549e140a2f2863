//! What proto3 JSON lets pass and we don't.
//!
//! Two readers of `{"phone": a, "phone": b}` may believe two different phones, and a
//! misspelt field that is dropped in silence is an answer to another question. So a
//! document is looked through before it is read: no name twice (`idNumber` and
//! `id_number` are one), no unknown name, no number that is none, and no integer of
//! 64 bits as a JSON number that a browser would have rounded.

use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The largest integer that every reader of JSON keeps exactly: 2^53 - 1 (RFC 8259,
/// 6).
const EXACT: u64 = (1 << 53) - 1;

/// What is wrong, and with which field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such field.
    Unknown(String),
    /// The field is there twice.
    Repeated(String),
    /// NaN or an infinity.
    NotFinite(String),
    /// An integer of 64 bits that must be a string.
    Imprecise(String),
}

/// Looks through a document that should be a message.
///
/// # Errors
/// The fault, or none when it is no JSON at all.
pub(super) fn scan(
    desc: &MessageDescriptor,
    json: &[u8],
) -> Result<(), (Option<Fault>, serde_json::Error)> {
    let mut fault = None;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let root = Scan { shape: &Shape::of_message(desc), path: &Path::Root, fault: &mut fault };
    let done = root.deserialize(&mut reader).and_then(|()| reader.end());
    done.map_err(|error| (fault, error))
}

enum Shape {
    Message(MessageDescriptor),
    Map(Box<Shape>),
    Wide,
    Float,
    Free,
}

impl Shape {
    fn of_message(desc: &MessageDescriptor) -> Self {
        match desc.full_name() {
            "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => Self::Float,
            "google.protobuf.Int64Value" | "google.protobuf.UInt64Value" => Self::Wide,
            // Well-known types have a JSON of their own.
            name if name.starts_with("google.protobuf.") => Self::Free,
            _ => Self::Message(desc.clone()),
        }
    }

    fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                Self::Map(Box::new(Self::of_field(&entry.map_entry_value_field())))
            }
            Kind::Message(desc) => Self::of_message(&desc),
            Kind::Double | Kind::Float => Self::Float,
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                Self::Wide
            }
            _ => Self::Free,
        }
    }
}

enum Path<'a> {
    Root,
    Name(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Name(Self::Root, name) => f.write_str(name),
            Self::Name(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

struct Scan<'a> {
    shape: &'a Shape,
    path: &'a Path<'a>,
    fault: &'a mut Option<Fault>,
}

impl Scan<'_> {
    fn refuse<E: serde::de::Error>(self, fault: fn(String) -> Fault) -> Result<(), E> {
        *self.fault = Some(fault(self.path.to_string()));
        Err(E::custom("refused"))
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match self.shape {
            Shape::Wide if value > EXACT => self.refuse(Fault::Imprecise),
            _ => Ok(()),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_u64(value.unsigned_abs())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        match self.shape {
            // `1e300`, `1.5`, and integers beyond 64 bits.
            Shape::Wide => self.refuse(Fault::Imprecise),
            _ => Ok(()),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        match self.shape {
            Shape::Float if !value.parse::<f64>().is_ok_and(f64::is_finite) => {
                self.refuse(Fault::NotFinite)
            }
            _ => Ok(()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let path = Path::Index(self.path, index);
            let entry = Scan { shape: self.shape, path: &path, fault: &mut *self.fault };
            if list.next_element_seed(entry)?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let path = Path::Name(self.path, &name);
            let field;
            let (key, shape) = match self.shape {
                Shape::Message(desc) => {
                    let found = desc
                        .get_field_by_json_name(&name)
                        .or_else(|| desc.get_field_by_name(&name));
                    let Some(found) = found else {
                        *self.fault = Some(Fault::Unknown(path.to_string()));
                        return Err(A::Error::custom("refused"));
                    };
                    field = Shape::of_field(&found);
                    (found.name().to_owned(), &field)
                }
                Shape::Map(value) => (name.clone(), value.as_ref()),
                Shape::Wide | Shape::Float | Shape::Free => (name.clone(), &Shape::Free),
            };
            if !seen.insert(key) {
                *self.fault = Some(Fault::Repeated(path.to_string()));
                return Err(A::Error::custom("refused"));
            }
            map.next_value_seed(Scan { shape, path: &path, fault: &mut *self.fault })?;
        }
        Ok(())
    }
}
