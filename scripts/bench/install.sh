#!/usr/bin/env bash
# Installs what the benchmarks run beside us into target/bench-deps, unless it is there, and prints the path of its program.
# usage: install.sh claude-code|claude-code-router|litellm
set -euo pipefail

scripts=$(cd "$(dirname "$0")/.." && pwd)
deps="$(dirname "$scripts")/target/bench-deps"

main() {
    case "${1:-}" in
        claude-code) from_npm claude-code-2.1.330 @anthropic-ai/claude-code@2.1.330 claude ;;
        # 3.1.1 needs a package that its registry does not have.
        claude-code-router) from_npm claude-code-router-2.0.0 @musistudio/claude-code-router@2.0.0 ccr ;;
        # 1.74.15 ends its streams in the wrong order, and 1.107.0 is not to be used.
        litellm) from_pip litellm-1.102.4 "litellm[proxy]==1.102.4" litellm ;;
        *) fail "cannot understand \`${1:-}\`; use claude-code, claude-code-router or litellm" ;;
    esac
}

# FOLDER PACKAGE PROGRAM
from_npm() {
    local program=$deps/$1/node_modules/.bin/$3
    if [ ! -x "$program" ]; then
        command -v npm >/dev/null || fail "no npm on PATH"
        npm install --silent --no-audit --no-fund --prefix "$deps/$1" "$2" >&2 || fail "npm cannot install $2"
    fi
    echo "$program"
}

from_pip() {
    local program=$deps/$1/bin/$3 python
    if [ ! -x "$program" ]; then
        python=$("$scripts/find-python.sh") || exit 1
        "$python" -m venv "$deps/$1"
        "$deps/$1/bin/pip" install --quiet --disable-pip-version-check "$2" >&2 || fail "pip cannot install $2"
    fi
    echo "$program"
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

main "$@"
