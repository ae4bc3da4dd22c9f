"""Questions made up to tell two bundles apart: each field of a complete question at its boundaries, alone and in pairs.

Boundaries are the words of the schema, small and large numbers, the values beside every number that the bundles' data
and what changed between them name, and the field missing, null or of another type. The same at every run.
"""

from __future__ import annotations

import copy
import json
import random
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from evoguard.domain.canonical import Json
from evoguard.domain.verdict import PolicyStage

Way: TypeAlias = tuple[str | int, ...]
Edit: TypeAlias = tuple[Way, Any]
Case: TypeAlias = tuple[dict[str, Any], tuple[Edit, ...]]
MOST, SEED = 3_000, 20_261_129
MOST_TEXTS, MOST_NUMBERS, TEXT_CHARS = 40, 40, 200
LOST = object()
"""An edit that takes the field away."""
_LARGEST = 2**53 - 1
_STRINGS, _NUMBERS = re.compile(r'"((?:[^"\\\n]|\\.)*)"'), re.compile(r"(?<![\w.\"])(\d{1,15})(?![\w.\"])")
_VOTE: dict[str, Any] = {
    "by": "ada", "kind": "person", "digest": "sha256:question", "at": 1_790_000_000, "expires": 1_790_003_600,
    "verdict": "approve", "model": "",
}  # fmt: skip
_FILE: dict[str, Any] = {
    "path": "lending/scoring.py", "old_path": "", "status": "modified", "added": 3, "deleted": 1, "binary": False,
    "mode_old": "100644", "mode_new": "100644", "size": 900,
}  # fmt: skip

_FEATURE: dict[str, Any] = {"name": "lines", "value": 60, "points": 60, "hard": False, "note": ""}


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and what was changed in it, in words."""

    stage: PolicyStage
    about: str
    doc: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Hints:
    """Numbers and texts that rules compare with, and the fields that changed rules read, as `input.totals.files`."""

    numbers: Sequence[int]
    texts: Sequence[str]
    reads: Sequence[str]


def hints(changed: Sequence[str], data: Sequence[Json], reads: Sequence[str]) -> Hints:
    """Return what the changed sources and the bundles' data name, the changed sources first; a bounded number."""
    numbers, texts = [], []
    for text in changed:
        numbers += [int(found) for found in _NUMBERS.findall(text)]
        texts += [found for found in _STRINGS.findall(text) if "\\" not in found]
    for leaf in (leaf for doc in data for leaf in _leaves(doc)):
        if isinstance(leaf, str):
            texts.append(leaf)
        elif isinstance(leaf, int) and not isinstance(leaf, bool):
            numbers.append(leaf)
    kept = [text for text in dict.fromkeys(texts) if len(text) <= TEXT_CHARS and _sayable(text)]
    return Hints(list(dict.fromkeys(numbers))[:MOST_NUMBERS], kept[:MOST_TEXTS], sorted(set(reads)))


def generate(schema: Mapping[str, Any], found: Hints, most: int = MOST) -> list[Question]:
    """Return at most so many questions: complete ones, then one field changed, then two.

    Where there would be more it is a fixed draw; fields that changed rules read come before the others.
    """
    dice = random.Random(SEED)  # noqa: S311  (cases, not secrets)
    bases = [_filled(base, schema) for base in _bases()]
    read = [tuple(field.split(".")[1:]) for field in found.reads if field.startswith("input.")]
    near: list[Case] = []
    far: list[Case] = []
    pairs: list[Case] = []
    for base in bases:
        edits = list(_edits(base, schema, found))
        close = [edit for edit in edits if any(_under(edit[0], field) for field in read)]
        near += [(base, (edit,)) for edit in close]
        far += [(base, (edit,)) for edit in edits if edit not in close]
        for _ in range(most if edits else 0):
            one, two = dice.choice(close or edits), dice.choice(edits)
            if not _under(one[0], two[0]):
                pairs.append((base, (one, two)))
    room = max(0, most - len(bases))
    chosen = [*_drawn(dice, near, room // 3), *_drawn(dice, far, room // 3)]
    dice.shuffle(pairs)
    chosen += islice(pairs, room - len(chosen))
    return [_question(base, edits) for base, edits in [*_unchanged(bases), *chosen]][:most]


def _unchanged(bases: list[dict[str, Any]]) -> list[Case]:
    return [(base, ()) for base in bases]


def _drawn(dice: random.Random, cases: list[Case], most: int) -> list[Case]:
    return dice.sample(cases, most) if len(cases) > most else cases


def _bases() -> Iterator[dict[str, Any]]:
    """Yield complete questions: at both stages, and of a person who touches guard paths with two people's votes."""
    yield _base("review")
    yield _base("admit")
    yield _base("admit") | {
        "author": {"id": "eve", "kind": "person", "held": False, "sponsors": [], "model": ""},
        "files": [{**_FILE, "path": "policies/a.rego"}],
        "approvals": [dict(_VOTE), {**_VOTE, "by": "bob"}],
    }


def _base(stage: PolicyStage) -> dict[str, Any]:
    admit = stage == "admit"
    return {
        "v": 1, "stage": stage, "now": 1_790_000_100,
        "change": {
            "id": "ch-0123456789ab", "repo": "lending", "base": "b0", "head": "c1", "tree": "d2", "intent": "a rule",
            "component": "scoring",
        },
        "files": [dict(_FILE)], "totals": {"files": 1, "added": 3, "deleted": 1, "omitted": 0},
        "impact": {
            "floor": 80, "risk": 80, "features": [dict(_FEATURE)], "known": True, "unknown": [], "dependants": 2,
            "tests": 1, "components": ["scoring"],
        },
        "author": {"id": "coder", "kind": "agent", "held": False, "sponsors": ["dora"], "model": "maker/large-1"},
        "owners": [], "prior": {"reverted": [], "open": [], "omitted": 0},
        "component": {
            "name": "scoring", "flag": "lending-scoring", "kpis": ["errors"], "quorum": 1, "stages": [1, 10, 50, 100],
        },
        "evidence": {
            "digest": "sha256:evidence", "passed": True, "isolation": "gvisor", "behaviour": "recorded",
            "assurance": "split", "expected": 12, "run": 12, "failed": 0, "split": 9, "unstable": [], "review": [],
        },
        "secrets": [], "scan": {"digest": "sha256:scan", "status": "complete", "omitted": 0, "unread": []}, "hits": [],
        "inspection": {"digest": "sha256:inspection", "status": "complete", "omitted": 0},
        "advisories": {
            "status": "present", "digest": "sha256:db", "imported": 1_790_000_000, "newest": 1_790_000_000,
            "entries": 9,
        },
        "dependencies": [], "faults": [], "vulnerable": [], "weakened": [], "blobs": [], "capabilities": [],
        "regression": {
            "digest": "", "declared": 0, "status": "none", "asked": 0, "answered": 0, "omitted": 0, "findings": [],
        },
        "sbom": {"base": "sha256:old", "head": "sha256:new", "difference": "sha256:diff"},
        "approvals": [dict(_VOTE)] if admit else [], "approval_digest": "sha256:question" if admit else "",
        "quarantine": [],
        "tighten": {"guard": [], "max_files": 0, "max_lines": 0, "quorum": 0, "seats": 0, "assurance": "",
                    "split_percent": 0},
        "policy": {"bundle": "sha256:bundle", "reviewed_bundle": "sha256:bundle" if admit else ""},
    }  # fmt: skip


def _filled(base: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the question with every field that this schema wants and the question does not know."""
    made = dict(base)
    for name, about in _properties(schema).items():
        if name not in made:
            made[name] = _usual(about)
        elif isinstance(made[name], dict):
            made[name] = _filled(made[name], about)
        elif isinstance(made[name], list):
            inner = _items(about)
            made[name] = [_filled(item, inner) if isinstance(item, dict) else item for item in made[name]]
    return made


def _edits(base: Mapping[str, Any], schema: Mapping[str, Any], found: Hints, way: Way = ()) -> Iterator[Edit]:
    for name, value in base.items():
        about = _properties(schema).get(name, {})
        if (*way, name) != ("stage",):
            yield from (((*way, name), other) for other in _others(value, about, found))
        if isinstance(value, dict):
            yield from _edits(value, about, found, (*way, name))
        elif isinstance(value, list) and _properties(_items(about)):
            inner = _items(about)
            item = value[0] if value and isinstance(value[0], dict) else _usual(inner)
            for inside, other in _edits(item, inner, found):
                changed = _edited(item, ((inside, other),))
                yield ((*way, name), [changed, *value[1:]])


def _others(value: object, about: Mapping[str, Any], found: Hints) -> Iterator[Any]:
    """Yield what else may stand where a value stands: its boundaries, and what is none of its kind."""
    yield from (LOST, None)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        near = [value - 1, value + 1, *(number + step for number in found.numbers for step in (-1, 0, 1))]
        yield from dict.fromkeys(n for n in (0, 1, *near, _LARGEST) if 0 <= n <= _LARGEST and n != value)
        yield str(value)
    elif isinstance(value, str):
        words = [*about.get("enum", []), *found.texts, *(_path_of(text) for text in found.texts), "other"]
        yield from dict.fromkeys(word for word in ("", *words) if isinstance(word, str) and word != value)
        yield 1
    elif isinstance(value, list):
        yield from _lists(value, about, found)


def _lists(value: list[Any], about: Mapping[str, Any], found: Hints) -> Iterator[Any]:
    inner = _items(about)
    if _properties(inner):
        item = value[0] if value else _usual(inner)
        yield from ([], [item], [item] * 2, [item] * 12)
    elif inner.get("type") == "integer":
        yield from ([], [1], [0, 100])
    else:
        yield from ([], ["other"], *([text] for text in found.texts))
    yield {}


def _usual(about: Mapping[str, Any]) -> Any:  # noqa: ANN401  (JSON of a schema's making)
    if about.get("enum"):
        return about["enum"][0]
    kind = about.get("type")
    if kind == "object":
        return {name: _usual(inner) for name, inner in _properties(about).items()}
    return {"integer": 1, "boolean": False, "array": []}.get(str(kind), "usual")


def _question(base: dict[str, Any], edits: Sequence[Edit]) -> Question:
    about = "; ".join(_said(way, value) for way, value in edits) or "complete, nothing changed"
    return Question(base["stage"], about, _edited(base, edits))


def _edited(base: dict[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    made = copy.copy(base)
    for way, value in edits:
        place: Any = made
        for step in way[:-1]:
            # What is changed is copied, all else shared: a whole copy of each is most of the time that they take.
            place[step] = place = copy.copy(place[step])
        if value is LOST:
            place.pop(way[-1], None)
        else:
            place[way[-1]] = value
    return made


def _said(way: Way, value: object) -> str:
    name = ".".join(map(str, way))
    if value is LOST:
        return f"{name} missing"
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return f"{name} = {text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + ' ...'}"


def _path_of(text: str) -> str:
    """Return a path that a glob matches, or the text itself."""
    inside = re.sub(r"\{([^,{}]*)[^{}]*\}", r"\1", text)
    return inside.replace("**/", "x/").replace("/**", "/x").replace("**", "x").replace("*", "x").replace("?", "x")


def _under(way: Sequence[str | int], field: Sequence[str | int]) -> bool:
    """Tell whether one of two ways leads through the other."""
    return all(a == b for a, b in zip(way, field, strict=False))


def _properties(about: Mapping[str, Any]) -> Mapping[str, Any]:
    found = about.get("properties")
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def _items(about: Mapping[str, Any]) -> Mapping[str, Any]:
    found = about.get("items")
    return found if isinstance(found, dict) else {}


def _leaves(doc: Json) -> Iterator[Json]:
    if isinstance(doc, Mapping):
        for inner in doc.values():
            yield from _leaves(inner)
    elif isinstance(doc, Sequence) and not isinstance(doc, str):
        for inner in doc:
            yield from _leaves(inner)
    else:
        yield doc


def _sayable(text: str) -> bool:
    """Tell whether a question may hold the text at all."""
    return text.isprintable() and unicodedata.is_normalized("NFC", text)
