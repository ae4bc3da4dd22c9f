"""Make the git history of the lending service: the same five commits, ids included, every time."""

from __future__ import annotations

import subprocess
from pathlib import Path

SERVICE = Path(__file__).with_name("service")
BORN = 1_767_225_600  # 2026-01-01T00:00:00Z
DAY_S = 86_400
WHO = "Lena Dorn <lena@lending.example>"
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Score an application", ("README.md", "pyproject.toml", "lending/__init__.py", "lending/figures.py",
                              "lending/scoring.py", "tests/conftest.py", "tests/test_scoring.py")),
    ("Price an application", ("lending/pricing.py", "tests/test_pricing.py")),
    ("Answer over HTTP, with counters", ("lending/app.py", "lending/metrics.py")),
    ("Let agents propose changes, under guard", (".evoguard.toml", "CODEOWNERS", "cases/pricing.json",
                                                 "cases/scoring.json", "policies/lending.rego")),
    ("Tell applicants by letter", ("lending/letters.py", "tests/test_letters.py",
                                   "writer/model.json", "writer/prompt.txt")),
)  # fmt: skip
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip


def make_history(dest: Path) -> str:
    """Create the bare repository `dest` with branch main; returns main's commit id.

    Raises: FileExistsError when `dest` is there already, subprocess.CalledProcessError when git fails.
    """
    dest.mkdir(parents=True)
    _git(dest, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    _git(dest, "fast-import", "--quiet", "--done", given=_stream())
    return _git(dest, "rev-parse", "refs/heads/main").decode().strip()


def _stream() -> bytes:
    parts: list[bytes] = []
    for number, (message, paths) in enumerate(STEPS):
        when = f"{WHO} {BORN + number * DAY_S} +0000"
        parts.append(f"commit refs/heads/main\nauthor {when}\ncommitter {when}\n".encode())
        parts.append(_data(message.encode() + b"\n"))
        for path in paths:
            parts.append(f"M 100644 inline {path}\n".encode() + _data((SERVICE / path).read_bytes()))
        parts.append(b"\n")
    return b"".join((*parts, b"done\n"))


def _data(content: bytes) -> bytes:
    return b"data %d\n" % len(content) + content + b"\n"


def _git(where: Path, *words: str, given: bytes = b"") -> bytes:
    done = subprocess.run(("git", *words), cwd=where, env=ENVIRONMENT, input=given, capture_output=True, check=True)
    return done.stdout
