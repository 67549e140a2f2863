//! Puts the built pages into release builds. A debug build reads nothing of them, so that
//! neither npm nor a change of a page costs it anything.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What `npm run build` makes.
const BUILT: &str = "h5/dist";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let built = here.join(BUILT);
    let mut files = Vec::new();
    if variable("PROFILE")? == "release" {
        if built.join("index.html").is_file() {
            println!("cargo::rerun-if-changed={BUILT}");
            collect(&built, "", &mut files)?;
            files.sort();
        } else {
            // What is not there can't be watched, or it would count as changed each time.
            if here.join("h5").is_dir() {
                println!("cargo::rerun-if-changed=h5");
            }
            println!(
                "cargo::warning=this release build holds no pages for browsers: type \
                 `npm ci && npm run build` in services/gateway/h5, then build again"
            );
        }
    }
    let mut code = String::from("&[\n");
    for (name, path) in &files {
        writeln!(code, "    ({name:?}, include_bytes!({path:?}).as_slice()),")?;
    }
    code += "]\n";
    fs::write(Path::new(&variable("OUT_DIR")?).join("pages.rs"), code)?;
    Ok(())
}

fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    std::env::var(name).map_err(|error| format!("{name}: {error}").into())
}

/// The files below a folder, by their names from there; none that is hidden.
fn collect(
    folder: &Path,
    prefix: &str,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            files.push((name, path));
        }
    }
    Ok(())
}
