//! The shell scripts on machines that this one is not, by stand-ins for what tells them apart.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name)
}

/// A folder of programs, each `#!/bin/sh` and a body, ahead of the system's own.
pub struct Machine(tempfile::TempDir);

impl Machine {
    pub fn new(programs: &[(&str, &str)]) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for (name, body) in programs {
            let file = dir.path().join(name);
            fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Machine(dir)
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, script: &Path, args: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.folder().display());
        Command::new(script).args(args).env_clear().env("PATH", path).env("HOME", self.folder()).output().unwrap()
    }
}

pub fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The script takes what the checksum is of, gives it the options, and leaves nothing of it behind.
#[test]
fn the_installer_takes_a_release_whose_checksum_is_right() {
    let machine = Machine::new(&[("uname", "case $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac")]);
    let name = "claude-failover-1.2.3-x86_64-unknown-linux-gnu";
    let release = machine.folder().join("release");
    let program = release.join(name).join("claude-failover");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, "#!/bin/sh\necho \"$@\"\nexit 7\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let pack = format!("tar -czf {name}.tar.gz {name} && sha256sum {name}.tar.gz >SHA256SUMS");
    let packed = Command::new("/bin/sh").args(["-c", &pack]).current_dir(&release).status().unwrap();
    assert!(packed.success());
    let temporary = machine.folder().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let path = format!("{}:/usr/bin:/bin", machine.folder().display());
    let run = |args: &[&str]| {
        let mut command = Command::new(script("install.sh"));
        command.args(args).env_clear().env("PATH", &path).env("HOME", machine.folder()).env("TMPDIR", &temporary);
        let output = command.output().unwrap();
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "nothing is left");
        (output.status.code(), words(&output.stdout), words(&output.stderr))
    };
    let place = release.display().to_string();
    let said = "setup --yes --model a b\n";
    assert_eq!(run(&["--prebuilt", &place, "--yes", "--model", "a b"]), (Some(7), said.into(), String::new()));
    let text = fs::read_to_string(release.join("SHA256SUMS")).unwrap();
    let other = if text.starts_with('0') { "1" } else { "0" };
    fs::write(release.join("SHA256SUMS"), format!("{other}{}", &text[1..])).unwrap();
    let wrong = format!("install.sh: {name}.tar.gz is not what its checksum says\n");
    assert_eq!(run(&["--prebuilt", &place]), (Some(1), String::new(), wrong));
    fs::write(release.join("SHA256SUMS"), text.replace("x86_64", "riscv64")).unwrap();
    let none = format!("install.sh: {place} has no release for this system (x86_64-unknown-linux-gnu)\n");
    assert_eq!(run(&["--prebuilt", &place]), (Some(1), String::new(), none));
    let no_place = "install.sh: ftp://a is no https:// address\n";
    assert_eq!(run(&["--prebuilt", "ftp://a"]), (Some(1), String::new(), no_place.into()));
}

/// A Python that says what `machine` it is for.
fn python(machine: &str) -> String {
    format!("case \"$2\" in *version_info*) echo \"$0\" ;; *machine*) echo {machine} ;; esac")
}

fn mac(arm64: u8, translated: u8) -> String {
    format!("case \"$2\" in hw.optional.arm64) echo {arm64} ;; sysctl.proc_translated) echo {translated} ;; *) exit 1 ;; esac")
}

#[test]
fn mlx_gets_no_python_under_rosetta() {
    let (intel, native) = (python("x86_64"), python("arm64"));
    // On macOS all Pythons that are asked for are among the stand-ins: the system's own are no part of this.
    let later = ["python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
    let table = [
        ("Darwin", mac(1, 0), &intel, &intel, "--mlx", Err("is for Intel and runs under Rosetta, on which mlx does not run; ")),
        ("Darwin", mac(1, 1), &intel, &intel, "--mlx", Err("run this again from `arch -arm64 /bin/bash`")),
        ("Darwin", mac(1, 0), &intel, &native, "--mlx", Ok("python3.14")),
        ("Darwin", mac(1, 0), &native, &native, "--mlx", Ok("python3")),
        ("Darwin", mac(1, 0), &intel, &intel, "", Ok("python3")),
        ("Darwin", mac(0, 0), &intel, &intel, "--mlx", Ok("python3")),
        ("Linux", "exit 1".into(), &intel, &intel, "--mlx", Ok("python3")),
    ];
    for (system, sysctl, first, others, option, expected) in table {
        let uname = format!("echo {system}");
        let mut programs = vec![("uname", uname.as_str()), ("sysctl", &sysctl), ("python3", first)];
        programs.extend(later.iter().map(|name| (*name, others.as_str())));
        let machine = Machine::new(&programs);
        let args = if option.is_empty() { vec![] } else { vec![option] };
        let output = machine.run(&script("find-python.sh"), &args);
        let (stdout, stderr) = (words(&output.stdout), words(&output.stderr));
        let path = |name: &str| format!("{}\n", machine.folder().join(name).display());
        match expected {
            Ok(name) => {
                assert_eq!((stdout, stderr, output.status.code()), (path(name), String::new(), Some(0)), "{system} {sysctl}")
            }
            Err(said) => {
                assert_eq!((stdout.as_str(), output.status.code()), ("", Some(1)));
                assert!(stderr.starts_with("find-python.sh: ") && stderr.contains(said), "{stderr}");
                assert_eq!(stderr.lines().count(), 1, "{stderr}");
            }
        }
    }
}

#[test]
fn a_rust_that_cannot_strip_builds_all_the_same() {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let rustc = format!("{}/bin/rustc", words(&sysroot.stdout).trim());
    // As rustc fails for macOS if its toolchain has no rust-objcopy.
    let fails =
        "case \"$*\" in *strip=*) echo 'error: unable to run `rust-objcopy`: No such file or directory' >&2; exit 1 ;; esac";
    let broken = "case \"$*\" in *strip=*) printf '#!/bin/sh\\nexit 9\\n' >\"$4\"; chmod +x \"$4\"; exit ;; esac";
    let line =
        "build.sh: this Rust cannot strip programs (it may lack rust-objcopy), so the binary keeps its symbols and is larger";
    for (body, strips) in [("", true), (fails, false), (broken, false)] {
        let machine = Machine::new(&[("rustc", &format!("{body}\nexec '{rustc}' \"$@\""))]);
        let path = format!("{}:{}", machine.folder().display(), std::env::var("PATH").unwrap());
        let output = Command::new(script("build.sh")).arg("--print-rustflags").env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(words(&output.stdout).contains("-C strip=symbols"), strips, "{body}");
        assert_eq!(words(&output.stderr).contains(line), !strips, "{body}: {output:?}");
    }
    // Without the script it is not tried at all.
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let profile = manifest.split("[profile.release]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    assert!(profile.contains("\nstrip = \"none\"\n"), "{profile}");
}
