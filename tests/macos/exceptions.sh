#!/usr/bin/env bash
# Runs each test of macos-exceptions.txt by itself: it must exist, and fail.
# usage: exceptions.sh [COMMIT]        COMMIT: none may be named that was not there
set -euo pipefail

cd "$(dirname "$0")/../.."
list=tests/macos-exceptions.txt
faults=

fault() {
    echo "exceptions.sh: $1" >&2
    faults=yes
}

names() {
    sed -n 's/^\([a-z0-9_:]*\): .*/\1/p' | LC_ALL=C sort
}

if [ -n "${1-}" ] && before=$(git show "$1:$list" 2>/dev/null); then
    for name in $(comm -13 <(printf '%s\n' "$before" | names) <(names <"$list")); do
        fault "$name is new in $list, which only shrinks; mend the test"
    done
fi
for name in $(names <"$list"); do
    outcome=fails
    output=$(cargo test --locked --test all -- --exact "$name" 2>&1) && outcome=passes
    case "$output-$outcome" in
        *"running 1 test"*-fails) echo "$name fails, as is known" ;;
        *"running 1 test"*-passes) fault "$name passes; take its line out of $list" ;;
        *) fault "there is no test $name; take its line out of $list: $output" ;;
    esac
done
[ -z "$faults" ]
