"""Sources compiled to a bundle: the rules, their tests, and the manifest that names both.

The result depends on the sources and on OPA's version only, byte for byte.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from evoguard import bundle
from evoguard.authoring import folder, modules, structure
from evoguard.authoring.modules import RULES
from evoguard.authoring.opa import Opa, at_work
from evoguard.authoring.problem import Problem, refuse
from evoguard.authoring.scan_rules import scan_rules
from evoguard.domain.canonical import canonical, digest_of
from evoguard.errors import InputError, IntegrityError

ENTRYPOINTS = ("evoguard/admit", "evoguard/review")
MODULE_BYTES = 64 << 20
AT, NAME = re.compile(r"lib\.at\(\[([^\]]*)\]\)"), r'"([^"]+)"'
"""How a rule reads a field that may be missing; OPA does not follow such a path by itself."""


class Builder:
    """One OPA and the sources of one policy folder, read when it is made. Raises: InputError as `folder.read`."""

    def __init__(self, opa: Path, policies: Path) -> None:
        self.opa, self.sources = opa, folder.read(policies)

    def files(self) -> dict[str, bytes]:
        """Return the bundle: file name → bytes. Raises: InputError with the place of the first thing that is wrong."""
        with at_work(self.opa, self.sources) as opa:
            check(opa)
            found = structure.examine(self.sources, modules.read(opa))
            refuse(found.problems)
            texts = self.sources.texts
            parts = {
                bundle.WASM: wasm(opa, ENTRYPOINTS, tests=False),
                bundle.TESTS: wasm(opa, found.tests, tests=True),
                bundle.DATA: texts[folder.DATA].encode("utf-8"),
                bundle.SCAN: scan_rules(texts),
            }
            doc: dict[str, Any] = {
                "opa_version": opa.version(),
                "sources": {path: sha256(text.encode("utf-8")).hexdigest() for path, text in texts.items()},
                "wasm": digest_of(parts[bundle.WASM]),
                "tests_wasm": digest_of(parts[bundle.TESTS]),
                "data": digest_of(parts[bundle.DATA]),
                "scan": digest_of(parts[bundle.SCAN]),
                "rules": sorted(found.codes),
                "codes": {code: dict(about) for code, about in found.codes.items()},
                "reads": {code: reads(opa, code) for code in found.codes},
                "entrypoints": list(ENTRYPOINTS),
                "tests": list(found.tests),
            }
        doc["digest"] = bundle.identity(doc)
        manifest = (json.dumps(doc, indent=1, sort_keys=True) + "\n").encode()
        return {**parts, bundle.SOURCES: canonical(dict(texts)) + b"\n", bundle.MANIFEST: manifest}


def check(opa: Opa) -> None:
    """Refuse sources with a typo in a field, a builtin that is not allowed, or another format. Raises: InputError."""
    refuse(opa.check())
    refuse(unformatted(opa))


def unformatted(opa: Opa) -> list[Problem]:
    """Return a problem for each file that `opa fmt` would write otherwise."""
    fix = "`evoguard policy fmt FOLDER`"
    return [Problem(path, 0, "policy.format", "it is not formatted", fix) for path in opa.unformatted()]


def write(files: dict[str, bytes], out: Path) -> None:
    """Write a bundle, the manifest last: until then what is there is no bundle, or still the old one.

    Raises: InputError when the folder holds something that is no bundle, or cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in out.iterdir()}
        if there and bundle.MANIFEST not in there:
            raise InputError(
                f"policy: {out} holds something that is no bundle", code="policy.folder_taken",
                fix="name a folder that is not there yet, or one with a bundle",
            )  # fmt: skip
        (out / bundle.SIGNATURE).unlink(missing_ok=True)  # it is of what was there before
        for name in sorted(files, key=lambda name: name == bundle.MANIFEST):
            (out / name).write_bytes(files[name])
        bundle.load(out)
    except OSError as err:
        raise InputError(
            f"policy: {out} cannot be written: {err.strerror}", code="policy.folder", fix="name another folder"
        ) from err
    except IntegrityError as err:
        raise InputError(f"policy: what was built does not load: {err.message}", code="policy.build") from err


def wasm(opa: Opa, entrypoints: Iterable[str], *, tests: bool) -> bytes:
    """Return the compiled module with these entry points."""
    entries = [flag for entry in entrypoints for flag in ("-e", entry)]
    made = "bundle.tar.gz"
    opa.run(
        *("build", "-t", "wasm", "--capabilities", folder.CAPABILITIES, "-o", made),
        *(*entries, *opa.sources.rego(tests=tests), folder.DATA),
    )
    with tarfile.open(fileobj=io.BytesIO((opa.home / made).read_bytes())) as tar:
        member = next((one for one in tar if one.name == "/policy.wasm"), None)
        raw = tar.extractfile(member) if member is not None else None
        if member is None or raw is None or member.size > MODULE_BYTES:
            raise InputError(
                f"policy: OPA compiled nothing, or more than {MODULE_BYTES >> 20} MiB", code="policy.build",
                fix="make the rules smaller, and use the pinned OPA",
            )  # fmt: skip
        return raw.read()


def reads(opa: Opa, code: str) -> list[str]:
    """Return what of question and data a rule looks at, by itself or through what it calls, as OPA tells it."""
    rules = [flag for path in opa.sources.rego(tests=False) for flag in ("-d", path)]
    told = opa.json("deps", *rules, "-f", "json", f"data.{RULES}{code}")
    found = {".".join(str(part["value"]) for part in ref) for ref in told.get("base") or []}
    text = opa.sources.texts[f"{code.replace('.', '/')}.rego"]
    found |= {f"input.{'.'.join(re.findall(NAME, path))}" for path in AT.findall(text)}
    return sorted(found - {"input", "data"})
