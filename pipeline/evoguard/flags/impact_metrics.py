"""Counters of stock SDKs (Unleash's impact metrics) as batches of KPIs: self-reported, so they abort and never promote.

An SDK sends what it counted since it last sent, without an id: a report that is sent again counts twice. And it counts
requests, not people. So an operator names the counters, and says that each request is a unit (docs/adr/0023).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from secrets import token_hex

from evoguard.domain import tables
from evoguard.domain.canonical import Json
from evoguard.domain.flag import FlagState
from evoguard.domain.kpi import Arm, Assurance
from evoguard.errors import InputError

FILE = "impact-metrics.toml"
MOST_BYTES, MOST_FLAGS, MOST_KPIS = 65_536, 100, 20
MOST_COUNT, MOST_BAD_A_BATCH, MOST_BAD = 100_000, 1_000, 5_000
MOST_INSTANCES = 10_000
ARM: Mapping[str, Arm] = {"versions": "candidate", "enabled": "candidate", "disabled": "known_good"}
"""What an SDK writes as the label of a flag: the variant's name, or whether the flag was on without one."""
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.-]{0,99}\Z")
_FLAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_KPI = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\Z")
ByArm = dict[Arm, int]
SELF_REPORTED: Assurance = "self-reported"


@dataclass(frozen=True, slots=True)
class Counted:
    """Which counters of an SDK tell of one flag: all requests, and by KPI the bad ones."""

    requests: str
    bad: Mapping[str, str]


def read(raw: bytes | None) -> Mapping[str, Counted]:
    """Return flag → its counters of the operator's file; none without one. Raises: InputError."""
    if raw is None:
        return {}
    try:
        doc = tomllib.loads(raw[: MOST_BYTES + 1].decode("utf-8")) if len(raw) <= MOST_BYTES else None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        raise _wrong(f"it is not TOML: {str(err)[:100]}") from err
    if doc is None or len(doc) > MOST_FLAGS:
        raise _wrong(f"it holds more than {MOST_FLAGS} flags or 64 KiB")
    return {tables.text(flag, "a flag", _FLAG, _wrong): _counted(flag, body) for flag, body in doc.items()}


def _counted(flag: str, body: object) -> Counted:
    if not isinstance(body, dict) or set(body) != {"stateless", "requests", "bad"}:
        raise _wrong(f"[{flag}] has stateless, requests and bad, and nothing else")
    if body["stateless"] is not True:
        raise _wrong(f"[{flag}] needs stateless = true: these counters count requests, and each must be a unit")
    bad = body["bad"]
    if not isinstance(bad, dict) or not 0 < len(bad) <= MOST_KPIS:
        raise _wrong(f"[{flag}.bad] names the counter of bad outcomes of 1 to {MOST_KPIS} KPIs")
    kpis = [tables.text(kpi, f"{flag}.bad", _KPI, _wrong) for kpi in bad]
    names = {kpi: _counter(f"{flag}.bad.{kpi}", bad[kpi]) for kpi in kpis}
    return Counted(_counter(f"{flag}.requests", body["requests"]), names)


def _counter(key: str, value: object) -> str:
    return tables.text(value, key, _NAME, _wrong)


def _wrong(text: str) -> InputError:
    return InputError(f"{FILE}: {text}", code="impact.file", fix="docs/adr/0023-counters-of-sdks.md shows a whole file")


NO_COUNTERS: Mapping[str, Counted] = {}


class Reports:
    """What SDK instances report, as batches of the rollout that their flag serves."""

    def __init__(self, counters: Mapping[str, Counted]) -> None:
        self._counters = counters
        self._heard: dict[str, tuple[str, ...]] = {}
        """By SDK instance: the rollouts that were served at its last report, oldest report first."""

    def batches(
        self, doc: Mapping[str, object], instance: str, flags: Mapping[str, FlagState], now_ms: int
    ) -> list[dict[str, Json]]:
        """Return the batches of one report; none of a flag that nobody named, is off, or whose rollout is new to it.

        The first report after a rollout began may count requests from before it, so it is left out. Counters that are
        not as agreed tell nothing.
        """
        live = {name: flags[name] for name in sorted(self._counters) if name in flags and flags[name].enabled}
        serves = tuple(state.change for state in live.values())
        before = self._heard.pop(instance, ())
        self._heard[instance] = serves
        if len(self._heard) > MOST_INSTANCES:
            del self._heard[next(iter(self._heard))]
        made: list[dict[str, Json]] = []
        for name, state in live.items():
            if state.change in before:
                made += _batches(doc, name, state, self._counters[name], now_ms)
        return made


def _batches(
    doc: Mapping[str, object], flag: str, state: FlagState, named: Counted, now_ms: int
) -> Iterator[dict[str, Json]]:
    requests = _by_arm(doc, named.requests, flag)
    bad = {kpi: _by_arm(doc, counter, flag) for kpi, counter in named.bad.items()}
    if requests is None or any(count is None for count in bad.values()):
        return
    known = {kpi: count for kpi, count in bad.items() if count is not None}
    if any(count[arm] > requests[arm] for count in known.values() for arm in count):
        return
    report = token_hex(12)
    rows: list[Json] = [
        {"unit": f"iu-{report}-{kpi}-{arm}-{n}", "arm": arm, "kpi": kpi}
        for arm in ("candidate", "known_good") for kpi, count in sorted(known.items()) for n in range(count[arm])
    ]  # fmt: skip
    if len(rows) > MOST_BAD or not any(requests.values()):
        return
    parts = [rows[at : at + MOST_BAD_A_BATCH] for at in range(0, len(rows), MOST_BAD_A_BATCH)] or [[]]
    for number, part in enumerate(parts, start=1):
        exposed: Mapping[Arm, int] = requests if number == len(parts) else {"known_good": 0, "candidate": 0}
        yield {
            "id": f"im-{report}-{number}", "component": state.component, "change": state.change, "at": now_ms,
            "exposed": {"known_good": exposed["known_good"], "candidate": exposed["candidate"]}, "bad": part,
        }  # fmt: skip


def _by_arm(doc: Mapping[str, object], counter: str, flag: str) -> ByArm | None:
    """Return a counter's sums by arm, zero where it says nothing; None when it is no counter of this form."""
    found: ByArm = {"known_good": 0, "candidate": 0}
    metrics = doc.get("impactMetrics")
    for metric in metrics if isinstance(metrics, list) else ():
        if not isinstance(metric, dict) or metric.get("name") != counter:
            continue
        samples = metric.get("samples")
        if metric.get("type") != "counter" or not isinstance(samples, list):
            return None
        for sample in samples:
            labels = sample.get("labels") if isinstance(sample, dict) else None
            if not isinstance(labels, dict) or flag not in labels:
                continue  # counted without the flag: of no arm
            arm, value = ARM.get(str(labels[flag])), sample.get("value")
            if arm is None or isinstance(value, bool) or not isinstance(value, int | float):
                return None
            if not 0 <= value <= MOST_COUNT or value != int(value):
                return None
            found[arm] += int(value)
    return found if max(found.values()) <= MOST_COUNT else None
