#!/usr/bin/env bash
# Measures what claude-failover costs, side by side in one run on this machine:
# becoming the real Claude, against a C program that does nothing else; and a local answer, against curl and jq.
# usage: bench.sh [ROUNDS]        default: 3000
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3000}
place=$(mktemp -d)
stub=
port=
curl=()
trap 'rm -rf "$place"; [ -z "$stub" ] || kill "$stub"' EXIT

main() {
    case "$rounds" in *[!0-9]* | "" | 0) fail "\`$rounds\` is no number of rounds" ;; esac
    command -v cc >/dev/null || fail "cc, a C compiler, is not on PATH"
    local binary
    binary=$("$scripts/build.sh")
    mkdir -p "$place/bin" "$place/real" "$place/home/.local/state" "$place/home/.config/claude-failover"
    cp "$binary" "$place/bin/claude-failover"
    "$place/bin/claude-failover" --install "$place/bin" >/dev/null
    compile race "$scripts/bench/race.c"
    compile latency "$scripts/bench/latency.c"
    compile stub "$scripts/bench/stub.c" -pthread
    printf 'int main(void) { return 0; }\n' | compile real/claude -x c -
    printf '#include <unistd.h>\nextern char **environ;\nint main(int n, char **v) { (void)n; execve(REAL, v, environ); return 126; }\n' |
        compile exec -x c -D "REAL=\"$place/real/claude\"" -

    become_claude
    if ! command -v curl >/dev/null; then
        echo "no curl on PATH: local answers are not measured"
        return
    fi
    start_stub
    answer_locally
    first_piece
    if command -v jq >/dev/null; then many_tokens; else echo "no jq on PATH: the cost of tokens is not measured"; fi
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
