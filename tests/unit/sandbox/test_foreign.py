"""What a foreign test command's run is believed to show; no sandbox is started here."""

from __future__ import annotations

import pytest

from evoguard_sandbox import Limits
from evoguard_sandbox.foreign import RULES, ForeignSuite, _facts, without
from evoguard_sandbox.judging.evidence import Base, Evidence
from evoguard_sandbox.judging.facts import RunFacts
from evoguard_sandbox.judging.verdict import judge, verdict
from evoguard_sandbox.rooms.box import Seen
from evoguard_sandbox.trees import Entry
from evoguard_sandbox.types import Behaviour, Connect

GOOD = b"1..2\nok 1 - a\nok 2 - b # SKIP x\n"
LIMITS = Limits(tests=10)
PATH = "out/report.tap"


def run(out: bytes = b"", status: int | None = 0, *, path: str = "", **told: object) -> RunFacts:
    seen = Seen(outcome="finished", exit_status=status, out=bytearray(out), limits_mode="host")
    for key, value in told.items():
        setattr(seen, key, value)
    return _facts(seen, ForeignSuite({}, {}, ("x",), "tap", path), LIMITS)


def judged(candidate: RunFacts, base: RunFacts | None = None) -> tuple[str, list[str]]:
    base = base or run(GOOD)
    findings = judge(Evidence(Base(base), (candidate, candidate), base, most_tests=LIMITS.tests), RULES)
    return verdict(findings), [f.code for f in findings]


def test_the_same_tests_with_the_same_outcomes_and_status_0_pass():
    assert judged(run(GOOD)) == ("pass", [])


@pytest.mark.parametrize(
    ("candidate", "word", "codes"),
    [
        (run(b"1..2\nnot ok 1 - a\nok 2 - b # SKIP x\n", 1), "fail", ["tests.failed"]),
        (run(b"1..2\nnot ok 1 - a\nok 2 - b # SKIP x\n", 0), "fail", ["tests.failed"]),
        (run(GOOD, 1), "fail", ["tests.ended_early"]),
        (run(GOOD, -9), "fail", ["tests.ended_early"]),
        (run(b"", 0), "tamper", ["tests.ended_early"]),
        (run(GOOD[:12], 0), "tamper", ["tests.ended_early"]),
        (run(GOOD + GOOD, 0), "tamper", ["tests.ended_early"]),
        (run(GOOD, 0, garbage="a broken stream"), "tamper", ["tests.forged_frames"]),
        (run(b"1..1\nok 1 - a\n"), "tamper", ["tests.vanished"]),
        (run(b"1..2\nok 1 - a\nok 2 - c\n"), "tamper", ["tests.vanished", "tests.extra"]),
        (run(b"1..3\nok 1 - a\nok 2 - b # SKIP x\nok 3 - c\n"), "fail", ["tests.extra"]),
        (run(b"1..2\nok 1 - a # SKIP now\nok 2 - b # SKIP x\n"), "fail", ["tests.none_ran", "tests.unexpected_skip"]),
        (run(b"1..2\nnot ok 1 - a # TODO\nok 2 - b # SKIP x\n"), "fail", ["tests.none_ran", "tests.unexpected_skip"]),
        (run(b"1..11\n" + b"ok\n" * 11), "tamper", ["sandbox.limit_tests", "tests.ended_early"]),
        (run(GOOD, None, outcome="wall", why="late"), "fail", ["sandbox.limit_wall"]),
        (run(GOOD, None, outcome="output", why="flood"), "fail", ["sandbox.limit_output"]),
        (run(GOOD, None, outcome="memory", why="much"), "fail", ["sandbox.limit_memory"]),
        (run(GOOD, None, outcome="void", why="no start"), "void", ["sandbox.void"]),
    ],
)  # fmt: skip
def test_every_other_end_is_a_no(candidate, word, codes):
    assert judged(candidate) == (word, codes)


def test_an_attempt_to_reach_outside_is_a_no_unless_the_base_made_it_too():
    reached = Behaviour("recorded", connects=(Connect("node", "inet", "192.0.2.1", 443),))
    assert judged(run(GOOD, behaviour=reached)) == ("fail", ["sandbox.network_attempt"])
    assert judged(run(GOOD, behaviour=reached), run(GOOD, behaviour=reached)) == ("pass", [])


def test_a_report_from_a_file_is_the_one_ordered_file_and_no_other():
    def with_files(*files: tuple[str, bytes]) -> RunFacts:
        return run(
            b"", path=PATH, artefacts=[(name, False, bytearray(data)) for name, data in files], omitted="why not"
        )

    assert judged(with_files((PATH, GOOD))) == ("pass", [])
    for files in ((), (("other.tap", GOOD),), ((PATH, GOOD), (PATH, GOOD)), ((PATH + "/x", GOOD),)):
        seen = with_files(*files)
        assert "why not" in seen.broke
        assert judged(seen) == ("tamper", ["tests.ended_early"])


def test_a_report_on_stdout_counts_for_nothing_where_a_file_was_ordered():
    assert judged(run(GOOD, path=PATH)) == ("tamper", ["tests.ended_early"])


def test_nothing_of_a_tree_stands_where_the_report_is_to_be():
    entry = Entry("file", b"")
    tree = dict.fromkeys(["out/report.tap", "out/report.tap/x", "out/report.tap2", "out/other", "a"], entry)
    assert set(without(tree, PATH)) == {"out/report.tap2", "out/other", "a"}
    assert set(without({"out": Entry("link", b"elsewhere"), "a": entry}, PATH)) == {"a"}
    assert without(tree, "") == tree
