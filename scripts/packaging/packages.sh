#!/usr/bin/env bash
# Makes of a folder of archives what a release has besides them: Debian packages, checksums, the Homebrew formula, and notes.md.
# usage: packages.sh DIR        needs cargo-deb and lintian
set -euo pipefail

[ $# = 1 ] || { echo "usage: packages.sh DIR" >&2 && exit 1; }
packaging=$(cd "$(dirname "$0")" && pwd)
for archive in "$1"/*-linux-gnu.tar.gz; do
    package=$("$packaging/debian.sh" "$archive" "$1")
    lintian --fail-on error,warning "$package" >&2
done
"$packaging/checksums.sh" "$1"
"$packaging/formula.sh" "$1/SHA256SUMS" >"$1/claude-failover.rb"
"$packaging/release.sh" notes >"$1/notes.md"
