//! The decision what is built, with an npm that is played.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A tree with sources of pages, and a folder of programs.
struct Tree {
    root: tempfile::TempDir,
}

/// An npm that writes what it is asked for into `calls`, and builds `dist` from `src`.
const NPM: &str = r#"#!/bin/sh
echo "$*" >> ../calls
case "$1" in
ci) mkdir -p node_modules && echo {} > node_modules/.package-lock.json ;;
run)
    rm -rf dist; mkdir -p dist/assets src/gen
    date +%s%N > src/gen/made.ts
    cp src/page.html dist/index.html
    echo 'let a' > dist/assets/index-AAAAAAAA.js ;;
esac
"#;

impl Tree {
    fn new() -> Self {
        let tree = Self { root: tempfile::tempdir().unwrap() };
        for folder in ["programs", "data", "services/gateway/h5/src", "proto"] {
            fs::create_dir_all(tree.root.path().join(folder)).unwrap();
        }
        tree.write("package.json", "{}");
        tree.write("package-lock.json", "{}");
        tree.write(".gitignore", "node_modules/\ndist/\nsrc/gen/\n");
        tree.write("src/page.html", "<p>1</p>");
        tree.program("node", "#!/bin/sh\necho v20.19.0\n");
        tree.program("npm", NPM);
        tree
    }

    fn sources(&self) -> PathBuf {
        self.root.path().join("services/gateway/h5")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.sources().join(name), content).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.root.path().join("programs").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Builds, and tells every line of progress.
    fn build(&self) -> (Pages, Vec<String>) {
        self.build_in("data", "/usr/bin:/bin")
    }

    fn build_in(&self, data: &str, others: &str) -> (Pages, Vec<String>) {
        let lines = RefCell::new(Vec::new());
        let pages = self.build_with(data, others, &|line| lines.borrow_mut().push(line.to_owned()));
        (pages, lines.into_inner())
    }

    fn build_with(&self, data: &str, others: &str, progress: &dyn Fn(&str)) -> Pages {
        let data_dir = self.root.path().join(data);
        fs::create_dir_all(&data_dir).unwrap();
        let path = format!("{}:{others}", self.root.path().join("programs").display()).into();
        let workshop = Workshop { sources: self.sources(), data_dir: &data_dir, path };
        workshop.build(progress)
    }

    /// Builds, and tells what is in the page.
    fn page(&self) -> String {
        let Pages::Built(folder) = self.build().0 else { panic!("nothing was built") };
        assert_eq!(folder, self.root.path().join("data/pages"));
        fs::read_to_string(folder.join("index.html")).unwrap()
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.root.path().join("services/gateway/calls"));
        calls.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn missing(&self) -> String {
        match self.build().0 {
            Pages::Missing(why) => why,
            built @ Pages::Built(_) => panic!("{built:?}"),
        }
    }
}

#[test]
fn are_built_once_and_then_not_again() {
    let tree = Tree::new();
    let (pages, lines) = tree.build();
    let kept = tree.root.path().join("data/pages");
    assert_eq!(pages, Pages::Built(kept.clone()));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("npm ci") && lines[1].contains("npm run build"), "{lines:?}");
    assert!(kept.join("assets/index-AAAAAAAA.js").is_file());
    assert_eq!(tree.build(), (Pages::Built(kept), Vec::new()));
    assert_eq!(tree.calls(), ["ci", "run build"]);
}

#[test]
fn are_built_again_when_a_source_a_contract_or_a_dependency_changes() {
    let tree = Tree::new();
    assert_eq!(tree.page(), "<p>1</p>");
    tree.write("src/page.html", "<p>2</p>");
    assert_eq!(tree.page(), "<p>2</p>");
    fs::write(tree.root.path().join("proto/new.proto"), "").unwrap();
    tree.page();
    fs::rename(tree.sources().join("src/page.html"), tree.sources().join("src/p")).unwrap();
    tree.write("src/page.html", "<p>2</p>");
    tree.page();
    assert_eq!(tree.calls(), ["ci", "run build", "run build", "run build", "run build"]);
    tree.write("package-lock.json", "{ }");
    tree.page();
    assert_eq!(tree.calls()[5..], ["ci", "run build"]);
}

#[test]
fn another_suite_takes_what_is_built() {
    let tree = Tree::new();
    tree.page();
    let (pages, lines) = tree.build_in("other", "/usr/bin:/bin");
    assert_eq!((pages, lines), (Pages::Built(tree.root.path().join("other/pages")), vec![]));
    assert_eq!(tree.calls(), ["ci", "run build"]);
}

#[test]
fn two_starts_build_one_after_the_other() {
    let tree = Tree::new();
    let turn = fs::File::open(tree.sources()).unwrap();
    turn.lock().unwrap();
    let (lines, said) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tree.build_with("data", "/usr/bin:/bin", &|line| lines.send(line.to_owned()).unwrap())
        });
        let first = said.recv().unwrap();
        assert!(first.contains("waiting for another start"), "{first}");
        // What the other start built is what this one wanted.
        let before = tree.calls();
        let state = sources::digest(&tree.sources()).unwrap();
        fs::create_dir(tree.sources().join("dist")).unwrap();
        tree.write("dist/index.html", "<p>of the other</p>");
        tree.write("dist/.built-from", &state);
        turn.unlock().unwrap();
        assert!(before.is_empty(), "{before:?}");
    });
    assert_eq!(tree.page(), "<p>of the other</p>");
    assert!(tree.calls().is_empty());
}

#[test]
fn without_npm_it_is_said_what_to_install() {
    let tree = Tree::new();
    fs::remove_file(tree.root.path().join("programs/npm")).unwrap();
    let (pages, _) = tree.build_in("data", "");
    let Pages::Missing(why) = pages else { panic!("{pages:?}") };
    assert!(why.contains("npm is not there") && why.contains("nodejs.org"), "{why}");
}

#[test]
fn pages_that_were_built_elsewhere_do_without_npm() {
    let tree = Tree::new();
    fs::remove_file(tree.root.path().join("programs/npm")).unwrap();
    fs::create_dir(tree.sources().join("dist")).unwrap();
    tree.write("dist/index.html", "<p>by hand</p>");
    let (pages, lines) = tree.build_in("data", "");
    let Pages::Built(folder) = pages else { panic!("{pages:?}") };
    assert_eq!(fs::read_to_string(folder.join("index.html")).unwrap(), "<p>by hand</p>");
    assert!(lines[0].contains("npm is not there"), "{lines:?}");
    // They are not taken for what the sources say once npm has come.
    tree.program("npm", NPM);
    assert_eq!(tree.page(), "<p>1</p>");
}

#[test]
fn an_old_node_is_named() {
    let tree = Tree::new();
    tree.program("node", "#!/bin/sh\necho v18.20.4\n");
    let why = tree.missing();
    assert!(why.contains("v18.20.4") && why.contains("20.19"), "{why}");
    assert!(tree.calls().is_empty());
}

#[test]
fn a_build_that_fails_shows_the_end_of_its_log_and_is_tried_again() {
    let tree = Tree::new();
    tree.program("npm", "#!/bin/sh\nseq 1 40; echo 'error TS2322: no' >&2; exit 2\n");
    let why = tree.missing();
    let log = tree.root.path().join("data/pages.log");
    assert!(why.contains("npm ci") && why.contains(log.to_str().unwrap()), "{why}");
    assert!(why.ends_with("    40\n    error TS2322: no") && !why.contains("    20\n"), "{why}");
    let usage = "echo npm error code EUSAGE; echo npm error out of sync; seq 1 40; exit 1";
    tree.program("npm", &format!("#!/bin/sh\n{usage}\n"));
    let why = tree.missing();
    assert!(why.contains("    npm error out of sync\n    1\n") && !why.contains("    40"), "{why}");
    tree.program("npm", NPM);
    assert_eq!(tree.page(), "<p>1</p>");
    assert_eq!(tree.calls(), ["ci", "run build"]);
}

#[test]
fn a_build_that_fails_half_way_is_not_taken_for_one() {
    let tree = Tree::new();
    tree.page();
    tree.write("src/page.html", "<p>2</p>");
    tree.program("npm", "#!/bin/sh\necho half > dist/index.html; exit 1\n");
    assert!(tree.missing().contains("npm run build"));
    tree.program("npm", NPM);
    assert_eq!(tree.page(), "<p>2</p>");
    // Nor is one that ends well and made nothing.
    tree.write("src/page.html", "<p>3</p>");
    tree.program("npm", "#!/bin/sh\nrm -rf dist\n");
    assert!(tree.missing().contains("no dist/index.html"));
}
