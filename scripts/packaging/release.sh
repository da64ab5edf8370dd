#!/usr/bin/env bash
# What a release is made of besides its files.
# usage: release.sh check TAG OWNER/NAME    fails, with all that is wrong, unless TAG may be released from that repository
#        release.sh notes                   prints what the changelog says of this version
set -euo pipefail

cd "$(dirname "$0")/../.."

main() {
    version=$(field version)
    case "${1-} $#" in
        "check 3") check "$2" "$3" ;;
        "notes 1") notes ;;
        *) sed -n 's/^# usage: /usage: /p; s/^#        /       /p' "$0" >&2 && exit 1 ;;
    esac
}

check() {
    local tag=$1 url=https://github.com/$2 wrong=''
    [ "$tag" = "v$version" ] || wrong+="the tag is \`$tag\`, and Cargo.toml has version $version: it should be \`v$version\`"$'\n'
    [ -n "$(notes 2>/dev/null)" ] || wrong+="CHANGELOG.md has no section \`## $version, YYYY-MM-DD\` with lines below it"$'\n'
    [ "$(field repository)" = "$url" ] || wrong+="Cargo.toml lacks the line: repository = \"$url\""$'\n'
    # A Debian package must name somebody who can be reached.
    grep -q '^authors = \[".* <.*@.*>"\]$' Cargo.toml || wrong+="Cargo.toml lacks a line such as: authors = [\"NAME <NAME@EXAMPLE.ORG>\"]"$'\n'
    [ -z "$wrong" ] || { printf '%s' "$wrong" | sed 's/^/release.sh: /' >&2 && exit 1; }
}

notes() {
    local text
    # Without the empty lines around it.
    text=$(awk -v heading="## $version, " '
        /^## / { is_ours = index($0, heading) == 1 && $0 ~ /, [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]$/; next }
        is_ours && (NF || is_begun) { is_begun = 1; print }' CHANGELOG.md)
    [ -n "$text" ] || { echo "release.sh: CHANGELOG.md has no section \`## $version, YYYY-MM-DD\`" >&2 && exit 1; }
    printf '%s\n' "$text"
}

# A field of the package itself.
field() {
    sed -n "/^\[package\]/,/^\[[^p]/s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1
}

main "$@"
