#!/usr/bin/env bash
# Measures what claude-failover costs, side by side in one run on this machine:
# becoming the real Claude, against a C program that does nothing else; and a local answer, against curl.
# usage: bench.sh [ROUNDS]        default: 3000
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3000}
place=$(mktemp -d)
stub=
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
    compile stub "$scripts/bench/stub.c" -pthread
    printf 'int main(void) { return 0; }\n' | compile real/claude -x c -
    printf '#include <unistd.h>\nextern char **environ;\nint main(int n, char **v) { (void)n; execve(REAL, v, environ); return 126; }\n' |
        compile exec -x c -D "REAL=\"$place/real/claude\"" -

    become_claude
    if command -v curl >/dev/null; then answer_locally; else echo "no curl on PATH: local answers are not measured"; fi
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

answer_locally() {
    "$place/stub" "$place/body" >"$place/port" &
    stub=$!
    while [ ! -s "$place/port" ]; do sleep 0.05; done
    local port
    port=$(cat "$place/port")
    printf 'LLM_PORT=%s\nLLM_SUPERVISOR=none\n' "$port" >"$place/home/.config/claude-failover/config.env"
    echo local >"$place/home/.local/state/llm-backend"
    # Leaves the body that curl is to send.
    in_sandbox "$place/bin/claude" -p hi </dev/null >/dev/null
    in_sandbox "$place/race" $((rounds / 10 + 1)) \
        "$(command -v curl)" -sS -N --header "Content-Type: application/json" --data-binary "@$place/body" \
        "http://127.0.0.1:$port/v1/chat/completions" , "$place/bin/claude" -p hi >"$place/result"
    echo "a local answer from a server that answers at once ($((rounds / 10 + 1)) rounds, medians)"
    awk 'NR == 1 { curl = $1; printf "  curl, the same POST         %8.2f ms\n", $1 / 1000000 }
         NR == 2 { printf "  claude -p                   %8.2f ms  ratio %.2f, target at most 1.0\n", $1 / 1000000, $1 / curl
                   printf "  peak memory of the shim     %8.1f MiB, target at most 8\n", $2 / 1024 }' "$place/result"
}

in_sandbox() {
    env -i HOME="$place/home" PATH="$place/bin:$place/real:/usr/local/bin:/usr/bin:/bin" "$@"
}

fail() {
    echo "bench.sh: $1" >&2
    exit 1
}

main "$@"
