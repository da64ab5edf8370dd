#!/usr/bin/env bash
# Writes SHA256SUMS over the archives and packages in a folder, for `sha256sum -c SHA256SUMS` there.
# usage: checksums.sh DIR
set -euo pipefail

[ $# = 1 ] || { echo "usage: checksums.sh DIR" >&2 && exit 1; }
cd "$1"
shopt -s nullglob
files=(claude-failover[-_]*.tar.gz claude-failover_*.deb)
[ ${#files[@]} -gt 0 ] || { echo "checksums.sh: no archive in $1" >&2 && exit 1; }
# macOS has no sha256sum; both print the same.
if command -v sha256sum >/dev/null; then sums=(sha256sum); else sums=(shasum -a 256); fi
"${sums[@]}" "${files[@]}" >SHA256SUMS
