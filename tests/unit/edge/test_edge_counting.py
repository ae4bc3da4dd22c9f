"""What the edge counts: each unit once, and nothing that is lost makes the candidate look better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoguard.adapters.sqlite.kpis import MAX_BATCH_BYTES, parse_batch
from evoguard.edge import counting
from evoguard.edge.counting import Counts
from evoguard.edge.settings import load, parse, tokens_of
from evoguard.errors import InputError

CHANGE = "ch-000000000001"


def opened(folder: Path) -> Counts:
    counts = Counts(CHANGE, "scoring", b"salt", folder / "journal")
    counts.open()
    return counts


@pytest.fixture
def counts(tmp_path: Path):
    made = opened(tmp_path)
    yield made
    made.close()


def test_a_unit_is_exposed_once_and_bad_once_a_kpi(counts: Counts) -> None:
    for _ in range(3):
        counts.count("alice", "candidate", ("errors", "latency"))
        counts.count("bob", "known_good", ())
    batch = counts.batch()
    assert batch is not None
    assert batch["exposed"] == {"known_good": 1, "candidate": 1}
    assert [e["kpi"] for e in batch["bad"]] == ["errors", "latency"]
    assert "alice" not in json.dumps(batch)
    assert counts.batch() is None


def test_a_killed_edge_exposes_nobody_again_and_tells_every_failure_again(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.count("alice", "candidate", ("errors",))
    first.count("bob", "candidate", ())
    told = first.batch()
    first.close()
    second = opened(tmp_path)
    for user in ("alice", "bob"):
        second.count(user, "candidate", ())
    again = second.batch()
    second.close()
    assert told is not None
    assert again is not None
    assert again["exposed"] == {"known_good": 0, "candidate": 0}
    assert again["bad"] == told["bad"]


def test_a_torn_journal_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'["u1", "candidate", ["errors"]]\n["u2", "nobody", ["errors"]]\n{"\n["u')
    counts = opened(tmp_path)
    batch = counts.batch()
    counts.close()
    assert batch is not None
    assert batch["bad"] == [{"unit": "u1", "arm": "candidate", "kpi": "errors"}]


def test_what_cannot_be_written_is_a_loss_and_a_loss_counts_against_the_candidate(counts: Counts) -> None:
    counts.count("before", "candidate", ())
    counts.close()
    counts.count("alice", "known_good", ())
    batch = counts.batch()
    assert counts.lost == 1
    assert batch is not None
    assert batch["exposed"] == {"known_good": 0, "candidate": 0}
    assert batch["bad"] == [{"unit": "lost-1", "arm": "candidate", "kpi": "errors"}]


def test_beyond_its_bound_known_good_is_forgotten_before_the_candidate(
    counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_WAITING_BAD", 3)
    for n in range(3):
        counts.count(f"g{n}", "known_good", ("errors",))
    counts.count("c", "candidate", ("errors",))
    batch = counts.batch()
    assert batch is not None
    assert [e["arm"] for e in batch["bad"]] == ["candidate", "known_good", "known_good", "candidate"]
    assert batch["bad"][-1]["unit"] == "lost-1"
    assert batch["exposed"] == {"known_good": 0, "candidate": 0}


def test_exposures_wait_behind_the_failures_seen_with_them(counts: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_BAD_A_BATCH", 2)
    for n in range(3):
        counts.count(f"c{n}", "candidate", ("errors",))
    first, second = counts.batch(), counts.batch()
    assert first is not None
    assert second is not None
    assert (first["exposed"], len(first["bad"])) == ({"known_good": 0, "candidate": 0}, 2)
    assert (second["exposed"], len(second["bad"])) == ({"known_good": 0, "candidate": 3}, 1)


BASE = {
    "component": "scoring", "flag": "f", "listen": "127.0.0.1:0", "known_good": "a" * 40, "tokens": "t",
    "journals": "j", "guard": "http://127.0.0.1:4242", "unit_header": "X-User-Id",
    "versions": {"a" * 40: "http://127.0.0.1:1", "b" * 40: "http://127.0.0.1:2"},
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"more": 1}, {"known_good": "c" * 40}, {"unit_cookie": "too"}, {"timeout_s": 0}, {"timeout_s": float("nan")},
        {"most_in_flight": True}, {"guard": "https://x"}, {"guard": "http://u@h:1"}, {"listen": "somewhere:1"},
        {"versions": {}}, {"versions": {"a" * 40: "http://h:1", "b" * 40: "http://h:1/"}}, {"good_classes": [5]},
        {"idempotent": "GET"}, {"flag": "f\n"},
    ],
)  # fmt: skip
def test_settings_that_are_not_of_their_form_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError) as seen:
        parse({**BASE, **wrong})
    assert seen.value.code == "edge.settings"


def test_a_file_that_is_not_toml_and_one_that_is_missing_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff")
    for path in (tmp_path / "x", tmp_path / "none"):
        with pytest.raises(InputError, match="cannot be read"):
            load(path)


def test_tokens_that_others_may_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"flags.read": "r" * 20, "kpi.write": "w" * 20}))
    path.chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        tokens_of(path)
    path.chmod(0o600)
    assert tokens_of(path)["kpi.write"] == "w" * 20


def test_a_full_batch_stays_below_the_guards_bound_and_drops_no_value(counts: Counts) -> None:
    for number in range(1_200):
        counts.count(f"u{number}", "known_good", ("errors",), {"k" * 60: 10**12, "j" * 60: 10**12})
    sizes, values = [], 0
    while (batch := counts.batch()) is not None:
        body = json.dumps(batch)
        sizes.append(len(body))
        values += len(parse_batch(body, "edge").values)
    assert values == 2_400
    assert max(sizes) < MAX_BATCH_BYTES


def test_no_value_is_told_after_a_loss_and_none_again_after_a_restart(counts: Counts, tmp_path: Path) -> None:
    counts.count("alice", "candidate", (), {"wall": 5})
    again = opened(tmp_path)
    again.count("alice", "candidate", (), {"wall": 1})
    again.close()
    assert not again._values
    counts.lost += 1
    assert "values" not in (counts.batch() or {})


@pytest.mark.parametrize(
    "cost", [[], {"cpu": "x"}, {"wall_us": ""}, {"wall_us": 1}, {"wall_us": "a", "bytes_out": "a"},
             {"wall_us": "errors"}, {"bytes_out": "latency"}],
)  # fmt: skip
def test_costs_have_kpis_of_their_own(cost: object) -> None:
    doc = {
        "component": "scoring", "flag": "f", "listen": "127.0.0.1:0", "known_good": "a" * 40, "tokens": "t",
        "guard": "http://127.0.0.1:1", "journals": "j", "unit_header": "X-User-Id",
        "versions": {"a" * 40: "http://127.0.0.1:2"},
    }  # fmt: skip
    assert parse({**doc, "cost": {"wall_us": "wall"}}).cost.wall_us == "wall"
    with pytest.raises(InputError):
        parse({**doc, "cost": cost})
