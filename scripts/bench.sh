#!/usr/bin/env bash
# Measures what claude-failover costs, side by side in one run on this machine:
# becoming the real Claude, against a C program that does nothing else; watching it, against running it; a local answer,
# against curl and jq; an outage, against the real Claude Code alone, where scripts/test-deps.sh has put one; and the
# gateway, which scripts/bench-gateway.sh does.
# usage: bench.sh [ROUNDS]        default: 3000
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3000}
place=$(mktemp -d)
stub=
port=
curl=()
outage=
trap 'rm -rf "$place"; for pid in $stub $outage; do kill "$pid" 2>/dev/null; done' EXIT

main() {
    case "$rounds" in *[!0-9]* | "" | 0) fail "\`$rounds\` is no number of rounds" ;; esac
    command -v cc >/dev/null || fail "cc, a C compiler, is not on PATH"
    local binary
    binary=$("$scripts/build.sh")
    mkdir -p "$place/bin" "$place/real" "$place/watched" "$place/home/.local/state" "$place/home/.config/claude-failover"
    cp "$binary" "$place/bin/claude-failover"
    "$place/bin/claude-failover" --install "$place/bin" >/dev/null
    compile race "$scripts/bench/race.c"
    compile latency "$scripts/bench/latency.c"
    compile stub "$scripts/bench/stub.c" -pthread
    printf 'int main(void) { return 0; }\n' | compile real/claude -x c -
    printf '#include <unistd.h>\nextern char **environ;\nint main(int n, char **v) { (void)n; execve(REAL, v, environ); return 126; }\n' |
        compile exec -x c -D "REAL=\"$place/real/claude\"" -

    # Three minutes, asleep nearly all of it.
    local claude=$scripts/../target/test-deps/claude/node_modules/.bin/claude
    if [ -x "$claude" ]; then
        give_up_alone "$claude" >"$place/alone" &
        outage=$!
    fi
    become_claude
    status_line
    watch_claude
    if ! command -v curl >/dev/null; then
        echo "no curl on PATH: local answers are not measured"
        return
    fi
    start_stub
    answer_locally
    first_piece
    if command -v jq >/dev/null; then many_tokens; else echo "no jq on PATH: the cost of tokens is not measured"; fi
    if [ -n "$outage" ]; then answer_in_an_outage "$claude"; else echo "no real Claude Code: an outage is not measured"; fi
    "$scripts/bench-gateway.sh" --binary "$binary"
}

compile() {
    local program=$place/$1
    shift
    # macOS has no static programs.
    cc -O2 -static -o "$program" "$@" 2>/dev/null || cc -O2 -o "$program" "$@"
}

# As it is for a user: settings and switch are there, our folder is the first on PATH and the real one's comes next.
become_claude() {
    echo "LLM_PORT=9420" >"$place/home/.config/claude-failover/config.env"
    echo claude >"$place/home/.local/state/llm-backend"
    in_sandbox "$place/race" "$rounds" \
        "$place/real/claude" -p hi , "$place/exec" -p hi , "$place/bin/claude" -p hi >"$place/result"
    echo "becoming the real Claude, here a program that does nothing ($rounds rounds, medians)"
    awk 'NR == 1 { direct = $1; printf "  directly                    %8.1f us\n", $1 / 1000 }
         NR == 2 { c = $1; printf "  by a C program that execs   %8.1f us  %+8.1f us\n", $1 / 1000, (c - direct) / 1000 }
         NR == 3 { printf "  by the shim, found on PATH  %8.1f us  %+8.1f us  ratio %.2f, target at most 1.5\n",
                   $1 / 1000, ($1 - direct) / 1000, ($1 - direct) / (c - direct) }' "$place/result"
    if command -v strace >/dev/null; then
        in_sandbox strace -o "$place/trace" "$place/bin/claude" -p hi
        awk '/^execve/ && ++execs == 2 { print "  system calls of the shim, between its start and Claude: " NR - 2 }' "$place/trace"
    fi
}

# From files alone: what it takes beside a program that does nothing.
status_line() {
    in_sandbox "$place/race" "$rounds" "$place/real/claude" , "$place/bin/llm-failover" statusline >"$place/result"
    awk 'NR == 1 { direct = $1 }
         NR == 2 { printf "the status line                %8.1f us more than a program that does nothing, target at most 2000\n",
                   ($1 - direct) / 1000 }' "$place/result"
}

# In `auto`: what the watching adds to a call, and to each piece of a long answer.
watch_claude() {
    local some=$((rounds / 10 + 1)) few=$((rounds / 100 + 1))
    compile watched/claude "$scripts/bench/claude.c"
    echo '{"name": "@anthropic-ai/claude-code", "version": "2.1.330"}' >"$place/watched/package.json"
    echo "CLAUDE_BIN=$place/watched/claude" >"$place/home/.config/claude-failover/config.env"
    echo auto >"$place/home/.local/state/llm-backend"
    in_sandbox "$place/race" "$some" "$place/watched/claude" -p hi , "$place/bin/claude" -p hi >"$place/result"
    echo "watching Claude, here a program that answers at once ($some rounds, medians)"
    awk 'NR == 1 { direct = $1; printf "  directly                    %8.2f ms\n", $1 / 1000000 }
         NR == 2 { printf "  watched, in auto            %8.2f ms  %+8.2f ms, target at most 5\n", $1 / 1000000, ($1 - direct) / 1000000 }' \
        "$place/result"
    in_sandbox "$place/race" "$few" \
        "$place/watched/claude" -p "10000 tokens" --output-format stream-json --verbose , \
        "$place/bin/claude" -p "10000 tokens" --output-format stream-json --verbose --include-partial-messages >"$place/result"
    awk 'NR == 1 { direct = $3 }
         NR == 2 { printf "  10000 partial messages      %8.2f us of processor time each, for Claude Code %.2f\n", ($3 - direct) / 1e7, direct / 1e7 }' \
        "$place/result"
    [ -r /proc/self/status ] || return 0
    in_sandbox "$place/bin/claude" -p stay >/dev/null &
    local watcher=$! memory=0 pid
    sleep 0.3
    for pid in $watcher $(cat "/proc/$watcher/task/$watcher/children"); do
        [ "$(readlink "/proc/$pid/exe")" != "$place/bin/claude-failover" ] ||
            memory=$((memory + $(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")))
    done
    wait "$watcher"
    awk -v memory="$memory" 'BEGIN { printf "  peak memory of the watcher and its guard %.1f MiB, target at most 8\n", memory / 1024 }'
}

# Nobody listens at port 9 of this machine: the connection is refused at once, as when there is no network.
give_up_alone() {
    local begun=$SECONDS
    mkdir -p "$place/alone.home"
    env -i HOME="$place/alone.home" PATH=/usr/local/bin:/usr/bin:/bin ANTHROPIC_API_KEY=none ANTHROPIC_BASE_URL=http://127.0.0.1:9 \
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 "$1" -p hi </dev/null >/dev/null 2>&1 || true
    echo $((SECONDS - begun))
}

answer_in_an_outage() {
    echo "CLAUDE_BIN=$1" >>"$place/home/.config/claude-failover/config.env"
    echo auto >"$place/home/.local/state/llm-backend"
    in_sandbox env ANTHROPIC_API_KEY=none ANTHROPIC_BASE_URL=http://127.0.0.1:9 CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 \
        "$place/bin/claude" -p hi </dev/null >/dev/null 2>&1
    in_sandbox "$place/bin/llm-failover" log --json | sed -n 's/.*"network".*"seconds":\([0-9.]*\).*/\1/p' >"$place/result"
    wait "$outage" || true
    outage=
    echo "nobody answers at Anthropic's address"
    awk 'NR == FNR { ours = $1; next }
         { printf "  the real Claude Code gives up after %6.1f s\n  a local answer in auto after        %6.1f s  ratio %.3f\n", $1, ours, ours / $1 }' \
        "$place/result" "$place/alone"
}

start_stub() {
    "$place/stub" "$place/body" >"$place/port" &
    stub=$!
    while [ ! -s "$place/port" ]; do sleep 0.05; done
    port=$(cat "$place/port")
    printf 'LLM_PORT=%s\nLLM_SUPERVISOR=none\nLOCAL_LLM_MODEL=stub\nLOCAL_LLM_CONTEXT=8192\n' "$port" \
        >"$place/home/.config/claude-failover/config.env"
    echo local >"$place/home/.local/state/llm-backend"
}

# Leaves the body that curl is to send.
ask() {
    in_sandbox "$place/bin/claude" -p "$1" </dev/null >/dev/null
    curl=("$(command -v curl)" -sS -N --header "Content-Type: application/json" --data-binary "@$place/$2"
        "http://127.0.0.1:$port/v1/chat/completions")
    cp "$place/body" "$place/$2"
}

answer_locally() {
    local some=$((rounds / 10 + 1))
    ask hi short
    in_sandbox "$place/race" "$some" "${curl[@]}" , "$place/bin/claude" -p hi , \
        "$place/bin/claude" -p hi --output-format stream-json --verbose >"$place/result"
    echo "a local answer from a server that answers at once ($some rounds, medians)"
    awk 'NR == 1 { curl = $1; printf "  curl, the same POST         %8.2f ms\n", $1 / 1000000 }
         NR > 1 { printf "  %-27s %8.2f ms  ratio %.2f, target at most 1.0; peak memory %.1f MiB, target at most 8\n",
                  NR == 2 ? "claude -p" : "  in stream-json", $1 / 1000000, $1 / curl, $2 / 1024 }' "$place/result"
}

first_piece() {
    local some=$((rounds / 10 + 1))
    ask "1 tokens" one
    in_sandbox "$place/latency" "$some" "${curl[@]}" , \
        "$place/bin/claude" -p "1 tokens" --output-format stream-json --verbose --include-partial-messages >"$place/result"
    echo "from the server's first token to the first partial message ($some rounds, medians)"
    awk 'NR == 1 { curl = $1; printf "  curl, the event as it is    %8.1f us\n", $1 / 1000 }
         NR == 2 { printf "  claude -p, as a message     %8.1f us  ratio %.2f; target at most 1000 us\n", $1 / 1000, $1 / curl }' \
        "$place/result"
}

many_tokens() {
    local some=$((rounds / 100 + 1))
    ask "10000 tokens" many
    # shellcheck disable=SC2016
    in_sandbox "$place/race" "$some" \
        /bin/sh -c '"$@" | jq --unbuffered -Rj "ltrimstr(\"data: \") | fromjson? | .choices[0].delta.content // empty"' sh "${curl[@]}" , \
        "$place/bin/claude" -p "10000 tokens" --output-format stream-json --verbose --include-partial-messages >"$place/result"
    echo "10000 tokens as fast as the server has them ($some rounds, medians)"
    awk 'NR == 1 { jq = $3; printf "  curl piped into jq          %8.1f ms of processor time\n", $3 / 1000000 }
         NR == 2 { printf "  claude -p, with partials    %8.1f ms of processor time, ratio %.2f, target at most 1.0; peak memory %.1f MiB\n",
                   $3 / 1000000, $3 / jq, $2 / 1024 }' "$place/result"
}

in_sandbox() {
    env -i HOME="$place/home" PATH="$place/bin:$place/real:/usr/local/bin:/usr/bin:/bin" "$@"
}

fail() {
    echo "bench.sh: $1" >&2
    exit 1
}

main "$@"
