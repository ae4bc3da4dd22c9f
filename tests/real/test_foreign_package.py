"""Packages that are not ours, from their sdists: as without a sandbox, and submit reaches "waiting for approval"."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evoguard.bench import suites
from evoguard.bench.real import RealSuite, listing, native
from evoguard.bench.real.sdists import tree_of
from real_house import RealHouse

pytestmark = pytest.mark.needs_gvisor
SUITES = listing()
WHO = ("-c", "user.name=Dev", "-c", "user.email=dev@package.example", "-c", "init.defaultBranch=main")


def _suite(name: str) -> RealSuite:
    return next(suite for suite in SUITES.suites if suite.name == name)


def _git(where: Path, *words: str) -> str:
    done = subprocess.run(["git", *WHO, *words], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _clone_of(suite: RealSuite, tree: Path) -> Path:
    """Make a repository from a package's pinned sdist; nothing of it runs here."""
    native.lay_out(tree_of(suite), tree)
    _git(tree, "init", "-q")
    _git(tree, "add", "-A", "-f")
    _git(tree, "commit", "-q", "-m", "as released")
    return tree


@pytest.mark.parametrize("name", SUITES.quick)
async def test_a_real_suite_comes_out_as_without_a_sandbox_and_an_honest_change_of_it_passes(name: str) -> None:
    (row,) = await suites.look_at([_suite(name)], rounds=1, times=0)
    assert (row.left_out, row.differences, row.refusals) == ("", (), ())
    assert row.rounds == 1
    assert row.tests > row.unproven


@pytest.mark.parametrize(
    ("package", "source", "old", "new", "least"),
    [("iniconfig", "src/iniconfig/__init__.py", "class IniConfig:", "class IniConfig:  # an INI file", 30)],
)
async def test_a_real_edit_of_a_foreign_package_reaches_approval_with_its_own_test_counts(
    tmp_path: Path, package: str, source: str, old: str, new: str, least: int
) -> None:
    real = RealHouse.make(tmp_path)
    real.agent("coder")
    tree = _clone_of(_suite(package), tmp_path / "package")
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
