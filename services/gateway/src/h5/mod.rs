//! The pages for browsers. Everything is in memory before the first request, so that no
//! path of a request ever names a file of the machine.

mod accept;
mod file;
mod policy;
mod source;

use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::body::Body;

pub(crate) use accept::names_html;
use file::File;
use source::Files;
pub use source::{PagesError, has_pages};

use crate::config::Config;

/// The longest path that a page may have.
const LONGEST: usize = 512;

/// Encodings in which a file may lie beside itself, from the one that is preferred.
const ENCODED: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The pages.
#[derive(Debug)]
pub(crate) struct Site {
    files: BTreeMap<String, File>,
    /// Whether it is reached by https alone.
    secure: bool,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Something that is not the pages' to answer: a call, health, keys.
    Other,
    /// A file, by its name.
    File,
    /// A page, which the script of `index.html` shows.
    Page,
}

impl Site {
    /// The pages that the configuration names, else those that the program was built with.
    ///
    /// # Errors
    /// When a folder is named that is none of pages.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, PagesError> {
        let folder = &config.pages.folder;
        let files = if !folder.as_os_str().is_empty() {
            source::of_folder(folder)?
        } else if has_pages() {
            source::embedded()
        } else {
            return Ok(None);
        };
        Ok(Some(Self::new(&files, config.cookies.secure)))
    }

    fn new(files: &Files, secure: bool) -> Self {
        let mut site = BTreeMap::new();
        for (name, plain) in files {
            if is_encoding_of_another(name, files) {
                continue;
            }
            let encoded = ENCODED.iter().filter_map(|(coding, suffix)| {
                Some((*coding, files.get(&format!("{name}{suffix}"))?.clone()))
            });
            // No tag of ours is refused as a header.
            if let Ok(file) = File::new(name, plain.clone(), encoded) {
                site.insert(name.clone(), file);
            }
        }
        Self { files: site, secure }
    }

    /// Says what is served, once.
    pub(crate) fn log(&self) {
        let large = self.files.iter().find(|(_, file)| file.should_be_smaller());
        if let Some((name, _)) = large {
            tracing::warn!(name, "pages are served as they are, without an encoding beside them");
        }
        tracing::info!(files = self.files.len(), "pages are served");
    }

    /// Answers who asks for a page or a file of one; nobody else.
    pub(crate) fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let name = path.strip_prefix('/')?;
        let asked = Asked::of(name);
        let mut response = match (&asked, self.files.get(name)) {
            (Asked::Other, _) => return None,
            (_, Some(file)) => file.answer(headers),
            (Asked::Page, None) if names_html(headers) => self.index(name)?.answer(headers),
            (Asked::Page, None) => return None,
            (Asked::File, None) => missing(),
        };
        let vary = match asked {
            Asked::Page => "accept, accept-encoding",
            _ => "accept-encoding",
        };
        response.headers_mut().insert(VARY, HeaderValue::from_static(vary));
        policy::put(response.headers_mut(), self.secure);
        Some(response)
    }

    /// The page whose script shows a path: that of the longest folder that has one.
    fn index(&self, name: &str) -> Option<&File> {
        let mut folder = name.trim_end_matches('/');
        while !folder.is_empty() {
            if let Some(index) = self.files.get(&format!("{folder}/index.html")) {
                return Some(index);
            }
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
        }
        self.files.get("index.html")
    }
}

impl Asked {
    /// Tells by the name alone, whatever there is.
    fn of(name: &str) -> Self {
        let (first, deeper) = match name.split_once('/') {
            Some((first, _)) => (first, true),
            None => (name, false),
        };
        // `/zhiyuan.identity.v1.SignInService/SignIn`, `/.well-known/jwks.json`.
        if (deeper && first.contains('.')) || first == "healthz" || first == "readyz" {
            return Self::Other;
        }
        if first == "assets" || name.contains('.') {
            return Self::File;
        }
        if name.len() > LONGEST || name.contains("//") || name.starts_with('/') || !is_plain(name) {
            return Self::Other;
        }
        Self::Page
    }
}

/// Letters, digits and a few signs, and others (志愿) in percent encoding; nothing that is
/// encoded without need.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => {
                let first = bytes.next().is_some_and(|digit| b"89abcdefABCDEF".contains(&digit));
                first && bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || b"/-_~".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

fn is_encoding_of_another(name: &str, files: &Files) -> bool {
    ENCODED
        .iter()
        .filter_map(|(_, suffix)| name.strip_suffix(suffix))
        .any(|plain| files.contains_key(plain))
}

fn missing() -> Response<Body> {
    let mut response = Response::new(Body::new("没有这个文件\n".to_owned()));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_health_are_never_a_page() {
        for (name, asked) in [
            ("", Asked::Page),
            ("register", Asked::Page),
            ("help/how-to-register/", Asked::Page),
            ("invitation/ABCD-EFGH", Asked::Page),
            ("help/%E5%BF%97%e6%84%bf", Asked::Page),
            ("icon.svg", Asked::File),
            ("console/icon.svg", Asked::File),
            ("assets/anything", Asked::File),
            ("zhiyuan.svg", Asked::File),
            ("..%2fetc%2fpasswd", Asked::File),
            ("zhiyuan.identity.v1.SignInService/SignIn", Asked::Other),
            ("grpc.health.v1.Health/Check", Asked::Other),
            ("../etc/passwd", Asked::Other),
            (".well-known/jwks.json", Asked::Other),
            (".well-known/security", Asked::Other),
            ("healthz", Asked::Other),
            ("readyz/", Asked::Other),
            ("zhiyuan%2eidentity/SignIn", Asked::Other),
            ("register%00", Asked::Other),
            ("register%2", Asked::Other),
            ("a%2fb", Asked::Other),
            ("a//b", Asked::Other),
            ("/evil", Asked::Other),
            ("a\\b", Asked::Other),
            ("a;b", Asked::Other),
        ] {
            assert_eq!(Asked::of(name), asked, "{name}");
        }
        assert_eq!(Asked::of(&"a".repeat(LONGEST + 1)), Asked::Other);
    }
}
