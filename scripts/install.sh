#!/usr/bin/env bash
# Builds claude-failover, or takes a binary that was built before, and lets it set up the rest: see `llm-failover setup --help`.
set -euo pipefail

usage="usage: install.sh [--prebuilt PLACE] [OPTION…]

  --prebuilt   takes the release in PLACE, an address or a folder with the archive for this system and SHA256SUMS, and builds
               nothing

All other options are those of \`llm-failover setup\`: --dry-run shows what it would do, --help shows them all."

root=$(cd "$(dirname "$0")/.." && pwd)

main() {
    case "${1-}" in
        -h | --help) echo "$usage" && exit ;;
        --prebuilt)
            [ -n "${2-}" ] || fail "--prebuilt needs an address or a folder"
            local place=$2
            shift 2
            with_prebuilt "$place" "$@"
            ;;
        *)
            if ! command -v cargo >/dev/null; then
                fail "there is no Rust here; install it from https://rustup.rs, or name a release with --prebuilt"
            fi
            local binary
            binary=$("$root/scripts/build.sh")
            exec "$binary" setup "$@"
            ;;
    esac
}

# The folder is gone when setup has ended, which takes a copy of the binary.
with_prebuilt() {
    local place=$1 folder name status=0
    shift
    folder=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$folder'" EXIT
    get "$place" SHA256SUMS "$folder"
    name=$(sed -n "s/^[0-9a-f]\{64\} [ *]\(claude-failover-.*-$(target)\.tar\.gz\)\$/\1/p" "$folder/SHA256SUMS")
    [ -n "$name" ] || fail "$place has no release for this system ($(target))"
    get "$place" "$name" "$folder"
    (cd "$folder" && grep -F " $name" SHA256SUMS | tr -d '*' | checked) || fail "$name is not what its checksum says"
    tar -xzf "$folder/$name" -C "$folder"
    "$folder/${name%.tar.gz}/claude-failover" setup "$@" || status=$?
    exit "$status"
}

# get PLACE NAME FOLDER
get() {
    case "$1" in
        https://* | http://127.0.0.1:*)
            command -v curl >/dev/null || fail "curl is missing; download the release yourself, and name its folder"
            curl -fsSL --retry 3 -o "$3/$2" "${1%/}/$2" || fail "cannot get ${1%/}/$2"
            ;;
        *://*) fail "$1 is no https:// address" ;;
        *) cp "$1/$2" "$3/$2" || fail "cannot read $1/$2" ;;
    esac
}

checked() {
    if command -v sha256sum >/dev/null; then sha256sum -c --status; else shasum -a 256 -c --status; fi
}

# Under Rosetta uname -m says x86_64.
target() {
    case "$(uname -s)-$(uname -m)" in
        Darwin-x86_64) if [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then echo aarch64-apple-darwin; else echo x86_64-apple-darwin; fi ;;
        Darwin-*) echo aarch64-apple-darwin ;;
        *-aarch64 | *-arm64) echo aarch64-unknown-linux-gnu ;;
        *) echo x86_64-unknown-linux-gnu ;;
    esac
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

main "$@"
