#!/usr/bin/env bash
# Builds claude-failover and prints the path of the binary, alone on stdout.
# usage: build.sh [--profile NAME]        default: release
#        build.sh --print-rustflags       the flags for the binary alone, for `cargo rustc -- FLAGS`, and no build
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

main() {
    command -v cargo >/dev/null || fail "cargo is not on PATH; install Rust from https://rustup.rs"
    case "$*" in
        "") build release ;;
        --print-rustflags) rustflags ;;
        "--profile "?*) build "$2" ;;
        *) fail "cannot understand \`$*\`; use --profile NAME or --print-rustflags" ;;
    esac
}

build() {
    local flags messages binary
    flags=$(rustflags)
    # Not RUSTFLAGS: those would reach the procedural macros as well, which cannot be static.
    # shellcheck disable=SC2086
    messages=$(cargo rustc --locked --manifest-path "$root/Cargo.toml" --profile "$1" --bin claude-failover \
        --message-format json-render-diagnostics -- $flags)
    # Cargo is the one who knows where it is: the target folder can be set in many ways.
    binary=$(printf '%s\n' "$messages" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    [ -x "$binary" ] || fail "cargo built no binary"
    printf '%s\n' "$binary"
}

# A statically linked shim at a fixed address starts faster: no loader and no relocations between the caller and Claude.
rustflags() {
    local host probe
    host=$(rustc -vV | sed -n 's/^host: //p')
    case "$host" in
        *-linux-gnu*) ;;
        *) return 0 ;; # musl is static as it is; macOS has no static programs
    esac
    probe=$(mktemp -d)
    if echo 'fn main() {}' | rustc -C target-feature=+crt-static -o "$probe/static" - 2>/dev/null; then
        echo "-C target-feature=+crt-static -C relocation-model=static"
    else
        echo "build.sh: no static C library here (Fedora: glibc-static), so linked dynamically, which starts slower" >&2
    fi
    rm -rf "$probe"
}

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

main "$@"
