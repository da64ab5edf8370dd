#!/usr/bin/env bash
# Packs an archive of archive.py as a Debian package, with cargo-deb, and prints the package's path.
# usage: debian.sh ARCHIVE DIR
set -euo pipefail

main() {
    [ $# = 2 ] || fail "usage: debian.sh ARCHIVE DIR"
    local archive=$1 out=$2 name target stage author
    name=$(basename "$archive" .tar.gz)
    archive=$(realpath "$archive")
    mkdir -p "$out"
    out=$(realpath "$out")
    cd "$(dirname "$0")/../.."
    version=$(field version)
    target=${name#"claude-failover-$version-"}
    case "$target" in *-linux-gnu) ;; *) fail "\`$name\` is no archive of version $version for Linux" ;; esac
    author=$(sed -n 's/^authors = \["\(.*\)"\]$/\1/p' Cargo.toml)
    stage=target/debian-package
    rm -rf "$stage"
    mkdir -p "$stage/usr/bin" "$stage/usr/lib/claude-failover"
    tar -xzf "$archive" -C "$stage" --strip-components 1
    mv "$stage/claude-failover" "$stage/usr/bin"
    ln -s claude-failover "$stage/usr/bin/agent-llm"
    ln -s claude-failover "$stage/usr/bin/llm-failover"
    # Not in /usr/bin: there it would be in the way of a real Claude Code.
    ln -s ../../bin/claude-failover "$stage/usr/lib/claude-failover/claude"
    {
        printf 'claude-failover (%s-1) unstable; urgency=medium\n\n' "$version"
        printf '  * See CHANGELOG.md.\n\n'
        printf ' -- %s  %s\n' "$author" "$(date -uR -r "$stage/LICENSE")"
    } >"$stage/changelog"
    # It has its warnings on stdout, too.
    cargo deb --no-build --no-strip --target "$target" --output "$out" | tail -n 1
}

field() {
    sed -n "s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1
}

fail() {
    echo "debian.sh: $1" >&2
    exit 1
}

main "$@"
