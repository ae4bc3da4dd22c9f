"""The proxy: one request goes to one version, and what became of it is counted here."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from evoguard.domain.kpi import Arm
from evoguard.edge.counting import Counts
from evoguard.edge.delivery import Delivery
from evoguard.edge.flagging import FlagView
from evoguard.edge.settings import EdgeSettings

MOST_UNIT = 200
BODY_S = 10.0
MOST_HEADERS, MOST_HEADER_BYTES = 100, 16_384
HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "expect", "host",
})  # fmt: skip
OURS = "x-evoguard-"
"""Headers of this prefix pass in neither direction."""
TRANSPORT = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


class FlagSource(Protocol):
    """What the edge asks about flags."""

    def meets_candidate(self, flag: str, user: str) -> bool:
        """Tell whether the flag is on for this user."""

    def views(self) -> dict[str, FlagView]:
        """Return every flag of the last document."""


class Fleet(Protocol):
    """The versions behind the edge, by commit."""

    def want(self, commits: Iterable[str]) -> None:
        """Have these run; others may end."""

    def ready(self, commit: str) -> bool:
        """Tell whether it can answer now."""

    def met(self, commit: str) -> bool:
        """Tell whether what its users see counts."""

    def url(self, commit: str) -> str:
        """Return its address, empty while it is down."""


class Addresses:
    """Versions that somebody else runs: what is named here is met, up or down."""

    def __init__(self, versions: Mapping[str, str]) -> None:
        self._versions = versions

    def want(self, commits: Iterable[str]) -> None:
        """Do nothing: they are not ours to start."""

    def ready(self, commit: str) -> bool:
        """Tell whether it has an address."""
        return commit in self._versions

    met = ready

    def url(self, commit: str) -> str:
        """Return its address."""
        return self._versions.get(commit, "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of a version; status 0 means that there was none, and `lack` says what was missing."""

    status: int
    body: bytes = b""
    headers: CIMultiDictProxy[str] | None = None
    lack: str = ""
    bytes_out: int = 0
    """What came of headers and body, as far as it was read; 0 when that is not what the answer has."""


class Proxy:
    """Splits by flag, asks one version, counts outside of it. A flag that is off or unreadable means known-good."""

    def __init__(
        self,
        settings: EdgeSettings,
        flags: FlagSource,
        delivery: Delivery,
        http: aiohttp.ClientSession,
        fleet: Fleet | None = None,
    ) -> None:
        self._settings = settings
        self._flags = flags
        self._delivery = delivery
        self._http = http
        self._fleet: Fleet = fleet or Addresses(settings.versions)
        self._known_good = settings.known_good
        self._view = FlagView()
        self._counts: Counts | None = None
        self._in_flight: dict[Arm, int] = {"known_good": 0, "candidate": 0}

    def follow(self) -> None:
        """Take the flag document as last polled; cheap, to be called at every change and a few times a second."""
        seen = self._flags.views().get(self._settings.flag)
        readable = seen is not None and seen.component == self._settings.component
        view = seen if seen is not None and readable else FlagView()
        on = view.on(time.time())
        self._fleet.want([self._known_good, view.known_good, *([view.candidate] if on else [])])
        if self._fleet.ready(view.known_good):
            self._known_good = view.known_good
        on = on and self._fleet.met(view.candidate) and view.known_good == self._known_good
        self._counts = self._delivery.of(view.change, self._settings.component) if on else None
        self._view = view if self._counts is not None else FlagView()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request from the version that the flag chooses for its unit."""
        unit = self._unit(request)
        counts, view = self._counts, self._view
        arm: Arm = "known_good"
        live = counts is not None and not counts.lost and view.on(time.time())
        if live and unit and self._flags.meets_candidate(self._settings.flag, unit):
            arm = "candidate"
        # Read first, and by the same bound for both arms: a sender that is slow or cut off says nothing of a version.
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except TimeoutError:
            return web.json_response({"code": "edge.slow", "message": "the body did not arrive in time"}, status=408)
        began = time.perf_counter()
        commit = view.candidate if arm == "candidate" else self._known_good
        answer = await self._within(arm, commit, request, body)
        took_s = time.perf_counter() - began
        bad = self._bad(answer, took_s * 1000)
        # known-good without a place or down says nothing of itself, and would help the other
        crowded = arm == "known_good" and answer.lack in ("full", "down")
        if counts is not None and live and unit and not crowded:
            counts.count(unit, arm, bad, self._costs(answer, took_s))
        if not answer.status and arm == "candidate" and request.method in self._settings.idempotent:
            answer = await self._within("known_good", self._known_good, request, body)
        return self._reply(answer)

    def _unit(self, request: web.Request) -> str:
        """Return who the request is for, empty when it does not say so in one plain way."""
        if self._settings.unit_header:
            values = request.headers.getall(self._settings.unit_header, [])
            unit = values[0] if len(values) == 1 else ""
        else:
            unit = request.cookies.get(self._settings.unit_cookie, "")
        return unit if len(unit) <= MOST_UNIT else ""

    async def _within(self, arm: Arm, commit: str, request: web.Request, body: bytes) -> Answer:
        """Ask a version unless too many requests wait for its arm."""
        url = self._fleet.url(commit)
        if not url:
            return Answer(0, lack="down")
        if self._in_flight[arm] >= self._settings.most_in_flight:
            return Answer(0, lack="full")
        self._in_flight[arm] += 1
        try:
            return await self._ask(url, request, body)
        finally:
            self._in_flight[arm] -= 1

    async def _ask(self, url: str, request: web.Request, body: bytes) -> Answer:
        """Forward once; only a whole answer within every bound comes back."""
        try:
            async with self._http.request(
                request.method, url + request.raw_path, data=body or None, headers=_passed(request.headers),
                allow_redirects=False,
            ) as answer:  # fmt: skip
                if not 200 <= answer.status <= 599:
                    return Answer(0, lack="status")
                if len(answer.headers) > MOST_HEADERS or _size(answer.headers) > MOST_HEADER_BYTES:
                    return Answer(0, lack="headers")
                data = bytearray()
                async for part in answer.content.iter_any():
                    data += part
                    if len(data) > self._settings.most_answer_bytes:
                        answer.close()
                        return Answer(0, lack="size", bytes_out=len(data))
                return Answer(answer.status, bytes(data), answer.headers, "", len(data) + _size(answer.headers))
        except TimeoutError:
            return Answer(0, lack="timeout")
        except TRANSPORT:
            return Answer(0, lack="cut")

    def _costs(self, answer: Answer, took_s: float) -> dict[str, int]:
        """Return what the answer cost by KPI; what failed early cost little and says nothing but that it failed."""
        cost, found = self._settings.cost, dict[str, int]()
        if answer.status // 100 not in self._settings.good_classes and answer.lack not in ("timeout", "size"):
            return found
        if cost.wall_us:
            found[cost.wall_us] = int(took_s * 1_000_000)
        if cost.bytes_out and answer.bytes_out:
            found[cost.bytes_out] = answer.bytes_out
        return found

    def _bad(self, answer: Answer, ms: float) -> tuple[str, ...]:
        """Return the KPIs that this outcome is bad under."""
        good = answer.status // 100 in self._settings.good_classes and self._whole(answer)
        slow = bool(self._settings.slow_ms) and ms > self._settings.slow_ms
        return (*(() if good else ("errors",)), *(("latency",) if slow else ()))

    def _whole(self, answer: Answer) -> bool:
        """Tell whether the body keeps what the component declares of it; without a declaration it is not read."""
        must, never = self._settings.answer_keys, self._settings.never_keys
        if not (must or never) or answer.status // 100 != 2:
            return True
        try:
            doc = json.loads(answer.body)
        except (ValueError, RecursionError):
            return False
        return isinstance(doc, dict) and all(key in doc for key in must) and not any(key in doc for key in never)

    def _reply(self, answer: Answer) -> web.Response:
        if not answer.status or answer.headers is None:
            status = {"timeout": 504, "full": 503, "down": 503}.get(answer.lack, 502)
            return web.json_response(
                {"code": f"edge.{answer.lack or 'cut'}", "message": "no whole answer"}, status=status
            )
        headers = _passed(answer.headers)
        if self._settings.unit_cookie:  # a version that could rename its users could hide which of them it failed
            cookies = [c for c in headers.popall("Set-Cookie", []) if not _sets(c, self._settings.unit_cookie)]
            headers.extend(("Set-Cookie", cookie) for cookie in cookies)
            headers.popall("Clear-Site-Data", None)
        return web.Response(body=answer.body, status=answer.status, headers=headers)


def _passed(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that pass a proxy: none of one hop, none that `Connection` names, none of ours."""
    named = {n.strip().lower() for value in headers.getall("Connection", []) for n in value.split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (low := name.lower()) not in HOP_BY_HOP and low not in named and not low.startswith(OURS)
    )


def _size(headers: CIMultiDictProxy[str]) -> int:
    return sum(len(name) + len(value) for name, value in headers.items())


def _sets(cookie: str, name: str) -> bool:
    """Tell whether a Set-Cookie sets this name; one that cannot be read is taken to."""
    if cookie.partition("=")[0].strip() == name:
        return True
    try:
        return name in SimpleCookie(cookie)
    except CookieError:
        return True


def open_session(settings: EdgeSettings) -> aiohttp.ClientSession:
    """Return the pool of kept-alive connections: no cookies, no unpacking, and no second try of anything."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=15),
        timeout=aiohttp.ClientTimeout(total=settings.timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=["Accept", "Accept-Encoding", "User-Agent", "Content-Type"],
    )
    session._retry_connection = False  # or a GET whose connection was dropped would run twice, and look well
    return session
