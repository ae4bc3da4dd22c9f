"""Stock Node SDKs of Unleash, installed once by npm from a lock of exact versions and hashes, into the tool cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from importlib import resources
from pathlib import Path

from evoguard.adapters import tool_cache
from evoguard.errors import UnavailableError

LOCK, PACKAGE = "package-lock.json", "package.json"
INSTALL_S = 300.0
MEND = "install Node 20 or later with npm, and let npm reach its registry"


def sdks() -> Path:
    """Return a folder whose node_modules holds what the lock names. Raises: UnavailableError with the mend."""
    if shutil.which("node") is None or (npm := shutil.which("npm")) is None:
        raise UnavailableError("node", "node or npm is not on the PATH", fix=MEND)
    given = resources.files(__package__).joinpath("node")
    files = {name: given.joinpath(name).read_bytes() for name in (PACKAGE, LOCK)}
    home = tool_cache.cache() / "node" / sha256(files[LOCK]).hexdigest()[:16]
    if (home / "node_modules").is_dir():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".node-", dir=home.parent) as made:
        for name, raw in files.items():
            (Path(made) / name).write_bytes(raw)
        words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(words, cwd=made, capture_output=True, timeout=INSTALL_S, check=False, text=True)
        except (OSError, subprocess.TimeoutExpired) as err:
            raise UnavailableError("node", f"npm gave no answer: {type(err).__name__}", fix=MEND) from err
        if done.returncode:
            raise UnavailableError("node", f"npm could not install: {done.stderr.strip()[-300:]}", fix=MEND)
        if not home.exists():
            os.rename(made, home)
            Path(made).mkdir()  # its end removes a folder
    return home
