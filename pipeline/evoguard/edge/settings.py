"""What an edge is told: one TOML file, every value bounded, every unknown key refused."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evoguard.domain import tables
from evoguard.edge.start_settings import COMMIT, FIX, StartSettings, parse_start
from evoguard.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}\Z")
_KEYS = frozenset({
    "component", "flag", "listen", "known_good", "guard", "tokens", "journals", "unit_header", "unit_cookie",
    "versions", "timeout_s", "slow_ms", "most_request_bytes", "most_answer_bytes", "most_in_flight", "good_classes",
    "idempotent", "answer_keys", "never_keys", "start",
    "cost",
})  # fmt: skip
_NEEDED = ("component", "flag", "listen", "known_good", "guard", "tokens", "journals")
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class CostSettings:
    """KPI of values (`kind = "value"`) under which the edge tells what it measured; empty: not told."""

    wall_us: str = ""
    """Microseconds from asking a version to the end of its answer, or to the time limit."""
    bytes_out: str = ""
    """Bytes of the answer's headers and body as they came, or of the part that was read of one that is too large."""


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """One component behind one edge. Versions are addresses by commit, or started by the edge."""

    component: str
    flag: str
    host: str
    port: int
    known_good: str
    """The commit that answers while there is no flag document."""
    guard: str
    """Address of the flag server, which takes the KPI batches."""
    tokens: Path
    journals: Path
    versions: Mapping[str, str]
    unit_header: str = ""
    unit_cookie: str = ""
    timeout_s: float = 2.0
    slow_ms: int = 0
    """A slower answer is bad under the KPI `latency`; 0: never."""
    most_request_bytes: int = 1 << 20
    most_answer_bytes: int = 4 << 20
    most_in_flight: int = 256
    """For each arm: one that hangs cannot use up the other's."""
    good_classes: tuple[int, ...] = (2,)
    """A component that redirects when all is well says so: a redirect may also be how a failure is hidden."""
    idempotent: frozenset[str] = frozenset()
    """Methods that known-good may answer again when the candidate gave no whole answer; it still counts as bad."""
    answer_keys: tuple[str, ...] = ()
    """Keys that a good answer, a JSON object, has."""
    never_keys: tuple[str, ...] = ()
    """Keys that a good answer, a JSON object, has not."""
    cost: CostSettings = CostSettings()
    start: StartSettings | None = None
    """How versions are started; None: they are addresses, and a flag cannot name one that is not here."""


def load(path: Path) -> EdgeSettings:
    """Return the settings of a file. Raises: InputError `edge.settings` with what is wrong."""
    try:
        doc = tomllib.loads(path.read_bytes()[:262_144].decode())
    except (OSError, ValueError) as err:
        raise _bad(f"cannot be read: {type(err).__name__}") from err
    return parse(doc)


def parse(doc: Mapping[str, object]) -> EdgeSettings:
    """Return the settings of a document. Raises: InputError `edge.settings`."""
    if unknown := sorted(set(doc) - _KEYS):
        raise _bad(f"unknown key {unknown[0][:40]!r}")
    if missing := [key for key in _NEEDED if key not in doc]:
        raise _bad(f"{missing[0]} is missing")
    host, port = _listen(doc["listen"])
    known_good = _text(doc, "known_good", COMMIT)
    versions, start = _versions_or_start(doc, known_good)
    header, cookie = (_text(doc, key, _NAME) if key in doc else "" for key in ("unit_header", "unit_cookie"))
    if bool(header) == bool(cookie):
        raise _bad("one of unit_header and unit_cookie says who a user is")
    return EdgeSettings(
        component=_text(doc, "component", _NAME), flag=_text(doc, "flag", _NAME), host=host, port=port,
        known_good=known_good, guard=_address(doc["guard"], "guard"), tokens=Path(str(doc["tokens"])),
        journals=Path(str(doc["journals"])), versions=versions, unit_header=header, unit_cookie=cookie,
        timeout_s=_number(doc, "timeout_s", 2.0, 0.05, 300), slow_ms=int(_number(doc, "slow_ms", 0, 0, 300_000)),
        most_request_bytes=int(_number(doc, "most_request_bytes", 1 << 20, 1, MOST_BYTES)),
        most_answer_bytes=int(_number(doc, "most_answer_bytes", 4 << 20, 1, MOST_BYTES)),
        most_in_flight=int(_number(doc, "most_in_flight", 256, 1, 10_000)),
        good_classes=_classes(doc.get("good_classes", [2])), idempotent=frozenset(_words(doc, "idempotent")),
        answer_keys=_words(doc, "answer_keys"), never_keys=_words(doc, "never_keys"), start=start,
        cost=_cost(doc.get("cost", {})),
    )  # fmt: skip


def tokens_of(path: Path) -> dict[str, str]:
    """Return the tokens `flags.read` and `kpi.write` of a file that only its owner can read.

    Raises: InputError `edge.tokens`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise InputError("others may read the token file", code="edge.tokens", fix=f"chmod 600 {path}")
            doc = json.loads(file.read(4096))
            found = {name: doc[name] for name in ("flags.read", "kpi.write")}
    except (OSError, ValueError, TypeError, KeyError) as err:
        text = "the token file is no JSON object with flags.read and kpi.write"
        raise InputError(
            text, code="edge.tokens", fix="write the two tokens that `evoguard init` made into it"
        ) from err
    if not all(isinstance(value, str) and 16 <= len(value) <= 200 and value.isascii() for value in found.values()):
        raise InputError("a token is 16 to 200 characters", code="edge.tokens")
    return found


def _cost(value: object) -> CostSettings:
    if not isinstance(value, dict) or set(value) - {"wall_us", "bytes_out"}:
        raise _bad("cost is a table of wall_us and bytes_out")
    names = list(value.values())
    if not all(isinstance(name, str) and _NAME.match(name) for name in names) or len(set(names)) != len(names):
        raise _bad("cost names a KPI of its own for each measure")
    if {"errors", "latency"} & set(names):  # an event and a value under one name would be two things
        raise _bad("errors and latency are KPIs of events at the edge: a cost has another name, such as wall")
    return CostSettings(**value)


def _versions_or_start(doc: Mapping[str, object], known_good: str) -> tuple[dict[str, str], StartSettings | None]:
    if ("versions" in doc) == ("start" in doc):
        raise _bad("one of [versions] and [start] says where versions are")
    if "start" in doc:
        start = parse_start(doc["start"])
        if not start.of(known_good):
            raise _bad("known_good has no command")
        return {}, start
    versions = _versions(doc["versions"])
    if known_good not in versions:
        raise _bad("known_good is none of the versions")
    return versions, None


def _versions(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not 0 < len(value) <= 100:
        raise _bad("versions is a table of 1 to 100 commits and their addresses")
    if odd := [key for key in value if not COMMIT.match(key)]:
        raise _bad(f"{odd[0][:50]!r} is no commit")
    found = {key: _address(text, "versions") for key, text in value.items()}
    if len(set(found.values())) != len(found):
        raise _bad("two versions have one address")
    return found


def _address(value: object, where: str) -> str:
    try:
        parts = urlsplit(str(value))
        plain = parts.scheme == "http" and parts.hostname and parts.port and not (parts.query or parts.username)
    except ValueError as err:
        raise _bad(f"{where}: an address is http://HOST:PORT") from err
    if not plain or parts.path not in ("", "/"):
        raise _bad(f"{where}: an address is http://HOST:PORT")
    return f"http://{parts.netloc}"


def _listen(value: object) -> tuple[str, int]:
    host, _, port = str(value).rpartition(":")
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
    except ValueError as err:
        raise _bad("listen is ADDRESS:PORT") from err
    if not 0 <= number < 65_536:
        raise _bad("listen is ADDRESS:PORT")
    return str(address), number


def _text(doc: Mapping[str, object], key: str, form: re.Pattern[str]) -> str:
    return tables.text(doc[key], key, form, _bad)


def _number(doc: Mapping[str, object], key: str, default: float, least: float, most: float) -> float:
    return tables.number(doc.get(key, default), key, least, most, _bad)


def _words(doc: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = doc.get(key, [])
    if not isinstance(value, list) or len(value) > 50 or not all(isinstance(v, str) and _NAME.match(v) for v in value):
        raise _bad(f"{key} is a list of at most 50 plain names")
    return tuple(value)


def _classes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or any(one not in (2, 3, 4) or isinstance(one, bool) for one in value):
        raise _bad("good_classes is a list of 2, 3 and 4")
    return tuple(value)


def _bad(message: str) -> InputError:
    return InputError(f"edge settings: {message}", code="edge.settings", fix=FIX)
