"""Where wheels come from: pip with the index that this machine is configured for. Only the builder has network.

A package without a wheel comes as its source archive, downloaded only (`index.py`): pip would run its code.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from evoguard_sandbox.installing.index import places, source
from evoguard_sandbox.installing.locks import Pin, normal
from evoguard_sandbox.rooms.room import Interpreter
from evoguard_sandbox.shown import shown
from evoguard_sandbox.types import LayerError

PIP_S = 900
OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:")
NO_WHEEL = "pin a release that has a wheel for this Python, or lock the hash of a source archive that can be built"
OLD_PYTHON = "pin releases for this Python, or run evoguard on the Python that the project wants"
MOST_SOURCES = 20
NOT_FOUND = re.compile(r"No matching distribution found for ([A-Za-z0-9._-]+)")
SAID = (
    ("require a different python version", "layer.requires_python", OLD_PYTHON),
    ("DO NOT MATCH THE HASHES", "layer.hash_mismatch", "write the lock again, and look at what changed"),
    ("No matching distribution", "layer.no_wheel", NO_WHEEL),
    ("No module named pip", "layer.no_pip", "install pip for the Python that runs evoguard"),
)


def pip(pins: Sequence[Pin], into: Path, python: Interpreter, *, within_s: float = PIP_S) -> None:
    """Download one wheel, or else one source archive, for each pin into `into`; nothing is built or installed.

    The pins are words behind `--`: in a requirements file a line could turn options on, such as building from source.
    The builder compares every wheel with the lock's hashes itself.

    Raises: LayerError; its message names no address.
    """
    mine = f"python{sys.version_info.major}.{sys.version_info.minor}"
    foreign = python.name != mine
    if foreign and any(pin.marker for pin in pins):
        # pip answers markers for the Python it runs on, whatever wheels it is asked for
        text = f"the lock has markers, and pip runs on {mine} while the tests run on {python.name}"
        raise LayerError(
            "layer.other_python", text, f"run evoguard with {python.name}, or write a lock without markers"
        )
    rest, last = list(pins), time.monotonic() + within_s
    sources: list[tuple[Pin, LayerError]] = []
    while rest and (said := _download(rest, into, python if foreign else None, last)):
        lost = NOT_FOUND.search(said)
        without = [pin for pin in rest if lost is not None and normal(pin.name) == normal(lost[1])]
        if not without or len(sources) + len(without) > MOST_SOURCES:
            raise _told(said)
        rest = [pin for pin in rest if pin not in without]
        sources += [(pin, _told(said)) for pin in without]
    _take_sources(sources, [pin for pin in rest if len(pin.hashes) == 1 and _another(pin, into)], into, last)


def _download(pins: Sequence[Pin], into: Path, foreign: Interpreter | None, last: float) -> str:
    """Return what pip says when it does not have a wheel for every pin, "" when it has."""
    version = ["--python-version", foreign.name.removeprefix("python")] if foreign is not None else []
    command = [sys.executable, "-I", "-m", "pip", "download", *OPTIONS, *version]
    try:
        done = subprocess.run(
            [*command, "-d", str(into), "--", *(pin.wanted for pin in pins)],
            capture_output=True,
            text=True,
            timeout=max(0.1, last - time.monotonic()),
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as err:
        raise LayerError("layer.fetch_failed", "pip did not end within its time", "try again") from err
    return (done.stderr + done.stdout or "pip said nothing") if done.returncode else ""


def _another(pin: Pin, into: Path) -> bool:
    """Tell whether the wheel that pip brought for a pin is not the lock's: a lock of a source archive names none."""
    found = _wheels_of(pin, into)
    return bool(found) and not any(hashlib.sha256(path.read_bytes()).hexdigest() in pin.hashes for path in found)


def _wheels_of(pin: Pin, into: Path) -> list[Path]:
    return [path for path in into.glob("*.whl") if normal(path.name.partition("-")[0]) == normal(pin.name)]


def _take_sources(needed: Sequence[tuple[Pin, LayerError]], doubtful: Sequence[Pin], into: Path, last: float) -> None:
    """Add source archives: of pins without a wheel, where they must be, and of those whose wheel is another file."""
    if not needed and not doubtful:
        return
    try:
        where = places()
    except (OSError, subprocess.SubprocessError, ValueError, SyntaxError) as err:
        raise LayerError("layer.no_pip", "pip does not tell its settings", "look at pip's settings") from err
    for pin, error in [*needed, *((pin, None) for pin in doubtful)]:
        if time.monotonic() > last:
            raise LayerError("layer.fetch_failed", "the source archives did not come in time", "try again")
        found = source(pin, where)
        if found is None and error is not None:
            raise error
        if found is not None:
            for path in _wheels_of(pin, into) if error is None else []:
                path.unlink()
            (into / found[0]).write_bytes(found[1])


def _told(text: str) -> LayerError:
    code, fix = next(
        ((c, f) for words, c, f in SAID if words in text), ("layer.fetch_failed", "look at pip's settings")
    )
    errors = [line for line in text.splitlines() if "ERROR" in line] or text.strip().splitlines()[-1:]
    safe = re.sub(r"\S*://\S+", "(an address)", " ".join(errors))
    return LayerError(code, f"the wheels of the lock cannot be had: {shown(safe, 300)}", fix)
