"""`evoguard shadow` on real git and real gVisor: the same, another answer, and a recording that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs_gvisor
TOML = 'version = 1\n[component.a]\n[component.a.cases]\nkind = "wsgi"\ntarget = "app:app"\nfile = "c.json"\n'
APP = """
def app(environ, start):
    start("500 No" if environ["PATH_INFO"] == BAD else "200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]
"""


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / ".evoguard.toml").write_text(TOML)
    for name, bad in (("main", "None"), ("same", "0"), ("worse", "'/b'")):
        git(folder, "checkout", "-q", "-B", name, *(["main"] if name != "main" else []))
        (folder / "app.py").write_text(f"BAD = {bad}\n{APP}")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", name)
    return folder


def shadow(repo: Path, recording: Path, head: str) -> tuple[int, dict]:
    words = ("shadow", str(recording), "--repo", str(repo), "--base", "main", "--head", head, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "evoguard", *words], capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, json.loads(done.stdout)


def test_a_recording_is_put_to_both_versions(repo: Path, tmp_path: Path) -> None:
    recording = tmp_path / "r.jsonl"
    rows = [{"v": 1, "request": {"path": path}} for path in ("/a", "/b", "/c")]
    recording.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, doc = shadow(repo, recording, "same")
    assert (code, doc["same"], doc["status"], doc["answered"], doc["isolation"]) == (0, True, "complete", 3, "gvisor")
    code, other = shadow(repo, recording, "worse")
    assert (code, other["same"], other["summary"]["outcomes"]) == (3, False, {"regression.error": 1, "same": 2})
    assert [(f["code"], f["case"]) for f in other["findings"]] == [("regression.error", "line 2")]
    assert doc["recording"] == other["recording"] != doc["evidence"] != other["evidence"]
    recording.write_text(recording.read_text()[:-1])
    code, wrong = shadow(repo, recording, "same")
    assert (code, wrong["error"]["code"]) == (2, "shadow.recording")
