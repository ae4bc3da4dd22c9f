"""Two bundles compared: over every decision that was recorded, and over questions made up to tell them apart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.authoring import comparing, questions
from evoguard.authoring.comparing import Side, Static, Turned
from evoguard.authoring.folder import SCHEMA, is_test
from evoguard.domain.canonical import Json
from evoguard.domain.verdict import Decision
from evoguard.errors import EvoguardError, InputError, IntegrityError
from evoguard.settings import Settings
from evoguard.views import past
from evoguard.wiring.authoring import bundle_folder
from evoguard.wiring.reading import Reading
from evoguard.wiring.state import open_state

MOST_EXAMPLES, MOST_ASKED = 40, 100_000


@dataclass(slots=True)
class _Tried:
    """What was asked of both bundles so far."""

    recorded: int = 0
    generated: int = 0
    not_asked: int = 0
    """Recorded decisions whose question is lost: nobody can tell."""
    allowed: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    turns: list[Turned] = field(default_factory=list)
    examples: list[tuple[Turned, dict[str, Json]]] = field(default_factory=list)


async def diff(
    settings: Settings, a: Path | None, b: Path | None, *, most: int, text: bool,
    told: Callable[[int], None] = lambda _: None,
) -> dict[str, Json]:  # fmt: skip
    """Return what B says and holds otherwise than A; None is the bundle that ships. `told` is called with the count.

    Raises: InputError for a folder without a bundle, IntegrityError for a bundle that does not hold.
    """
    if not 0 < most <= MOST_ASKED:
        raise InputError(
            f"--questions: {most} is not from 1 to {MOST_ASKED}", code="usage", fix="leave it out: 3000 are asked"
        )
    left, right = (_side(bundle_folder(path)) for path in (a, b))
    rules = tuple(OpaWasmPolicies(_cache(settings, path), folder=path) for path in (a, b))
    if (rules[0].digest, rules[1].digest) != (left.digest, right.digest):
        raise IntegrityError("policy bundle: it changed while it was read", code="integrity.policies", fix="try again")
    found, tried = comparing.static(left, right), _Tried()
    async for where, stage, about, question in _questions(settings, left, right, found, most):
        if question is None:
            tried.not_asked += 1
            turned = Turned("no verdict")
        else:
            ours, theirs = [await _ask(one, stage, question) for one in rules]
            turned = comparing.turned(ours, theirs)
            _note(tried, ours, theirs, recorded=where != "generated")
        tried.turns.append(turned)
        if turned.turn != "unchanged":
            row: dict[str, Json] = {"where": where, "stage": stage, "about": about, "turn": turned.turn}
            row |= {"looser": sorted(turned.looser), "tighter": sorted(turned.tighter)}
            tried.examples.append((turned, row))
        told(len(tried.turns))
    made = _answer(left, right, found, tried)
    return {**made, "text": comparing.text_diff(left, right)} if text else made


def _answer(left: Side, right: Side, found: Static, tried: _Tried) -> dict[str, Json]:
    turns, codes = comparing.counted(tried.turns)
    differs = any(one.turn != "unchanged" for one in tried.turns)
    loosened, unknown = comparing.loosened(found), comparing.unknown(found, tried.fired, differs=differs)
    if tried.generated and not (tried.allowed["a"] and tried.allowed["b"]):
        unknown.append("no made-up question was allowed on one of the sides, so little was tried")
    word = comparing.verdict(tried.turns, [*loosened, *unknown], new=bool(found.new))
    tried.examples.sort(key=lambda one: comparing.TURNS.index(one[0].turn))
    shown = tried.examples[:MOST_EXAMPLES]
    return {
        "a": left.digest, "b": right.digest, "verdict": word, "loosens": word in ("loosening", "both"),
        "standing": {
            "new": [*found.new], "gone": [*found.gone], "changed": [*found.code], "described_otherwise": [*found.words],
            "shared": [*found.shared], "scan": [{"rule": rule, "what": what} for rule, what in found.scan],
            "severities": [{"code": c, "before": x, "after": y} for c, x, y in found.severities],
            "data": [{"place": p, "before": x, "after": y} for p, x, y in found.values[: comparing.MOST_VALUES]],
        },
        "loosened": [*loosened], "unknown": [*unknown],
        "tried": {
            "recorded": tried.recorded, "generated": tried.generated, "not_asked": tried.not_asked,
            "allowed_by_a": tried.allowed["a"], "allowed_by_b": tried.allowed["b"],
            "fired": {code: tried.fired[code] for code in found.changed},
        },
        "turns": turns, "codes": codes,
        "examples": [row for _, row in shown], "omitted": len(tried.examples) - len(shown),
    }  # fmt: skip


async def _questions(
    settings: Settings, left: Side, right: Side, found: Static, most: int
) -> AsyncIterator[tuple[str, Any, str, Any]]:
    """Yield where a question is from, its stage, what it is about and itself: the recorded ones, then made-up ones."""
    if settings.database.is_file():
        opened = open_state(settings)
        try:
            async for one in past.every(Reading(opened)):
                yield one.change, one.stage, one.why or "recorded", one.question
        finally:
            opened.close()
    hints = _hints(left, right, found)
    for made in questions.generate(json.loads(right.sources[SCHEMA]), hints, most):
        yield "generated", made.stage, made.about, made.doc


def _hints(left: Side, right: Side, found: Static) -> questions.Hints:
    """Return what tells these two apart: what changed and what it compares with, and the fields that it looks at."""
    sides = (left, right)
    rego = sorted(path for path in left.sources.keys() | right.sources.keys() if path.endswith(".rego"))
    edited = [path for path in rego if left.sources.get(path) != right.sources.get(path)]
    texts = [s.sources[path] for path in edited for s in sides if path in s.sources and not is_test(path)]
    touched = {f"data.{place}" for place, _, _ in found.values}
    readers = {code for side in sides for code, places in side.reads.items() if touched & {*places}}
    reads = [place for code in {*found.changed, *readers} for side in sides for place in side.reads.get(code, ())]
    changed: list[Json] = [value for _, *both in found.values for value in both]
    return questions.hints(texts, [*changed, left.data, right.data], reads)


def _note(tried: _Tried, ours: Decision | None, theirs: Decision | None, *, recorded: bool) -> None:
    tried.recorded, tried.generated = tried.recorded + recorded, tried.generated + (not recorded)
    codes: set[str] = set()
    for name, decision in (("a", ours), ("b", theirs)):
        if decision is not None:
            tried.allowed[name] += decision.allow
            codes |= {one.code for one in (*decision.deny, *decision.escalate, *decision.notes)}
    tried.fired.update(codes)


async def _ask(rules: OpaWasmPolicies, stage: Any, question: Any) -> Decision | None:  # noqa: ANN401  (recorded JSON)
    """Return the decision, None when there is no verdict: that is an answer here, it is what is asked about."""
    try:
        return await rules.decide(stage, question)
    except EvoguardError:
        return None


def _side(folder: Path | None) -> Side:
    loaded = bundle.load(folder)
    scan = json.loads(loaded.scan)["rules"]
    return Side(
        digest=loaded.manifest.digest,
        sources=bundle.sources(folder),
        data=json.loads(loaded.data),
        scan={str(rule["id"]): rule for rule in scan},
        severities={code: about["severity"] for code, about in loaded.manifest.codes.items()},
        reads=loaded.manifest.reads,
    )


def _cache(settings: Settings, folder: Path | None) -> Path | None:
    return settings.state / "policy-cache" if folder is None and settings.state.is_dir() else None
