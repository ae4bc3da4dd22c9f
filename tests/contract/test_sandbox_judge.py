"""`evoguard sandbox judge` on real git and real gVisor: an answer before anything is submitted, and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evoguard.adapters import tool_cache

pytestmark = pytest.mark.needs_gvisor
RIGHT, SAME, WRONG = (f"def add(a, b):\n    return {how}\n" for how in ("a + b", "b + a", "a - b"))


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "tests").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for n in range(3):
        test = f"def test_{n}():\n    assert {'add(2, 1)' if not n else '1 + 2'} == 3\n"
        (folder / f"tests/test_{n}.py").write_text(("from calc import add\n\n" if not n else "") + test)
    for name, text in (("main", RIGHT), ("same", SAME), ("wrong", WRONG)):
        git(folder, "checkout", "-q", "-B", name, *(["main"] if name != "main" else []))
        (folder / "calc.py").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-qm", name)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of these tests' own, with the tools that are there already."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "evoguard").mkdir(parents=True)
    for part in ("tools", "layers"):
        there = tool_cache.cache() / part
        if there.exists():
            (folder / "evoguard" / part).symlink_to(there)
    return folder


def judge(cache: Path, *words: str) -> tuple[int, dict]:
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "EVOGUARD_STATE": str(cache / "state")}
    command = [sys.executable, "-m", "evoguard", "sandbox", "judge", "--json", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_good_change_passes_and_is_remembered_and_a_fresh_run_can_be_had(repo: Path, cache: Path) -> None:
    words = ("--repo", str(repo), "--base", "main", "--head", "same")
    code, doc = judge(cache, *words)
    assert (code, doc["verdict"], doc["passed"], doc["remembered"]) == (0, "pass", True, False)
    assert doc["split"] == doc["expected"] == 3
    assert not (cache / "state").exists()
    code, again = judge(cache, *words)
    assert (code, again["remembered"], again["tests"]) == (0, True, doc["tests"])
    assert judge(cache, *words, "--fresh")[1]["remembered"] is False


def test_what_is_remembered_is_not_believed_once_somebody_wrote_it(repo: Path, cache: Path) -> None:
    words = ("--repo", str(repo), "--base", "main", "--head", "same")
    assert judge(cache, *words)[0] == 0
    entry = max((cache / "evoguard/judge/verdicts").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    entry.write_bytes(entry.read_bytes().replace(b'"passed"', b'"xpassed"', 1))
    assert judge(cache, *words)[1]["remembered"] is False


def test_a_bad_change_is_told_early_and_not_remembered(repo: Path, cache: Path) -> None:
    words = ("--repo", str(repo), "--base", "main", "--head", "wrong")
    code, doc = judge(cache, *words)
    assert (code, doc["verdict"], doc["passed"]) == (3, "fail", False)
    assert {f["code"] for f in doc["findings"]} == {"tests.failed"}
    if any("answered early" in note for note in doc["notes"]):  # else the full run was as fast
        assert judge(cache, *words)[1]["remembered"] is False


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--base", "main"), "usage"),
        (("--base", "main", "--head", "same", "--patch", "EMPTY"), "usage"),
        (("--base", "main", "--head", "gone"), "ref.missing"),
        (("--base", "main", "--head", "main"), "change.head_equals_base"),
        (("--base", "main", "--patch", "EMPTY"), "patch.empty"),
    ],
)
def test_bad_input_is_one_clear_error(repo: Path, cache: Path, words: tuple[str, ...], error: str) -> None:
    (cache / "empty").touch()
    named = [str(cache / "empty") if word == "EMPTY" else word for word in words]
    code, doc = judge(cache, "--repo", str(repo), *named)
    assert (code, doc["error"]["code"]) == (2, error)
