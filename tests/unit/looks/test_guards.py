"""What guards something and is gone: told at its file, and only when the whole change has less of it."""

from __future__ import annotations

import pytest

from evoguard.domain.text import hidden
from evoguard.looks.guards import RULE, lost

SAME = b"def same(a, b):\n    return hmac.compare_digest(a, b)\n"
EQUAL = b"def same(a, b):\n    return a == b\n"


def test_a_comparison_in_constant_time_that_is_gone_is_told() -> None:
    (hit,) = lost({"a.py": SAME}, {"a.py": EQUAL}, [("a.py", "a.py")])
    assert (hit.rule, hit.severity, hit.path, hit.text) == (RULE, "warning", "a.py", "compare_digest")


def test_one_that_moved_to_another_file_is_not_lost() -> None:
    assert lost({"a.py": SAME}, {"a.py": EQUAL, "b.py": SAME}, [("a.py", "a.py"), ("", "b.py")]) == ()


def test_a_comment_or_an_import_takes_its_place_in_vain() -> None:
    text = b"from hmac import compare_digest\n# compare_digest\n" + EQUAL
    assert [hit.text for hit in lost({"a.py": SAME}, {"a.py": text}, [("a.py", "a.py")])] == ["compare_digest"]


@pytest.mark.parametrize(
    "line", ["@login_required", "rate_limit(5)", "html.escape(x)", "requests.get(x, verify_signature=1)"]
)
def test_checks_of_many_kinds_are_known(line: str) -> None:
    assert lost({"a.py": line.encode()}, {"a.py": b"x = 1\n"}, [("a.py", "a.py")])


@pytest.mark.parametrize(
    ("path", "line", "rules"),
    [
        ("a.ftl", "x = \u2068{ $a }\u2069", ["text.isolates"]),
        ("a.po", 'msgstr "\u2066USD\u2069"', ["text.isolates"]),
        ("a.ftl", "x = \u2068{ $a }", ["text.bidi"]),
        ("a.ftl", "x = \u2069{ $a }\u2068", ["text.bidi"]),
        ("a.ftl", "x = \u202e{ $a }\u2069", ["text.bidi"]),
        ("a.ftl", "x = \u2068\u202e{ $a }\u2069\u2069", ["text.bidi"]),
        ("a.py", "x = '\u2068a\u2069'", ["text.bidi"]),
        ("a.txt", "\u2068a\u2069", ["text.bidi"]),
    ],
)
def test_isolates_that_close_are_told_in_translations_only(path: str, line: str, rules: list[str]) -> None:
    assert [hit.rule for hit in hidden(path, line.encode())] == rules
