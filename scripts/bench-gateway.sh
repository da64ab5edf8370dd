#!/usr/bin/env bash
# Measures our gateway from the Messages API to a local model server, side by side in one run on this machine with the
# direct way to that server and with the gateways that people use for this, claude-code-router and LiteLLM. The model
# server is a stub whose tokens are the times of their sending.
# usage: bench-gateway.sh [--no-peers] [--binary PATH] [SECONDS]
#        SECONDS of each measurement for each subject, default: 10; PATH: a binary that is built already
set -euo pipefail

scripts=$(cd "$(dirname "$0")" && pwd)
key=sk-bench
peers=yes
binary=
seconds=10
place=$(mktemp -d)
stub=
# One entry for each subject: the first is the direct way and the second is ours.
targets=()
groups=()
trap 'for group in ${groups[@]+"${groups[@]}"}; do stop "$group" 2>/dev/null || true; done
      [ -z "$stub" ] || kill "$stub"
      rm -rf "$place"' EXIT

main() {
    options "$@"
    command -v cc >/dev/null || fail "cc, a C compiler, is not on PATH"
    [ -n "$binary" ] || binary=$("$scripts/build.sh")
    cc -O2 -pthread -o "$place/token_server" "$scripts/bench/token_server.c"
    cc -O2 -o "$place/streams" "$scripts/bench/streams.c"
    "$place/token_server" >"$place/port" &
    stub=$!
    while [ ! -s "$place/port" ]; do sleep 0.05; done
    targets=("openai:$(cat "$place/port")")
    echo directly >"$place/names"

    echo "start of the gateway, from exec to the first 200"
    claude_failover
    if [ -n "$peers" ]; then
        claude_code_router
        litellm
    fi
    sleep 3
    memory >"$place/idle"
    latency 1 "one stream, a token every 5 ms" 1000
    latency 32 "32 streams at once, a token every 5 ms in each" 1500
    throughput
    echo "memory of the gateway"
    memory | paste -d " " "$place/idle" - | awk '
        NR == 1 { ours = $2 }
        { printf "  %-20s %8.1f MiB idle, %8.1f MiB after the load  %s\n", $1, $2 / 1024, $4 / 1024,
          (NR == 1 ? "target at most 12 idle" : sprintf("%.1f times ours", $2 / ours)) }'
    [ ! -r /proc/self/clear_refs ] || peaks
}

# Peak memory of our gateway, which only Linux tells.
peaks() {
    echo "peak memory of claude-failover"
    peak "256 streams at once" 24 "$place/streams" "$seconds" 256 100 20000 "$key" "${targets[1]}"
    {
        printf '{"model":"stub","max_tokens":100,"messages":[{"role":"user","content":"'
        head -c 62914560 /dev/zero | tr '\0' a
        printf '"}]}'
    } >"$place/large"
    peak "a body of 60 MiB" 150 curl --silent --show-error --data-binary "@$place/large" -H "x-api-key: $key" \
        -H "content-type: application/json" "http://127.0.0.1:${targets[1]#*:}/v1/messages"
}

# TITLE TARGET PROGRAM [ARG...]
peak() {
    local title=$1 target=$2
    shift 2
    # The group of a gateway that is one process has its pid.
    echo 5 >"/proc/${groups[0]}/clear_refs"
    "$@" >"$place/result" || fail "$title: $(cat "$place/result")"
    awk -v title="$title" -v target="$target" '
        $1 == "VmHWM:" { printf "  %-20s %8.1f MiB  target at most %d\n", title, $2 / 1024, target }' "/proc/${groups[0]}/status"
}

options() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --no-peers) peers= ;;
            --binary)
                [ -x "${2:-}" ] || fail "--binary needs the path of a program"
                binary=$2
                shift
                ;;
            *[!0-9]* | "" | 0) fail "cannot understand \`$1\`; use --no-peers, --binary PATH or a number of seconds" ;;
            *) seconds=$1 ;;
        esac
        shift
    done
}

claude_failover() {
    local state=$place/ours/.local/state/claude-failover
    mkdir -p "$place/bin" "$place/ours/.config/claude-failover" "$state"
    # As after an earlier answer: the first one of a model is passed on when it is whole.
    printf '{"servers":[{"url":"%s","thinks_unopened":{"stub":false}}]}' "$(stub_url)" >"$state/servers.json"
    ln -s "$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")" "$place/bin/llm-failover"
    free_port
    printf 'LOCAL_LLM_URL=%s\nLLM_PORT=%s\nLLM_SUPERVISOR=none\nLOCAL_LLM_MODEL=stub\nLOCAL_LLM_CONTEXT=65536\nLLM_GATEWAY_TOKEN=%s\n' \
        "$(stub_url)" "$(cat "$place/port")" "$key" >"$place/ours/.config/claude-failover/config.env"
    start claude-failover ours /v1/models 20 "$place/bin/llm-failover" gateway --port "$port"
}

claude_code_router() {
    local program
    if ! program=$("$scripts/bench/install.sh" claude-code-router); then
        echo "  claude-code-router   not measured"
        return
    fi
    mkdir -p "$place/router/.claude-code-router"
    free_port
    cat >"$place/router/.claude-code-router/config.json" <<-END
		{"HOST": "127.0.0.1", "PORT": $port, "APIKEY": "$key", "LOG": false, "NON_INTERACTIVE_MODE": true,
		 "Providers": [{"name": "stub", "api_base_url": "$(stub_url)", "api_key": "none", "models": ["stub"]}],
		 "Router": {"default": "stub,stub"}}
	END
    start claude-code-router router /health 3 "$program" start
}

litellm() {
    local program
    if ! program=$("$scripts/bench/install.sh" litellm); then
        echo "  LiteLLM              not measured"
        return
    fi
    mkdir -p "$place/litellm"
    free_port
    # By itself it would translate to OpenAI's Responses API, which mlx-lm and most others do not have.
    cat >"$place/litellm/config.yaml" <<-END
		model_list:
		  - model_name: stub
		    litellm_params: {model: openai/stub, api_base: "$(stub_url | sed 's|/chat/completions||')", api_key: none}
		litellm_settings: {use_chat_completions_url_for_anthropic_messages: true}
		general_settings: {master_key: $key}
	END
    # It would fetch a list of prices first.
    start LiteLLM litellm /health/liveliness 3 env LITELLM_LOCAL_MODEL_COST_MAP=True \
        "$program" --config "$place/litellm/config.yaml" --host 127.0.0.1 --port "$port" --telemetry False
}

# NAME HOME PATH TIMES PROGRAM [ARG...]: starts a gateway at $port several times, and leaves the last running.
start() {
    local name=$1 home=$2 path=$3 times=$4 group='' i
    shift 4
    : >"$place/starts"
    for ((i = 0; i < times; i++)); do
        [ -z "$group" ] || stop "$group"
        env -i HOME="$place/$home" PATH="$PATH" "$place/streams" start "$port" "$path" "$key" "$place/$home/log" "$@" >"$place/start" ||
            fail "$name does not start: $(tail -n 5 "$place/$home/log")"
        group=$(cut -d ' ' -f 1 "$place/start")
        cut -d ' ' -f 2 "$place/start" >>"$place/starts"
    done
    groups+=("$group")
    targets+=("anthropic:$port")
    echo "$name" >>"$place/names"
    sort -n "$place/starts" | sed -n "$((times / 2 + 1))p" >>"$place/starts.medians"
    awk -v name="$name" -v times="$times" '
        NR == 1 { ours = $1 }
        { last = $1 }
        END { printf "  %-20s %10.1f ms (median of %d)%s\n", name, last / 1e6, times, (NR > 1 ? sprintf("  %.0f times ours", last / ours) : "") }
        ' "$place/starts.medians"
}

stop() {
    kill -- "-$1"
    while kill -0 -- "-$1" 2>/dev/null; do sleep 0.05; done
}

# WIDTH TITLE MOST, which our gateway may add to each median.
latency() {
    echo "$2 (us)"
    "$place/streams" "$seconds" "$1" 40 5000 "$key" "${targets[@]}" >"$place/result"
    paste -d " " "$place/names" "$place/result" | awk -v most="$3" '
        NR == 1 {
            first = $2; token = $4
            printf "  %20s   request to first token               a token, sent to received\n", ""
            printf "  %20s   %8s %8s %8s %6s   %8s %8s %8s %6s\n", "", "median", "p99", "added", "ratio", "median", "p99", "added", "ratio"
        }
        { printf "  %-20s   %8.0f %8.0f %8.0f %6.1f   %8.0f %8.0f %8.0f %6.1f\n", $1,
          $2 / 1000, $3 / 1000, ($2 - first) / 1000, $2 / first, $4 / 1000, $5 / 1000, ($4 - token) / 1000, $4 / token }
        NR == 2 { print "  target: claude-failover adds at most " most " to each median" }'
    complain
}

throughput() {
    echo "32 streams at once, as fast as the model server has the tokens"
    processor >"$place/before"
    "$place/streams" "$seconds" 32 500 0 "$key" "${targets[@]}" >"$place/result"
    processor >"$place/after"
    paste -d " " "$place/before" "$place/after" | awk 'BEGIN { print 0 } { print $2 - $1 }' |
        paste -d " " "$place/names" "$place/result" - | awk '
        { used = $NF; rate = $6 / $7 * 1e9 }
        NR == 1 { printf "  %-20s %9.0f tokens/s\n", $1, rate }
        NR > 1 && $6 > 0 { cost = used / $6 * 1000; if (NR == 2) { ours = cost; fast = rate }
                 printf "  %-20s %9.0f tokens/s, %8.2f us of processor time each%s\n", $1, rate, cost,
                 (NR > 2 ? sprintf("  %.3f of our tokens/s, %.1f times our cost", rate / fast, cost / ours) : "") }'
    complain
}

# A wrong stream of a peer is worth knowing; one of ours, or of the stub, makes the figures worth nothing.
complain() {
    paste -d " " "$place/names" "$place/result" |
        awk '$9 > 0 { printf "  %s: %d of %d streams were wrong, the first:", $1, $9, $8
                      for (i = 10; i <= NF; i++) printf " %s", $i
                      print ""
                      if (NR < 3) ours = 1 }
             END { exit ours }' || fail "wrong streams"
}

# Milliseconds of processor time that each gateway has used, with its children.
processor() {
    local group
    for group in "${groups[@]}"; do
        if [ -r /proc/self/stat ]; then
            # The name of a program may have spaces and ends at the last bracket.
            ps -A -o pid= -o pgid= | awk -v group="$group" '$2 == group { print "/proc/" $1 "/stat" }' | xargs cat |
                awk -v ticks="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); sum += $12 + $13 + $14 + $15 } END { print sum * 1000 / ticks }'
        else
            ps -A -o pgid= -o time= | awk -v group="$group" '
                $1 == group { n = split($2, part, ":"); for (s = i = 0; i++ < n;) s = s * 60 + part[i]; sum += s }
                END { print sum * 1000 }'
        fi
    done
}

# NAME and KiB of each gateway, all its processes.
memory() {
    local group
    for group in "${groups[@]}"; do
        ps -A -o pgid= -o rss= | awk -v group="$group" '$1 == group { sum += $2 } END { print sum }'
    done | paste -d " " <(tail -n +2 "$place/names") -
}

stub_url() {
    echo "http://127.0.0.1:$(cat "$place/port")/v1/chat/completions"
}

# Below the range from which the system takes ports for connections. Sets `port`.
free_port() {
    port=$((20000 + RANDOM % 10000))
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
}

fail() {
    echo "bench-gateway.sh: $1" >&2
    exit 1
}

main "$@"
