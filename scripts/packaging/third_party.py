"""The licences of all that is linked into the binary: each asks that its text goes along."""

import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
# Published without the file that their repository has: the licence there (one of several to choose from), and whose it is.
WITHOUT_FILE = {
    "https://github.com/Nugine/simd": ("MIT", "Copyright (c) 2021 Nugine"),
    "https://github.com/akhilles/crc-catalog.git": ("MIT", "Copyright (c) 2019 Akhil Velagapudi"),
}
# Debian and Ubuntu, Fedora.
LGPL = ["/usr/share/common-licenses/LGPL-2.1", "/usr/share/licenses/glibc/COPYING.LIB"]
RULE = "=" * 80


def run(*command):
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout


def linked(target):
    """The crates in the binary: neither those of the tests, nor what only works while it is built."""
    metadata = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    crates = {crate["id"]: crate for crate in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, left = set(), [root]
    while left:
        one = left.pop()
        is_macro = any("proc-macro" in part["kind"] for part in crates[one]["targets"])
        if one in seen or is_macro:
            continue
        seen.add(one)
        normal = (dep for dep in nodes[one]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"]))
        left.extend(dep["pkg"] for dep in normal)
    return sorted((crates[one] for one in seen - {root}), key=lambda crate: (crate["name"], crate["version"]))


def mit(holder):
    """The text of the MIT licence, as our own has it, for another holder."""
    text = (ROOT / "LICENSE").read_text()
    return re.sub(r"Copyright .*", lambda _: holder, text, count=1)


def texts(crate, crates):
    """The licence files of a crate, or of another crate from the same repository."""
    def of(one):
        files = sorted(pathlib.Path(one["manifest_path"]).parent.iterdir())
        return [path.read_text(errors="replace") for path in files if LICENCE_FILE.match(path.name) and path.is_file()]

    same = (one for one in crates if one["repository"] == crate["repository"] and of(one))
    found = of(crate) or next(map(of, same), [])
    if not found and crate["repository"] in WITHOUT_FILE:
        licence, holder = WITHOUT_FILE[crate["repository"]]
        if licence in crate["license"].split(" OR "):
            found = [mit(holder)]
    if not found:
        raise SystemExit(f"third_party.py: `{crate['name']} {crate['version']}` has no licence file; add its repository to WITHOUT_FILE")
    return found


def rust():
    licences = pathlib.Path(run("rustc", "--print", "sysroot").strip(), "share/doc/rust/licenses")
    apache = licences / "Apache-2.0.txt"
    if not apache.is_file():
        # Toolchains of before 1.87, and those of distributions, have no such folder. The MIT licence is the other choice.
        return [mit("Copyright (c) The Rust Project Contributors")]
    return [mit("Copyright (c) The Rust Project Contributors"), apache.read_text()]


def glibc():
    for path in map(pathlib.Path, LGPL):
        if path.is_file():
            return [path.read_text()]
    raise SystemExit(f"third_party.py: the text of the LGPL is in none of {', '.join(LGPL)}")


def document(target):
    crates = linked(target)
    uses = [(f"{crate['name']} {crate['version']} ({crate['license']})", texts(crate, crates)) for crate in crates]
    uses.append(("the Rust standard library (MIT OR Apache-2.0)", rust()))
    if target.endswith("-linux-gnu"):
        uses.append(("the GNU C Library, statically linked (LGPL-2.1-or-later)", glibc()))
    # Many have the same text but for white space.
    users = {}
    for name, found in uses:
        for text in found:
            users.setdefault(" ".join(text.split()), (text.strip("\n"), []))[1].append(name)
    parts = ["claude-failover contains the following, under these licences. With its source, `scripts/build.sh` links it again,"
             " also with\nanother version of each."]
    for text, names in users.values():
        parts.append("\n".join([RULE, *names, RULE, "", text]))
    return "\n\n".join(parts) + "\n"
