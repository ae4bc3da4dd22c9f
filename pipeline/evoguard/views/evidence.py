"""One isolated run as people look at it: which layer saw what, the tests by outcome and time, what was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evoguard.domain.canonical import Json
from evoguard.errors import InputError
from evoguard.views.changes import found
from evoguard.views.reader import Doc, Reader
from evoguard.views.story import load, newest

LAYERS: Mapping[str, tuple[str, ...]] = {
    "room": ("sandbox.",),
    "base tests over the candidate": (
        "tests.base", "tests.config", "tests.not_trusted", "tests.missing",
        "tests.vanished", "tests.extra", "tests.failed",
        "tests.unexpected_skip", "tests.none_ran", "tests.is_the_runner", "input.",
    ),
    "supervisor": ("tests.forged_frames", "tests.ended_early", "tests.runner_patched"),
    "mutants": ("tests.mutant_passed",),
    "apart from the code": ("tests.split",),
    "held-out tests": ("tests.held_out",),
}  # fmt: skip
"""Which layer of the verdict a finding's code belongs to, by its beginning (docs/adr/0005-the-verdict.md)."""


async def evidence(reader: Reader, change: str) -> Doc:
    """Return the newest evidence of a change, by layer. Raises: InputError when nothing was run yet."""
    await found(reader, change)
    digest = newest(await reader.events(f"change/{change}"), "candidate.checked", "evidence")
    if not digest:
        raise InputError(f"{change} has no evidence yet", code="evidence.none", fix=f"see `evoguard show {change}`")
    doc = await load(reader, digest)
    tests, findings = _docs(doc.get("tests")), _docs(doc.get("findings"))
    names = (
        "verdict",
        "assurance",
        "isolation",
        "behaviour",
        "runtime",
        "expected",
        "run",
        "added",
        "failed",
        "wall_ms",
    )
    return {
        "change": change,
        "evidence": digest,
        "tree": doc.get("tree", ""),
        **{name: doc.get(name) for name in names},
        "outcomes": dict(Counter(str(test.get("outcome")) for test in tests)),
        "layers": [_layer(name, codes, doc, findings) for name, codes in LAYERS.items()],
        "tests": tests,
        "findings": findings,
        "record": doc.get("record", []),
    }


def _layer(name: str, codes: tuple[str, ...], doc: Mapping[str, Json], findings: Sequence[Mapping[str, Json]]) -> Json:
    caught = [str(f.get("code")) for f in findings if str(f.get("code")).startswith(codes)]
    expected, unproven, split = (_int(doc.get(key)) for key in ("expected", "unproven", "split"))
    reach = {
        "mutants": f"{max(0, expected - unproven)} of {expected} tests seen to fail when made false",
        "apart from the code": f"{split} of {expected} tests",
        "held-out tests": "passed" if doc.get("assurance") == "held-out" else "none, or not passed",
    }.get(name, "")
    return {"layer": name, "reach": reach, "caught": caught}


def _int(value: Json) -> int:
    return value if isinstance(value, int) else 0


def _docs(value: Json) -> list[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
