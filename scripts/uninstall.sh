#!/usr/bin/env bash
# Takes away what install.sh made, as its manifest tells, and leaves what was there before or was changed since.
# usage: uninstall.sh [--purge]        --purge: also the models it downloaded and all that claude-failover has kept
set -euo pipefail

case "$*" in
    "") purge='' ;;
    --purge) purge=yes ;;
    *) echo "uninstall.sh: cannot understand \`$*\`; use no option, or --purge" >&2 && exit 1 ;;
esac
case "${HOME-}" in
    /*) ;;
    *) echo "uninstall.sh: HOME is \`${HOME-}\`, not an absolute path; set it to your home folder" >&2 && exit 1 ;;
esac
data=$HOME/.local/share/claude-failover
bin=$data/bin
manifest=$data/manifest
config=$HOME/.config/claude-failover/config.env
state=$HOME/.local/state/claude-failover

main() {
    [ -f "$manifest" ] || { echo "claude-failover is not installed: there is no $manifest" && exit; }
    stop_server
    remove_files
    remove_settings
    remove_blocks
    remove_state
    remove_models
    remove_trees_and_dirs
    echo "claude-failover is uninstalled; shells that run already may still look for it: hash -r"
}

stop_server() {
    if [ -x "$bin/llm-failover" ]; then
        "$bin/llm-failover" -q claude || fail "\`llm-failover claude\` fails; put right what it says above, then run this again"
    fi
}

remove_files() {
    local service_file path
    service_file=$(of option | awk -F '\t' '$1 == "service_file" { print $2 }')
    case "$service_file" in
        # Also if the user enabled it.
        *.service) systemctl_user disable "$(basename "$service_file")" >/dev/null 2>&1 || true ;;
    esac
    of link | while IFS=$tab read -r path target; do
        if [ -L "$path" ] && [ "$(readlink "$path")" = "$target" ]; then rm -f "$path"; else left "$path"; fi
    done
    of file | while IFS=$tab read -r path sum; do
        if [ ! -e "$path" ] || [ "$(cksum <"$path")" = "$sum" ]; then rm -f "$path"; else left "$path"; fi
    done
    case "$service_file" in *.service) systemctl_user daemon-reload >/dev/null 2>&1 || true ;; esac
}

remove_settings() {
    local line
    [ -f "$config" ] || return 0
    of setting | while IFS=$tab read -r _ line; do
        LINE=$line awk '$0 != ENVIRON["LINE"]' "$config" | rewrite "$config"
    done
    remove_if_empty "$config"
}

remove_blocks() {
    local file
    of block | while IFS=$tab read -r file _; do
        grep -qF '# >>> claude-failover >>>' "$file" 2>/dev/null || continue
        if ! grep -qF '# <<< claude-failover <<<' "$file"; then
            left "$file"
            continue
        fi
        awk '/^# >>> claude-failover >>>$/ { ours = 1 } !ours { print } /^# <<< claude-failover <<<$/ { ours = 0 }' "$file" |
            rewrite "$file"
        remove_if_empty "$file"
    done
}

remove_state() {
    # The switch says `claude` by now, which is what its absence means.
    rm -f "$HOME/.local/state/llm-backend"
    if [ -n "$purge" ]; then rm -rf "$state"; else rm -f "$state"/server.* "$state"/switch.*; fi
}

remove_models() {
    local folder
    of model | while IFS=$tab read -r folder _; do
        if [ -n "$purge" ]; then rm -rf "$folder" "$(dirname "$folder")/.locks/$(basename "$folder")"; elif [ -e "$folder" ]; then echo "left: $folder, the downloaded model; --purge takes it too"; fi
    done
}

# Folders that are not empty hold what is not ours; the last made first.
remove_trees_and_dirs() {
    local tree dir dirs
    of tree | while IFS=$tab read -r tree _; do rm -rf "$tree"; done
    dirs=$(of dir | awk '{ line[NR] = $0 } END { for (n = NR; n > 0; n--) print line[n] }')
    rm -f "$manifest"
    printf '%s\n' "$dirs" | while IFS=$tab read -r dir _; do
        rmdir "$dir" 2>/dev/null && continue
        case "$dir" in */claude-failover) [ ! -d "$dir" ] || echo "left: $dir, which holds files of yours" ;; esac
    done
}

tab=$(printf '\t')

# The manifest's lines of KIND, without it.
of() {
    KIND=$1 awk -F '\t' '$1 == ENVIRON["KIND"] { print substr($0, length($1) + 2) }' "$manifest"
}

# rewrite FILE: stdin becomes its contents. Written over and not renamed: it may be a link into somebody's dotfiles.
rewrite() {
    local new
    new=$(mktemp)
    cat >"$new"
    cat "$new" >"$1"
    rm -f "$new"
}

# Only what an install made, and if it made it empty.
remove_if_empty() {
    if [ ! -s "$1" ] && of created | grep -qxF "$1$tab"; then rm -f "$1"; fi
}

systemctl_user() {
    XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)} systemctl --user "$@"
}

left() {
    [ ! -e "$1" ] || echo "left: $1, which was changed since"
}

fail() {
    echo "uninstall.sh: $1" >&2
    exit 1
}

# With the exit on one line: this file is among those it takes away.
main; exit
