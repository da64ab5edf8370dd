#!/usr/bin/env bash
# Fills in the Homebrew formula from the checksums of a release, and prints it.
# usage: formula.sh SHA256SUMS
set -euo pipefail

[ $# = 1 ] || { echo "usage: formula.sh SHA256SUMS" >&2 && exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
manifest=$here/../../Cargo.toml

field() {
    sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$manifest" | head -n 1
}

version=$(field version)
repository=$(field repository)
[ -n "$repository" ] || { echo "formula.sh: Cargo.toml has no line \`repository = …\`" >&2 && exit 1; }
text=$(<"$here/claude-failover.rb.in")
text=${text//@DESCRIPTION@/$(field description)}
text=${text//@REPOSITORY@/$repository}
text=${text//@VERSION@/$version}
text=${text//@URL@/$repository/releases/download/v$version/claude-failover-$version}
for target in {aarch64,x86_64}-{apple-darwin,unknown-linux-gnu}; do
    sum=$(awk -v file="claude-failover-$version-$target.tar.gz" '$2 == file { print $1 }' "$1")
    [ -n "$sum" ] || { echo "formula.sh: $1 has no claude-failover-$version-$target.tar.gz" >&2 && exit 1; }
    text=${text//@SHA256 $target@/$sum}
done
printf '%s\n' "$text"
