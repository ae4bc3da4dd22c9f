"""The flag server asked who reads flags there, over HTTP."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import Callable, Mapping

from evoguard.adapters import loopback
from evoguard.domain.clients import Client, Roll
from evoguard.errors import EvoguardError, UnavailableError

ANSWER_S = 2.0
ANSWER_BYTES = 1 << 22


class ServedClients:
    """`token` gives the token that may read flags."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url, self._token = url, token

    async def roll(self) -> Roll:
        """Return everybody whom the server remembers. Raises: UnavailableError (`unavailable.clients`)."""
        return await asyncio.to_thread(self.roll_now)

    def roll_now(self) -> Roll:
        """Return the same, waiting for it here."""
        try:
            url = f"{self._url}/internal/clients"
            return _roll(json.loads(loopback.get(url, token=self._token(), wait_s=ANSWER_S, most=ANSWER_BYTES)))
        except urllib.error.HTTPError as err:
            raise UnavailableError("clients", f"the flag server refused: {err.code}") from err
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EvoguardError) as err:
            raise UnavailableError("clients", "the flag server does not say who reads flags") from err


def _roll(doc: Mapping[str, object]) -> Roll:
    rows, batches = doc["clients"], doc["batches"]
    if not isinstance(rows, list) or not isinstance(batches, list):
        raise ValueError("no lists")
    return Roll(
        now_ms=_whole(doc["now"]),
        clients=tuple(_client(row) for row in rows),
        overflow=_whole(doc["overflow"]),
        batches=tuple((_whole(batch["at"]), str(batch["component"])) for batch in batches),
    )


def _client(row: Mapping[str, object]) -> Client:
    told, exposing, skew = row["told"], row["exposing"], row["skew_ms"]
    if not isinstance(told, Mapping) or not isinstance(exposing, list):
        raise ValueError("a client of another shape")
    return Client(
        id=str(row["id"]),
        app=str(row["app"]),
        instance=str(row["instance"]),
        seen_at=_whole(row["seen_at"]),
        interval_ms=_whole(row["interval_ms"]),
        streams=row["streams"] is True,
        told={int(epoch): _whole(at) for epoch, at in told.items()},
        exposing=frozenset(map(str, exposing)),
        skew_ms=None if skew is None else _whole(skew),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not a whole number")
    return value
