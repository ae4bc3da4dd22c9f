"""Settings of the Prometheus source: refused as a whole for every value that is not of its form."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard.cli.counting import EXAMPLE
from evoguard.errors import InputError
from evoguard.prometheus.settings import load, parse
from unit.prometheus.places import BASE


@pytest.mark.parametrize("word", [False, None, "true", 1])
def test_traffic_that_is_not_said_to_be_stateless_is_refused_with_the_reason(word: object) -> None:
    with pytest.raises(InputError, match="carry no users") as seen:
        parse({**BASE, "stateless": word})
    assert seen.value.code == "prometheus.stateless"


@pytest.mark.parametrize(
    "wrong",
    [
        {"more": 1}, {"component": "a b"}, {"flag": "a/b"}, {"prometheus": "ftp://h:1"}, {"prometheus": "file:///x"},
        {"prometheus": "http://u:p@h:1"}, {"prometheus": "http://h:1?x=1"}, {"prometheus": "http://"}, {"guard": 5},
        {"guard": "gopher://h"}, {"prometheus": "http://h:99999"}, {"most_per_s": 0}, {"most_per_s": True},
        {"most_per_s": float("nan")}, {"scrape_s": 0}, {"look_s": "5"}, {"exposed": ""}, {"exposed": "x" * 2_001},
        {"exposed": "rate(requests_total)"}, {"exposed": "sum by (arm) (increase(requests_total[1m]))"},
        {"exposed": "requests_total[5m]"}, {"exposed": "requests_total offset 1h"}, {"exposed": "requests_total @ 0"},
        {"exposed": "max_over_time(requests_total)"}, {"up": "sum(up)"}, {"up": "up or vector(1)"}, {"bad": {}},
        {"up": 'up{a="b"}[5m]'}, {"bad": {"E": "x"}}, {"bad": {"errors": 1}}, {"arm_label": "a-b"}, {"tokens": "a\0"},
        {"arms": {"candidate": "known_good"}}, {"arms": {"other": "x"}}, {"arms": {"candidate": ""}}, {"state": ""},
        {"bad": {f"k{n}": "x" for n in range(11)}},
    ],
)  # fmt: skip
def test_settings_that_are_not_of_their_form_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError) as seen:
        parse({**BASE, **wrong})
    assert seen.value.code == "prometheus.settings"


@pytest.mark.parametrize("key", [key for key in BASE if key not in ("stateless", "scrape_s", "timeout_s")])
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(InputError, match=key):
        parse({name: value for name, value in BASE.items() if name != key})


def test_the_word_of_a_window_inside_a_labels_value_is_no_window() -> None:
    assert parse({**BASE, "exposed": "requests_total{path=\"/rate(x)[5m]\",to='@delta'}"}).exposed


def test_the_file_in_the_help_is_one_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "kpis.toml"
    file.write_text(EXAMPLE.split("scoring-kpis.toml:\n")[1])
    found = load(file)
    assert (found.arms, list(found.bad)) == ({"known_good": "known_good", "candidate": "candidate"}, ["errors"])


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff")
    (tmp_path / "big").write_bytes(b"# " + b"x" * 300_000)
    for name, says in (("x", "cannot be read"), ("none", "cannot be read"), ("big", "larger")):
        with pytest.raises(InputError, match=says):
            load(tmp_path / name)
