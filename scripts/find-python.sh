#!/usr/bin/env bash
# Prints the path of a Python that can make a virtual environment for the engines, which need 3.10 or newer.
# PYTHON names one to try first.
set -euo pipefail

without_venv=
for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    found=$("$name" -c 'import sys; sys.version_info >= (3, 10) and print(sys.executable)' 2>/dev/null) || continue
    [ -n "$found" ] || continue
    if "$found" -c 'import ensurepip, venv' 2>/dev/null; then
        printf '%s\n' "$found"
        exit 0
    fi
    without_venv=$found
done

if [ -n "$without_venv" ]; then
    echo "find-python.sh: $without_venv cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2
else
    echo "find-python.sh: no Python 3.10 or newer on PATH; install one, or name it with PYTHON=/path/to/python3" >&2
fi
exit 1
