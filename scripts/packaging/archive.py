#!/usr/bin/env python3
"""Packs a binary as users download it: claude-failover-VERSION-TARGET.tar.gz, with one folder of the same name in it.

usage: archive.py BINARY TARGET DIR        prints the path of the archive
       archive.py --name TARGET            prints its name without .tar.gz

The binary must run here: its completions go along. The same commit gives the same archive of the same binary.
"""

import gzip
import io
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import third_party

ROOT = third_party.ROOT
SHELLS = {"bash": "llm-failover.bash", "zsh": "_llm-failover", "fish": "llm-failover.fish"}


def fail(message):
    raise SystemExit(f"archive.py: {message}")


def version():
    return re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)


def name(target):
    return f"claude-failover-{version()}-{target}"


def output_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode != 0:
        fail(f"`{' '.join(map(str, command))}` has failed; see above")
    return done.stdout


def contents(binary, target):
    """Each file of the archive: its path in the folder, its mode and its bytes."""
    yield "claude-failover", 0o755, binary.read_bytes()
    for document in ["CHANGELOG.md", "LICENSE", "README.md"]:
        yield document, 0o644, (ROOT / document).read_bytes()
    yield "THIRD-PARTY-LICENSES", 0o644, third_party.document(target).encode()
    for page in sorted((ROOT / "man").glob("*.1")):
        yield f"man/{page.name}", 0o644, page.read_bytes()
    for shell, file in SHELLS.items():
        yield f"completions/{file}", 0o644, output_of(binary, "llm-failover", "completions", shell)


def pack(path, folder, files):
    time = int(os.environ.get("SOURCE_DATE_EPOCH") or output_of("git", "-C", ROOT, "log", "-1", "--format=%ct"))
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=time) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for file, mode, data in files:
                entry = tarfile.TarInfo(f"{folder}/{file}")
                entry.mode, entry.size, entry.mtime = mode, len(data), time
                archive.addfile(entry, io.BytesIO(data))


def main(arguments):
    match arguments:
        case ["--name", target]:
            print(name(target))
        case [binary, target, directory]:
            binary, directory = pathlib.Path(binary).resolve(), pathlib.Path(directory)
            said = output_of(binary, "--version").decode().strip()
            if said != f"claude-failover {version()}":
                fail(f"`{binary}` is `{said}`, and Cargo.toml has version {version()}; build it again")
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / f"{name(target)}.tar.gz"
            # All of it is there before the file is.
            pack(path, name(target), list(contents(binary, target)))
            print(path)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
