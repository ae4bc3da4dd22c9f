"""Where wheels come from: pip with the index that this machine is configured for. Only the builder has network."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from evoguard_sandbox.layer_locks import LayerError, Pin
from evoguard_sandbox.room import Interpreter
from evoguard_sandbox.shown import shown

PIP_S = 900
OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:")
NO_WHEEL = "pin a release that has a wheel for this Python; source archives run code when built, and are not built here"
SAID = (
    ("DO NOT MATCH THE HASHES", "layer.hash_mismatch", "write the lock again, and look at what changed"),
    ("No matching distribution", "layer.no_wheel", NO_WHEEL),
    ("No module named pip", "layer.no_pip", "install pip for the Python that runs evoguard"),
)


def pip(pins: Sequence[Pin], into: Path, python: Interpreter) -> None:
    """Download one wheel for each pin into `into`; nothing is built and nothing installed.

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
    version = ["--python-version", python.name.removeprefix("python")] if foreign else []
    command = [sys.executable, "-I", "-m", "pip", "download", *OPTIONS, *version]
    try:
        done = subprocess.run(
            [*command, "-d", str(into), "--", *(pin.wanted for pin in pins)],
            capture_output=True,
            text=True,
            timeout=PIP_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as err:
        raise LayerError("layer.fetch_failed", f"pip did not end within {PIP_S} s", "try again") from err
    if done.returncode:
        raise _told(done.stderr + done.stdout)


def _told(text: str) -> LayerError:
    code, fix = next(
        ((c, f) for words, c, f in SAID if words in text), ("layer.fetch_failed", "look at pip's settings")
    )
    errors = [line for line in text.splitlines() if "ERROR" in line] or text.strip().splitlines()[-1:]
    safe = re.sub(r"\S*://\S+", "(an address)", " ".join(errors))
    return LayerError(code, f"the wheels of the lock cannot be had: {shown(safe, 300)}", fix)
