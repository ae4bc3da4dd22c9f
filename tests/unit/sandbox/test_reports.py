"""Reports that the accused wrote: what they say is read exactly, and what proves nothing is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evoguard_sandbox.reports.found import MOST_TESTS, Found, Reader, ReportError, TooManyError
from evoguard_sandbox.reports.go import read_go
from evoguard_sandbox.reports.junit import read_junit
from evoguard_sandbox.reports.tap import read_tap

READERS = (read_junit, read_tap, read_go)


def seen(read: Reader, text: str, most: int = 1000) -> dict[str, str]:
    return {test.id: test.outcome for test in read(text.encode(), most)}


def refused(read: Reader, text: str | bytes, most: int = 1000) -> str:
    with pytest.raises(ReportError) as caught:
        read(text if isinstance(text, bytes) else text.encode(), most)
    assert str(caught.value).isprintable()
    return str(caught.value)


JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="group" tests="6" failures="1">
  <properties><property name="x" value="y"/></properties>
  <testcase name="good" classname="calc" time="0.5" file="/room/tree/test/a.js"/>
  <testcase name="bad" classname="group"><failure message="1 != 2"><![CDATA[<error/>]]></failure></testcase>
  <testcase name="off"><skipped message="why"/></testcase>
  <testcase name="late"><skipped type="todo"/><failure message="x"/></testcase>
  <testcase name="early"><skipped type="todo"/></testcase>
  <testcase name="loud"><system-out>&lt;failure/&gt;</system-out><error message="boom"/></testcase>
  <testcase name="idle" status="notrun"/>
</testsuite></testsuites>"""


def test_junit_is_read_to_names_outcomes_times_and_reasons():
    tests = read_junit(JUNIT.encode(), 100)
    assert [(t.id, t.outcome, t.duration_ms, t.why) for t in tests] == [
        ("test/a.js::group::calc::good", "passed", 500, ""),
        ("group::bad", "failed", 0, "1 != 2"),
        ("group::off", "skipped", 0, "why"),
        ("group::late", "xfailed", 0, ""),
        ("group::early", "xpassed", 0, ""),
        ("group::loud", "error", 0, "boom"),
        ("group::idle", "skipped", 0, "notrun"),
    ]


@pytest.mark.parametrize(
    "inside",
    ["<skipped/><failure/>", "<flakyFailure/>", "<rerunFailure/>", "<unknown/>", "<testcase name='b'/>"],
)
def test_a_junit_test_with_anything_but_known_good_in_it_is_red(inside):
    (outcome,) = seen(read_junit, f"<testsuite><testcase name='a'>{inside}</testcase></testsuite>").values()
    assert outcome in ("failed", "error")


def test_a_junit_status_that_nobody_knows_is_red():
    assert seen(read_junit, "<testsuite><testcase name='a' status='aborted'/></testsuite>") == {"a": "error"}


def test_a_failure_of_a_whole_junit_suite_is_a_red_test():
    assert seen(read_junit, "<testsuite name='s'><error message='x'/></testsuite>") == {
        "s::(the suite itself)": "error"
    }


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "whole XML"),
        ("<testsuite>", "whole XML"),
        ("<testsuite></testsuite><testsuite/>", "whole XML"),
        (JUNIT[:-5], "whole XML"),
        ("<testsuite>\x00</testsuite>", "whole XML"),
        (b"<testsuite name='\xff'/>", "whole XML"),
        ("<?xml version='1.0' encoding='utf-16'?><testsuite/>".encode("utf-16"), "whole XML"),
        ("<testsuite>&undefined;</testsuite>", "whole XML"),
        ("<!DOCTYPE testsuite><testsuite/>", "document type"),
        (f"<!DOCTYPE x [<!ENTITY l0 'lol'>{LAUGHS}]><testsuite name='&l12;'/>", "document type"),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><testsuite>&e;</testsuite>", "document type"),
        ("<!DOCTYPE x SYSTEM 'http://127.0.0.1/x.dtd'><testsuite/>", "document type"),
        ("<testsuite>" * 70 + "</testsuite>" * 70, "nested"),
        ("<html/>", "root"),
        ("<testcase name='a'/>", "root"),
        ("<testsuite><a\u0301/></testsuite>", "element"),
        ("<testsuite failures='2'><testcase name='a'/></testsuite>", "does not show"),
        ("<testsuite errors='1'/>", "does not show"),
        ("<testsuites failures='1'><testsuite><testcase name='a'/></testsuite></testsuites>", "does not show"),
    ],
)
def test_junit_that_proves_nothing_is_refused(text, words):
    assert words in refused(read_junit, text)


TAP = """TAP version 13
# Subtest: one
ok 1 - one \\# of
  ---
  duration_ms: 1500.5
  message: "not ok 2 - inside"
  ...
not ok 2 - two
ok 3 - three # SKIP why
not ok 4 - four # TODO later
ok 5 - five # todo
# Subtest: six
    ok 1 - inner
    # Subtest: deep
        not ok 1 - deepest
        1..1
    not ok 2 - deep
    1..2
not ok 6 - six
ok 7
noise that is no TAP
1..7
# pass 3
"""


def test_tap_is_read_to_names_outcomes_times_and_reasons():
    tests = read_tap(TAP.encode(), 100)
    assert [(t.id, t.outcome, t.duration_ms, t.why) for t in tests] == [
        ("one # of", "passed", 1500, ""),
        ("two", "failed", 0, ""),
        ("three", "skipped", 0, "why"),
        ("four", "xfailed", 0, "later"),
        ("five", "xpassed", 0, ""),
        ("six::inner", "passed", 0, ""),
        ("six::deep::deepest", "failed", 0, ""),
        ("six::deep", "failed", 0, ""),
        ("six", "failed", 0, ""),
        ("(no name)", "passed", 0, ""),
    ]


def test_a_failed_skip_is_a_failure_and_an_escaped_mark_is_part_of_the_name():
    assert seen(read_tap, "1..2\nnot ok 1 - a # SKIP x\nok 2 - b \\# SKIP x\n") == {
        "a": "failed",
        "b # SKIP x": "passed",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "planned"),
        ("ok 1 - a\n", "planned"),
        ("1..2\nok 1 - a\n", "planned"),
        ("1..1\nok 1 - a\nok 2 - b\n", "planned"),
        ("1..1\n1..1\nok 1\n", "two plans"),
        ("ok 1\n1..1\nok 2\n", "after the plan"),
        ("ok 2\n1..1\n", "number"),
        ("ok 1\nok 1\n1..2\n", "number"),
        ("1..3\nok 1 - a\nBail out! no disk\n", "no disk"),
        ("    ok 1 - a\n    1..1\n1..0\n", "belongs to no test"),
        ("    ok 1 - a\nok 1 - b\n1..1\n", "planned"),
        ("ok 1 - a\n  ---\n  x: y\n1..1\n", "middle of a block"),
        ("        " * 10 + "ok 1\n", "nested"),
    ],
)
def test_tap_that_proves_nothing_is_refused(text, words):
    assert words in refused(read_tap, text)


def go(*events: dict[str, object] | tuple[str, str]) -> str:
    """Events of the package p; a pair is an action and a test."""
    rows = [
        e if isinstance(e, dict) else {"Action": e[0], "Package": "p", **({"Test": e[1]} if e[1] else {})}
        for e in events
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


START, END = ("start", ""), ("pass", "")


def test_go_events_are_read_to_names_and_outcomes():
    text = go(START, ("run", "A"), ("run", "A/b"), ("output", "A"), ("pass", "A/b"), ("fail", "A"), ("run", "C"),
              ("skip", "C"), ("run", "D"), ("fail", ""))  # fmt: skip
    assert seen(read_go, text) == {
        "p::A/b": "passed", "p::A": "failed", "p::C": "skipped", "p::D": "error",
    }  # fmt: skip


def test_a_go_package_without_tests_is_no_test_and_one_that_does_not_build_is_red():
    assert seen(read_go, go(START, ("skip", ""))) == {}
    text = go({"Action": "build-fail", "ImportPath": "p"}, START, ("fail", ""))
    assert seen(read_go, text) == {"p::(build)": "error", "p::(package)": "failed"}


def test_a_go_package_that_fails_without_a_failed_test_is_red_by_itself():
    text = go(START, ("run", "A"), ("pass", "A"), ("fail", ""))
    assert seen(read_go, text) == {"p::A": "passed", "p::(package)": "failed"}


def test_a_go_test_that_runs_again_is_counted_again():
    assert seen(read_go, go(START, ("run", "A"), ("pass", "A"), ("run", "A"), ("fail", "A"), ("fail", ""))) == {
        "p::A": "passed", "p::A (2)": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "never ended"),
        (go(START), "never ended"),
        (go(START, ("run", "A"), ("pass", "A")), "never ended"),
        (go(("run", "A")), "outside"),
        (go(START, END, ("run", "A")), "outside"),
        (go(START, END, START, END), "began twice"),
        (go(START, ("pass", "A"), END), "without a beginning"),
        (go(START, ("run", "A"), ("run", "A"), END), "began twice"),
        (go(START, ("pass", "A/b"), END), "without a beginning"),
        (go(START, ("forged", "A"), END), "nobody knows"),
        (go({"Action": "start"}), "no name"),
        (go(START, END) + "PASS\n", "no event"),
        ("[1]\n", "no event"),
        ("[" * 100_000 + "\n", "no event"),
        ('{"Action": "start"' + " " * (2 << 20) + "}\n", "no event"),
    ],
)
def test_go_events_that_prove_nothing_are_refused(text, words):
    assert words in refused(read_go, text)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_junit, "<testsuite>" + "<testcase name='a'/>" * 11 + "</testsuite>"),
        (read_tap, "1..11\n" + "ok\n" * 11),
        (read_go, go(START, *[(do, f"T{n}") for n in range(11) for do in ("run", "pass")], END)),
    ],
)
def test_more_tests_than_the_bound_are_refused_and_just_the_bound_is_not(read, text):
    with pytest.raises(TooManyError):
        read(text.encode(), 10)
    assert len(read(text.encode(), 11)) == 11


def test_no_bound_lifts_the_readers_own():
    assert Found(10**9).most == MOST_TESTS == 200_000


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_junit, "<testsuite><testcase name='a&#x202e;&#x9b;2J&#10;b'/></testsuite>"),
        (read_tap, "1..1\nok 1 - a\u202e\x9b2J\x1b[31mb\x07\n"),
        (read_go, go(START, ("run", "a\u202e\x1b[31m\nb"), ("pass", "a\u202e\x1b[31m\nb"), END)),
    ],
)
def test_names_are_shown_escaped_and_bounded(read, text):
    (name,) = seen(read, text)
    assert name.isprintable()
    assert "\\u202e" in name
    (long,) = seen(read_tap, "1..1\nok 1 - " + "x" * 10_000)
    assert len(long) <= 500


@settings(deadline=None)
@given(st.lists(st.sampled_from(["x", "x (2)", "x (3)", "y"]), max_size=12))
def test_no_name_hides_another(names):
    found = Found(100)
    for name in names:
        found.add([name], "passed")
    assert len(found.done()) == len(names)
    assert len({test.id for test in found.done()}) == len(names)


@pytest.mark.parametrize("time", ["nan", "inf", "-1", "1e308", "9" * 60, "x", ""])
def test_a_duration_that_is_none_is_harmless(time):
    (test,) = read_junit(f"<testsuite><testcase name='a' time='{time}'/></testsuite>".encode(), 9)
    assert 0 <= test.duration_ms <= 10**9


PIECES = (
    "ok",
    "not ok",
    " 1",
    "1..1",
    "1..2",
    "\n",
    "    ",
    "  ---",
    "  ...",
    "#",
    " SKIP",
    "\\",
    "Bail out!",
    "\x1b",
    "é",
)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES)).map(lambda p: "".join(p).encode())))
@example(b"<testsuite><testcase name='a'/></testsuite>")
@example(b"1..0\n")
@example(b'{"Action":"start","Package":"p"}\n{"Action":"pass","Package":"p"}')
def test_any_bytes_are_read_within_bounds_or_refused_by_name(data):
    for read in READERS:
        told, tests = "", ()
        try:
            tests = read(data, 20)
        except ReportError as err:
            told = str(err)
        assert len(tests) <= 20
        assert all(text.isprintable() for text in (told, *(t.id for t in tests), *(t.why for t in tests)))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["ok", "not ok"]), min_size=1, max_size=12), st.data())
def test_a_tap_stream_that_lost_any_line_is_never_wholly_read(points, data):
    lines = [*(f"{word} {n} - t{n}" for n, word in enumerate(points, 1)), f"1..{len(points)}"]
    assert [t.outcome for t in read_tap("\n".join(lines).encode(), 99)] == [
        "passed" if word == "ok" else "failed" for word in points
    ]
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    with pytest.raises(ReportError):
        read_tap("\n".join(lines).encode(), 99)
