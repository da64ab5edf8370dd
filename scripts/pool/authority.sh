#!/usr/bin/env bash
# Makes an authority of your own, if the folder has none, and a key and a certificate for each host: see docs/pool.md.
# usage: authority.sh FOLDER HOST…        a host is a name or an IPv4 address
set -euo pipefail

[ $# -ge 2 ] || {
    echo "usage: authority.sh FOLDER HOST…" >&2
    exit 2
}
folder=$1
shift
umask 077
mkdir -p "$folder"
cd "$folder"
if [ ! -e ca-key.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=local model pool" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout ca-key.pem -out ca.pem 2>/dev/null
fi
for host in "$@"; do
    case $host in
        *[!0-9.]*) name=DNS:$host ;;
        *) name=IP:$host ;;
    esac
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$host" \
        -keyout "$host-key.pem" -out "$host.csr" 2>/dev/null
    # Apple takes no certificate for more than 825 days.
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n' "$name" >"$host.ext"
    openssl x509 -req -in "$host.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 800 -extfile "$host.ext" \
        -out "$host.pem" 2>/dev/null
    rm "$host.csr" "$host.ext"
    echo "$folder/$host.pem"
done
