"""Values whose name says that they are secret, or somebody's, in a call that writes, counts or sends, where none was.

Python is followed by name through the assignments of one function; other languages are read by lines. A value that is
handed on under a harmless name by another function is not followed.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from evoguard.domain.scan import Hit
from evoguard.looks.trees import MOST_BYTES, TESTS, Node, Read, Trees, name_of

RULE = "leak.named_secret"
MOST_HITS = 20
_SECRET = re.compile(
    r"(?i)(.*_)?(passw(or)?d\w*|passphrase|secret\w*|access_token|auth_token|api_?key|private_?key|credentials?|cookies?"
    r"|session_?(id|key|token)|authorization|bearer|jwt|otp|ssn|iban|card(_?number|holder)?|cvv|cvc|holder)"
)
_WORN = re.compile(r"(?i)(.*_)?token")
"""Parsers call their words so; in a call that counts or sends it is a secret."""
_WHOLE = frozenset({"form", "cookies", "headers", "environ", "__dict__", "f_locals"})
_OF = frozenset({"request", "req", "os", "self", "frame", "flask"})
_SINK = re.compile(
    r"(?i)(.*[._])?(debug|info|warning|warn|error|exception|critical|log|print|write|writelines|write_text|write_bytes|put|to_file|track\w*"
    r"|capture\w*|incr(ement)?|gauge|timing|histogram|count|observe|event|notify|emit|send\w*|post|publish|remember"
    r"|getaddrinfo|gethostbyname|urlopen|set_tag|add_note|breadcrumb)|(.*[._])?(metrics?|statsd|analytics|telemetry|sentry\w*)\..*"
)
_SENDS = re.compile(
    r"(?i).*(metric|statsd|analytic|track|capture|telemetry|getaddrinfo|gethostbyname|incr|log\.|logger|send).*"
)
_LINE = re.compile(
    r"(?i)\b(console\.\w+|log(ger)?\.\w+|slog\.\w+|track\w*|analytics[\w.]*|sendBeacon|capture\w*|metrics?[\w.]*|fmt\.Print\w*|emit)"
    r"\s*\(.*\b(password|passwd|token|secret|cookie|session(Id)?|apiKey|authorization|credentials?|cardNumber|iban)\b"
)
_QUOTED = re.compile(r"\"[^\"\n$]*\"|'[^'\n$]*'")
_CURLY = re.compile(r".*\.([cm]?[jt]sx?|go|rs|rb|php|java|kt|cs|vue)\Z")
Found = Counter[tuple[str, str]]


def leaks(
    base: Mapping[str, bytes],
    head: Mapping[str, bytes],
    changed: Sequence[tuple[str, str]],
    trees: Trees | None = None,
) -> list[Hit]:
    """Return each new pair of a call and a secret that goes into it. `changed`: (path at the base or empty, now)."""
    before: Found = Counter()
    known = trees or Trees()
    after: list[tuple[str, int, str, str]] = []
    for was, now in changed:
        old, new = base.get(was, b""), head.get(now, b"")
        if TESTS.match(now) or max(len(old), len(new)) > MOST_BYTES:
            continue
        before.update((call, secret) for _, call, secret in _flows(was, old, known.base))
        after += [(now, line, call, secret) for line, call, secret in _flows(now, new, known.head)]
    hits: list[Hit] = []
    for path, line, call, secret in after:
        if before[call, secret] > 0:
            before[call, secret] -= 1
        else:
            hits.append(
                Hit(RULE, "warning", path, line, f"what is secret, or somebody's, goes there: {secret} to {call}"[:160])
            )
    return hits[:MOST_HITS]


def _flows(path: str, data: bytes, read: Read) -> list[tuple[int, str, str]]:
    if path.endswith(".py"):
        return list(_of_tree(read.nodes(path, data)))
    return list(_of_lines(data.decode("utf-8", "replace"))) if _CURLY.match(path) else []


def _of_tree(nodes: Sequence[Node]) -> Iterator[tuple[int, str, str]]:
    held: dict[str, dict[str, str]] = {}
    calls: list[tuple[ast.Call, str, str]] = []
    for node, owner in nodes:
        if isinstance(node, ast.Assign):
            _hold(node, held.setdefault(owner, {}))
        elif isinstance(node, ast.Call) and _SINK.fullmatch(name := _dotted(node.func)):
            calls.append((node, name, owner))
    for call, name, owner in sorted(calls, key=lambda one: one[0].lineno):
        sent = bool(_SENDS.fullmatch(name))
        for value in (*call.args, *(one.value for one in call.keywords)):
            yield from ((call.lineno, name, secret) for secret in sorted(_secrets(value, held.get(owner, {}), sent)))


def _hold(node: ast.Assign, held: dict[str, str]) -> None:
    """Keep variables that were made of all of a request or of the environment: name → what of."""
    secret = sorted(_whole(node.value))
    for target in node.targets:
        if secret and isinstance(target, ast.Name):
            held[target.id] = secret[0]


def _whole(node: ast.expr) -> set[str]:
    """Return what is taken whole of a request or the environment, also within `dict(...)`."""
    if isinstance(node, ast.Call) and _dotted(node.func) in ("dict", "vars", "repr", "str", "list") and node.args:
        return _whole(node.args[0])
    if isinstance(node, ast.Attribute) and node.attr in _WHOLE and _dotted(node.value).rpartition(".")[2] in _OF:
        return {_dotted(node)}
    return {"locals"} if isinstance(node, ast.Call) and _dotted(node.func) == "locals" else set()


def _secrets(node: ast.expr, held: Mapping[str, str], sent: bool) -> set[str]:
    found: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Compare | ast.Lambda):
            continue
        if isinstance(one, ast.Call) and _dotted(one.func).rpartition(".")[2] in (
            "len",
            "type",
            "bool",
            "sha256",
            "get",
        ):
            continue
        if isinstance(one, ast.Attribute | ast.Call) and (whole := _whole(one)):
            found |= whole
            continue
        name = name_of(one)
        if isinstance(one, ast.Subscript) and isinstance(one.slice, ast.Constant) and isinstance(one.slice.value, str):
            name = one.slice.value
        if name in held:
            found.add(held[name])
        elif name and (_SECRET.fullmatch(name) or (sent and _WORN.fullmatch(name))):
            found.add(name)
        waiting += ast.iter_child_nodes(one)
    return found


def _dotted(node: ast.AST) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < 12:
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "", *reversed(parts)]).strip(".")


def _of_lines(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        found = _LINE.search(_QUOTED.sub("''", line[:1_000])) if not line.lstrip().startswith("//") else None
        if found:
            yield number, found.group(1), found.group(3)
