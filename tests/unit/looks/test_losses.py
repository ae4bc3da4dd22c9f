"""A check, lock or decorator that the change has nowhere is told; one that only moved is not."""

from __future__ import annotations

import pytest

from evoguard.looks.losses import (
    CONDITION,
    DECORATOR,
    LOCK,
    MOST_HITS,
    OPTIONAL,
    SWALLOWED,
    losses,
)
from evoguard.looks.trees import MOST_BYTES

REFUND = """def refund(order, cents):
    if cents <= 0:
        raise ValueError
    if order.refunded + cents > order.paid:
        raise ValueError
    pay(cents)
"""
STOCK = """def take(n):
    with _LOCK:
        store.set(store.get() - n)
"""
VIEW = """@require_role("admin")
def drop(request):
    store.drop()
"""


def told(old: str, new: str, path: str = "src/a.py") -> list[str]:
    return [hit.rule for hit in losses({path: old.encode()}, {path: new.encode()}, [(path, path)])]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (REFUND, REFUND.replace("order.refunded + cents > order.paid", "cents > order.paid"), CONDITION),
        (REFUND, REFUND.replace("cents <= 0", "cents == 0"), CONDITION),
        (REFUND, REFUND.replace("cents <= 0", "cents <= -1"), CONDITION),
        (STOCK, STOCK.replace("with _LOCK", "if True"), LOCK), (VIEW, VIEW.partition("\n")[2], DECORATOR),
        ("def f():\n    g()\n", "def f():\n    try:\n        g()\n    except Exception:\n        log()\n", SWALLOWED),
        ("def f():\n    g()\n", "def f():\n    try:\n        g()\n    except:\n        pass\n", SWALLOWED),
    ],
)  # fmt: skip
def test_what_is_lost_is_told(old: str, new: str, rule: str) -> None:
    assert told(old, new) == [rule]
    assert rule == CONDITION or told(new, old) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (REFUND, REFUND.replace("cents", "amount")),
        (REFUND, "def check(c):\n    if c <= 0:\n        raise ValueError\n"
         + REFUND.replace("    if cents <= 0:\n        raise ValueError\n", "    check(cents)\n")),
        (REFUND, REFUND.replace("order.refunded + cents > order.paid", "order.paid < order.refunded + cents")),
        (STOCK, "def change(n):\n    with _LOCK:\n        store.set(store.get() + n)\ndef take(n):\n    change(-n)\n"),
        ("@lru_cache\ndef f():\n    pass\n", "def f():\n    pass\n"),
        ("def f():\n    g()\n", "def f():\n    try:\n        g()\n    except Exception:\n        raise Bad\n"),
        ("def f():\n    g()\n", "def f():\n    try:\n        g()\n    except KeyError:\n        pass\n"),
    ],
)  # fmt: skip
def test_what_moved_or_is_called_otherwise_is_not(old: str, new: str) -> None:
    assert told(old, new) == []


def test_a_check_that_moved_to_another_file_of_the_change_is_not_lost() -> None:
    base = {"a.py": REFUND.encode(), "b.py": b"x = 1\n"}
    head = {"a.py": b"x = 1\n", "b.py": REFUND.encode()}
    assert losses(base, head, [("a.py", "a.py"), ("b.py", "b.py")]) == []


def test_other_languages_are_read_by_lines() -> None:
    old = 'function f(p) {\n  if (!p.startsWith(ROOT)) {\n    throw new Error("outside");\n  }\n  return p;\n}\n'
    assert told(old, old.replace("!p.startsWith(ROOT)", "!p"), "a.js") == [CONDITION]
    assert told(old, "function f(p) {\n  return p;\n}\n", "a.js") == [CONDITION]
    assert told(old, old.replace("return p", "return q(p)"), "a.js") == []
    old = 'if err != nil {\n\thttp.Error(w, "no", 400)\n\treturn\n}\n'
    assert told(old, "if err != nil {\n\thost = addr\n}\n", "a.go") == [CONDITION]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("gpg --verify a.sig a || echo warning", "a.sh"), ("python -m pytest || true", "Makefile"),
        ("  continue-on-error: true", "ci.yml"), ("  - run: bandit -r src --exit-zero", "ci.yml"),
    ],
)  # fmt: skip
def test_a_check_that_may_fail_is_told(line: str, path: str) -> None:
    assert told("a\n", f"a\n{line}\n", path) == [OPTIONAL]
    assert told(f"a\n{line}\n", f"b\n{line}\n", path) == []
    assert told("a\n", "a\nmkdir x || true\n", path) == []


def test_bad_input_tests_and_too_much_say_nothing() -> None:
    assert told(REFUND, "def (") == [CONDITION]  # what cannot be read refuses nothing
    assert told("def (", REFUND) == []
    assert told(REFUND, "", "tests/test_a.py") == []
    assert told(REFUND, "#" * (MOST_BYTES + 1)) == []
    assert told("", "x = " + "(" * 400 + ")" * 400) == []
    assert told("", "check|" * 100_000, "a.yml") == []
    many = "".join(VIEW.replace("drop", f"drop{n}") for n in range(99))
    assert len(told(many, many.replace('@require_role("admin")\n', ""))) == MOST_HITS
