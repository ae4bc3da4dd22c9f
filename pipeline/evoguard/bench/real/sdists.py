"""Source archives of foreign packages: fetched by pip, none of their code run here, verified by hash at every use.

pip asks a source archive's own build back-end for its metadata, which would run foreign code on this machine. So
pip's helper process is `METADATA_ONLY` in place of Python: it answers that one question from the archive's PKG-INFO
and cannot do anything else.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard.bench.real import RealSuite
from evoguard.errors import IntegrityError, UnavailableError
from evoguard_sandbox.trees import LINK_MODE, Entry, Tree, TreeError, matcher, read_tree
from evoguard_sandbox.types import Files, Limits

PIP_S = 300
MOST_BYTES, MOST_UNPACKED = 16 << 20, 128 << 20
METADATA_ONLY = """#!{python} -IS
import json, os, re, sys
hook, control = sys.argv[2:4]
if hook != "prepare_metadata_for_build_wheel":
    sys.exit("nothing of a source archive is run here")
with open(os.path.join(control, "input.json"), encoding="utf-8") as file:
    folder = json.load(file)["kwargs"]["metadata_directory"]
with open("PKG-INFO", "rb") as file:
    told = file.read()
head = dict(re.findall(rb"(?m)^(Name|Version): *([A-Za-z0-9._+!-]+)\\r?$", told))
made = head[b"Name"].decode().replace("-", "_") + "-" + head[b"Version"].decode() + ".dist-info"
os.mkdir(os.path.join(folder, made))
with open(os.path.join(folder, made, "METADATA"), "wb") as file:
    file.write(told)
with open(os.path.join(control, "output.json"), "w", encoding="utf-8") as file:
    json.dump({{"return_val": made}}, file)
"""
PIP = """
import runpy, sys
sys.executable = sys.argv.pop(1)
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
OPTIONS = (
    "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-binary", ":all:",
    "--no-build-isolation", "--use-pep517",
)  # fmt: skip


def tree_of(suite: RealSuite) -> Files:
    """Return the package's files by path → (git mode, bytes), with its metadata as an installation lays it down.

    Raises: UnavailableError when the archive cannot be had; IntegrityError when it is not the pinned one or not whole.
    """
    try:
        read = read_tree(_unzipped(sdist(suite), suite), Limits(tree_bytes=MOST_UNPACKED))
    except TreeError as err:
        raise IntegrityError(f"the sdist of {suite.title}: {err.finding.msg}", code="suite.bad_sdist") from err
    tops = {path.partition("/")[0] for path in read}
    if len(tops) != 1:
        raise IntegrityError(f"the sdist of {suite.title} has {len(tops)} top folders", code="suite.bad_sdist")
    tree = {path.partition("/")[2]: entry for path, entry in read.items()}
    files = {path: (_mode(entry), entry.data) for path, entry in _kept(tree, suite).items()}
    if "PKG-INFO" in tree:
        at = f"{suite.name.replace('-', '_')}-{suite.version}.dist-info"
        files[f"{at}/METADATA"] = (0o100644, tree["PKG-INFO"].data)
    if suite.ini:
        files["pytest.ini"] = (0o100644, suite.ini.encode())
    return files


def sdist(suite: RealSuite, folder: Path | None = None) -> bytes:
    """Return the archive's bytes: those with the pinned sha256, or nothing. Raises: as `tree_of`."""
    folder = folder or tool_cache.cache() / "sdists"
    path = folder / f"{suite.name}-{suite.version}.tar.gz"
    if path.is_file():
        return _verified(path, suite)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as made:
        fresh = _fetch(suite, Path(made))
        data = _verified(fresh, suite)
        fresh.rename(path)
    return data


def _fetch(suite: RealSuite, folder: Path) -> Path:
    helper, into = folder / "python", folder / "got"
    helper.write_text(METADATA_ONLY.format(python=sys.executable), encoding="utf-8")
    helper.chmod(0o700)
    command = [sys.executable, "-I", "-c", PIP, str(helper), *OPTIONS, "-d", str(into)]
    try:
        done = subprocess.run(
            [*command, "--", f"{suite.name}=={suite.version}"],
            capture_output=True, text=True, timeout=PIP_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as err:
        raise UnavailableError("packages", f"pip did not end within {PIP_S} s", fix="try again") from err
    found = sorted(into.glob("*.tar.gz")) if into.is_dir() else []
    if done.returncode or len(found) != 1:
        told = re.sub(r"\S*://\S+", "(an address)", (done.stderr.strip().splitlines() or ["no archive came"])[-1])
        raise UnavailableError("packages", f"the sdist of {suite.title} cannot be had: {told[:200]}", fix="try again")
    return found[0]


def _verified(path: Path, suite: RealSuite) -> bytes:
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES or hashlib.sha256(data).hexdigest() != suite.sha256:
        raise IntegrityError(
            f"the sdist of {suite.title} is not the pinned one", code="suite.bad_sdist", fix=f"remove {path.name}"
        )
    return data


def _unzipped(data: bytes, suite: RealSuite) -> bytes:
    inflate = zlib.decompressobj(wbits=31)
    try:
        tar = inflate.decompress(data, MOST_UNPACKED)
    except zlib.error as err:
        raise IntegrityError(f"the sdist of {suite.title} is no gzip", code="suite.bad_sdist") from err
    if inflate.unconsumed_tail or inflate.unused_data or not inflate.eof:
        raise IntegrityError(f"the sdist of {suite.title} is too large, cut off or goes on", code="suite.bad_sdist")
    return tar


def _kept(tree: Tree, suite: RealSuite) -> Tree:
    dropped = matcher(suite.drop)
    return {path: entry for path, entry in tree.items() if not dropped(path)}


def _mode(entry: Entry) -> int:
    return {"file": 0o100644, "exec": 0o100755, "link": LINK_MODE}[entry.kind]
