"""Code that looks at its environment is told to people; ordinary code and what the base had already is not."""

from __future__ import annotations

import pytest

from evoguard_sandbox.reviewing import lint
from evoguard_sandbox.trees import Entry, Tree, matcher
from evoguard_sandbox.types import DEFAULT_TEST_PATHS, Finding

trusted = matcher(DEFAULT_TEST_PATHS)
LOOKS, MADE, PATCHES = "review.looks_at_environment", "review.runs_made_code", "review.patches"
BOMB, TOLERANT, NOT_READ = "review.time_bomb", "review.ignores_what_it_compares", "review.not_read"


def a_tree(**files: str | bytes) -> Tree:
    return {
        path.replace("__", "/").replace("_py", ".py"): Entry("file", text.encode() if isinstance(text, str) else text)
        for path, text in files.items()
    }


def reviewed(base: str, candidate: str | bytes) -> tuple[Finding, ...]:
    return lint.review(a_tree(pkg__a_py=base), a_tree(pkg__a_py=candidate), trusted)


def codes(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in findings}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("import sys\nif sys.argv: pass\n", LOOKS),
        ("import sys as s\nx = s.argv\n", LOOKS),
        ("from sys import argv as a\n", LOOKS),
        ("import sys\nt = 'pytest' in sys.modules\n", LOOKS),
        ("import sys\nm = getattr(sys, 'mod' + 'ules')\n", LOOKS),
        ("import sys\ndef f(n): return getattr(sys, n)\n", LOOKS),
        ("import sys\ns = sys\nq = s.modules\n", LOOKS),
        ("import sys\nd = vars(sys)\n", LOOKS),
        ("import sys\nd = sys.__dict__\n", LOOKS),
        ("x = __import__('sys').modules\n", LOOKS),
        ("import importlib\nx = importlib.import_module('sys').argv\n", LOOKS),
        ("import sys\nf = sys._getframe(1)\n", LOOKS),
        ("import inspect\nf = inspect.stack()\n", LOOKS),
        ("from inspect import currentframe\n", LOOKS),
        ("def f(e): return e.__traceback__.tb_frame.f_back\n", LOOKS),
        ("import gc\nx = gc.get_objects()\n", LOOKS),
        ("import gc\nx = gc.get_referrers(x)\n", LOOKS),
        ("import os\nos._exit(0)\n", LOOKS),
        ("import ctypes\n", LOOKS),
        ("from ctypes import util\n", LOOKS),
        ("import sys\nsys.settrace(None)\n", LOOKS),
        ("import sys\nsys.setprofile(None)\n", LOOKS),
        ("import sys\nsys.addaudithook(print)\n", LOOKS),
        ("import os\nx = os.environ.get('PYTEST_CURRENT_TEST')\n", LOOKS),
        ("import os\nx = os.environ.get('PY' + 'TEST_CURRENT_TEST')\n", LOOKS),
        ("import os\nx = [k for k in os.environ if k[:3] == 'PYT']\n", LOOKS),
        ("import os\nx = dict(os.environ)\n", LOOKS),
        ("import os\nx = os.environ.items()\n", LOOKS),
        ("import platform\n", LOOKS),
        ("import logging\nw = logging.getLogger().findCaller()\n", LOOKS),
        ("import logging\nw = logging.Logger.findCaller\n", LOOKS),
        ("def f(log): return getattr(log, 'find' + 'Caller')(False, 3)\n", LOOKS),
        ("import traceback\ns = traceback.extract_stack()\n", LOOKS),
        ("import traceback\ns = list(traceback.walk_stack(None))\n", LOOKS),
        ("import traceback\ns = traceback.format_stack()\n", LOOKS),
        ("import traceback\ns = traceback.print_stack()\n", LOOKS),
        ("import traceback as t\ns = t.StackSummary.extract(x)\n", LOOKS),
        ("from traceback import StackSummary\n", LOOKS),
        ("import inspect\nf = inspect.currentframe()\n", LOOKS),
        ("import inspect\nf = inspect.trace()\n", LOOKS),
        ("import inspect\nf = inspect.getouterframes(x)\n", LOOKS),
        ("import sys\nf = sys._current_frames()\n", LOOKS),
        ("import sys\nf = sys._getframemodulename(1)\n", LOOKS),
        ("import sys\nsys.monitoring.use_tool_id(1, 'x')\n", LOOKS),
        ("import threading\nthreading.setprofile_all_threads(f)\n", LOOKS),
        ("import linecache\nx = linecache.getline(path, 3)\n", LOOKS),
        ("from linecache import getlines\n", LOOKS),
        ("x = open('tests/data.json').read()\n", LOOKS),
        ("x = open('test_calc.py')\n", LOOKS),
        ("x = open(f'{here}/tests/{name}')\n", LOOKS),
        ("x = open(here + '/../tests/' + name)\n", LOOKS),
        ("import io\nx = io.open(file='tests/a')\n", LOOKS),
        ("from pathlib import Path\nx = (Path(__file__).parent.parent / 'tests' / 'cases.json').read_text()\n", LOOKS),
        ("from pathlib import Path\nx = Path(__file__).with_name('conftest.py')\n", LOOKS),
        ("from pathlib import Path\nx = list(Path('tests').iterdir())\n", LOOKS),
        ("import pathlib as p\nx = p.Path('a', 'test').read_text()\n", LOOKS),
        ("x = here.parent.joinpath('tests', 'a.py')\n", LOOKS),
        ("x = list(here.rglob('test_*.py'))\n", LOOKS),
        ("x = list(here.glob('test*'))\n", LOOKS),
        ("from glob import glob as g\nx = g('tests/*')\n", LOOKS),
        ("import os\nx = os.path.join(os.path.dirname(__file__), '..', 'tests')\n", LOOKS),
        ("from os import path\nx = path.join(here, 'calc_test.py')\n", LOOKS),
        ("import os\nx = os.listdir('tests')\n", LOOKS),
        ("from tests import cases\n", LOOKS),
        ("import tests.test_a\n", LOOKS),
        ("import importlib\nx = importlib.import_module('tests.cases')\n", LOOKS),
        ("import conftest\n", LOOKS),
        ("import os\nx = os.uname().release\n", LOOKS),
        ("x = open('/proc/self/status').read()\n", LOOKS),
        ("import importlib\nx = importlib.import_module(input())\n", MADE),
        ("x = __import__(''.join(['s', 'ys']))\n", MADE),
        ("exec(open('x').read())\n", MADE),
        ("x = eval('1')\n", MADE),
        ("run = compile\n", MADE),
        ("import builtins\nbuiltins.len = lambda x: 3\n", PATCHES),
        ("import builtins\nsetattr(builtins, 'len', 3)\n", PATCHES),
        ("import json\njson.loads = None\n", PATCHES),
        ("import datetime\nif datetime.datetime.now() > datetime.datetime(2027, 1, 1): x = 1\n", BOMB),
        ("from datetime import date\nif (date.today().year, 1) >= (2027, 1): x = 1\n", BOMB),
        ("import time\nx = time.time() > 1_800_000_000\n", BOMB),
        ("import time\nEND = 1_800_000_000\ndef f():\n    now = int(time.time())\n    return now > END\n", BOMB),
        ("import time\nx = int(time.time()) % 7 == 0\n", BOMB),
        ("from datetime import date\nx = date.today().isoformat() in {'2027-01-01'}\n", BOMB),
        ("from datetime import date\nx = f'{date.today()}' > '2027-01-01'\n", BOMB),
        ("import time\nx = time.time() - 1_700_000_000 > 86400\n", BOMB),
        ("class A:\n    def __eq__(self, other): return True\n", TOLERANT),
        ("class A:\n    def __lt__(self, *other): return True\n", TOLERANT),
        ("class A:\n    def __contains__(self, item): return True\n", TOLERANT),
    ],
)  # fmt: skip
def test_code_that_looks_at_its_environment_is_told_with_its_line(text, code):
    found = reviewed("", text)
    assert code in codes(found)
    assert all(finding.path == "pkg/a.py" and finding.msg.startswith("pkg/a.py:") for finding in found)


@pytest.mark.parametrize(
    "text",
    [
        "import os, sys\nlevel = os.environ.get('LEVEL', 'info')\nprint('x', file=sys.stderr)\n",
        "import time\nstart = time.time()\ndef f(): return time.time() - start > 5\n",
        "import time\ndef f(deadline): return time.time() > deadline\n",
        "from datetime import datetime, timedelta\ndef f(row): return row.at < datetime.now() - timedelta(days=30)\n",
        "class A:\n    def __eq__(self, other): return isinstance(other, A)\n",
        "class A:\n    def __lt__(self, other): return NotImplemented\n",
        "class A:\n    def __gt__(self, other): raise TypeError\n",
        "import importlib\nx = importlib.import_module('json')\n",
        "import re\nx = re.compile('a')\nclass C:\n    def eval(self): return self.exec\n",
        "'''Works as pytest does under PYTEST_X.'''\nx = 1\n",
        "import os\nos.environ['A'] = 'b'\n",
        "import logging\nlog = logging.getLogger(__name__)\ndef f(): log.warning('x', stacklevel=2, stack_info=True)\n",
        "import traceback\ndef f(e): return traceback.format_exc(), traceback.format_exception(e)\n",
        "import inspect\ndef f(g): return inspect.signature(g), inspect.isclass(g), inspect.getdoc(g)\n",
        "import gc, sys\ngc.collect()\nx = sys.exc_info(), sys.getsizeof(1)\n",
        "x = open('data/latest.json')\ny = open('contests/a.txt')\nz = open('testimony.txt')\n",
        "from pathlib import Path\nx = Path(__file__).parent / 'data' / 'protest.txt'\ny = 4 / 2\n",
        "import os\nx = os.path.join(here, 'templates', 'attest')\ny = ', '.join(['tests', 'docs'])\n",
        "name = 'test'\nkinds = {'tests': 1, 'test': 2}\nx = kinds.get('tests'), d.open('test'), room.join('test')\n",
        "URL = '/api/tests/'\nx = 'run the tests in tests/ first', 'test@example.com', 'a_test', 'test_mode'\n",
        "from pathlib import Path\nx = Path(config['tests']), open(find('test'))\n",
        "from app.tests_of_blood import tests\nfor test in tests: test.run()\n",
        "def f(self, x):\n    self.a = x\n    self.b[0] = x\n    return getattr(self, x)\n",
    ],
)
def test_ordinary_code_is_not_told(text):
    assert reviewed("", text) == ()


def test_only_what_the_change_adds_is_told():
    old = "import sys\ndef main(): return run(sys.argv)\n"
    assert reviewed(old, "import sys\n\n\nX = 1\n\ndef main():\n    pass\n") == ()
    assert reviewed(old, f"# moved down\n{old}") == ()
    (found,) = reviewed(old, f"{old}def more(): return sys.argv[0]\n")
    assert (found.code, found.term) == (LOOKS, "sys.argv")
    assert found.msg.startswith("pkg/a.py:3: ")


def test_the_same_line_once_more_is_told():
    line = "if sys.argv: pass\n"
    assert len(reviewed(f"import sys\n{line}", f"import sys\n{line}{line}")) == 1


def test_a_file_that_was_moved_as_it_is_is_not_told_and_one_that_was_a_test_is():
    text = "import sys\nx = sys.argv\n"
    assert lint.review(a_tree(pkg__a_py=text), a_tree(pkg__b_py=text), trusted) == ()
    assert lint.review(a_tree(tests__a_py=text), a_tree(pkg__b_py=text), trusted)


def test_tests_are_left_out():
    assert lint.review({}, a_tree(tests__test_a_py="import sys\nx = sys.argv\n"), trusted) == ()


def test_code_that_is_only_called_like_a_test_is_read_when_other_code_names_it():
    looks = "import sys\nx = sys.argv\n"
    hidden = a_tree(pkg__a_py="from pkg import test_more\n", pkg__test_more_py=looks)
    assert {f.path for f in lint.review({}, hidden, trusted)} == {"pkg/test_more.py"}
    assert lint.review({}, a_tree(pkg__a_py="x = 1\n", pkg__test_more_py=looks), trusted) == ()


def test_a_link_is_read_as_what_it_leads_to():
    tree = {
        "pkg/a.py": Entry("link", b"data.txt"),
        "pkg/data.txt": Entry("file", b"import sys\nx = sys.argv\n"),
    }
    assert codes(lint.review({}, tree, trusted)) == {LOOKS}


@pytest.mark.parametrize("links", [{"a.py": b"a.py"}, {"a.py": b"b.py", "b.py": b"a.py"}, {"a.py": b"../../x"}])
def test_links_that_lead_nowhere_do_no_harm(links):
    assert lint.review({}, {path: Entry("link", to) for path, to in links.items()}, trusted) == ()


@pytest.mark.parametrize(
    "path", ["pkg/fast.so", "pkg/fast.cpython-311-x86_64-linux-gnu.so.1", "a.pyc", "x.js", "v.whl"]
)
def test_code_that_cannot_be_read_says_so(path):
    (found,) = lint.review({}, {path: Entry("file", b"\x00\x01")}, trusted)
    assert (found.code, found.path) == (NOT_READ, path)


def test_code_without_a_telling_name_is_known_by_how_it_begins():
    tree = {"tool": Entry("file", b"\x7fELF..."), "run": Entry("exec", b"echo"), "p": Entry("file", b"#!/bin/sh\n")}
    assert [f.code for f in lint.review({}, tree, trusted)] == [NOT_READ] * 3
    told = lint.review({}, {"tool": Entry("exec", b"#!/usr/bin/env python3\nimport ctypes\n")}, trusted)
    assert codes(told) == {LOOKS}


def test_texts_and_data_are_not_code():
    tree = {name: Entry("file", b"a: 1") for name in ("README.md", "data.json", "a.png", "LICENSE", "x.yaml")}
    assert lint.review({}, tree, trusted) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"def f(:\n", b"x = 1\x00\n", b"\xff\xfe", b"(" * 5000 + b"1" + b")" * 5000, b"-" * 90_000 + b"1",
        b"a" + b".b" * 90_000, b"1" + b"+1" * 90_000, b"x = " + b"9" * 100_000, b"# coding: nothing\nx = 1\n",
        b"a" + b".b" * 300, b"x = 1" + b" + 1" * 90, b"'a'" + b" + 'a'" * 90, b"import sys\n" + b"#" * 600_000,
        b"time.time()" + b".x('y')" * 150,
    ],
    ids=range(14),
)  # fmt: skip
def test_hostile_text_is_told_as_not_read_and_stops_nothing(data):
    tree = {"pkg/a.py": Entry("file", data), "pkg/b.py": Entry("file", b"import ctypes\n")}
    found = lint.review({}, tree, trusted)
    assert ("pkg/b.py", LOOKS) in {(f.path, f.code) for f in found}
    assert codes(tuple(f for f in found if f.path == "pkg/a.py")) <= {NOT_READ}


def test_a_base_that_cannot_be_read_makes_everything_new():
    assert codes(reviewed("def f(:", "import sys\nx = sys.argv\n")) == {LOOKS}


def test_findings_are_bounded_and_harmless_to_show():
    text = "import sys\n" + "".join(f"x{n} = sys.argv\n" for n in range(200))
    many = {f"pkg/m{n}\x1b.py": Entry("file", text.encode()) for n in range(30)}
    found = lint.review({}, many, trusted)
    assert len(found) == lint.MOST_FINDINGS + 1
    assert "more places" in found[-1].msg
    assert all("\x1b" not in f.msg + f.path + f.term and len(f.msg) < 1000 for f in found)


def test_what_is_past_the_budget_is_told_as_not_read(monkeypatch):
    monkeypatch.setattr(lint, "MOST_BYTES", 10_000)
    big = b"x = 1\n" * 400
    tree = {f"pkg/{n:02}.py": Entry("file", big) for n in range(10)}
    found = lint.review({}, tree, trusted)
    assert {f.code for f in found} == {NOT_READ}
    assert 0 < len(found) < 10
