"""Asks a Prometheus server for counters at the time of its last scrape. Whatever is not as agreed is no count."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from evoguard.domain.kpi import Arm
from evoguard.prometheus.counting import ARMS, Counters, UncountedError
from evoguard.prometheus.settings import SourceSettings

MOST_BYTES = 1 << 20
MOST_SERIES = 100
MOST_COUNT = 2**53
_WHOLE = re.compile(r"[0-9]{1,16}\Z")
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an instant vector: its labels, and its value as Prometheus writes it."""

    labels: Mapping[str, str]
    value: str


def open_session() -> aiohttp.ClientSession:
    """Return a session that keeps no cookies and unpacks nothing: a small answer stays small."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)


async def fetched(
    http: aiohttp.ClientSession, url: str, *, timeout_s: float, given: Mapping[str, str], token: str = ""
) -> tuple[int, bytes]:
    """Return status and body of a GET. Raises: UncountedError `.unreachable`, `.too_big`."""
    headers = {"Accept-Encoding": "identity", **({"Authorization": token} if token else {})}
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with http.get(url, params=given, headers=headers, timeout=timeout, allow_redirects=False) as answer:
            raw = b""
            async for part in answer.content.iter_chunked(65_536):
                raw += part
                if len(raw) > MOST_BYTES:
                    raise UncountedError("too_big", "an answer is larger than 1 MiB")
            return answer.status, raw
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
        raise UncountedError("unreachable", f"no whole answer: {type(err).__name__}") from err


class Prometheus:
    """One server, over its instant queries."""

    def __init__(self, settings: SourceSettings, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._http = http

    async def read(self, now_ms: int) -> Counters:
        """Return every counter as the last scrape left it. Raises: UncountedError.

        All are asked at the time of that scrape: its samples are stored together, so all are of one moment.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                at = await self._scraped(now_ms)
                exposed = await self._counter(self._settings.exposed, at, "exposed")
                bad = {kpi: await self._counter(query, at, f"bad.{kpi}") for kpi, query in self._settings.bad.items()}
        except TimeoutError as err:
            raise UncountedError("unreachable", "Prometheus did not answer in time") from err
        return Counters(at, exposed, bad)

    async def _scraped(self, now_ms: int) -> int:
        """Return when the target was scraped last. Raises: UncountedError `.down`, `.stale`, `.empty`."""
        instant = now_ms / 1_000
        ups = await self._vector(self._settings.up, instant, "up")
        if any(series.value != "1" for series in ups):
            raise UncountedError("down", "the scrape target is down")
        times = [series.value for series in await self._vector(f"timestamp({self._settings.up})", instant, "up")]
        if len(times) != len(ups) or not all(_TIME.match(text) for text in times):
            raise UncountedError("stale", "nobody knows when the target was scraped")
        stamps = [round(float(text) * 1_000) for text in times]
        most = self._settings.scrape_s * self._settings.most_age_scrapes * 1_000
        if now_ms - min(stamps) > most or max(stamps) - now_ms > self._settings.scrape_s * 1_000:
            text = f"the oldest sample is {(now_ms - min(stamps)) / 1_000:.1f} s old, at most {most / 1_000:g} s are"
            raise UncountedError("stale", text)
        return max(stamps)

    async def _counter(self, query: str, at: int, what: str) -> dict[Arm, int]:
        """Return a counter by arm. Raises: UncountedError `.arms`, `.number`, and as `_vector`."""
        found: dict[Arm, int] = {}
        for series in await self._vector(query, at / 1_000, what):
            arm = self._settings.arms.get(series.labels.get(self._settings.arm_label, ""))
            if arm is None:
                raise UncountedError("arms", f"{what}: a series is of no arm by its label {self._settings.arm_label}")
            if arm in found:
                raise UncountedError("arms", f"{what}: two series are of {arm}; the query sums them by arm")
            if not _WHOLE.match(series.value) or int(series.value) > MOST_COUNT:
                raise UncountedError("number", f"{what}: {series.value[:20]!r} is no count")
            found[arm] = int(series.value)
        if missing := [arm for arm in ARMS if arm not in found]:
            raise UncountedError("arms", f"{what}: nothing of {missing[0]}; no series is not a count of zero")
        return found

    async def _vector(self, query: str, at: float, what: str) -> list[Series]:
        """Return the series of an instant query. Raises: UncountedError `.query`, `.answer`, `.empty`."""
        s = self._settings
        given = {"query": query, "time": f"{at:.3f}", "timeout": f"{max(1, round(s.timeout_s * 1_000))}ms"}
        status, raw = await fetched(self._http, f"{s.prometheus}/api/v1/query", timeout_s=s.timeout_s, given=given)
        if status != 200:
            raise UncountedError("query", f"{what}: Prometheus answered {status}")
        found = parsed(raw, what)
        if not found:
            raise UncountedError("empty", f"{what}: no series")
        return found


def parsed(raw: bytes, what: str) -> list[Series]:
    """Return the series of an answer. Raises: UncountedError `.query` for an error or a warning, `.answer`."""
    try:
        doc = json.loads(raw)
        if doc["status"] != "success" or doc.get("warnings"):  # a warning: some of it may be missing
            raise UncountedError("query", f"{what}: Prometheus could not answer in full")
        data = doc["data"]
        if data["resultType"] != "vector" or not isinstance(data["result"], list):
            raise UncountedError("answer", f"{what}: the answer is no instant vector")
        if len(data["result"]) > MOST_SERIES:
            raise UncountedError("answer", f"{what}: more than {MOST_SERIES} series")
        return [_series(one["metric"], one["value"]) for one in data["result"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        raise UncountedError("answer", f"{what}: the answer is not of its form") from err


def _series(labels: object, value: object) -> Series:
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise TypeError("labels are texts")
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], str):
        raise TypeError("a value is a time and a text")
    return Series(labels, value[1])
