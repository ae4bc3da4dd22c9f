"""What stock SDKs count themselves: bounded, of one rollout, of no weight where it is not as agreed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from contract.flags_suite import a_flag
from evoguard.adapters.sqlite.kpis import parse_batch
from evoguard.domain.canonical import canonical
from evoguard.errors import InputError
from evoguard.flags.impact_metrics import FILE, MOST_COUNT, Counted, Reports, read
from evoguard.settings import Settings
from evoguard.wiring.doctor import examine
from evoguard.wiring.flags import counters

GOOD = b"[lending]\nstateless = true\nrequests = 'requests'\nbad = {errors = 'failed'}\n"
NOW = 1_800_000_000_000
LIVE = {"lending": a_flag()}


def counter(name: str, **by_label: float) -> dict[str, Any]:
    samples = [{"labels": {"lending": label, "appName": "shop"}, "value": n} for label, n in by_label.items()]
    return {"name": name, "help": "", "type": "counter", "samples": samples}


def report(*metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {"appName": "shop", "impactMetrics": list(metrics)}


def second(doc: Mapping[str, Any], flags: Mapping[str, Any] = LIVE) -> list[dict[str, Any]]:
    """Return the batches of an SDK's second report in a rollout."""
    reports = Reports(read(GOOD))
    assert reports.batches({}, "shop/1", flags, NOW) == []
    return reports.batches(doc, "shop/1", flags, NOW)  # type: ignore[return-value]


def test_a_report_becomes_a_batch_that_the_door_takes():
    (batch,) = second(report(counter("requests", versions=40, disabled=400), counter("failed", versions=3, disabled=1)))
    kept = parse_batch(canonical(batch), "self-reported", now_ms=NOW)
    assert (kept.change, kept.component, kept.at) == ("ch-000000000001", "scoring", NOW)
    assert (kept.exposed_known_good, kept.exposed_candidate) == (400, 40)
    assert sorted((event.arm, event.kpi) for event in kept.bad) == [
        ("candidate", "errors")] * 3 + [("known_good", "errors")]  # fmt: skip
    assert len({event.unit for event in kept.bad}) == 4


def test_two_reports_never_share_a_unit_or_an_id():
    doc = report(counter("requests", versions=9), counter("failed", versions=2))
    reports = Reports(read(GOOD))
    for _ in range(3):
        made = reports.batches(doc, "shop/1", LIVE, NOW)
    again = reports.batches(doc, "shop/1", LIVE, NOW)
    assert made[0]["id"] != again[0]["id"]
    units = [row["unit"] for batch in (*made, *again) for row in batch["bad"]]  # type: ignore[union-attr, index, call-overload]
    assert len(set(units)) == len(units) == 4


def test_the_first_report_of_a_rollout_may_tell_of_the_time_before_it():
    doc, reports = report(counter("requests", versions=9)), Reports(read(GOOD))
    assert reports.batches(doc, "shop/1", LIVE, NOW) == []
    assert len(reports.batches(doc, "shop/1", LIVE, NOW)) == 1
    assert reports.batches(doc, "shop/2", LIVE, NOW) == []
    newer = {"lending": a_flag(change="ch-000000000002")}
    assert reports.batches(doc, "shop/1", newer, NOW) == []
    assert reports.batches(doc, "shop/1", newer, NOW)[0]["change"] == "ch-000000000002"


@pytest.mark.parametrize("flags", [{}, {"lending": a_flag(enabled=False)}, {"other": a_flag(flag="other")}])
def test_what_is_off_or_named_by_nobody_tells_nothing(flags: Mapping[str, Any]):
    assert second(report(counter("requests", versions=9)), flags) == []


def test_many_bad_ones_go_in_parts_and_what_was_exposed_goes_last():
    made = second(report(counter("requests", versions=3_000, disabled=9), counter("failed", versions=2_500)))
    assert [len(batch["bad"]) for batch in made] == [1_000, 1_000, 500]
    assert [batch["exposed"]["candidate"] for batch in made] == [0, 0, 3_000]
    assert len({batch["id"] for batch in made}) == 3


@pytest.mark.parametrize(
    "metrics",
    [
        [counter("requests", versions=-1)], [counter("requests", versions=1.5)],
        [counter("requests", versions=float("nan"))], [counter("requests", versions=float("inf"))],
        [counter("requests", versions=MOST_COUNT + 1)], [counter("requests", versions=True)],
        [counter("requests", versions=MOST_COUNT), counter("requests", versions=1)],
        [counter("requests", surprise=9)], [{**counter("requests", versions=9), "type": "gauge"}],
        [{**counter("requests", versions=9), "samples": {}}],
        [counter("requests", versions=2), counter("failed", versions=3)],
        [counter("requests", versions=9_000), counter("failed", versions=5_001)],
        [counter("requests", versions=0, disabled=0)], [counter("others", versions=9)], ["requests"], [],
        [counter("requests", versions=9), counter("failed", versions="3")],  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_counters_that_are_not_as_agreed_tell_nothing(metrics: list[Any]):
    assert second(report(*metrics)) == []


def test_requests_that_were_counted_without_the_flag_are_of_no_arm():
    plain = {"name": "requests", "type": "counter", "samples": [{"labels": {"appName": "shop"}, "value": 70}]}
    (batch,) = second(report(plain, counter("requests", versions=5)))
    assert batch["exposed"] == {"known_good": 0, "candidate": 5}


@pytest.mark.parametrize("doc", [{"impactMetrics": None}, {"impactMetrics": {"a": 1}}, {"impactMetrics": "x" * 9}])
def test_a_report_of_another_form_tells_nothing(doc: Mapping[str, Any]):
    assert second(doc) == []


def test_the_instances_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("evoguard.flags.impact_metrics.MOST_INSTANCES", 2)
    reports, doc = Reports(read(GOOD)), report(counter("requests", versions=9))
    for name in ("a", "b", "c"):
        reports.batches(doc, name, LIVE, NOW)
    assert reports.batches(doc, "a", LIVE, NOW) == []
    assert len(reports.batches(doc, "c", LIVE, NOW)) == 1


def test_a_file_names_counters_by_flag():
    assert read(GOOD) == {"lending": Counted("requests", {"errors": "failed"})}
    assert read(None) == {}
    assert read(b"") == {}


@pytest.mark.parametrize(
    "text",
    [
        b"\xff", b"lending = 1", b"[lending]\nrequests = 'r'\nbad = {e = 'f'}\n",
        GOOD.replace(b"true", b"false"), GOOD.replace(b"true", b"1"), GOOD + b"more = 1\n",
        GOOD.replace(b"{errors = 'failed'}", b"{}"), GOOD.replace(b"errors", b"'E R'"), GOOD.replace(b"'failed'", b"7"),
        GOOD.replace(b"'requests'", b"''"), b"['a b']\nstateless = true\nrequests = 'r'\nbad = {e = 'f'}\n",
        b"#" * 70_000, b"".join(b"[f%d]\n" % n for n in range(101)),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_it_should_be_is_one_clear_error(text: bytes):
    with pytest.raises(InputError) as caught:
        read(text)
    assert (caught.value.code, bool(caught.value.fix)) == ("impact.file", True)


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, []), (GOOD, [("SDK counters", True)]), (b"lending = 1", [("sdk counters", False)])],
)
async def test_doctor_tells_which_counters_are_taken_and_what_is_wrong_with_the_file(tmp_path, text, told):
    settings = Settings(state=tmp_path)
    if text is not None:
        (tmp_path / FILE).write_bytes(text)
    doc = await examine(settings, start=False)
    parts = [(part["name"], part["ok"]) for part in doc["parts"] if "counters" in part["name"].lower()]  # type: ignore[union-attr, index, call-overload]
    assert parts == told
    assert dict(counters(settings)) == (read(GOOD) if text == GOOD else {})
