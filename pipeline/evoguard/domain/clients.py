"""The clients that read flags, called by name after a kill: who was told, is due, is late, or exposes all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evoguard.domain.canonical import Json

DEFAULT_INTERVAL_MS = 15_000
"""How often a stock SDK asks when it says nothing."""
SLACK_MS = 1_000
"""What a client may take beyond its own interval, and a stream at all."""
UNHEARD = 3
"""Of its own intervals: a client that was not heard for so many is gone."""
LEAST_HEARD_MS = 30_000
BUCKETS_MS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000)
"""Upper bounds of the histogram's buckets; one more holds what took longer."""


@dataclass(frozen=True, slots=True)
class Client:
    """One running SDK as the flag server knows it. Times in unix milliseconds of the server."""

    id: str
    """A digest of all that it says about itself and of its token: nobody learns from it how to speak for it."""
    app: str
    instance: str
    seen_at: int
    interval_ms: int = DEFAULT_INTERVAL_MS
    streams: bool = False
    told: Mapping[int, int] = field(default_factory=dict)
    """When it was first given the flags under an epoch, by epoch."""
    exposing: frozenset[str] = frozenset()
    """Flags that it met as on in a span of time that began after it was told that they are off."""
    skew_ms: int | None = None
    """How far its clock is ahead of the server's; None when it never said a time."""

    @property
    def name(self) -> str:
        """Return what people call it."""
        return f"{self.app}/{self.instance}#{self.id[:6]}"

    def bound_ms(self) -> int:
        """Return within which time it hears of a kill, by its own interval."""
        return SLACK_MS if self.streams else self.interval_ms + SLACK_MS

    def is_gone(self, now_ms: int) -> bool:
        """Tell whether it was not heard for three of its own intervals, and half a minute at least."""
        return not self.streams and now_ms - self.seen_at > max(UNHEARD * self.interval_ms, LEAST_HEARD_MS)

    def told_at(self, epoch: int) -> int | None:
        """Return when it was first given the flags under this epoch or a later one."""
        return min((at for known, at in self.told.items() if known >= epoch), default=None)


@dataclass(frozen=True, slots=True)
class Roll:
    """Everybody whom the flag server remembers at one moment of its clock (unix milliseconds)."""

    now_ms: int
    clients: tuple[Client, ...] = ()
    overflow: int = 0
    batches: tuple[tuple[int, str], ...] = ()
    """When routers posted users on a candidate, and of which component."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The kill that is asked about: its epoch, what it covers, and when it was ordered (unix milliseconds)."""

    epoch: int
    began_ms: int
    flags: frozenset[str] = frozenset()
    components: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RollCall:
    """Who knows of a kill. Names are for people; latencies are milliseconds from the order."""

    told: tuple[str, ...] = ()
    latencies_ms: tuple[int, ...] = ()
    due: tuple[str, ...] = ()
    """Not told yet, and within their bound."""
    late: tuple[str, ...] = ()
    exposing: tuple[str, ...] = ()
    """Told, and meeting the flag as on all the same."""
    gone: int = 0
    overflow: int = 0
    """Clients beyond those that are remembered: nobody can say whether they know."""
    edge: int = 0
    """Batches that a router posted with users on the candidate, counted wholly after everybody was told."""

    @property
    def asked(self) -> int:
        """Return how many clients must know."""
        return len(self.told) + len(self.due) + len(self.late) + len(self.exposing)

    @property
    def complete(self) -> bool:
        """Tell whether every client knows and nothing says otherwise."""
        return not (self.due or self.late or self.exposing or self.overflow or self.edge)

    @property
    def fault(self) -> str:
        """Return what does not hold, or an empty text; who is merely due is no fault yet."""
        parts = [
            f"LATE: {_list(self.late)}" if self.late else "",
            f"STILL EXPOSING: {_list(self.exposing)}" if self.exposing else "",
            f"{self.overflow} clients more than are remembered" if self.overflow else "",
            "A ROUTER STILL COUNTS USERS ON THE CANDIDATE" if self.edge else "",
        ]
        return "; ".join(part for part in parts if part)

    def histogram(self) -> dict[str, int]:
        """Return how many were told within each bound, in milliseconds."""
        counts = {f"<={bound}": 0 for bound in BUCKETS_MS} | {f">{BUCKETS_MS[-1]}": 0}
        for took in self.latencies_ms:
            bound = next((f"<={b}" for b in BUCKETS_MS if took <= b), f">{BUCKETS_MS[-1]}")
            counts[bound] += 1
        return counts

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        names: dict[str, Json] = {key: list(getattr(self, key)[:50]) for key in ("due", "late", "exposing")}
        return {
            "acknowledged": len(self.told), "asked": self.asked, "complete": self.complete, "gone": self.gone,
            "overflow": self.overflow, "edge": self.edge, "histogram_ms": dict(self.histogram()), **names,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Probe:
    """Effects of the epoch before the kill, tried after it: refused, made all the same, or without an answer."""

    refused: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def roll_call(roll: Roll, asked: Asked) -> RollCall:
    """Return who knows of a kill.

    A batch that is the first after everybody was told may hold what was counted before; a second one cannot.
    """
    found: dict[str, list[str]] = {"told": [], "due": [], "late": [], "exposing": []}
    latencies: list[int] = []
    gone, last = 0, asked.began_ms
    for client in sorted(roll.clients, key=lambda c: c.name):
        at = client.told_at(asked.epoch)
        if at is None and client.is_gone(roll.now_ms):
            gone += 1
        elif at is None:
            late = roll.now_ms - asked.began_ms > client.bound_ms()
            found["late" if late else "due"].append(client.name)
        elif client.exposing & asked.flags:
            found["exposing"].append(client.name)
        else:
            last = max(last, at)
            latencies.append(max(0, at - asked.began_ms))
            found["told"].append(client.name)
    after = sum(at > last and component in asked.components for at, component in roll.batches)
    told, due, late_, exposing = (tuple(found[key]) for key in ("told", "due", "late", "exposing"))
    return RollCall(
        told=told, latencies_ms=tuple(sorted(latencies)), due=due, late=late_, exposing=exposing, gone=gone,
        overflow=roll.overflow, edge=0 if due or late_ else max(0, after - 1),
    )  # fmt: skip


def clocks_off(roll: Roll, *, lease_s: int) -> tuple[str, ...]:
    """Return who has a clock that is off by more than a third of the lease, so that the lease would not end in time."""
    most = lease_s * 1000 // 3
    off = (c for c in roll.clients if c.skew_ms is not None and abs(c.skew_ms) > most and not c.is_gone(roll.now_ms))
    return tuple(sorted(c.name for c in off))


def _list(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
