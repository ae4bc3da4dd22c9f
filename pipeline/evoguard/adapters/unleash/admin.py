"""Unleash's admin API, as far as one flag in one environment needs it. Written against Unleash 8.2."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

from evoguard.adapters.loopback import OPENER
from evoguard.domain.canonical import Json
from evoguard.errors import ConfigError, UnavailableError

MOST_BYTES, WAIT_S = 1 << 20, 3.0
GONE, NO_CONTENT = 404, b""
MEND = "look at the Unleash server, `unleash_url` and `unleash_token_file`; the flag server of the guard needs neither"
_STRATEGY = ("name", "constraints", "parameters", "variants", "segments", "disabled")
_CONSTRAINT = ("contextName", "operator", "value", "values", "inverted", "caseInsensitive")
_VARIANT = ("name", "weight", "weightType", "stickiness", "payload")


@dataclass(frozen=True, slots=True)
class Served:
    """What an Unleash server has of a flag in our environment: on or off, and its strategies by their ids."""

    enabled: bool
    strategies: Mapping[str, Mapping[str, Json]]
    clean: bool
    """Nothing beside it decides: no flag that it depends on, not stale, and no variants of the flag itself."""


class Unleash:
    """Puts documents onto one Unleash server and reads them back. Safe from several threads; waits `wait_s` at most."""

    def __init__(
        self, url: str, token: str, *, project: str = "default", environment: str = "production", wait_s: float = WAIT_S
    ) -> None:
        self._flags = f"{_root(url)}/api/admin/projects/{quote(project, safe='')}/features"
        self._environment, self._token, self._wait_s = environment, token, wait_s

    def put(self, document: Mapping[str, Json]) -> None:
        """Have the server serve this Unleash document, and return only when it says that it does.

        What turns somebody off is done first, what turns somebody on last. Putting twice is putting once.
        Raises: UnavailableError; how far it came is not known then, so it is put again.
        """
        name, wanted = str(document["name"]), _wanted(document)
        at = self.served(name)
        if at is None:
            self._ask("POST", "", {"name": name, "type": "release", "impressionData": False})
            at = Served(enabled=False, strategies={}, clean=True)
        if at.enabled and not document["enabled"]:
            self._switch(name, on=False)
        self._strategies(name, at, wanted)
        if document["enabled"] and not at.enabled:
            self._switch(name, on=True)
        if not agrees(self.served(name), document):
            raise UnavailableError("unleash", f"the flag {name} is not what was put there", fix=MEND)

    def off(self, name: str) -> None:
        """Turn a flag off and return when the server says that it is; one that it does not know is. As `put`."""
        if self.served(name) is None:
            return
        self._switch(name, on=False)
        at = self.served(name)
        if at is not None and at.enabled:
            raise UnavailableError("unleash", f"the flag {name} is still on", fix=MEND)

    def served(self, name: str) -> Served | None:
        """Return what the server has of a flag; None when it has none, or only an archived one. As `put`."""
        doc = self._ask("GET", f"/{quote(name, safe='')}", missing=True)
        if doc is None:
            return None
        try:
            here = next(one for one in doc["environments"] if one["name"] == self._environment)
            strategies = {str(row["id"]): _plain(row) for row in here["strategies"]}
            clean = doc["archived"] is False and doc["stale"] is False and not doc["dependencies"]
            return Served(here["enabled"] is not False, strategies, clean and not doc.get("variants"))
        except StopIteration as err:
            text = f"the Unleash server has no environment {self._environment} in this project"
            raise UnavailableError("unleash", text, fix="name another in `unleash_environment`") from err
        except (KeyError, TypeError, AttributeError) as err:
            raise UnavailableError("unleash", "the server's answer is of another shape", fix=MEND) from err

    def _strategies(self, name: str, at: Served, wanted: Mapping[str, Json]) -> None:
        """Leave exactly one strategy, the wanted one: with two of them a user needs to meet only one."""
        where = f"/{quote(name, safe='')}/environments/{quote(self._environment, safe='')}/strategies"
        keep = next(iter(at.strategies), None)
        for other in list(at.strategies)[1:]:
            self._ask("DELETE", f"{where}/{quote(other, safe='')}")
        if keep is None:
            self._ask("POST", where, wanted)
        elif at.strategies[keep] != wanted:
            self._ask("PUT", f"{where}/{quote(keep, safe='')}", wanted)

    def _switch(self, name: str, *, on: bool) -> None:
        where = f"/{quote(name, safe='')}/environments/{quote(self._environment, safe='')}"
        self._ask("POST", f"{where}/{'on' if on else 'off'}")

    def _ask(self, method: str, path: str, body: Json | Mapping[str, Json] = None, *, missing: bool = False) -> Any:  # noqa: ANN401
        """Return the answer's JSON; None for an empty one, and for a flag that is not there when `missing`."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": self._token, "Content-Type": "application/json"}
        request = urllib.request.Request(self._flags + path, data, headers, method=method)  # noqa: S310  (checked)
        try:
            with OPENER.open(request, timeout=self._wait_s) as reply:
                raw = reply.read(MOST_BYTES)
        except urllib.error.HTTPError as err:
            err.close()  # it is an answer with a socket of its own
            if missing and err.code == GONE:
                return None
            raise UnavailableError("unleash", f"the Unleash server said {err.code} to {method}", fix=MEND) from err
        except (OSError, HTTPException) as err:
            raise UnavailableError("unleash", "the Unleash server does not answer", fix=MEND) from err
        try:
            return json.loads(raw) if raw != NO_CONTENT else None
        except (ValueError, RecursionError) as err:
            raise UnavailableError("unleash", "the Unleash server's answer is no JSON", fix=MEND) from err


def agrees(at: Served | None, document: Mapping[str, Json]) -> bool:
    """Tell whether what a server has of a flag is this document, and nothing beside it."""
    if at is None or not at.clean:
        return False
    return at.enabled is document["enabled"] and list(at.strategies.values()) == [_wanted(document)]


def _wanted(document: Mapping[str, Json]) -> dict[str, Json]:
    """Return the one strategy of a document. Unleash takes variants from strategies: its flags have none since 5.0."""
    strategies: Any = document["strategies"]
    return _plain({**strategies[0], "variants": document["variants"]})


def _plain(row: Mapping[str, Any]) -> dict[str, Json]:
    """Return what decides in a strategy, without ids, titles and places, and with what the server adds by itself."""
    whole = {"constraints": [], "variants": [], "segments": [], "disabled": False, **row}
    whole["constraints"] = [{key: one.get(key) for key in _CONSTRAINT} for one in whole["constraints"]]
    whole["variants"] = [{key: one.get(key) for key in _VARIANT} for one in whole["variants"]]
    return {key: whole.get(key) for key in _STRATEGY}


def _root(url: str) -> str:
    """Return the server's address without a slash at its end. Raises: ConfigError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"unleash_url: {url[:100]!r} is not http(s)://HOST:PORT/PATH", code="flags.unleash_url",
                          fix="as http://127.0.0.1:4242; its admin token stands in unleash_token_file")  # fmt: skip
    return url.rstrip("/")
