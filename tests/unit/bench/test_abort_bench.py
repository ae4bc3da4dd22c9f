"""The rules that are compared: each on traffic whose answer is plain."""

from __future__ import annotations

from statistics import mean

import pytest

from evoguard.bench import abort, abort_latency
from evoguard.bench.abort import OURS, RULES, SECONDS, STAGE_S, Second

QUIET = Second((45, 5), (0, 0))
WORSE = Second((45, 5), (0, 1))
INCIDENT = Second((45, 5), (9, 1))


def run(*parts: tuple[int, Second]) -> list[Second]:
    """Return a run of a whole rollout: so many seconds of each, the last one to the end."""
    seconds = [second for count, second in parts for _ in range(count)]
    return seconds + [parts[-1][1]] * (SECONDS - len(seconds))


@pytest.mark.parametrize("name", RULES)
def test_no_rule_aborts_where_nothing_fails(name):
    assert RULES[name](run((1, QUIET))).at is None


@pytest.mark.parametrize("name", [name for name in RULES if "100 requests" not in name])
def test_every_rule_aborts_a_candidate_that_alone_fails(name):
    end = RULES[name](run((1, WORSE)))
    assert end.at is not None
    assert 0 < end.met <= 5 * SECONDS


@pytest.mark.parametrize(("name", "falls"), [(OURS, False), ("Argo: error rate over 2 % in one minute", True),
                                             ("Flagger: under 98 %, five checks in a row", False),
                                             ("Kayenta: Mann-Whitney of minutes", False)])  # fmt: skip
def test_a_minute_in_which_both_versions_fail_alike(name, falls):
    seen = RULES[name](run((900, QUIET), (60, INCIDENT), (1, QUIET)))
    assert (seen.at is not None) is falls


def test_ours_says_when_and_how_many_met_it():
    end = RULES[OURS](run((STAGE_S, QUIET), (1, WORSE)))
    assert STAGE_S < end.at < STAGE_S + 60
    assert end.met == 5 * (end.at + 1)


def test_traffic_is_what_it_says_and_the_same_for_a_seed():
    seconds = list(abort.traffic(1, "const", candidate=0.2))
    assert seconds == list(abort.traffic(1, "const", candidate=0.2))
    assert seconds != list(abort.traffic(2, "const", candidate=0.2))
    assert {sum(second.units) for second in seconds} == {abort.UNITS_S}
    assert mean(second.units[1] for second in seconds[STAGE_S : 2 * STAGE_S]) == pytest.approx(5, abs=0.4)
    last = seconds[2 * STAGE_S :]
    assert sum(s.bad[1] for s in last) / sum(s.units[1] for s in last) == pytest.approx(0.2, abs=0.02)
    assert sum(s.bad[0] for s in last) / sum(s.units[0] for s in last) == pytest.approx(0.01, abs=0.004)
    late = list(abort.traffic(1, "drift", first=STAGE_S))
    assert len(late) == SECONDS - STAGE_S


@pytest.mark.parametrize(("at", "count"), [(0.0, 0), (0.2, 0), (0.26, 1), (0.74, 1), (0.76, 2), (1.0, 2)])
def test_the_binomial_count_is_where_its_distribution_reaches_the_draw(at, count):
    """Two units at a half: 1/4, 1/2, 1/4."""
    assert abort._binomial(2, 0.5, at) == count


def test_the_mann_whitney_count_is_as_by_hand():
    """(1, 2) over (3, 4): none of four pairs, 2 below the mean of 2, spread sqrt(5/3)."""
    assert abort._greater([1, 2], [3, 4]) == pytest.approx(-2 / (5 / 3) ** 0.5)
    assert abort._greater([3, 4], [1, 2]) == pytest.approx(2 / (5 / 3) ** 0.5)
    assert abort._greater([1], [1]) == 0.0


def test_the_bench_gives_a_figure_for_each_world_and_each_bad_candidate(monkeypatch, capsys):
    monkeypatch.setattr(abort, "QUICK", 2)
    monkeypatch.setattr(abort, "BAD_RUNS", 2)
    figures = abort.measure(quick=True)
    assert len(figures) == 2 * len(abort.WORLDS) + 2 * len(abort.BARS) + 2 * len(abort.SLOWER)
    shown = capsys.readouterr().err
    assert all(name in shown for name in (*RULES, *abort_latency.NAMES))
