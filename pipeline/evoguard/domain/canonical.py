"""Canonical JSON and content digests: the only names that are used after a change was filed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NewType, TypeAlias

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"
Digest = NewType("Digest", str)
"""`sha256:<64 hex>` of exact bytes."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def canonical(value: Json) -> bytes:
    """Return the one byte string for `value`: sorted keys, no spaces, UTF-8, integers only.

    Raises: ValueError for a float or a lone surrogate, TypeError for anything that is not JSON.
    """
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest_of(value: Json | bytes) -> Digest:
    """Return the digest of exact bytes, or of a value's canonical JSON."""
    raw = value if isinstance(value, bytes) else canonical(value)
    return Digest(f"sha256:{hashlib.sha256(raw).hexdigest()}")


def as_digest(text: str) -> Digest:
    """Return `text` as a digest. Raises: ValueError when it is not `sha256:` and 64 hex digits."""
    if not _DIGEST.match(text):
        raise ValueError("a digest reads sha256:<64 hex digits>")
    return Digest(text)


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise ValueError("floats have no canonical form; use integers with a unit")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError("keys must be text")
            _refuse_floats(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_floats(item)
