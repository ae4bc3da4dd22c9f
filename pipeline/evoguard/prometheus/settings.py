"""What the source is told: one TOML file, every value bounded, every unknown key refused."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from evoguard.domain import tables
from evoguard.domain.kpi import Arm
from evoguard.errors import InputError
from evoguard.prometheus.counting import ARMS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")
_KPI = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,79}\Z")
_SELECTOR = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,99}(\{[^{}()\[\]]{0,500}\})?\Z")
_WINDOW = re.compile(r"\b(rate|irate|increase|delta|idelta|[a-z]+_over_time)\b|\[|\boffset\b|@", re.IGNORECASE)
_NEEDED = frozenset({
    "component", "flag", "guard", "tokens", "state", "prometheus", "stateless", "exposed", "up", "bad", "most_per_s",
})  # fmt: skip
_KEYS = _NEEDED | {"arm_label", "arms", "scrape_s", "most_age_scrapes", "most_gap_s", "look_s", "timeout_s"}
MOST_QUERY = 2_000
FIX = "evoguard kpi prometheus --help shows a whole file"


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One component whose requests somebody outside of its versions counts by arm."""

    component: str
    flag: str
    guard: str
    """Address of the flag server, which names the rollout and takes the KPI batches."""
    tokens: Path
    state: Path
    """The folder in which is kept what was counted and told."""
    prometheus: str
    exposed: str
    """Query of the counter of all requests, one series an arm."""
    bad: Mapping[str, str]
    """By KPI: query of the counter of its bad outcomes, one series an arm."""
    up: str
    """Selector of the scrape target's own series `up`."""
    most_per_s: int
    """More new units a second than this are no traffic of this component."""
    arm_label: str = "arm"
    arms: Mapping[str, Arm] = field(default_factory=lambda: {"known_good": "known_good", "candidate": "candidate"})
    """Which arm a value of the label means."""
    scrape_s: float = 15.0
    most_age_scrapes: int = 3
    """A sample older than so many scrape intervals tells nothing about now."""
    most_gap_s: float = 300.0
    """Counters that were read longer ago than this are no longer differenced: the next look is a first one."""
    look_s: float = 5.0
    timeout_s: float = 3.0
    """For all that one look asks of Prometheus, and for each question to the guard."""


def load(path: Path) -> SourceSettings:
    """Return the settings of a file. Raises: InputError `prometheus.settings` with what is wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(262_145)
        if len(raw) > 262_144:
            raise _bad("the file is larger than 256 KiB")
        doc = tomllib.loads(raw.decode())
    except (OSError, ValueError) as err:
        raise _bad(f"cannot be read: {type(err).__name__}") from err
    return parse(doc)


def parse(doc: Mapping[str, object]) -> SourceSettings:
    """Return the settings of a document. Raises: InputError `prometheus.settings`, `prometheus.stateless`."""
    if unknown := sorted(set(doc) - _KEYS):
        raise _bad(f"unknown key {unknown[0][:40]!r}")
    if doc.get("stateless") is not True:
        raise InputError(
            "Prometheus settings: counters carry no users, so a user who fails ten times would count ten times, and "
            "tests on such counts take back healthy versions; only traffic of which every request stands for itself "
            "can be counted this way",
            code="prometheus.stateless",
            fix="write stateless = true when one request is one unit; else put `evoguard edge` in front",
        )
    if missing := sorted(_NEEDED - set(doc)):
        raise _bad(f"{missing[0]} is missing")
    return SourceSettings(
        component=_text(doc, "component", _NAME), flag=_text(doc, "flag", _NAME), guard=_url(doc, "guard"),
        tokens=_path(doc, "tokens"), state=_path(doc, "state"), prometheus=_url(doc, "prometheus"),
        exposed=_query(doc["exposed"], "exposed"), bad=_bad_queries(doc["bad"]), up=_text(doc, "up", _SELECTOR),
        most_per_s=int(_number(doc, "most_per_s", 0, 1, 100_000)),
        arm_label=_text({"arm_label": "arm", **doc}, "arm_label", _LABEL), arms=_arms(doc.get("arms", {})),
        scrape_s=_number(doc, "scrape_s", 15.0, 0.1, 300),
        most_age_scrapes=int(_number(doc, "most_age_scrapes", 3, 2, 20)),
        most_gap_s=_number(doc, "most_gap_s", 300.0, 1, 3_600), look_s=_number(doc, "look_s", 5.0, 0.2, 60),
        timeout_s=_number(doc, "timeout_s", 3.0, 0.1, 30),
    )  # fmt: skip


def _bad_queries(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not 1 <= len(value) <= 10 or not all(_KPI.match(str(name)) for name in value):
        raise _bad("bad is a table of 1 to 10 KPIs, each with the query of its bad outcomes")
    return {name: _query(text, f"bad.{name}") for name, text in value.items()}


def _query(value: object, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_QUERY or not value.replace("\n", "").isprintable():
        raise _bad(f"{where} is a query of 1 to {MOST_QUERY} printable characters")
    bare = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'', '""', value)  # what stands in a label's value is no function
    if found := _WINDOW.search(bare):
        text = f"{where}: {found[0]!r} makes a window; counters are read as they are and differenced here"
        raise _bad(text)
    return value


def _arms(value: object) -> dict[str, Arm]:
    if not isinstance(value, dict) or set(value) - {"known_good", "candidate"}:
        raise _bad("arms is a table of known_good and candidate, each with the value of the label")
    found: dict[str, Arm] = {}
    for arm in ARMS:
        label = value.get(arm, arm)
        if not isinstance(label, str) or not 0 < len(label) <= 200 or not label.isprintable():
            raise _bad("the value of an arm's label is 1 to 200 printable characters")
        found[label] = arm
    if len(found) != 2:
        raise _bad("the two arms have one value of the label")
    return found


def _url(doc: Mapping[str, object], key: str) -> str:
    text = doc[key]
    try:
        parts = urlsplit(text) if isinstance(text, str) and len(text) <= 500 else urlsplit("")
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as err:
        raise _bad(f"{key} is http(s)://HOST:PORT") from err
    if not plain or parts.username is not None or parts.query or parts.fragment or not parts.geturl().isprintable():
        raise _bad(f"{key} is http(s)://HOST:PORT, without a user, query or fragment")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _path(doc: Mapping[str, object], key: str) -> Path:
    value = doc[key]
    if not isinstance(value, str) or not 0 < len(value) <= 1_000 or "\0" in value:
        raise _bad(f"{key} is a path")
    return Path(value)


def _text(doc: Mapping[str, object], key: str, form: re.Pattern[str]) -> str:
    such = ': one plain selector, as up{job="front"}' if key == "up" else ""
    return tables.text(doc[key], key, form, _bad, such=such)


def _number(doc: Mapping[str, object], key: str, default: float, least: float, most: float) -> float:
    return tables.number(doc.get(key, default), key, least, most, _bad)


def _bad(message: str) -> InputError:
    return InputError(f"Prometheus settings: {message}", code="prometheus.settings", fix=FIX)
