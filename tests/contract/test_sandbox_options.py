"""Options that ordinary projects give to pytest stop no suite, and where one does the report says which."""

from __future__ import annotations

import asyncio

import pytest

from attacks.shop import LIMITS, tree
from evoguard_sandbox import Room, Suite, SuiteReport, run

pytestmark = pytest.mark.needs_gvisor
RIGHT = "def two():\n    return 2\n"
TESTS = {
    "tests/test_a.py": "from shop.calc import two\ndef test_a():\n    assert two() == 2\n",
    "tests/test_b.py": "from shop.calc import two\ndef test_b(asked):\n    assert two() + asked == 2\n",
    "tests/conftest.py": "import pytest\ndef pytest_addoption(parser): parser.addoption('--mine', default=0)\n"
    "@pytest.fixture\ndef asked(request): return request.config.getoption('mine')\n",
    "its_own.py": "def pytest_addoption(parser): parser.addoption('--cov', required=True)\n",
}


def judged(room: Room, config: str, code: str = RIGHT + "#\n") -> SuiteReport:
    files = {"src/shop/__init__.py": "", "src/shop/calc.py": RIGHT, **TESTS, "pytest.ini": f"[pytest]\n{config}\n"}
    base = tree(files)
    return asyncio.run(run(Suite(base, {**base, **tree({"src/shop/calc.py": code})}), limits=LIMITS, room=room))


OPTIONS = "--junitxml=report.xml --junit-prefix x --lf --ff --nf --sw --lfnf all --cache-clear"
COVERAGE = "--cov=shop --cov-branch --cov-report=term --cov-report xml:out.xml --cov-fail-under=90 --no-cov-on-fail"
KEYS = "cache_dir = .cache\njunit_family = xunit1\njunit_logging = all\nfaulthandler_timeout = 5\n"


@pytest.mark.parametrize(
    "config",
    [
        f"addopts = {OPTIONS}",
        "addopts = --junit-xml report.xml --last-failed --failed-first --new-first --stepwise --stepwise-skip",
        f"addopts = {COVERAGE}",
        "addopts = --cov shop --cov",
        "addopts = -p its_own --cov=shop",
        f"addopts = --strict-config -W error\n{KEYS}",
    ],
)
def test_options_of_what_does_not_run_here_are_allowed_and_change_nothing(room, config):
    seen = judged(room, config)
    assert (seen.verdict, seen.findings, len(seen.tests)) == ("pass", (), 2)
    # All tests run, though a project's own run would have stopped at the first.
    seen = judged(room, config, RIGHT.replace("2", "3"))
    assert (seen.verdict, seen.counts) == ("fail", {"failed": 2})


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("addopts = -n auto --timeout=5", "unrecognized arguments: -n --timeout=5"),
        ("addopts = --strict-config\nno_such_key = 1", "Unknown config option: no_such_key"),
        ("required_plugins = pytest-nothing", "Missing required plugins: pytest-nothing"),
    ],
)
def test_what_pytest_refuses_is_told_in_its_own_words(room, config, says):
    (found,) = [f for f in judged(room, config).findings if f.code == "tests.base_not_green"]
    assert says in found.msg
    assert "pytest refuses an option or a setting" in found.msg
    assert len(found.msg) < 500
