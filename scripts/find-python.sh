#!/usr/bin/env bash
# Prints the path of a Python that can make a virtual environment for the engines, which need 3.10 or newer.
# PYTHON names one to try first.
# usage: find-python.sh [--mlx]        --mlx: one that can run mlx, which on Apple Silicon is none under Rosetta
set -euo pipefail

case "$*" in
    "" | --mlx) for_mlx=$* ;;
    *) echo "find-python.sh: cannot understand \`$*\`; use no option, or --mlx" >&2 && exit 1 ;;
esac

# Not by uname -m, which says x86_64 in a shell that runs under Rosetta.
is_apple_silicon() {
    [ "$(uname -s)" = Darwin ] && [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]
}

without_venv='' under_rosetta=''
for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    found=$("$name" -c 'import sys; sys.version_info >= (3, 10) and print(sys.executable)' 2>/dev/null) || continue
    [ -n "$found" ] || continue
    if [ -n "$for_mlx" ] && is_apple_silicon && [ "$("$found" -c 'import platform; print(platform.machine())')" != arm64 ]; then
        under_rosetta=$found
        continue
    fi
    if "$found" -c 'import ensurepip, venv' 2>/dev/null; then
        printf '%s\n' "$found"
        exit 0
    fi
    without_venv=$found
done

if [ -n "$without_venv" ]; then
    echo "find-python.sh: $without_venv cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv" >&2
elif [ -n "$under_rosetta" ] && [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then
    echo "find-python.sh: this shell runs under Rosetta, and so would $under_rosetta, on which mlx does not run; run this again from \`arch -arm64 /bin/bash\`" >&2
elif [ -n "$under_rosetta" ]; then
    echo "find-python.sh: $under_rosetta is for Intel and runs under Rosetta, on which mlx does not run; install one for Apple Silicon, or name it with PYTHON=/path/to/python3" >&2
else
    echo "find-python.sh: no Python 3.10 or newer on PATH; install one, or name it with PYTHON=/path/to/python3" >&2
fi
exit 1
