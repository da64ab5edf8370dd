//! What a release is made of, by the scripts that its workflow runs, on a copy of the project that may be released.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::scripts::{Machine, words};

const TARGETS: [&str; 4] =
    ["aarch64-apple-darwin", "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "x86_64-unknown-linux-gnu"];

/// As its owner leaves it before a release.
pub struct Project(tempfile::TempDir);

impl Project {
    pub fn new() -> Project {
        let project = Project(tempfile::tempdir().unwrap());
        for name in ["Cargo.lock", "LICENSE", "README.md", "docs", "man", "scripts", "src", "tests"] {
            std::os::unix::fs::symlink(root().join(name), project.path(name)).unwrap();
        }
        // The scripts find the project by where they are.
        fs::remove_file(project.path("scripts")).unwrap();
        let packaging = project.path("scripts/packaging");
        fs::create_dir_all(&packaging).unwrap();
        for entry in fs::read_dir(root().join("scripts/packaging")).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                crate::support::copy(entry.path(), packaging.join(entry.file_name()));
            }
        }
        let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let lines = manifest.lines().filter(|line| !line.starts_with("repository = ")).map(|line| match line {
            line if line.starts_with("authors = ") => {
                "authors = [\"A. Body <a@example.org>\"]\nrepository = \"https://github.com/owner/claude-failover\"".to_string()
            }
            line => line.to_string(),
        });
        fs::write(project.path("Cargo.toml"), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        let changelog =
            format!("# Changelog\n\n## {VERSION}, 2026-12-01\n\n### Added\n\n- All.\n\n## 0.0.1, 2026-01-01\n\n- Less.\n");
        fs::write(project.path("CHANGELOG.md"), changelog).unwrap();
        project
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(below)
    }

    /// Runs one of the scripts, with the programs of `machine` first on PATH.
    pub fn run(&self, script: &str, args: &[&str], machine: &Machine) -> Output {
        let path = format!("{}:{}", machine.folder().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.path("scripts/packaging").join(script));
        command.args(args).current_dir(self.0.path()).env("PATH", path);
        // The time of the commit, which a copy has not.
        command.env("SOURCE_DATE_EPOCH", "1795000000").env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap()
    }

    /// Makes the archive for a target of a stand-in for the binary, and returns its name.
    pub fn archive(&self, target: &str) -> String {
        let machine = binary(VERSION);
        let path = machine.folder().join("claude-failover");
        let output = self.run("archive.py", &[path.to_str().unwrap(), target, "dist"], &machine);
        let name = format!("claude-failover-{VERSION}-{target}");
        let said = (words(&output.stdout), words(&output.stderr), output.status.code());
        assert_eq!(said, (format!("dist/{name}.tar.gz\n"), String::new(), Some(0)));
        name
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A binary that says this version, and prints which completions it was asked for.
fn binary(version: &str) -> Machine {
    let body = format!(
        "case \"$*\" in --version) echo claude-failover {version} ;; 'llm-failover completions '*) echo \"# $3\" ;; *) exit 9 ;; esac"
    );
    Machine::new(&[("claude-failover", &body)])
}

fn none() -> Machine {
    Machine::new(&[])
}

#[test]
fn an_archive_holds_one_folder_with_all_of_it() {
    let project = Project::new();
    let name = project.archive("x86_64-unknown-linux-gnu");
    let archive = project.path(format!("dist/{name}.tar.gz"));
    let first = fs::read(&archive).unwrap();
    project.archive("x86_64-unknown-linux-gnu");
    assert!(first == fs::read(&archive).unwrap(), "the same makes the same");

    let tar = |option: &str| words(&Command::new("tar").arg(option).arg(&archive).output().unwrap().stdout);
    let files = [
        "claude-failover",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "THIRD-PARTY-LICENSES",
        "man/agent-llm.1",
        "man/claude-failover.1",
        "man/llm-failover.1",
        "completions/llm-failover.bash",
        "completions/_llm-failover",
        "completions/llm-failover.fish",
    ];
    let expected: Vec<_> = files.iter().map(|file| format!("{name}/{file}")).collect();
    assert_eq!(tar("-tzf").lines().collect::<Vec<_>>(), expected);
    let listing = tar("-tvzf");
    let modes: Vec<_> = listing.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(modes[0] == "-rwxr-xr-x" && modes[1..].iter().all(|mode| *mode == "-rw-r--r--"), "{listing}");

    let file = |file: &str| {
        words(&Command::new("tar").arg("-xOzf").arg(&archive).arg(format!("{name}/{file}")).output().unwrap().stdout)
    };
    assert_eq!(file("completions/_llm-failover"), "# zsh\n");
    let licences = file("THIRD-PARTY-LICENSES");
    for named in ["argh 0.", "ring 0.", "tokio 1.", "vsimd 0.", "the GNU C Library", "the Rust standard library"] {
        assert!(licences.contains(&format!("\n{named}")), "{named}");
    }
    // Neither of the tests' crates, nor of macOS' alone.
    assert!(!licences.contains("\ntempfile ") && !licences.contains("\nsysctl "));
    assert!(licences.contains("GNU LESSER GENERAL PUBLIC LICENSE") && licences.contains("Copyright (c) 2021 Nugine"));
}

#[test]
fn a_binary_of_another_version_is_not_packed() {
    let (project, machine) = (Project::new(), binary("0.0.1"));
    let path = machine.folder().join("claude-failover");
    let output = project.run("archive.py", &[path.to_str().unwrap(), TARGETS[0], "dist"], &machine);
    let resolved = fs::canonicalize(&path).unwrap();
    let said = format!(
        "archive.py: `{}` is `claude-failover 0.0.1`, and Cargo.toml has version {VERSION}; build it again\n",
        resolved.display()
    );
    assert_eq!((words(&output.stdout), words(&output.stderr), output.status.code()), (String::new(), said, Some(1)));
    assert!(!project.path("dist").exists());
}

#[test]
fn a_release_has_its_tag_its_changelog_and_its_repository() {
    let project = Project::new();
    let check = |tag: &str, repository: &str| {
        let output = project.run("release.sh", &["check", tag, repository], &none());
        assert_eq!(words(&output.stdout), "");
        (words(&output.stderr), output.status.code())
    };
    let tag = format!("v{VERSION}");
    assert_eq!(check(&tag, "owner/claude-failover"), (String::new(), Some(0)));
    let notes = project.run("release.sh", &["notes"], &none());
    assert_eq!((words(&notes.stdout).as_str(), words(&notes.stderr).as_str()), ("### Added\n\n- All.\n", ""));

    // All that is wrong at once.
    fs::write(project.path("CHANGELOG.md"), format!("## {VERSION}, not released yet\n\n- All.\n")).unwrap();
    let manifest = fs::read_to_string(project.path("Cargo.toml")).unwrap();
    fs::write(project.path("Cargo.toml"), manifest.replace(" <a@example.org>", "")).unwrap();
    let said = format!(
        "release.sh: the tag is `{tag}0`, and Cargo.toml has version {VERSION}: it should be `{tag}`\n\
         release.sh: CHANGELOG.md has no section `## {VERSION}, YYYY-MM-DD` with lines below it\n\
         release.sh: Cargo.toml lacks the line: repository = \"https://github.com/other/fork\"\n\
         release.sh: Cargo.toml lacks a line such as: authors = [\"NAME <NAME@EXAMPLE.ORG>\"]\n"
    );
    assert_eq!(check(&format!("{tag}0"), "other/fork"), (said, Some(1)));
    let notes = project.run("release.sh", &["notes"], &none());
    let said = format!("release.sh: CHANGELOG.md has no section `## {VERSION}, YYYY-MM-DD`\n");
    assert_eq!((words(&notes.stdout), words(&notes.stderr), notes.status.code()), (String::new(), said, Some(1)));
}

/// Makes the formula of four archives, and returns it with their checksums.
pub fn formula(project: &Project) -> (String, Vec<(String, String)>) {
    let dist = project.path("dist");
    fs::create_dir_all(&dist).unwrap();
    for target in TARGETS {
        fs::write(dist.join(format!("claude-failover-{VERSION}-{target}.tar.gz")), target).unwrap();
    }
    let sums = project.run("checksums.sh", &["dist"], &none());
    assert!(sums.status.success() && sums.stdout.is_empty() && sums.stderr.is_empty(), "{sums:?}");
    let text = fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    let sums = text.lines().map(|line| line.split_once("  ").unwrap()).map(|(sum, file)| (file.to_string(), sum.to_string()));
    let output = project.run("formula.sh", &["dist/SHA256SUMS"], &none());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    (words(&output.stdout), sums.collect())
}

#[test]
fn the_formula_has_each_archive_with_its_checksum() {
    let project = Project::new();
    let (formula, sums) = formula(&project);
    assert_eq!(sums.len(), TARGETS.len());
    for ((file, sum), target) in sums.iter().zip(TARGETS) {
        assert_eq!(*file, format!("claude-failover-{VERSION}-{target}.tar.gz"));
        let url = format!("https://github.com/owner/claude-failover/releases/download/v{VERSION}/{file}");
        assert!(formula.contains(&format!("url \"{url}\"\n      sha256 \"{sum}\"\n")), "{target}: {formula}");
    }
    assert!(!formula.contains('@'), "{formula}");
    // What it installs is in the archive.
    let all = [
        "claude-failover",
        "CHANGELOG.md",
        "README.md",
        "THIRD-PARTY-LICENSES",
        "completions/llm-failover.bash",
        "completions/_llm-failover",
        "completions/llm-failover.fish",
        "man/*.1",
    ];
    let install = formula.split("def install").nth(1).unwrap().split("def caveats").next().unwrap();
    let installs = install.lines().filter(|line| line.contains(".install ")).flat_map(|line| line.split("=>").next());
    let named: Vec<_> = installs.flat_map(|line| line.split('"').skip(1).step_by(2)).collect();
    assert!(named.len() == all.len() && named.iter().all(|name| all.contains(name)), "{named:?}");

    fs::remove_file(project.path(format!("dist/{}", sums[2].0))).unwrap();
    project.run("checksums.sh", &["dist"], &none());
    let output = project.run("formula.sh", &["dist/SHA256SUMS"], &none());
    let said = format!("formula.sh: dist/SHA256SUMS has no {}\n", sums[2].0);
    assert_eq!((words(&output.stdout), words(&output.stderr), output.status.code()), (String::new(), said, Some(1)));
}

#[test]
fn binstall_looks_for_the_archive_where_the_release_has_it() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[package.metadata.binstall]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let field = |key: &str| {
        let line = section.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).unwrap();
        let filled = line.trim_end_matches('"').replace("{ repo }", "https://github.com/owner/claude-failover");
        let filled = filled.replace("{ version }", VERSION).replace("{ name }", "claude-failover");
        filled.replace("{ target }", TARGETS[0]).replace("{ bin }{ binary-ext }", "claude-failover")
    };
    let project = Project::new();
    let name = words(&project.run("archive.py", &["--name", TARGETS[0]], &none()).stdout);
    let name = name.trim();
    let url = format!("https://github.com/owner/claude-failover/releases/download/v{VERSION}/{name}.tar.gz");
    assert_eq!(field("pkg-url"), url);
    assert!(formula(&project).0.contains(&format!("url \"{url}\"\n")));
    assert_eq!((field("bin-dir"), field("pkg-fmt")), (format!("{name}/claude-failover"), "tgz".into()));
}

#[test]
fn workflows_run_what_there_is_and_nothing_that_moves() {
    for name in ["ci.yml", "release.yml"] {
        let text = fs::read_to_string(root().join(".github/workflows").join(name)).unwrap();
        for used in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            let (action, version) = used.split_once(" # v").unwrap_or_else(|| panic!("{name}: {used} has no version"));
            let commit = action.split_once('@').unwrap().1;
            assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}: {used}");
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name}: {used}");
        }
        let steps = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for word in steps.flat_map(str::split_whitespace).filter(|word| word.starts_with("scripts/")) {
            assert!(root().join(word).is_file(), "{name}: {word}");
        }
    }
    let release = fs::read_to_string(root().join(".github/workflows/release.yml")).unwrap();
    for target in TARGETS {
        assert!(release.contains(&format!("target: {target} }}")), "{target}");
    }
    // Nothing may be done but what a job says.
    assert!(release.contains("\npermissions: {}\n"), "{release}");
}
