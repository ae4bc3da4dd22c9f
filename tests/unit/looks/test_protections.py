"""A changed check is told; the same check with other words about it, or at another place, is not."""

from __future__ import annotations

import pytest

from evoguard.looks.protections import CHANGED, FEWER, MONEY, MOST_HITS, touched
from evoguard.looks.trees import MOST_BYTES

CHECK = """def may_delete(user):
    return user.is_admin
"""
QUOTA = """def take(used, wanted):
    if wanted < 0 or used + wanted > 100:
        raise ValueError
    return used + wanted
"""


def told(old: str, new: str, path: str = "src/a.py") -> list[str]:
    return [hit.rule for hit in touched({path: old.encode()}, {path: new.encode()}, [(path, path)])]


def test_a_changed_check_is_told() -> None:
    assert told(CHECK, CHECK.replace("is_admin", "is_admin or user.name == 'x'")) == [CHANGED]
    assert told(CHECK, "") == [CHANGED]
    assert told("", CHECK) == [CHANGED]


def test_it_is_told_under_a_plain_name_by_what_it_uses() -> None:
    text = "import hashlib\ndef f(x, salt):\n    return hashlib.scrypt(x, salt=salt, n=16384, r=8, p=1)\n"
    assert told(text, text.replace("16384", "2")) == [CHANGED]
    assert told(text, "def f(x, salt):\n    return x\n") == [CHANGED]


@pytest.mark.parametrize(
    "new",
    [
        CHECK.replace("    return", '    """Tell."""\n    # why\n    return'), "X = 1\n\n\n" + CHECK,
        CHECK.replace("(user)", "(user: object)"), CHECK + "\ndef plain():\n    return 1\n",
    ],
)  # fmt: skip
def test_words_about_it_are_no_change(new: str) -> None:
    assert told(CHECK, new) == []


def test_a_moved_check_is_no_change() -> None:
    base = {"a.py": CHECK.encode(), "b.py": b"x = 1\n"}
    head = {"a.py": b"y = 1\n", "b.py": b"x = 1\n" + CHECK.encode()}
    assert touched(base, head, [("a.py", "a.py"), ("b.py", "b.py")]) == []


def test_fewer_conditions_of_a_refusal_are_told() -> None:
    assert told(QUOTA, QUOTA.replace("wanted < 0 or ", "")) == [FEWER]
    assert told(QUOTA, QUOTA.replace("raise ValueError", "pass")) == [FEWER]
    assert told(QUOTA, QUOTA.replace("wanted < 0 or ", "wanted < 0 or used < 0 or ")) == []


def test_a_condition_that_moved_in_the_change_is_still_there() -> None:
    moved = "def whole(wanted):\n    if wanted < 0:\n        raise ValueError\n" + QUOTA.replace("wanted < 0 or ", "")
    assert told(QUOTA, moved) == []


def test_other_languages_are_looked_at_by_line() -> None:
    old = "import x\n\nfunction same(a, b) {\n  return timingSafeEqual(a, b);\n}\n"
    assert told(old, old.replace("(a, b);", "(a, a);"), "web/a.ts") == [CHANGED]
    long = old + "function g() {\n  a();\n  b();\n  c();\n}\n"
    assert told(long, long + "function f() {}\n", "web/a.ts") == []
    assert told(old, old.replace("import x", "// why"), "web/a.ts") == []


def test_tests_and_what_is_no_python_say_nothing_and_the_list_is_bounded() -> None:
    assert told(CHECK, "", "tests/test_a.py") == []
    assert told(CHECK, "def (") == [CHANGED]
    assert len(told("", "".join(f"def may_{n}(x):\n    return {n}\n" for n in range(99)))) == MOST_HITS


def test_authors_are_no_guards() -> None:
    text = "def author_name(book):\n    return book.author\ndef authors(b):\n    return b.all\n"
    assert told(text, text.replace(".author\n", ".writer\n").replace(".all", ".some")) == []


def test_a_check_that_moves_among_the_tests_is_told() -> None:
    hits = touched({"src/quota.py": QUOTA.encode()}, {"spec/quota.py": QUOTA.replace("wanted < 0 or ", "").encode()},
                   [("src/quota.py", "spec/quota.py")])  # fmt: skip
    assert [hit.rule for hit in hits] == [FEWER]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("type A = int\n" + CHECK, "type A = int\n", "src/a.py"),
        ("x = 1\n", "x = 1\n" + "#" * MOST_BYTES, "src/a.py"),
        ("hmac.new()\n" + "\n" * 5_000, "\n" * 5_000, "src/a.go"),
    ],
    ids=["newer Python", "too large", "too many equal lines"],
)
def test_what_cannot_be_compared_is_told(old: str, new: str, path: str) -> None:
    assert told(old, new, path) == [CHANGED]


def test_more_refusals_and_plain_lines_for_the_log_are_no_change() -> None:
    login = "def login(user, password):\n    if not user:\n        raise Bad\n    return user.token\n"
    assert told(login, login.replace("    return", "    if user.closed:\n        raise Bad\n    return")) == []
    assert told(login, login.replace("    return", '    LOG.info("login of %s", user.name)\n    return')) == []
    assert told(login, login.replace("    return", '    LOG.info("login with %s", password)\n    return')) == [CHANGED]
    assert told(login, login.replace("    return", '    LOG.info("login %s", leak(user))\n    return')) == [CHANGED]
    assert told(login, login.replace("not user", "not user and not debug")) == [CHANGED]
    other = login.replace("not user", "user == 3").replace(
        "    return", "    if user.closed:\n        raise Bad\n    return"
    )
    assert told(login, other) == [CHANGED]


def test_what_counts_money_is_told() -> None:
    fee = "def rest(cents, parts):\n    return cents // parts\n"
    assert told(fee, fee.replace("//", "% 7 +")) == [MONEY]
    assert told(fee.replace("cents", "words"), fee.replace("cents", "words").replace("//", "%")) == []


def test_all_of_a_file_counts_whose_name_says_what_it_is_for() -> None:
    text = "def f(x):\n    return x\n"
    assert told(text, text.replace("x\n", "x + 1\n"), "src/cors.py") == [CHANGED]
    assert told(text, text.replace("x\n", "x + 1\n"), "src/curses.py") == []
    script = "const PREVIEW = 1;\n"
    assert told(script, script.replace("1", "2"), "web/cors.js") == [CHANGED]
    assert told(script, script.replace("1", "2"), "web/course.js") == []
