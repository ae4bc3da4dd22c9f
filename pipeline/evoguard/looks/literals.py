"""Named numbers, switches, lists and patterns that allow more than they did at the base: people look at each.

A value is known by its name, in whatever changed file it stands, so that one that moved to the settings is still the
same. Only what loosens is told: a limit that became tighter, a list that lost what it allowed, is none. Python is read
as a syntax tree, other languages by lines.
"""

from __future__ import annotations

import ast
import bisect
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evoguard.domain.scan import Hit
from evoguard.looks.trees import MOST_BYTES, Read, Trees

LIMIT, SWITCH, LONGER, ANCHOR = "limit.loosened", "switch.loosened", "list.longer", "pattern.loosened"
MOST_HITS, MOST_VALUES, MOST_DEPTH, MOST_NUMBER = 20, 20_000, 20, 10**15
MOST_LISTS = 200_000
"""So much of a file of another language is searched for lists, in characters."""
_NAME, _NUMBER = re.compile(r"[A-Za-z_]\w{1,60}"), re.compile(r"(?<![\w.])\d[\d_]{0,14}(?:\.\d{1,10})?(?![\w.])")
_WHOLE, _PART = re.compile(r"\bfullmatch\("), re.compile(r"\b(?:match|search)\(")
_SAID = {
    LIMIT: "a number that bounds something allows more than before",
    SWITCH: "a switch of what protects is set otherwise than before",
    LONGER: "a list of what is allowed is longer, or one of what is not is shorter, than before",
    ANCHOR: "a pattern that had to fit all of a text fits a part of it",
}
_LEAST = re.compile(r"(.*_)?(min|minimum|least|iterations?|rounds|bits|cost|fee|fail_under)(_.*)?")
_MOST = re.compile(
    r"(.*_)?(max|maximum|most|limits?|ttl\w*|expir\w*|lifetime|valid_for|tolerance|skew|leeway|attempts|tries|quota|burst"
    r"|threshold|rate|age|percent)(_.*)?"
)
_SAFE_ON = re.compile(
    r"(.*_)?(verify\w*|secure|http_?only|validate\w*|require\w*|protect\w*|csrf\w*|sandbox\w*|safe|tls|ssl"
    r"|signed|encrypt\w*|authenticated|read_?only|strict|exact|confirmed?|same_?site|check_\w+)(_.*)?"
)
_SAFE_OFF = re.compile(
    r"(.*_)?(debug|insecure|public|anonymous|trust\w*|skip_\w+|disable_\w+|bypass|allow_\w+|unsafe|permissive)(_.*)?"
)
_ALLOW = re.compile(
    r"(.*_)?(allow\w*|public|open|exempt\w*|safe|trusted|whitelist|permitted|accept\w*|origins|hosts|roles|scopes|admins)"
    r"(_.*)?"
)
_DENY = re.compile(r"(.*_)?(block(ed)?|den(y|ied)|forbidden|banned|blacklist|sensitive|redact\w*|disallow\w*)(_.*)?")
_UNBOUNDED = frozenset({-1.0, 0.0})
_ASSIGNED = re.compile(r"(?m)\b([A-Za-z_]\w{1,60})[\"']?\s*(?::=|[:=])\s*([^\n;]{1,200})")
_LIST = re.compile(r"\b([A-Za-z_]\w{1,60})\s*(?::=|[:=])\s*[^=\n\"']{0,40}?[\[{]([^\]}]{0,1000})[\]}]")
_TEXT = re.compile(r"[\"'`]([^\"'`\n]{1,200})[\"'`]")
_PRODUCT = re.compile(r"[\d_.]+(\s*\*\s*[\d_.]+)*\Z")
_TURN = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MATH: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.LShift: lambda a, b: a * 2.0 ** min(b, 60),
}  # fmt: skip
_BY_LINES = re.compile(r".*\.([cm]?[jt]sx?|go|rs|rb|php|java|kt|cs|ya?ml|toml|ini|cfg)\Z")
_HOLDS = (ast.Assign, ast.AnnAssign, ast.Dict, ast.keyword, ast.arguments)
Place = tuple[str, int]


@dataclass(slots=True)
class Values:
    """All named values of one side of a change: name → value → where it stands first."""

    numbers: dict[str, dict[float, Place]] = field(default_factory=dict)
    switches: dict[str, dict[str, Place]] = field(default_factory=dict)
    lists: dict[str, dict[str, Place]] = field(default_factory=dict)
    whole: dict[str, int] = field(default_factory=dict)
    """Path → how often a text has to fit a pattern as a whole: `fullmatch`, or an anchor at the end."""
    parts: dict[str, int] = field(default_factory=dict)
    every: set[float] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    """Each name that stands anywhere."""
    left: int = MOST_VALUES


def loosened(
    base: Mapping[str, bytes],
    head: Mapping[str, bytes],
    changed: Sequence[tuple[str, str]],
    trees: Trees | None = None,
) -> list[Hit]:
    """Return each named value that allows more. `changed`: (path at the base or empty, path now) of each file."""
    before, after, known = Values(), Values(), trees or Trees()
    for was, now in changed:
        for path, texts, values, read in ((was, base, before, known.base), (now, head, after, known.head)):
            if len(texts.get(path, b"")) <= MOST_BYTES:
                _collect(path, texts.get(path, b""), values, read)
    found = [*_numbers(before, after), *_switches(before, after), *_lists(before, after)]
    found += _anchors(before, after, [pair for pair in changed if all(pair)])
    return [_hit(rule, place, name) for rule, place, name in found][:MOST_HITS]


def _numbers(before: Values, after: Values) -> Iterator[tuple[str, Place, str]]:
    for name, old in before.numbers.items():
        new = after.numbers.get(name)
        if new is None:
            gone = name not in after.words and not any(value in after.every for value in old)
            if gone and _MOST.fullmatch(name):
                yield LIMIT, next(iter(old.values())), f"{name} is gone"
            continue
        for value, place in new.items():
            if value not in old and _looser(name, old, value):
                yield LIMIT, place, f"{name} = {value:g}"


def _looser(name: str, old: Mapping[float, Place], value: float) -> bool:
    if _LEAST.fullmatch(name):
        return value < min(old)
    if min(old) in _UNBOUNDED:
        return False
    return value > max(old) or value in _UNBOUNDED


def _switches(before: Values, after: Values) -> Iterator[tuple[str, Place, str]]:
    for name, old in before.switches.items():
        off = {"False", "none", "lax", "None"} if _SAFE_ON.fullmatch(name) else {"True"}
        for value, place in after.switches.get(name, {}).items():
            if value not in old and value in off:
                yield SWITCH, place, f"{name} = {value}"


def _lists(before: Values, after: Values) -> Iterator[tuple[str, Place, str]]:
    for name, old in before.lists.items():
        new = after.lists.get(name)
        if new is None:
            continue
        one, other = (new, old) if not _DENY.fullmatch(name) else (old, new)
        more = [value for value in one if value not in other]
        if more:
            yield LONGER, next(iter(new.values()), one[more[0]]), f"{name}: {more[0]}"


def _anchors(before: Values, after: Values, kept: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Place, str]]:
    if sum(after.whole.values()) >= sum(before.whole.values()):
        return
    for was, now in kept:
        fewer = after.whole.get(now, 0) < before.whole.get(was, 0)
        if fewer and after.parts.get(now, 0) > before.parts.get(was, 0):
            yield ANCHOR, (now, 0), ""


def _collect(path: str, data: bytes, values: Values, read: Read) -> None:
    if not path.endswith(".py") and not _BY_LINES.match(path):
        return
    text = data.decode("utf-8", "replace")
    values.words |= {_snake(word) for word in set(_NAME.findall(text))}
    values.every |= {float(number.replace("_", "")) for number in set(_NUMBER.findall(text))}
    if not path.endswith(".py"):
        _by_lines(path, text, values)
        return
    values.whole[path], values.parts[path] = (len(found.findall(text)) for found in (_WHOLE, _PART))
    known: dict[str, float] = {}
    for node in sorted((one for one, _ in read.nodes(path, data) if isinstance(one, _HOLDS)), key=_line):
        for name, value in _named(node):
            _keep(values, _snake(name), value, (path, value.lineno), known)


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name | ast.Attribute):
                yield (target.id if isinstance(target, ast.Name) else target.attr), node.value
    elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value[:60], value
    elif isinstance(node, ast.keyword) and node.arg and node.arg not in ("strict", "check"):
        yield node.arg, node.value
    elif isinstance(node, ast.arguments):
        plain = [*node.posonlyargs, *node.args]
        yield from ((a.arg, d) for a, d in zip(plain[len(plain) - len(node.defaults) :], node.defaults, strict=True))
        yield from ((a.arg, d) for a, d in zip(node.kwonlyargs, node.kw_defaults, strict=True) if d is not None)


def _keep(values: Values, name: str, value: ast.expr, place: Place, known: dict[str, float]) -> None:
    if values.left <= 0:
        return
    values.left -= 1
    number = _number(value, known, 0)
    if number is not None:
        known.setdefault(name, number)
    if number is not None and (_MOST.fullmatch(name) or _LEAST.fullmatch(name)):
        values.numbers.setdefault(name, {}).setdefault(number, place)
    elif isinstance(value, ast.Constant) and (_SAFE_ON.fullmatch(name) or _SAFE_OFF.fullmatch(name)):
        values.switches.setdefault(name, {}).setdefault(str(value.value)[:40], place)
    members = _members(value)
    if members is not None and (_ALLOW.fullmatch(name) or _DENY.fullmatch(name)):
        listed = values.lists.setdefault(name, {})
        for one in members[:MOST_VALUES]:
            listed.setdefault(one, place)


def _members(value: ast.expr) -> list[str] | None:
    if isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
        value = value.args[0]
    if not isinstance(value, ast.List | ast.Set | ast.Tuple):
        return None
    return [str(one.value)[:80] for one in value.elts if isinstance(one, ast.Constant)]


def _number(node: ast.expr, known: Mapping[str, float], depth: int) -> float | None:
    """Return what a literal, a sum or product of literals, or a call with one literal is worth."""
    if depth > MOST_DEPTH:
        return None
    if isinstance(node, ast.Constant):
        return _of_text(node.value) if isinstance(node.value, int | float | str) else None
    if isinstance(node, ast.Name):
        return known.get(_snake(node.id))
    parts = [_number(one, known, depth + 1) for one in _operands(node)]
    worth = [one for one in parts if one is not None]
    if not worth or len(worth) < len(parts):
        return None
    if isinstance(node, ast.BinOp):
        return _bounded(_MATH[type(node.op)](*worth))
    return -worth[0] if isinstance(node, ast.UnaryOp) else worth[0]


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return [node.operand]
    if isinstance(node, ast.BinOp) and type(node.op) in _MATH:
        return [node.left, node.right]
    if isinstance(node, ast.Call) and len(node.args) + len(node.keywords) == 1:
        return [*node.args, *(one.value for one in node.keywords)]
    return []


def _of_text(value: int | float | str) -> float | None:
    if isinstance(value, bool) or (isinstance(value, str) and len(value) > 20):
        return None
    try:
        return _bounded(float(value))
    except (ValueError, OverflowError):
        return None


def _bounded(value: float) -> float | None:
    return value if abs(value) < MOST_NUMBER else None


def _by_lines(path: str, text: str, values: Values) -> None:
    starts = [found.end() for found in re.finditer("\n", text)]
    for found in _ASSIGNED.finditer(text):
        values.left -= 1
        if values.left <= 0:
            return
        name, said = _snake(found.group(1)), found.group(2).strip().rstrip(",)} ").strip()
        _line_value(values, name, said, (path, bisect.bisect(starts, found.start()) + 1))
    for found in _LIST.finditer(text[:MOST_LISTS]):
        name = _snake(found.group(1))
        if _ALLOW.fullmatch(name) or _DENY.fullmatch(name):
            listed = values.lists.setdefault(name, {})
            for one in _TEXT.findall(found.group(2)):
                listed.setdefault(one[:80], (path, bisect.bisect(starts, found.start()) + 1))


def _line_value(values: Values, name: str, said: str, place: Place) -> None:
    said = said.partition("//")[0].partition(",")[0].strip()
    if _PRODUCT.match(said):
        number = 1.0
        for part in said.replace("_", "").split("*"):
            number *= _of_text(part.strip()) or 0.0
        if _MOST.fullmatch(name) or _LEAST.fullmatch(name):
            values.numbers.setdefault(name, {}).setdefault(number, place)
        values.every.add(number)
    elif _SAFE_ON.fullmatch(name) or _SAFE_OFF.fullmatch(name):
        value = said.strip("\"'`")
        value = {"true": "True", "false": "False", "yes": "True", "no": "False"}.get(value.lower(), value.lower())
        values.switches.setdefault(name, {}).setdefault(value[:40], place)


def _snake(name: str) -> str:
    return _TURN.sub("_", name).lower().strip("_").replace("-", "_")


def _hit(rule: str, place: Place, name: str) -> Hit:
    path, line = place
    return Hit(rule, "warning", path, line, _SAID[rule] + (f": {name[:80]}" if name else ""), name)
