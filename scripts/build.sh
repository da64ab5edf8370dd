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
    sign "$binary"
    printf '%s\n' "$binary"
}

# On Apple Silicon macOS kills a program without a valid signature. The linker signs; what strips may spoil that.
sign() {
    command -v codesign >/dev/null || return 0
    codesign -v "$1" 2>/dev/null || codesign --force --sign - "$1" >&2 || fail "codesign cannot sign $1; see above"
}

# A statically linked shim at a fixed address starts faster: no loader and no relocations between the caller and Claude.
rustflags() {
    local host probe flags=''
    host=$(rustc -vV | sed -n 's/^host: //p')
    probe=$(mktemp -d)
    echo 'fn main() {}' >"$probe/main.rs"
    # It is run, too: a tool that is not the toolchain's own may leave a program that macOS kills (rust-lang/rust#107433).
    if rustc -C strip=symbols -o "$probe/stripped" "$probe/main.rs" 2>/dev/null && "$probe/stripped"; then
        flags='-C strip=symbols'
    else
        echo "build.sh: this Rust cannot strip programs (it may lack rust-objcopy), so the binary keeps its symbols and is larger" >&2
    fi
    # musl is static as it is; macOS has no static programs.
    case "$host" in
        *-linux-gnu*)
            if rustc -C target-feature=+crt-static -o "$probe/static" "$probe/main.rs" 2>/dev/null; then
                flags="$flags -C target-feature=+crt-static -C relocation-model=static"
            else
                echo "build.sh: no static C library here (Fedora: glibc-static), so linked dynamically, which starts slower" >&2
            fi
            ;;
    esac
    rm -rf "$probe"
    echo "${flags# }"
}

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

main "$@"
