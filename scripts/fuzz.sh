#!/usr/bin/env bash
# Tries the parsers with bytes that nobody would write: the targets of tests/fuzz, as cargo-fuzz runs them, with stable Rust
# and without cargo-fuzz. A line for each target says how many inputs it took, and how many places of the code they reach.
# usage: fuzz.sh [TARGET]...      each of them, or all, for 10 seconds; SECONDS_EACH=600 for longer
#        fuzz.sh TARGET FILE      one input again
#        fuzz.sh --build          only builds what is run
#        fuzz.sh --check          only whether this machine has what it takes
# What an input was found to break is to become a seed in tests/fuzz/corpus: the unit tests try these. SEED=1 makes each run the same.
set -euo pipefail

cd "$(dirname "$0")/.."
folder=target/fuzz

main() {
    case "${1:-}" in
        --check) check_machine ;;
        --build)
            check_machine
            build
            ;;
        --run) run "$2" ;;
        *)
            check_machine
            build
            if [ -e "${2:-}" ]; then
                again "$1" "$2"
            else
                run_all "$@"
            fi
            ;;
    esac
}

check_machine() {
    if ! command -v c++ >/dev/null; then
        echo "fuzz.sh: this machine lacks c++, a C++ compiler, which libFuzzer is built with"
        echo "hint: Debian, Ubuntu: sudo apt install g++"
        echo "hint: Fedora: sudo dnf install gcc-c++"
        echo "hint: macOS: xcode-select --install"
        exit 1
    fi >&2
}

host() {
    rustc -vV | sed -n 's/^host: //p'
}

# What `cargo fuzz build --release --debug-assertions --sanitizer none` sets.
build() {
    RUSTFLAGS="--cfg fuzzing -D warnings -C passes=sancov-module
        -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters
        -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
        -C llvm-args=-simplifycfg-branch-fold-threshold=0" \
        cargo build --locked --release --manifest-path tests/fuzz/Cargo.toml --target-dir "$folder" --target "$(host)"
}

binary() {
    echo "$folder/$(host)/release/$1"
}

run_all() {
    local cores
    # Word splitting makes the list of targets.
    # shellcheck disable=SC2046
    [ $# -gt 0 ] || set -- $(sed -n '/^\[\[bin\]\]/,$s/^name = "\(.*\)"/\1/p' tests/fuzz/Cargo.toml)
    cores=$(getconf _NPROCESSORS_ONLN)
    printf '%s\n' "$@" | xargs -P "$cores" -n 1 scripts/fuzz.sh --run
}

# Runs one target. What it has learnt stays in target/fuzz, for the next time.
run() {
    local learnt=$folder/corpus/$1 found=$folder/found/$1 log=$folder/$1.log temporary
    mkdir -p "$learnt" "$found"
    # Some targets write files all the time.
    [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
    temporary=$(mktemp -d)
    # The folder's name is known now, and not when the trap is run.
    # shellcheck disable=SC2064
    trap "rm -rf '$temporary'" EXIT
    if ! RUST_BACKTRACE=0 TMPDIR=$temporary "$(binary "$1")" -max_total_time="${SECONDS_EACH:-10}" -seed="${SEED:-0}" -max_len=8192 -timeout=60 \
        -rss_limit_mb=1024 -dict="tests/fuzz/dictionaries/$1" -artifact_prefix="$found/" -print_final_stats=1 \
        "$learnt" "tests/fuzz/corpus/$1" >"$log" 2>&1; then
        report "$1" "$log" >&2
        exit 1
    fi
    printf '%-13s %9d runs, %5d places\n' "$1" "$(number 'number_of_executed_units: *' "$log")" "$(number 'cov: ' "$log")"
}

# The last number that stands behind these words.
number() {
    sed -n "s/.*$1\([0-9][0-9]*\).*/\1/p" "$2" | tail -n 1
}

report() {
    local input
    echo "fuzz.sh: $1 has failed:"
    grep -v -e '^#' -e '^INFO' -e '^NOTE' -e '^stat:' -e '^MS: ' -e '^Dictionary' "$2" | tail -n 25 | cut -c 1-1000 | sed 's/^/    /'
    input=$(sed -n 's/.*Test unit written to //p' "$2" | tail -n 1)
    [ -z "$input" ] || echo "hint: scripts/fuzz.sh $1 $input"
}

again() {
    "$(binary "$1")" -timeout=60 -rss_limit_mb=1024 "$2"
}

main "$@"
