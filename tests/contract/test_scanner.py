"""The real engine in real gVisor: every rule finds what its tests mark and nothing else, and nothing hides from it."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from evoguard.adapters import tool_cache
from evoguard.adapters.scanners import engine
from evoguard.adapters.scanners.needed import needs_of
from evoguard.adapters.scanners.semgrep import Semgrep
from evoguard.authoring import folder
from evoguard.authoring.scan_rules import expected, marked_files, scan_rules
from evoguard.domain.scan import Scan
from evoguard.ports.forge import Blob
from evoguard_sandbox import Job, JobReport, Limits, Room, execute

pytestmark = pytest.mark.needs_gvisor
TEXTS = folder.read(Path(__file__).parents[2] / "policies").texts
RULES = scan_rules(TEXTS)
TESTS = {path.removeprefix("semgrep/"): TEXTS[path] for path in marked_files(TEXTS)}
EVAL = "def f(x):\n    return eval(x)\n"


async def scan(
    room: Room, head: dict[str, str], base: dict[str, str] | None = None, *pairs: tuple[str, str], rules: bytes = RULES
) -> Scan:
    async def run(job: Job, limits: Limits) -> JobReport:
        return await execute(job, limits=limits, room=room)

    files, old = ({path: Blob("100644", text.encode()) for path, text in tree.items()} for tree in (head, base or {}))
    changed = list(pairs) or [(path if path in old else "", path) for path in files]
    return await Semgrep(run, tool_cache.semgrep_dir(), rules).scan(old, files, changed)


async def test_every_rule_finds_what_its_tests_mark_and_nothing_else(room):
    seen = await scan(room, TESTS)
    assert (seen.status, seen.unread, seen.isolation) == ("complete", (), "gvisor")
    assert engine.NAME.startswith("semgrep ")
    found = {name: {(hit.line, hit.rule) for hit in seen.new if hit.path == name} for name in TESTS}
    assert found == {name: expected(text) for name, text in TESTS.items()}


def pieces() -> dict[str, str]:
    """Each top statement of Python's marked file as a file of its own, with the imports that it uses."""
    text = TESTS["python/test.py"]
    body = ast.parse(text).body
    imports = [ast.unparse(part) for part in body if isinstance(part, ast.Import | ast.ImportFrom)]
    others = [ast.unparse(part) for part in body if not isinstance(part, ast.Import | ast.ImportFrom)]
    return {f"{at}.py": other + "\n" + needed_by(other, imports) for at, other in enumerate(others)}


def needed_by(text: str, imports: list[str]) -> str:
    """Return the imports that a text uses, so that no other word comes with them."""
    return "\n".join(line for line in imports if set(re.findall(r"\w+", line)) & set(re.findall(r"\w+", text)))


async def test_what_a_rule_needs_never_hides_what_it_finds(room):
    """The same hits as with every rule asked of every file, statement by statement."""
    whole = [{**rule, "metadata": {}} for rule in json.loads(RULES)["rules"]]
    narrow = await scan(room, pieces())
    wide = await scan(room, pieces(), rules=json.dumps({"rules": whole}).encode())
    assert {(hit.path, hit.line, hit.rule) for hit in narrow.new} == {(h.path, h.line, h.rule) for h in wide.new}
    needing = {str(rule["id"]) for rule in json.loads(RULES)["rules"] if needs_of(rule)}
    assert needing <= {hit.rule for hit in narrow.new}


HIDING = {
    "a comment on the line": "def f(x):\n    return eval(x)  # nosemgrep\n",
    "a comment above": "def f(x):\n    # nosemgrep: python.eval\n    return eval(x)\n",
    "a comment of another tool": "def f(x):\n    return eval(x)  # noqa: S307 nosec\n",
    "a very long file": "x = 1\n" * 200_000 + EVAL,
    "a very long line": f"x = '{'a' * 2_000_000}'\n" + EVAL,
    "a byte order mark": "\ufeff" + EVAL,
    "a form feed": "\x0c" + EVAL,
    "an alias": "import builtins as b\ndef f(x):\n    return b.eval(x)\n",
    "another name": "e = eval\ndef f(x):\n    return e(x)\n",
    "two lines": "def f(x):\n    return eval(\n        x,\n    )\n",
    "a lambda": "f = lambda x: eval(x)\n",
    "generated, do not edit": "# @generated\n# DO NOT EDIT\n" + EVAL,
    "minified": "def f(x):return eval(x);" + "y=1;" * 5_000 + "\n",
}


async def test_no_text_of_a_file_hides_a_fault_in_it(room):
    tree = {f"f{n}.py": text for n, text in enumerate(HIDING.values())}
    seen = await scan(room, tree)
    found = {hit.path for hit in seen.new if hit.rule == "python.eval"} | {*seen.unread}
    missed = [name for name, path in zip(HIDING, tree, strict=True) if path not in found]
    assert missed == []


@pytest.mark.parametrize(
    "path",
    ["tests/test_a.py", ".hidden/a.py", "node_modules/a.py", "vendor/a.py", "build/a.min.py", "a b.py", "a\nb.py",
     "-o.py", "\u202ea.py", "x/" * 60 + "a.py", "setup.PY", "a.b.pyw"],
)  # fmt: skip
async def test_no_place_or_name_hides_a_file(room, path):
    seen = await scan(room, {path: EVAL})
    assert [(hit.path, hit.rule, hit.line) for hit in seen.new] == [(path, "python.eval", 2)]


async def test_a_script_is_known_by_its_first_line(room):
    seen = await scan(room, {"bin/run": "#!/usr/bin/env python3\n" + EVAL, "bin/go": '#!/bin/sh\neval "$1"\n'})
    assert {(hit.path, hit.rule) for hit in seen.new} == {("bin/run", "python.eval"), ("bin/go", "shell.eval")}


async def test_no_file_of_the_change_tells_the_engine_what_to_leave_out(room):
    off = {
        ".semgrepignore": "*\n",
        ".gitignore": "*\n",
        ".semgrep.yml": "rules: []\n",
        "semgrep.toml": "",
        "a.py": EVAL,
    }
    seen = await scan(room, off)
    assert [hit.path for hit in seen.new] == ["a.py"]


async def test_a_fault_that_moved_is_old_and_a_copy_of_it_is_new(room):
    base = {"a.py": EVAL}
    assert (await scan(room, {"a.py": "# moved\n\n" + EVAL}, base)).new == ()
    assert (await scan(room, {"b.py": "# moved\n" + EVAL}, base, ("a.py", "b.py"))).new == ()
    (copy,) = (await scan(room, {"a.py": EVAL + "\n\n" + EVAL.replace("def f", "def g")}, base)).new
    assert (copy.path, copy.line) == ("a.py", 6)


async def test_a_file_with_an_error_in_it_is_said_not_to_be_read(room):
    seen = await scan(room, {"a.py": "def f(:\n    return eval(\n", "b.py": EVAL})
    assert (seen.status, seen.unread, [hit.path for hit in seen.new]) == ("complete", ("a.py",), ["b.py"])


async def test_hundreds_of_files_in_one_scan(room):
    tree = {f"pkg/m{n}.py": EVAL.replace("def f", f"def f{n}") for n in range(300)}
    seen = await scan(room, tree)
    assert (seen.status, seen.asked, seen.read, len(seen.new)) == ("complete", 300, 300, 300)
