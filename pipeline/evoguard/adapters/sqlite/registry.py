"""The registry of identities and the stream of kills: events that no change owns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace

from evoguard.adapters.sqlite import event_log
from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.events import Event, StoredEvent
from evoguard.domain.identity import Identity
from evoguard.domain.latch import Latch, LatchBoard
from evoguard.errors import InputError
from evoguard.ports.clock import Clock


class SqliteRegistry:
    """Identities and kills, appended to their own streams."""

    def __init__(self, con: sqlite3.Connection, clock: Clock) -> None:
        self._con = con
        self._clock = clock

    def append(self, stream: str, *events: Event) -> None:
        """Append to a stream that is not a change's. Raises: InputError when a name is taken; UnavailableError."""
        try:
            with transaction(self._con) as con:
                event_log.append(con, stream, events, now_ms=self._clock.now_ms())
        except sqlite3.IntegrityError as err:
            raise _taken() from err

    def decide(self, applicant: Identity, decision: Callable[[tuple[StoredEvent, ...]], Event]) -> None:
        """Append what `decision` makes of the registry's stream, with no other writer between reading and appending.

        Raises: InputError when the applicant's name or key is registered, IntegrityError for a broken stream,
        UnavailableError, and whatever `decision` raises; nothing was stored then.
        """
        try:
            with transaction(self._con) as con:
                if self.is_taken(applicant):
                    raise _taken()
                event = decision(event_log.read(con, "registry"))
                event_log.append(con, "registry", [event], now_ms=self._clock.now_ms())
        except sqlite3.IntegrityError as err:
            raise _taken() from err

    def extend(self, stream: str, decision: Callable[[tuple[StoredEvent, ...]], Event]) -> Event:
        """Append what `decision` makes of a stream, with no other writer between reading and appending; return it.

        Raises: IntegrityError for a broken stream, UnavailableError, and whatever `decision` raises.
        """
        with transaction(self._con) as con:
            event = decision(event_log.read(con, stream))
            event_log.append(con, stream, [event], now_ms=self._clock.now_ms())
            return event

    def people(self) -> tuple[str, ...]:
        """Return the names of the people who are registered and not revoked."""
        rows = self._con.execute("select name from identities where kind='person' and revoked=0 order by name")
        return tuple(str(row[0]) for row in rows)

    def is_taken(self, applicant: Identity) -> bool:
        """Tell whether the applicant's name or key is registered, revoked ones included."""
        names = (applicant.name, applicant.public_pem)
        return self._con.execute("select 1 from identities where name=? or public_pem=?", names).fetchone() is not None

    def known_kills(self) -> tuple[Latch, ...]:
        """Return every kill that the log knows, so that a deleted latch file lifts nothing; lifted ones say so."""
        lifted = self._lifted()
        rows = self._con.execute("select body from kills order by epoch")
        return tuple(
            replace(latch, lifted=latch.id in lifted) for latch in (_latch(json.loads(row[0])) for row in rows)
        )

    def _lifted(self) -> set[str]:
        rows = self._con.execute(
            "select json_extract(body,'$.kill') from events where stream='kills' and type='kill.lifted'"
        )
        return {str(row[0]) for row in rows}

    def reconcile(self, board: LatchBoard) -> tuple[Latch, ...]:
        """Record kills and lifts that the log has not seen yet; return every latch that is in force.

        A kill works before this runs: the latch file alone stops everything. This writes down what happened.
        """
        known = {row[0] for row in self._con.execute("select id from kills")}
        lifted = self._lifted()
        for latch in board.latches:
            if latch.id not in known:
                self.append("kills", Event("kill.recorded", latch.as_json(), actor=latch.by, reason=latch.reason))
            if latch.lifted and latch.id not in lifted:
                self.append(
                    "kills", Event("kill.lifted", {"kill": latch.id}), Event("author.released", {"kill": latch.id})
                )
        return tuple(latch for latch in board.latches if not latch.lifted)

    def release(self, lifters: Callable[[str], frozenset[str]], *, needed: int = 2) -> None:
        """Release every author whose automatic abort two people have lifted; a kill's own lift releases its own."""
        for hold in [row[0] for row in self._con.execute("select kill_id from holds where kill_id like 'abort-%'")]:
            people = lifters(hold)
            if len(people) >= needed:
                self.append(
                    "kills", Event("author.released", {"kill": hold}, reason=f"lifted by {', '.join(sorted(people))}")
                )

    def open_changes(self) -> tuple[tuple[str, str, str], ...]:
        """Return (change, component, flag) of every change that has not ended."""
        return tuple(self._con.execute("select id, component, flag from changes where outcome=''"))

    def released(self) -> frozenset[str]:
        """Return the changes that users may be meeting now."""
        rows = self._con.execute(
            "select id from changes where outcome='' and status in ('published','rolling out','reverting')"
        )
        return frozenset(str(row[0]) for row in rows)

    def note(self, change: str, detail: str) -> None:
        """Show why a change does not move; its stream and status stay as they are."""
        self._con.execute("update changes set detail=? where id=? and outcome=''", (detail[:500], change))


def _taken() -> InputError:
    return InputError(
        "this name or this key is registered already", code="identity.taken", fix="one name and one key for each"
    )


def _latch(doc: dict[str, object]) -> Latch:
    scope = str(doc["scope"])
    return Latch(
        id=str(doc["id"]), epoch=int(str(doc["epoch"])), scope=scope,  # type: ignore[arg-type]  # checked when written
        name=str(doc["name"]), reason=str(doc["reason"]), by=str(doc["by"]), at=int(str(doc["at"])),
        signed=str(doc["signed"]),
    )  # fmt: skip
