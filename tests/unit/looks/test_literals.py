"""A named value that allows more is told wherever it moved; one that allows as much or less is not."""

from __future__ import annotations

import pytest

from evoguard.looks.literals import ANCHOR, LIMIT, LONGER, MOST_HITS, SWITCH, loosened
from evoguard.looks.trees import MOST_BYTES


def told(old: str, new: str, path: str = "src/a.py") -> list[str]:
    return [hit.rule for hit in loosened({path: old.encode()}, {path: new.encode()}, [(path, path)])]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("MAX_REFUND = 500\n", "MAX_REFUND = 5_000\n", LIMIT),
        ("TTL_S = 15 * 60\n", "HOUR_S = 60 * 60\nTTL_S = 15 * HOUR_S\n", LIMIT),
        ("ITERATIONS = 600_000\n", "ITERATIONS = 1\n", LIMIT),
        ("MAX_TRIES = 5\n", "MAX_TRIES = 0\n", LIMIT), ("MAX_TRIES = 5\n", "MAX_TRIES = -1\n", LIMIT),
        ("MAX_PAGE = 100\ndef f(x):\n    return min(x, MAX_PAGE)\n", "def f(x):\n    return x\n", LIMIT),
        ("def f(max_age=60):\n    pass\n", "def f(max_age=6000):\n    pass\n", LIMIT),
        ('SETTINGS = {"session_secure": True}\n', 'SETTINGS = {"session_secure": False}\n', SWITCH),
        ("f(verify=True)\n", "f(verify=False)\n", SWITCH), ("DEBUG = False\n", "DEBUG = True\n", SWITCH),
        ('PUBLIC = {"/health"}\n', 'PUBLIC = {"/health", "/export"}\n', LONGER),
        ('ALLOWED = frozenset({"a"})\n', 'ALLOWED = frozenset({"a", "b"})\n', LONGER),
        ('BLOCKED = ["a", "b"]\n', 'BLOCKED = ["a"]\n', LONGER),
        ("ok = NAME.fullmatch(x)\n", "ok = NAME.match(x)\n", ANCHOR),
    ],
)  # fmt: skip
def test_what_allows_more_is_told(old: str, new: str, rule: str) -> None:
    assert told(old, new) == [rule]
    assert told(new, old) != [rule] or rule in (LONGER,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MAX_REFUND = 500\n", "MAX_REFUND = 50\n"), ("TTL_S = 3600\n", "HOUR_S = 60 * 60\nTTL_S = HOUR_S\n"),
        ("ITERATIONS = 1\n", "ITERATIONS = 600_000\n"), ("DEBUG = True\n", "DEBUG = False\n"),
        ("MAX_REFUND = 500\n", "class Bounds:\n    refund = 500\n"), ("WIDTH = 3\n", "WIDTH = 300\n"),
        ('FEE = Decimal("1.5")\n', 'FEE = "1.5"\n'), ('ALLOWED = ["a", "b"]\n', 'ALLOWED = ["a"]\n'),
        ("zip(a, b, strict=True)\n", "zip(a, b, strict=False)\n"), ("", "MAX_NEW = 7\n"),
    ],
)  # fmt: skip
def test_what_allows_as_much_or_less_is_not(old: str, new: str) -> None:
    assert told(old, new) == []


def test_a_number_that_moves_to_the_settings_is_known_by_its_name() -> None:
    base = {"pay.py": b"MAX_REFUND = 500\n", "config.py": b"D = {}\n"}
    head = {"pay.py": b"MAX_REFUND = setting('max_refund')\n", "config.py": b"D = {'max_refund': 900}\n"}
    pairs = [("pay.py", "pay.py"), ("config.py", "config.py")]
    assert [(hit.rule, hit.path) for hit in loosened(base, head, pairs)] == [(LIMIT, "config.py")]
    head["config.py"] = b"D = {'max_refund': 500}\n"
    assert loosened(base, head, pairs) == []


def test_other_languages_are_read_by_lines() -> None:
    old = 'const TTL_MS = 60 * 1000;\nconst allowed = new Set(["a"]);\nres.cookie("s", id, { httpOnly: true });\n'
    assert told(old, old.replace("60 *", "6000 *"), "a.ts") == [LIMIT]
    assert told(old, old.replace('["a"]', '["a", "b"]'), "a.ts") == [LONGER]
    assert told(old, old.replace("true", "false"), "a.ts") == [SWITCH]
    assert told(old, old.replace("60 *", "6 *"), "a.ts") == []


def test_bad_input_is_no_crash_and_the_list_is_bounded() -> None:
    assert told("MAX_A = 1\n", "MAX_A = " + "9" * 400 + "\n") == []
    assert told("MAX_A = 1\n", "MAX_A = 2 ** 10 ** 10\nMAX_B = 1 << (1 << 40)\n") == []
    assert told("MAX_A = 1\n", "MAX_A = " + "-" * 500 + "1\n") == []
    assert told("MAX_A = 1\n", "def (") == [LIMIT]  # what cannot be read holds no limit
    assert told("MAX_A = 1\n", "#" * MOST_BYTES + "\nMAX_A = 2\n") == [LIMIT]
    many = "".join(f"MAX_A{n} = 1\n" for n in range(99))
    assert len(told(many, many.replace("= 1", "= 2"))) == MOST_HITS
