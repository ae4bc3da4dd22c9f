"""Puts requests to the code in the working folder, one after the other, and writes what came of each in one line.

The code runs in a child that is started afresh for each round: it is sent one request at a time, and holds neither the
rest of them nor the way out. A child that ends, hangs or writes what is no answer is put away; another goes on with
the next request. Which of two versions this is nothing here knows, and no answer of another version is in reach.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

ASKED = ".evoguard-requests"
IMPORT_S = 15.0
MOST_CHILDREN, LINE_BYTES = 8, 1 << 20
KINDS = ("answer", "unreadable")
CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "replay_child.py")
Row = list[Any]
UNRUN: Row = ["unrun", {}, 0, 0, 0]


class Child:
    """One process with the code in it."""

    def __init__(self, groups: list[dict[str, Any]], path: list[str]) -> None:
        self.buffer = b""
        asked, self.ask = os.pipe()
        self.told, tells = os.pipe()
        env = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}  # noqa: S108
        env |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-B", "-P", CHILD, str(asked), str(tells)], env=env, pass_fds=(asked, tells),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(asked)
        os.close(tells)
        keys = ("kind", "target", "refuse", "ignore")
        self.send({"groups": [{key: group[key] for key in keys} for group in groups], "path": path})

    def send(self, doc: object) -> None:
        """Send one line; a child that is gone is found when it does not answer."""
        data = json.dumps(doc).encode() + b"\n"
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self.ask, data) :]

    def line(self, until: float) -> bytes | None:
        """Return the next line, empty at the end; None when it did not come in time. Raises: ValueError."""
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.told], [], [], left)[0]:
                return None
            data = os.read(self.told, LINE_BYTES)
            if not data:
                return b""
            self.buffer += data
            if len(self.buffer) > LINE_BYTES:
                raise ValueError("a line without an end")
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def end(self) -> None:
        """Put it away, and what is still in its group."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        os.close(self.ask)
        os.close(self.told)


def once(groups: list[dict[str, Any]], path: list[str], one_s: float, end: float) -> tuple[list[Row], list[str], str]:
    """Return a row for each request of all groups, why a group has none, and why none has any."""
    requests = [(n, request) for n, group in enumerate(groups) for request in group["requests"]]
    rows: list[Row] = []
    whys = [""] * len(groups)
    for _ in range(MOST_CHILDREN):
        if len(rows) == len(requests) or time.monotonic() > end:
            break
        child = Child(groups, path)
        try:
            whys = up(child.line(min(end, time.monotonic() + IMPORT_S)), len(groups))
            while len(rows) < len(requests):
                n, request = requests[len(rows)]
                rows.append(
                    UNRUN if whys[n] else one(child, [len(rows), n, request], min(end, time.monotonic() + one_s))
                )
                if rows[-1][0] in ("hung", "died"):
                    break
        except ValueError as err:
            return rows, whys, str(err)
        finally:
            child.end()
    return rows + [UNRUN] * (len(requests) - len(rows)), whys, ""


def one(child: Child, request: Row, until: float) -> Row:
    """Return [kind, parts, wall us, processor us, refused] of one request; the time is what passed here."""
    began = time.monotonic()
    child.send(request)
    line = child.line(until)
    wall_us = int((time.monotonic() - began) * 1_000_000)
    if not line:
        return ["hung" if line is None else "died", {}, wall_us, 0, 0]
    found = json.loads(line)
    if not isinstance(found, list) or len(found) != 5 or found[0] != request[0] or found[1] not in KINDS:
        raise ValueError("an answer out of its order or of another form")
    kind, parts, cpu_us, refused = found[1:]
    plain = isinstance(parts, dict) and all(isinstance(t, str) for t in parts.values())
    if not plain or type(cpu_us) is not int or type(refused) is not int:
        raise ValueError("an answer of another form")
    return [kind, parts, wall_us, cpu_us, refused]


def up(line: bytes | None, count: int) -> list[str]:
    """Return for each group why its target did not come up, or an empty text. Raises: ValueError."""
    if line is None:
        raise ValueError("it did not come up in time")
    with contextlib.suppress(ValueError):
        told = json.loads(line)
        if isinstance(told, list) and len(told) == count and all(isinstance(why, str) for why in told):
            return [why[:200] for why in told]
    raise ValueError("it ended or wrote something of its own while it was imported")


def main() -> None:
    """Read what is asked, ask it, and write one line."""
    with open(ASKED, encoding="utf-8") as source:
        asked = json.load(source)
    os.unlink(ASKED)
    here = os.getcwd()
    path = [here, f"{here}/src", *[p for p in os.environ.get("PYTHONPATH", "").split(":") if p]]
    end, groups = time.monotonic() + asked["all_s"], asked["groups"]
    told: list[dict[str, Any]] = [{"why": "", "rounds": []} for _ in groups]
    for _ in range(asked["rounds"]):
        rows, whys, why = once(groups, path, asked["one_s"], end)
        at = 0
        for group, found, own in zip(groups, told, whys, strict=True):
            found["why"] = found["why"] or own or why
            found["rounds"].append(rows[at : at + len(group["requests"])])
            at += len(group["requests"])
        if why:
            break
    data = json.dumps({"groups": told}).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
