"""Packages that are not ours, made from their sdists: submit reaches "waiting for approval", with their own tests."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from real_house import RealHouse

pytestmark = pytest.mark.needs_gvisor
WHO = ("-c", "user.name=Dev", "-c", "user.email=dev@package.example", "-c", "init.defaultBranch=main")


def _git(where: Path, *words: str) -> str:
    done = subprocess.run(["git", *WHO, *words], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _clone_of(package: str, folder: Path) -> Path:
    """Make a repository from a package's sdist."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        package,
    ]
    subprocess.run(command, check=True, capture_output=True)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    tree = next(p for p in folder.iterdir() if p.is_dir())
    _git(tree, "init", "-q")
    _git(tree, "add", "-A", "-f")
    _git(tree, "commit", "-q", "-m", "as released")
    return tree


@pytest.mark.parametrize(
    ("package", "source", "old", "new", "least"),
    [("iniconfig==2.3.0", "src/iniconfig/__init__.py", "class IniConfig:", "class IniConfig:  # an INI file", 30)],
)
async def test_a_real_edit_of_a_foreign_package_reaches_approval_with_its_own_test_counts(
    tmp_path: Path, package: str, source: str, old: str, new: str, least: int
) -> None:
    real = RealHouse.make(tmp_path)
    real.agent("coder")
    (tmp_path / "sdist").mkdir()
    tree = _clone_of(package, tmp_path / "sdist")
    _git(tree, "switch", "-q", "-c", "edit")
    text = (tree / source).read_text(encoding="utf-8")
    assert old in text
    (tree / source).write_text(text.replace(old, new, 1), encoding="utf-8")
    _git(tree, "commit", "-q", "-am", "say what it is")
    command = [
        sys.executable, "-m", "evoguard", "--state", str(real.settings.state), "--json", "submit", "--repo", str(tree),
        "--head", "edit", "--base", "main", "--intent", "say what it is", "--as", "coder",
        "--sign-with", str(tmp_path / "coder.key"),
    ]  # fmt: skip
    change = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["change"]
    async with real.worker():
        await real.until(change, "waiting for approval", "refused")
    events = {e.event.type: e.event.body for e in await real.opened.queries.events(f"change/{change}")}
    assert await real.status(change) == "waiting for approval", events.get("change.refused")
    assert int(str(events["candidate.checked"]["run"])) >= least
    # and it is the candidate's own code that was tested, not the copy that pytest brings along
    _git(tree, "switch", "-q", "-c", "broken", "main")
    (tree / source).write_text(text.replace("    def get(", "    def got("), encoding="utf-8")
    _git(tree, "commit", "-q", "-am", "break it")
    command[command.index("edit")] = "broken"
    broken = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["change"]
    async with real.worker():
        await real.until(broken, "refused", "waiting for approval")
    assert (await real.last(broken))["step"] == "check"
    real.close()
