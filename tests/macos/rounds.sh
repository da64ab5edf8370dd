#!/usr/bin/env bash
# What only a Mac can show: launchd itself, memory as macOS counts it, a key at a terminal, a sandbox without ps, and the Keychain.
# usage: rounds.sh BINARY [ROUND...]        rounds: launchd footprint ctrl_c sandbox keychain; all of them if none is named
# It works in a home of its own and takes away what it has made. The keychain round sets the user's list of keychains, though only
# in that home, so it wants CI=true; it needs what test-deps.sh installs, and sudo without a password for tcpdump.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
python=$("$root/scripts/find-python.sh")
place=$(cd "$(mktemp -d)" && pwd -P)
home=$place/home
bin=$place/bin
label=com.local.mlxserver.rounds.$$
uid=$(id -u)
round=setup
tcpdump=

main() {
    [ $# -gt 0 ] || fail "the path of a binary is missing"
    trap clean_up EXIT
    set_up "$1"
    shift
    [ $# -gt 0 ] || set -- launchd footprint ctrl_c sandbox keychain
    for round in "$@"; do
        echo "==> $round"
        case "$round" in
            launchd | footprint | ctrl_c | sandbox | keychain) "round_$round" ;;
            *) fail "no such round" ;;
        esac
    done
    echo "all rounds passed"
}

set_up() {
    mkdir -p "$home/Library/LaunchAgents" "$home/Library/Preferences" "$home/Library/Keychains" "$home/.local/state/claude-failover" "$bin"
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    codesign -v "$1" || fail "$1 is not signed"
    cp "$1" "$bin/claude-failover"
    "$bin/claude-failover" --install "$bin" >/dev/null
    # What the property list takes for the engine's Python. It holds 256 MiB, so that there is something to count.
    engine=$place/engine
    hold='import runpy, sys; held = bytearray(b"x") * (256 << 20); sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")'
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nexec "%s" -c '\''%s'\'' "%s" "$(cat "%s/mode")" "%s" %s\n' \
        "$python" "$hold" "$root/tests/stand-ins/model_server.py" "$home" "$home" "$port" >"$engine"
    chmod +x "$engine"
    echo ok >"$home/mode"
    plist=$home/Library/LaunchAgents/$label.plist
    sed -e "s|@LABEL@|$label|" -e "s|@PYTHON@|$engine|" -e "s|@MODEL@|some/model|" -e "s|@PORT@|$port|" -e "s|@HUB_CACHE@|$home|" \
        -e "s|@HOME@|$home|" -e "s|@LOG@|$home/.local/state/claude-failover/server.log|" "$root/launchd/com.local.mlxserver.plist" >"$plist"
    chmod 644 "$plist"
    plutil -lint "$plist" >/dev/null || fail "plutil does not take $plist"
}

clean_up() {
    local status=$?
    ours llm-failover -q claude >/dev/null 2>&1 || true
    launchctl bootout "gui/$uid/$label" >/dev/null 2>&1 || true
    [ -z "$tcpdump" ] || sudo -n kill "$tcpdump" 2>/dev/null || true
    [ ! -e "$home/Library/Keychains/rounds.keychain-db" ] || at_home security delete-keychain "$home/Library/Keychains/rounds.keychain-db" || true
    if [ "$status" = 0 ]; then
        rm -rf "$place"
    else
        echo "rounds.sh: $place is left for you to look at; the end of the server's log:" >&2
        tail -n 20 "$home/.local/state/claude-failover/server.log" >&2 || true
    fi
}

# --- the rounds ------------------------------------------------------------------------------------------------------------

round_launchd() {
    local first second domain
    says "agent backend now: local" ours llm-failover local
    says "supervisor: launchd" ours llm-failover status
    says "echo: hi" ours claude -p hi
    domain=$(loaded_in)
    [ -n "$domain" ] || fail "launchd has not loaded $label"
    says "MiB of memory given back" ours llm-failover claude
    [ -z "$(loaded_in)" ] || fail "launchd still has $label"
    ! is_alive "$(server)" || fail "the server still runs"

    # At once after a bootout, and twice at the same time.
    ours llm-failover local >"$place/first" 2>&1 &
    first=$!
    ours llm-failover local >"$place/second" 2>&1 &
    second=$!
    wait "$first" || fail "the first of two starts failed: $(cat "$place/first")"
    wait "$second" || fail "the second of two starts failed: $(cat "$place/second")"
    [ "$(starts)" = 2 ] || fail "$(starts) servers were started in all, not 2"

    # Within its first seconds launchd does not start it again at once.
    kill -KILL "$(server)"
    says "echo: again" ours claude -p again
    kill -KILL "$(server)"
    says "echo: once more" ours claude -p "once more"
    says "MiB of memory given back" ours llm-failover claude
    [ -z "$(loaded_in)" ] || fail "launchd still has $label"
}

round_footprint() {
    local theirs printed
    says "agent backend now: local" ours llm-failover local
    theirs=$({ footprint "$(server)" || vmmap -summary "$(server)"; } 2>/dev/null | mebibytes)
    [ -n "$theirs" ] || fail "neither footprint nor vmmap tells the server's footprint"
    printed=$(ours llm-failover claude | sed -n 's/^local server stopped: \([0-9]*\) MiB of memory given back$/\1/p')
    [ -n "$printed" ] || fail "no memory was given back"
    echo "macOS says $theirs MiB, llm-failover says $printed MiB"
    [ "$printed" -ge 256 ] || fail "the server held 256 MiB"
    # A process changes a little between two looks.
    [ $((printed * 10)) -le $((theirs * 11 + 80)) ] && [ $((printed * 11 + 80)) -ge $((theirs * 10)) ] || fail "the two differ"
}

round_ctrl_c() {
    # This one answers as long as there is the file.
    echo mlx >"$home/mode"
    : >"$home/go"
    says "agent backend now: local" ours llm-failover local
    rm "$home/go"
    ours "$python" "$root/tests/macos/at_terminal.py" interrupt claude -p "$label" || fail "Ctrl-C does not end a call as it should"
    within 10 no_call_left || fail "something of the call still runs"
    echo ok >"$home/mode"
    says "MiB of memory given back" ours llm-failover claude
}

round_sandbox() {
    profile='(version 1) (allow default) (deny process-exec (literal "/bin/ps"))'
    ! sandbox-exec -p "$profile" /bin/ps >/dev/null 2>&1 || fail "ps runs in the sandbox: the round proves nothing"
    says "agent backend now: local" as_child llm-failover local
    says "supervisor: child" as_child llm-failover status
    says "echo: hi" as_child claude -p hi
    says "MiB of memory given back" as_child llm-failover claude
    ! is_alive "$(server)" || fail "the server still runs"
}

as_child() {
    ours env LLM_SUPERVISOR=child LLM_SERVER_CMD="exec $engine" sandbox-exec -p "$profile" "$@"
}

# An API key that Claude Code has stored must not go to the local model in a session at a terminal. Versions before 2.1.330 send it
# as `x-api-key`, beside the token.
round_keychain() {
    local keychain=$home/Library/Keychains/rounds.keychain-db key=sk-ant-api03-a-key-of-these-rounds-that-opens-nothing-0123456789 version real
    [ "${CI-}" = true ] || fail "this round wants CI=true, for a machine whose keychains nobody needs"
    at_home security create-keychain -p throwaway "$keychain"
    at_home security set-keychain-settings "$keychain"
    at_home security unlock-keychain -p throwaway "$keychain"
    at_home security list-keychains -d user -s "$keychain"
    at_home security default-keychain -d user -s "$keychain"
    at_home security add-generic-password -U -a "$USER" -s "Claude Code" -w "$key" -A "$keychain"
    says "$key" at_home security find-generic-password -a "$USER" -w -s "Claude Code"
    mkdir -p "$home/work"
    "$python" - "$home" "$key" <<'PYTHON'
import json, sys
home, key = sys.argv[1:]
project = {"hasTrustDialogAccepted": True, "allowedTools": [], "hasCompletedProjectOnboarding": True}
state = {"hasCompletedOnboarding": True, "lastOnboardingVersion": "99.0.0", "theme": "dark",
         "customApiKeyResponses": {"approved": [key[-20:]], "rejected": []}, "projects": {home + "/work": project}}
json.dump(state, open(home + "/.claude.json", "w"))
PYTHON
    says "agent backend now: local" ours llm-failover local
    for version in claude claude-2.1.197; do
        real=$root/target/test-deps/$version/node_modules/.bin/claude
        [ -x "$real" ] || fail "$real is missing; run scripts/test-deps.sh"
        # By itself it sends the key to wherever it is pointed at.
        record control
        at_home env CLAUDE_CODE_MAX_RETRIES=0 ANTHROPIC_BASE_URL="http://127.0.0.1:$port" perl -e 'alarm shift; exec @ARGV or exit 127' 60 \
            "$real" -p "Of plums." </dev/null >/dev/null 2>&1 || true
        end_record
        is_recorded control "$key" || fail "$version does not send its stored key: the round proves nothing"
        record session
        (cd "$home/work" && CLAUDE_BIN=$real limit=120 ours "$python" "$root/tests/macos/at_terminal.py" session claude) ||
            fail "$version does not answer at a terminal"
        end_record
        is_recorded session "Of pears." || fail "$version: the question is not in what was recorded: the round proves nothing"
        ! is_recorded session "$key" || fail "$version: the key went to the gateway"
    done
    says "MiB of memory given back" ours llm-failover claude
}

record() {
    rm -f "$place/$1.pcap"
    # shellcheck disable=SC2024 # the log is ours to write
    sudo -n tcpdump -i lo0 -s 0 -U -w "$place/$1.pcap" tcp >"$place/tcpdump.log" 2>&1 &
    tcpdump=$!
    within 20 test -s "$place/$1.pcap" || fail "tcpdump does not listen: $(cat "$place/tcpdump.log")"
}

end_record() {
    sleep 1
    sudo -n kill -TERM "$tcpdump" || true
    wait "$tcpdump" 2>/dev/null || true
    tcpdump=
}

is_recorded() {
    [ "$(sudo -n cat "$place/$1.pcap" | LC_ALL=C grep -acF "$2")" != 0 ]
}

# --- what they are made of ---------------------------------------------------------------------------------------------------

at_home() {
    env HOME="$home" "$@"
}

# Ours, ended by SIGALRM if it takes too long.
ours() {
    at_home env PATH="$bin:$PATH" LLM_PORT="$port" LLM_LAUNCHAGENT="$label" perl -e 'alarm shift; exec @ARGV or exit 127' "${limit:-90}" "$@"
}

# says WORDS COMMAND...: it succeeds, and prints these words.
says() {
    local words=$1 output
    shift
    output=$("$@" 2>&1) || fail "\`$*\` fails ($?): $output"
    case "$output" in *"$words"*) ;; *) fail "\`$*\` does not say \`$words\`: $output" ;; esac
}

# within SECONDS COMMAND...: it holds by then.
within() {
    local tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

no_call_left() {
    ! pgrep -f "claude -p $label" >/dev/null
}

# The server that was started last.
server() {
    sed -n 's/^started \([0-9]*\) .*/\1/p' "$home/events" | tail -n 1
}

is_alive() {
    case "$(ps -o stat= -p "$1")" in "" | Z*) return 1 ;; esac
}

starts() {
    grep -c '^started ' "$home/events"
}

loaded_in() {
    local domain
    for domain in "gui/$uid" "user/$uid"; do
        if launchctl print "$domain/$label" >/dev/null 2>&1; then echo "$domain"; fi
    done
}

# Reads `Footprint: 281 MB` of footprint(1), or `Physical footprint: 281.4M` of vmmap(1).
mebibytes() {
    awk '!size && match($0, /[Ff]ootprint: +[0-9.]+ ?[KMG]/) {
        text = substr($0, RSTART, RLENGTH); unit = substr(text, length(text)); sub(/^[Ff]ootprint: +/, "", text)
        size = text + 0; if (unit == "K") size /= 1024; if (unit == "G") size *= 1024
        printf "%d\n", size
    }'
}

fail() {
    echo "rounds.sh: $round: $1" >&2
    exit 1
}

main "$@"
