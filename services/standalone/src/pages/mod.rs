//! The pages for browsers: built from the tree when it is not what was built last.

mod npm;
mod sources;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use npm::Npm;

/// In a folder of built pages: from what they were built. It is hidden, so it is not served.
const BUILT_FROM: &str = ".built-from";

/// Where the pages are built, and for which suite.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// Their sources: `services/gateway/h5` of the tree.
    pub sources: PathBuf,
    /// The data folder of the suite, which keeps a copy that nobody builds into.
    pub data_dir: &'a Path,
    /// Where programs are looked for: `PATH`.
    pub path: OsString,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Pages {
    /// They are in this folder.
    Built(PathBuf),
    /// They are not, for this reason, and what to do about it.
    Missing(String),
}

impl Pages {
    /// The folder, if they are there.
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Built(folder) => Some(folder.clone()),
            Self::Missing(_) => None,
        }
    }
}

impl<'a> Workshop<'a> {
    /// The workshop of the tree that this program was built from; none where only the program
    /// is. Not that of the folder in which it is started: that may be anybody's.
    pub fn find(data_dir: &'a Path, path: OsString) -> Option<Self> {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/h5");
        let sources = fs::canonicalize(tree).ok()?;
        sources.join("package.json").is_file().then_some(Self { sources, data_dir, path })
    }

    /// Builds the pages unless they are what the sources say already. Blocks until then.
    pub fn build(&self, progress: &dyn Fn(&str)) -> Pages {
        match self.try_build(progress) {
            Ok(folder) => Pages::Built(folder),
            Err(error) => Pages::Missing(format!("{error:#}")),
        }
    }

    fn try_build(&self, progress: &dyn Fn(&str)) -> anyhow::Result<PathBuf> {
        let kept = self.data_dir.join("pages");
        if built_from(&kept) == Some(self.state()?) {
            return Ok(kept);
        }
        let _turn = Turn::take(&self.sources, progress)?;
        let built = self.sources.join("dist");
        let state = self.state()?;
        // Meanwhile another start may have done it all.
        if built_from(&kept).as_ref() == Some(&state) {
            return Ok(kept);
        }
        if built_from(&built).as_ref() != Some(&state) {
            match Npm::find(&self.path) {
                Ok(npm) => self.make(&npm, &built, &state, progress)?,
                Err(missing) if built.join("index.html").is_file() => {
                    progress(&format!("the pages are those of {}: {missing}", built.display()));
                }
                Err(missing) => return Err(missing),
            }
        }
        self.keep(&built, &kept)?;
        Ok(kept)
    }

    /// Of the sources as they are now.
    fn state(&self) -> anyhow::Result<String> {
        sources::digest(&self.sources).with_context(|| self.sources.display().to_string())
    }

    fn make(
        &self,
        npm: &Npm,
        built: &Path,
        state: &str,
        progress: &dyn Fn(&str),
    ) -> anyhow::Result<()> {
        let log = self.data_dir.join("pages.log");
        fs::write(&log, "").with_context(|| log.display().to_string())?;
        let lock = fs::read(self.sources.join("package-lock.json"));
        let lock = sources::digest_of(&lock.context("package-lock.json")?);
        let installed = self.sources.join("node_modules").join(BUILT_FROM);
        if fs::read_to_string(&installed).ok().as_ref() != Some(&lock) {
            progress("installing what the pages are built with (npm ci)");
            npm.run(&["ci"], &self.sources, &log)?;
            fs::write(&installed, &lock)?;
        }
        progress("building the pages (npm run build)");
        // What a build leaves that fails is of nothing.
        let from = built.join(BUILT_FROM);
        if from.exists() {
            fs::remove_file(&from)?;
        }
        npm.run(&["run", "build"], &self.sources, &log)?;
        anyhow::ensure!(
            built.join("index.html").is_file(),
            "`npm run build` made no dist/index.html; what it said stands in {}",
            log.display()
        );
        Ok(fs::write(&from, state)?)
    }

    /// Copies what was built, so that no later build empties the folder that is served.
    fn keep(&self, built: &Path, kept: &Path) -> anyhow::Result<()> {
        let new = self.data_dir.join("pages.new");
        for old in [&new, kept] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| old.display().to_string())?;
            }
        }
        copy(built, &new).with_context(|| new.display().to_string())?;
        fs::rename(&new, kept).with_context(|| kept.display().to_string())
    }
}

/// The right to build, which one start at a time has. A start that dies gives it back.
struct Turn(fs::File);

impl Turn {
    fn take(sources: &Path, progress: &dyn Fn(&str)) -> anyhow::Result<Self> {
        let turn = fs::File::open(sources)?;
        if turn.try_lock().is_err() {
            progress("waiting for another start, which builds the pages");
            turn.lock().context("no turn to build the pages")?;
        }
        Ok(Self(turn))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing would not be enough while a program that is just being started has the file
        // open too.
        let _given_back = self.0.unlock();
    }
}

/// From what the pages of a folder were built, if we did it.
fn built_from(folder: &Path) -> Option<String> {
    let from = fs::read_to_string(folder.join(BUILT_FROM)).ok()?;
    folder.join("index.html").is_file().then_some(from)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, new) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &new)?;
        } else {
            fs::copy(&path, &new)?;
        }
    }
    Ok(())
}
