"""What a change takes from a project's own tests, by their syntax trees: for people, who would live with it.

The verdict rests on base's tests whatever the candidate does to them. This tells what the change would leave behind.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evoguard.supply.tree import Files
from evoguard.supply.types import Note, short
from evoguard.supply.weakened_config import loosened

MOST_NOTES, MOST_BYTES = 200, 2 << 20
_TEST_FILE = re.compile(
    r"(.*/)?(test_[^/]*\.py|[^/]*_test\.(py|go|rs|rb|exs|dart)|conftest\.py|[^/]*\.(test|spec)\.[cm]?[jt]sx?"
    r"|[^/]*(Test|Tests|IT)\.(java|kt|cs|scala)|[^/]*_spec\.rb|[^/]*\.t)\Z"
)
_TEST_FOLDER = re.compile(r"(.*/)?(tests?|__tests__|specs?)/.*\.(py|go|rs|rb|java|kt|cs|php|[cm]?[jt]sx?|sh|bats)\Z")
_SKIP_WORDS = re.compile(
    r"\b(?:xit|xdescribe|xtest|xcontext|fit|fdescribe)\s*\(|\b(?:it|test|describe|context)\.(?:skip|only|todo|fails|failing)\b"
    r"|\bt\.Skip(?:Now|f)?\(|@(?:Disabled|Ignore|Ignored)\b|#\[ignore|\[Ignore\b|\bpending\b|\bmarkTestSkipped\b|\.skip\(\)"
)
_ASSERT_WORDS = re.compile(r"\b(?:expect|assert\w*|should|t\.(?:Error|Errorf|Fatal|Fatalf)|require\.\w+)\s*[(!]")
_SKIPS = ("skip", "skipif", "skipIf", "skipUnless", "skipTest", "xfail", "importorskip", "expectedFailure")
_APPROX = ("rel", "abs", "rel_tol", "abs_tol", "rtol", "atol", "delta", "tolerance")
_TIMEOUTS = ("timeout", "timeout_s", "timeout_ms", "deadline", "max_seconds")
_STRONG, _WEAK = ("assertEqual", "assertEquals", "assertIs", "assertDictEqual", "assertListEqual"), (
    "assertTrue", "assertIn", "assertGreaterEqual", "assertLessEqual", "assertIsNotNone", "assertAlmostEqual",
)  # fmt: skip
_HOOKS = ("pytest_runtest_makereport", "pytest_runtest_call", "pytest_runtest_protocol", "pytest_runtest_setup",
          "pytest_pyfunc_call", "pytest_collection_modifyitems", "pytest_ignore_collect", "pytest_collect_file",
          "pytest_pycollect_makeitem", "pytest_sessionfinish", "pytest_report_teststatus", "pytest_assertrepr_compare",
          "pytest_deselected", "pytest_exception_interact", "pytest_runtest_logreport", "load_tests")  # fmt: skip
"""What pytest and unittest ask about every test: who answers can leave a test out, or turn its outcome round."""
_BROAD = ("Exception", "BaseException", "AssertionError")


@dataclass(slots=True)
class Facts:
    """What one function of a test file asserts, and what it is excused from."""

    line: int = 0
    source: str = ""
    asserts: int = 0
    exact: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    tolerances: list[float] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    broad: int = 0
    raises: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    cases: int = 0


def weakened(base: Files, head: Files, rows: Sequence[tuple[str, str]]) -> tuple[Note, ...]:
    """Return each place where head's tests ask for less. `rows`: (path at the base or empty, path now or empty)."""
    found: list[Note] = []
    for was, now in rows:
        old = base[was].data if was in base else b""
        new = head[now].data if now in head else b""
        if _is_test(was) or _is_test(now):
            found += _file(was, now, old, new)
        found += [Note(rule, now or was, line, msg) for rule, line, msg in loosened(was, now, old, new)]
    return tuple(found[:MOST_NOTES])


def _is_test(path: str) -> bool:
    return bool(path) and bool(_TEST_FILE.match(path) or _TEST_FOLDER.match(path))


def _file(was: str, now: str, old: bytes, new: bytes) -> Iterator[Note]:
    if was and _is_test(was) and (not now or not _is_test(now)):
        yield Note("tests.file_deleted", was, 1, "a test file is gone" if not now else f"no test file any more: {now}")
        return
    if max(len(old), len(new)) > MOST_BYTES:
        yield Note("tests.not_compared", now, 1, "a test file of more than 2 MiB")
    elif now.endswith(".py"):
        yield from _python(now, old, new)
    else:
        yield from _words(now, old.decode("utf-8", "replace"), new.decode("utf-8", "replace"))


def _words(path: str, old: str, new: str) -> Iterator[Note]:
    """Compare other languages by their words: what skips a test, and what asserts something."""
    before = Counter(found.group() for found in _SKIP_WORDS.finditer(old))
    for number, line in enumerate(new.split("\n"), 1):
        for found in _SKIP_WORDS.finditer(line):
            before[found.group()] -= 1
            if before[found.group()] < 0:
                yield Note("tests.skipped", path, number, f"a word that leaves tests out: {short(found.group(), 40)}")
    was, now = len(_ASSERT_WORDS.findall(old)), len(_ASSERT_WORDS.findall(new))
    if now < was:
        yield Note("tests.fewer_asserts", path, 1, f"{now} assertions where there were {was}")


def _python(path: str, old: bytes, new: bytes) -> Iterator[Note]:
    before, after = _facts(old), _facts(new)
    if before is None or after is None:
        yield Note("tests.not_compared", path, 1, "a test file that is no Python")
        return
    for name, was in before.items():
        if name not in after:
            if name.rpartition(".")[2].startswith("test"):
                yield Note("tests.deleted", path, 1, f"{short(name, 80)} is gone")
            continue
        yield from _compared(path, name, was, after[name])
        if after[name].replaced > was.replaced:
            said = f"{short(name, 80)}: it puts something else in the place of what it tests"
            yield Note("tests.replaced_code", path, after[name].line, said)
    for name, now in after.items():
        if name not in before and now.skips:
            yield Note("tests.skipped", path, now.line, f"{short(name, 80)} is new and left out")
        if name.rpartition(".")[2] in _HOOKS and (name not in before or now.source != before[name].source):
            yield Note("tests.hook", path, now.line, f"{short(name, 80)} decides what becomes of other tests")


def _compared(path: str, name: str, was: Facts, now: Facts) -> Iterator[Note]:
    named = short(name, 80)
    for skip, times in now.skips.items():
        if times > was.skips[skip]:
            yield Note("tests.skipped", path, now.line, f"{named}: {skip}")
    if now.asserts < was.asserts:
        yield Note("tests.fewer_asserts", path, now.line, f"{named}: {now.asserts} assertions, {was.asserts} before")
    elif now.exact < was.exact:
        yield Note(
            "tests.looser_asserts", path, now.line, f"{named}: {now.exact} exact comparisons, {was.exact} before"
        )
    if now.cases < was.cases:
        yield Note("tests.fewer_cases", path, now.line, f"{named}: {now.cases} cases, {was.cases} before")
    if _grown(was.tolerances, now.tolerances):
        yield Note("tests.wider_tolerance", path, now.line, f"{named}: a tolerance is wider")
    if _grown(was.timeouts, now.timeouts) or (was.timeouts and not now.timeouts):
        yield Note("tests.longer_timeout", path, now.line, f"{named}: a timeout is longer, or gone")
    if now.broad > was.broad:
        yield Note("tests.broad_except", path, now.line, f"{named}: an except around assertions takes any failure")
    wide = [one for one in now.raises if one in _BROAD and now.raises[one] > was.raises[one]]
    if wide and was.raises:
        yield Note("tests.wider_raises", path, now.line, f"{named}: raises({wide[0]})")


def _grown(was: Sequence[float], now: Sequence[float]) -> bool:
    """Tell whether, largest against largest, a number is larger; further ones alone are not."""
    pairs = zip(sorted(was, reverse=True), sorted(now, reverse=True), strict=False)
    return any(b > a for a, b in pairs) or bool(now and not was)


def _facts(data: bytes) -> Mapping[str, Facts] | None:
    """Return facts by function's qualified name, those of the module under an empty one; None for what is no Python."""
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: dict[str, Facts] = {"": Facts(1)}
    todo: list[tuple[ast.AST, str, str]] = [(tree, "", "")]
    while todo:
        node, scope, owner = todo.pop()
        for child in ast.iter_child_nodes(node):
            inner, owns = scope, owner
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{scope}.{child.name}" if scope else child.name
                owns = inner if not isinstance(child, ast.ClassDef) or not owner else owner
                source = ast.dump(child) if child.name in _HOOKS else ""
                found.setdefault(owns, Facts(child.lineno, source))
            _note(child, found[owns])
            todo.append((child, inner, owns))
    return found


def _note(node: ast.AST, facts: Facts) -> None:
    if isinstance(node, ast.Assert):
        facts.asserts += 1
        facts.exact += _exact(node.test)
    elif isinstance(node, ast.Call):
        _call(node, facts)
    elif isinstance(node, ast.Attribute) and node.attr in _SKIPS:
        facts.skips[node.attr] += 1
    elif isinstance(node, ast.Try):
        asserts = any(isinstance(one, ast.Assert) for part in node.body for one in ast.walk(part))
        facts.broad += asserts and any(_takes_all(handler) for handler in node.handlers)
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            name = _name(item.context_expr.func) if isinstance(item.context_expr, ast.Call) else ""
            facts.broad += name == "suppress" and any(_name(arg) in _BROAD for arg in _args(item.context_expr))


def _args(node: ast.expr) -> Sequence[ast.expr]:
    return node.args if isinstance(node, ast.Call) else ()


def _call(node: ast.Call, facts: Facts) -> None:
    name = _name(node.func)
    if name.startswith("assert") and len(name) > 6:
        facts.asserts += 1
        facts.exact += name in _STRONG
    if name in _SKIPS and isinstance(node.func, ast.Name):
        facts.skips[name] += 1
    if name in ("raises", "assertRaises", "assertRaisesRegex", "warns"):
        facts.asserts += name in ("raises", "warns")
        facts.raises.update(_name(arg) for arg in node.args[:1])
    if name == "parametrize" and len(node.args) > 1 and isinstance(node.args[1], ast.List | ast.Tuple):
        facts.cases += len(node.args[1].elts)
    if name == "timeout":
        facts.timeouts += _numbers(node.args[:1])
    for keyword in node.keywords:
        if keyword.arg in _APPROX:
            facts.tolerances += _numbers([keyword.value])
        elif keyword.arg in _TIMEOUTS:
            facts.timeouts += _numbers([keyword.value])
    facts.replaced += name in ("setattr", "patch", "setitem") or _name_of_owner(node.func) == "patch"
    if name == "approx":
        facts.tolerances += _numbers(node.args[1:3])


def _name_of_owner(func: ast.expr) -> str:
    """Return `patch` of `mock.patch.object(...)`."""
    return _name(func.value) if isinstance(func, ast.Attribute) else ""


def _exact(test: ast.expr) -> int:
    """Return how many comparisons of an assertion hold one value only; a constant holds nothing."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return 0
    return sum(
        isinstance(op, ast.Eq | ast.Is) for one in ast.walk(test) if isinstance(one, ast.Compare) for op in one.ops
    )


def _takes_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    wide = handler.type is None or any(_name(kind) in _BROAD for kind in kinds if kind is not None)
    return wide and not any(isinstance(one, ast.Raise) for part in handler.body for one in ast.walk(part))


def _numbers(nodes: Sequence[ast.expr]) -> list[float]:
    return [
        float(node.value) for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and abs(node.value) < 1e15
    ]  # fmt: skip


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
