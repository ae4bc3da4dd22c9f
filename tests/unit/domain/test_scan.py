"""What is new in a change: a multiset of faults, whatever moved."""

from __future__ import annotations

import random

import pytest

from evoguard.domain.scan import MOST_HITS, NOT_RUN, Hit, Scan, new_hits


def hit(text: str, path: str = "a.py", line: int = 1, rule: str = "python.eval") -> Hit:
    return Hit(rule, "warning", path, line, "data is run as code", text)


def test_what_only_moved_is_old_and_a_further_copy_is_new():
    base = [hit("eval(x)", line=3), hit("eval(y)", line=9)]
    assert new_hits(base, [hit("eval(y)", line=90), hit("eval(x)", line=100)], {}) == ()
    copies = [hit("eval(x)", line=line) for line in (30, 10, 20)]
    assert [h.line for h in new_hits(base, copies, {})] == [20, 30]


@pytest.mark.parametrize(
    "head",
    [hit("eval(z)"), hit("eval(x)", path="b.py"), hit("eval(x)", rule="python.shell")],
)
def test_another_text_file_or_rule_is_new(head):
    assert new_hits([hit("eval(x)")], [head], {}) == (head,)


def test_a_renamed_file_keeps_its_old_faults():
    moved = hit("eval(x)", path="new.py")
    assert new_hits([hit("eval(x)", path="old.py")], [moved], {"old.py": "new.py"}) == ()
    assert new_hits([hit("eval(x)", path="old.py")], [moved], {}) == (moved,)


def test_as_many_are_new_as_there_are_more_of_them():
    draw = random.Random(7)  # noqa: S311
    for _ in range(200):
        base = [hit(draw.choice("abc"), line=n) for n in range(draw.randrange(6))]
        head = [hit(draw.choice("abc"), line=n) for n in range(draw.randrange(6))]
        new = [h.text for h in new_hits(base, head, {})]
        for text in "abc":
            more = sum(h.text == text for h in head) - sum(h.text == text for h in base)
            assert new.count(text) == max(0, more)


def test_what_is_beyond_the_bound_is_counted():
    doc = Scan("complete", "t", "r", 1, 1, tuple(hit(str(n)) for n in range(MOST_HITS + 3))).as_json()
    assert (len(doc["new"]), doc["omitted"]) == (MOST_HITS, 3)
    assert "text" not in doc["new"][0]


def test_what_stands_for_no_scan_is_none():
    assert (NOT_RUN["status"], NOT_RUN["new"], NOT_RUN["read"]) == ("not run", [], 0)
