"""Load a version by the digest that a flag names; whatever goes wrong, the caller gets what is known to be good."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from UnleashClient.constants import FEATURES_URL

from evoguard.domain.canonical import Digest, as_digest, digest_of
from evoguard.domain.version import KINDS, MOST_PAYLOAD_CHARS, Version, unpacked
from evoguard.edge.flagging import payload_of, view
from evoguard.errors import EvoguardError

log = logging.getLogger(__name__)
Arm = Literal["candidate", "known_good"]
MOST_CONTEXT = 50
"""Fields of a context that are handed to the SDK."""


class Client(Protocol):
    """What is used of the stock UnleashClient."""

    def get_variant(self, feature_name: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the variant of this context; one that is off is `disabled` and has no payload."""


class Cache(Protocol):
    """What is used of the cache that the client was made with: it keeps the document that was fetched last."""

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401  the SDK's own signature
        """Return a value."""


class Pinned(Protocol):
    """The pins of a flag, newest known-good first."""

    @property
    def known_good(self) -> tuple[Digest, ...]:
        """Return the digests."""


class Store(Protocol):
    """What is used of the store; it may raise EvoguardError for anything."""

    def read(self, digest: str) -> bytes:
        """Return a version's bytes, proved against the digest just now."""

    def pins(self, flag: str) -> Pinned:
        """Return what is pinned for a flag."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version to use now. `code` is empty when it is the one that was meant, else why it is a known-good instead."""

    flag: str
    version: Version
    digest: Digest
    arm: Arm
    code: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Named:
    """What the flag says for one context: the version to load, and the ones to go back to."""

    digest: str = ""
    arm: Arm = "known_good"
    known_good: str = ""
    code: str = ""
    why: str = ""


class VersionLoader:
    """Loads by digest, over a stock UnleashClient. Threads may share one.

    `built_in` holds, for each flag, the packed known-good version that the service itself was built with: the answer
    when flag server, pins and store are all gone. `report` is called with every answer that is not the one that was
    meant; what it raises is dropped. Raises: InputError for a `built_in` that is no version.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        store: Store,
        built_in: Mapping[str, bytes],
        report: Callable[[Loaded], None] | None = None,
    ) -> None:
        self._client, self._cache, self._store = client, cache, store
        self._report = report or _logged
        self._built_in = {flag: (unpacked(raw), digest_of(raw)) for flag, raw in built_in.items()}
        self._good = dict(self._built_in)
        self._lock = threading.Lock()
        self.fallbacks: Counter[str] = Counter()
        """How often which code kept a caller from the version that was meant."""

    def load(self, flag: str, context: Mapping[str, Any]) -> Loaded:
        """Return the version for this context, never an exception: KeyError for a flag without `built_in` apart.

        The digest is proved at every call; a candidate whose flag goes off while it is read is not given out.
        """
        self._built_in[flag]  # the one mistake of the service itself: known at its first call
        named = self._named(flag, context)
        if named.digest and named.arm == "candidate":
            found, code, why = self._read(flag, named.digest)
            if found and self._still_names(flag, named.digest):
                return Loaded(flag, *found, "candidate")
            named = self._off(flag, code or "versions.turned_off", why or "the flag changed while it was read")
        return self._known_good(flag, named)

    def _known_good(self, flag: str, named: _Named) -> Loaded:
        code, why = named.code, named.why
        for digest in self._ways(flag, named):
            found, failed, text = self._read(flag, digest)
            if found:
                with self._lock:
                    self._good[flag] = found
                return self._told(Loaded(flag, *found, "known_good", code, why))
            code, why = code or failed, why or text
        last = self._good[flag]
        text = "neither the flag nor the store says what is known to be good"
        return self._told(Loaded(flag, *last, "known_good", code or "versions.unpinned", why or text))

    def _ways(self, flag: str, named: _Named) -> Iterator[str]:
        """Yield what may be gone back to: what the flag says, then what is pinned."""
        if named.known_good:
            yield named.known_good
        with suppress(Exception):
            for digest in self._store.pins(flag).known_good:
                if digest != named.known_good:
                    yield digest

    def _named(self, flag: str, context: Mapping[str, Any]) -> _Named:
        try:
            variant = self._client.get_variant(flag, dict(list(context.items())[:MOST_CONTEXT]))
            if not (variant.get("enabled") is True and variant.get("feature_enabled", True) is True):
                return self._off(flag)
            digest, known_good = _payload(variant.get("payload"))
        except (ValueError, TypeError, KeyError, RecursionError) as err:
            return self._off(flag, "versions.payload", f"the flag names no version: {str(err)[:100]}")
        except Exception as err:  # noqa: BLE001  an SDK that fails is a flag that is off
            return self._off(flag, "versions.client", f"the SDK failed: {type(err).__name__}")
        return _Named(digest, "candidate" if digest != known_good else "known_good", known_good)

    def _off(self, flag: str, code: str = "", why: str = "") -> _Named:
        """Return what to load where the flag is off: the stock SDK has no variant then, but keeps the document."""
        try:
            feature = self._feature(flag)
        except Exception:  # noqa: BLE001  a cache that fails is a document that is not there
            feature = None
        if feature is None:
            return _Named(code=code or "versions.silent", why=why or "no flag server has told of this flag")
        try:
            _, known_good = _payload(payload_of(feature))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            return _Named(code=code or "versions.payload", why=why or "the flag names no version")
        return _Named(known_good, "known_good", known_good, code, why)

    def _still_names(self, flag: str, digest: str) -> bool:
        """Tell whether the newest document still gives this digest to somebody."""
        try:
            feature = self._feature(flag)
            return feature is not None and view(feature).on(time.time()) and (
                _payload(payload_of(feature))[0] == digest
            )  # fmt: skip
        except Exception:  # noqa: BLE001  what cannot be read says yes to nothing
            return False

    def _feature(self, flag: str) -> Mapping[str, Any] | None:
        features = json.loads(self._cache.get(FEATURES_URL, "{}")).get("features", [])
        return next((one for one in features if one.get("name") == flag), None)

    def _read(self, flag: str, digest: str) -> tuple[tuple[Version, Digest] | None, str, str]:
        """Return the version and its digest, or None, a code and a text."""
        try:
            raw = self._store.read(digest)
            if digest_of(raw) != digest:  # whatever store was handed in
                return None, "version.changed", f"{digest} was changed"
            version = unpacked(raw)
        except EvoguardError as err:
            return None, err.code, err.message
        except Exception as err:  # noqa: BLE001  never an exception into the service
            return None, "versions.store", f"the store failed: {type(err).__name__}"
        mine = self._built_in[flag][0]
        if (version.component, version.kind) != (mine.component, mine.kind):
            return None, "version.foreign", f"{digest} is a {version.kind} of {version.component}"
        return (version, as_digest(digest)), "", ""

    def _told(self, loaded: Loaded) -> Loaded:
        if loaded.code:
            with self._lock:
                self.fallbacks[loaded.code] += 1
            with suppress(Exception):
                self._report(loaded)
        return loaded


def _payload(payload: object) -> tuple[str, str]:
    """Return the digest to load and the known-good one. Raises: ValueError, TypeError, KeyError."""
    if not isinstance(payload, Mapping) or payload.get("type") != "json":
        raise ValueError("no JSON payload")
    text = payload["value"]
    if not isinstance(text, str) or len(text) > MOST_PAYLOAD_CHARS:
        raise ValueError(f"a payload of more than {MOST_PAYLOAD_CHARS} characters")
    doc = json.loads(text)
    named = doc["version"] if isinstance(doc, Mapping) else None
    if not isinstance(named, Mapping) or set(named) != {"kind", "digest", "known_good"} or named["kind"] not in KINDS:
        raise ValueError("no version of a known kind")
    return as_digest(named["digest"]), as_digest(named["known_good"])


def _logged(loaded: Loaded) -> None:
    log.warning("%s: %s: %s; %s is used", loaded.flag, loaded.code, loaded.why, loaded.digest[:19])
