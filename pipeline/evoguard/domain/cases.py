"""Requests that a component's base and its candidate must answer alike: `[component.NAME.cases]` and its case file.

Both are read at the base commit only, and the case file becomes a guard path: no change picks its own questions.
Source: docs/adr/0019-before-one-percent.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from unicodedata import normalize

from evoguard.domain.canonical import Json

KINDS = ("callable", "asgi", "wsgi")
KEYS = ("kind", "target", "file", "refuse", "ignore", "time_percent")
MOST_CASES, MOST_LISTED, MOST_FILE_BYTES, NAME_CHARS = 200, 50, 256 << 10, 100
MOST_REQUEST_CHARS = 64 << 10
ANY_SLOWER, TIME_PERCENT = 100_000, 300
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\Z")
_KEY = re.compile(r"[^\x00-\x1f\x7f]{1,100}\Z")
_METHOD = re.compile(r"[A-Z]{1,20}\Z")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")


@dataclass(frozen=True, slots=True)
class Declared:
    """Where one component's requests go: `module:name` of a callable or an app, and the file that holds them."""

    component: str
    kind: str
    target: str
    file: str
    refuse: tuple[str, ...] = ()
    """Callables that raise PermissionError instead of being called; how often is part of the answer."""
    ignore: tuple[str, ...] = ()
    """Keys of JSON objects in answers that are left out before answers are compared, at any depth."""
    time_percent: int = TIME_PERCENT
    """The candidate's time for a request, in percent of the base's, above which it counts as slower."""

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {
            "component": self.component, "kind": self.kind, "target": self.target, "file": self.file,
            "refuse": list(self.refuse), "ignore": list(self.ignore), "time_percent": self.time_percent,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One request. With `response` the base's answer is pinned: each part that it names must be exactly so."""

    name: str
    request: Mapping[str, Json]
    response: Mapping[str, Json] = field(default_factory=dict)


def declared(component: str, body: object) -> Declared | None:
    """Return what the table `cases` of a component says; None without one.

    Raises: ValueError with the words for a person.
    """
    if body is None:
        return None
    where = f"component.{component}.cases"
    if not isinstance(body, Mapping) or not {"kind", "target", "file"} <= set(body) <= set(KEYS):
        raise ValueError(f"{where} is a table of kind, target, file and, as you like, {', '.join(KEYS[3:])}")
    kind, target, file = (str(body[name]) for name in ("kind", "target", "file"))
    if kind not in KINDS:
        raise ValueError(f"{where}: kind is one of {', '.join(KINDS)}")
    if len(target) > 200 or not _TARGET.match(target):
        raise ValueError(f"{where}: target is written module:name, lending.app:app say")
    if len(file) > 200 or not _PATH.match(file) or not file.endswith(".json"):
        raise ValueError(f"{where}: file is the path of a .json file in the repository")
    percent = body.get("time_percent", TIME_PERCENT)
    if not isinstance(percent, int) or isinstance(percent, bool) or not 110 <= percent <= ANY_SLOWER:
        raise ValueError(f"{where}: time_percent is a whole number from 110 to {ANY_SLOWER}")
    refuse = _listed(body.get("refuse", []), _TARGET, f"{where}: refuse lists callables, each written module:name")
    ignore = _listed(body.get("ignore", []), _KEY, f"{where}: ignore lists keys of answers")
    return Declared(component, kind, target, file, refuse, ignore, percent)


def declared_of(facts: Json) -> tuple[Declared, ...]:
    """Return what stored facts name. Raises: ValueError."""
    rows = facts if isinstance(facts, Sequence) and not isinstance(facts, str) else ()
    found = []
    for row in rows:
        if not isinstance(row, Mapping):
            raise ValueError("a declaration of cases is no table")
        one = declared(str(row.get("component")), {key: value for key, value in row.items() if key != "component"})
        found += [one] if one is not None else []
    return tuple(found)


def cases_of(raw: bytes, kind: str) -> tuple[Case, ...]:
    """Read a case file. Raises: ValueError with the words for a person, for anything that is not wholly readable."""
    if len(raw) > MOST_FILE_BYTES:
        raise ValueError(f"the file is larger than {MOST_FILE_BYTES >> 10} KiB")
    try:
        doc = json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise ValueError(f"not JSON: {str(err)[:100]}") from err
    if not isinstance(doc, dict) or set(doc) != {"version", "cases"} or doc["version"] != 1:
        raise ValueError('the file is {"version": 1, "cases": [...]}')
    rows = doc["cases"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_CASES:
        raise ValueError(f"cases is a list of 1 to {MOST_CASES}")
    found = tuple(_case(row, n, kind) for n, row in enumerate(rows, start=1))
    if len({case.name for case in found}) != len(found):
        raise ValueError("two cases have one name")
    return found


def plain(text: str) -> bool:
    """Tell whether every reader of a question reads this text alike."""
    return text.isprintable() and normalize("NFC", text) == text


def _case(row: object, n: int, kind: str) -> Case:
    if not isinstance(row, dict) or not {"name", "request"} <= set(row) <= {"name", "request", "response"}:
        raise ValueError(f"case {n} is a table of name, request and, as you like, response")
    name = row["name"]
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS or not plain(name):
        raise ValueError(f"case {n}: name is a short text")
    try:
        request = request_of(row["request"], kind)
        return Case(name, request, _response(row.get("response"), kind))
    except ValueError as err:
        raise ValueError(f"case {name!r}: {err}") from err


def request_of(value: object, kind: str) -> dict[str, Json]:
    """Return a request in the one form that is run. Raises: ValueError."""
    if not isinstance(value, dict):
        raise ValueError("request is a table")
    made = _call(value) if kind == "callable" else _http(value)
    if len(json.dumps(made)) > MOST_REQUEST_CHARS:
        raise ValueError(f"the request is larger than {MOST_REQUEST_CHARS >> 10} KiB")
    return made


def _call(value: Mapping[str, Json]) -> dict[str, Json]:
    args, kwargs = value.get("args", []), value.get("kwargs", {})
    if set(value) - {"args", "kwargs"} or not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ValueError("the request of a callable is {args: [...], kwargs: {...}}")
    return {"args": args, "kwargs": kwargs}


def _http(value: Mapping[str, Json]) -> dict[str, Json]:
    if set(value) - {"method", "path", "query", "headers", "body", "json"} or {"body", "json"} <= set(value):
        raise ValueError("a request is of method, path, query, headers and one of body and json")
    method, path, query = value.get("method", "GET"), value.get("path", ""), value.get("query", "")
    if not isinstance(method, str) or not _METHOD.match(method):
        raise ValueError("method is a word of capitals")
    if not isinstance(path, str) or not path.startswith("/") or not path.isprintable():
        raise ValueError("path begins with /")
    if not isinstance(query, str) or not query.isascii() or not query.isprintable():
        raise ValueError("query is what stands behind the ?")
    headers = value.get("headers", {})
    if not isinstance(headers, dict) or len(headers) > MOST_LISTED:
        raise ValueError(f"headers is a table of at most {MOST_LISTED}")
    for name, text in headers.items():
        if not _HEADER.match(name) or not isinstance(text, str) or not (text.isprintable() and text.isascii()):
            raise ValueError("headers are names and plain texts")
    lowered: dict[str, Json] = {name.lower(): text for name, text in headers.items()}
    body = value.get("body", "")
    if not isinstance(body, str):
        raise ValueError("body is a text; an object goes under json")
    if "json" in value:
        body, lowered = json.dumps(value["json"]), {"content-type": "application/json", **lowered}
    return {"method": method, "path": path, "query": query, "headers": lowered, "body": body}


def _response(value: object, kind: str) -> dict[str, Json]:
    """Return the parts of an answer that are pinned, as the texts in which answers come back."""
    if value is None:
        return {}
    names = {"value", "raised"} if kind == "callable" else {"status", "body", "json"}
    if not isinstance(value, dict) or not value or set(value) - names or (kind == "callable" and len(value) != 1):
        raise ValueError(f"response is a table of {', '.join(sorted(names))}")
    if {"body", "json"} <= set(value):
        raise ValueError("response has a body or a json, not both")
    made: dict[str, Json] = {}
    if "value" in value:
        made["value"] = value["value"]
    for name in ("raised", "body"):
        if name in value:
            if not isinstance(value[name], str):
                raise ValueError(f"response: {name} is a text")
            made[name] = value[name]
    if "status" in value:
        status = value["status"]
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
            raise ValueError("response: status is a whole number from 100 to 599")
        made["status"] = status
    return {**made, **({"json": value["json"]} if "json" in value else {})}


def _listed(value: object, form: re.Pattern[str], otherwise: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_LISTED:
        raise ValueError(f"{otherwise}; at most {MOST_LISTED}")
    if not all(isinstance(one, str) and len(one) <= 200 and form.match(one) for one in value):
        raise ValueError(otherwise)
    return tuple(value)
