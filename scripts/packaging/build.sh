#!/usr/bin/env bash
# Builds the binary for this machine as users download it, and packs it.
# usage: build.sh DIR        prints the path of the archive
set -euo pipefail

[ $# = 1 ] || { echo "usage: build.sh DIR" >&2 && exit 1; }
packaging=$(cd "$(dirname "$0")" && pwd)
binary=$("$packaging/../build.sh")
target=$(rustc -vV | sed -n 's/^host: //p')
# One that needs a C library runs only where there is that one.
if [[ $target = *-linux-* ]] && readelf --program-headers "$binary" | grep -q INTERP; then
    echo "build.sh: $binary is not static; see above" >&2
    exit 1
fi
"$packaging/archive.py" "$binary" "$target" "$1"
