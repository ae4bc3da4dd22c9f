"""What code of a changed file can do that it could not do at the base: reach a network, start programs, run text.

Python is read as a syntax tree, with names followed through their imports; other languages by their imports and words.
A file that could do it before gains nothing, so small changes of such files are not touched. It is for people: a
machine can tell that a file reaches a network for the first time, not whether it should.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Mapping, Sequence

from evoguard.supply import capability_words as words
from evoguard.supply.tree import Files
from evoguard.supply.types import Note, short

MOST_NOTES, MOST_BYTES = 200, 2 << 20
MEANS: Mapping[str, str] = {
    "network": "it reaches other machines",
    "process": "it starts programs",
    "code": "it runs or loads what is put together or named by data",
    "native": "it reaches memory or machine code past the language",
    "objects": "it reads data that may name any code",
    "environment": "it reads keys or all of the environment, or who runs it",
    "outside": "it reaches files outside of its own tree",
    "rights": "it changes who may do what",
    "hooks": "it changes what other code does, or is run unasked",
    "browser": "it reads what a page's visitor types or keeps",
    "clock": "the clock decides",
    "chance": "chance decides",
    "hosts": "it names a machine that it did not name",
    "unread": "it is no text of its language, so nobody can tell",
}
_IN_TESTS = frozenset({"network", "process", "code", "native", "objects", "browser", "unread"})
"""What a test may not begin to do unseen. Tests read clocks, environments and foreign files all the time."""
_TEST = re.compile(
    r"(?i)(.*/)?(tests?|__tests__|specs?|testing)/.*"
    r"|(.*/)?(test_[^/]*|[^/]*_test\.[a-z]+|[^/]*\.(test|spec)\.[a-z]+)\Z"
)
_URL = re.compile(r"(?:https?|wss?|ftp|tcp|udp|ssh|git)://(?:[^\s/\"'`@]{1,80}@)?([A-Za-z0-9.-]{3,100})")
_HOST = re.compile(
    r"(?!example\.|www\.example)(?:[a-z0-9-]{1,40}\.){1,4}(com|net|org|io|dev|xyz|info|cloud|ru|cn|app|site)\Z"
)
"""A text that is the name of a machine and nothing else."""
_NO_HOST = re.compile(r"localhost\Z|127\.|0\.0\.0\.0\Z|www\.w3\.org\Z")
_PLACE = re.compile(r"(~/|/(etc|root|home|proc|sys|dev/shm|usr/(local/)?bin|var/(run|spool))(/|\Z))")
_HIDING = ("__subclasses__", "__globals__", "__builtins__", "__code__", "__reduce__", "__reduce_ex__")
_READ_LATER = ("os.environ", "os.getenv")
"""What is imported by name here is looked at where it is used."""
_BUILT_IN = frozenset({*dir(builtins), "__builtins__"})
"""What needs no import; any other name that nobody imported is a variable, whatever module is called so."""
Names = Mapping[str, set[str]]
Found = dict[str, int]
"""Capability → the first line that shows it."""


def gained(base: Files, head: Files, rows: Sequence[tuple[str, str]]) -> tuple[Note, ...]:
    """Return each capability that a changed file has and did not have. `rows`: (path at the base or empty, now)."""
    notes: list[Note] = []
    for was, now in rows:
        if now not in head or not words.read_as(now):
            continue
        old = base[was].data if was in base else b""
        notes += _file(now, old, head[now].data, moved=words.read_as(was) == words.read_as(now))
    return tuple(notes[:MOST_NOTES])


def _file(path: str, old: bytes, new: bytes, *, moved: bool) -> Iterator[Note]:
    if moved and old == new:
        return
    before = _able(path, old) if moved else {}
    test = bool(_TEST.match(path))
    for name, line in sorted(_able(path, new).items()):
        kind, _, host = name.partition(" ")
        # What cannot be read is told at every change of it: nobody can say that nothing came in with this one.
        if (name in before and kind != "unread") or (test and kind not in _IN_TESTS):
            continue
        said = MEANS[kind] + (f": {short(host, 80)}" if host else "")
        yield Note(f"capability.{kind}", path, line, said)


def _able(path: str, data: bytes) -> Found:
    if not data:
        return {}
    if len(data) > MOST_BYTES or b"\0" in data[:8_000]:
        return {"unread": 1}
    text = data.decode("utf-8", "replace")
    kind = words.read_as(path)
    if kind != "python":
        return _by_words(kind, text)
    try:
        return _by_tree(ast.parse(data))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {"unread": 1}


def _by_words(kind: str, text: str) -> Found:
    found: Found = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith(words.COMMENTS) and not line.startswith(("#!", "//go:")):
            continue
        for name, pattern in words.WORDS[kind].items():
            if name not in found and pattern.search(line):
                found[name] = number
        for host in _hosts(line):
            found.setdefault(f"hosts {host}", number)
    return found


def _hosts(text: str) -> Iterator[str]:
    for found in _URL.finditer(text):
        if not _NO_HOST.match(found.group(1)):
            yield found.group(1).lower()


def _by_tree(tree: ast.Module) -> Found:
    names = _imported(tree)
    said = _documentation(tree)
    plain = _settings(tree, names)
    found: Found = {}
    for node in ast.walk(tree):
        if id(node) in said:
            continue
        line = getattr(node, "lineno", 1)
        for name in _of(node, names, plain):
            found[name] = min(line, found.get(name, line))
    return found


def _documentation(tree: ast.Module) -> set[int]:
    """Return the nodes of texts that stand alone: documentation, which does nothing."""
    return {
        id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    }


def _imported(tree: ast.Module) -> Names:
    """Return the names that imports bind anywhere in the file, each with all that it stands for somewhere in it."""
    names: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                names.setdefault(one.asname or top, set()).add(one.name if one.asname else top)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for one in node.names:
                names.setdefault(one.asname or one.name, set()).add(f"{node.module}.{one.name}")
    return names


def _of(node: ast.AST, names: Names, plain: set[int]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (kind for one in node.names for kind in _kinds(one.name))
    elif isinstance(node, ast.ImportFrom) and not node.level:
        named = (f"{node.module}.{one.name}" for one in node.names)
        yield from (kind for name in named if name not in _READ_LATER for kind in (*_kinds(name), *_all_of(name)))
    elif isinstance(node, ast.Attribute | ast.Name):
        kinds = (kind for said in _dotted(node, names) for kind in _kinds(said))
        yield from (kind for kind in kinds if kind != "environment" or id(node) not in plain)
        if isinstance(node, ast.Attribute) and node.attr in _HIDING:
            yield "hooks"
    elif isinstance(node, ast.Call):
        yield from _called(node)
    elif isinstance(node, ast.Compare):
        yield from _decides(node, names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (f"hosts {host}" for host in _hosts(node.value[:4_096]))
        if _HOST.match(node.value[:200]):
            yield f"hosts {node.value[:200]}"
    elif isinstance(node, ast.FunctionDef) and node.name in _HIDING:
        yield "hooks"


def _settings(tree: ast.Module, names: Names) -> set[int]:
    """Return the nodes of an environment of which one variable is read, by a name that does not sound like a key."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            place, key = node.value, node.slice
        elif isinstance(node, ast.Call) and node.args:
            place, key = node.func, node.args[0]
        else:
            continue
        if not any(said.startswith(("os.environ", "os.getenv")) for said in _dotted(place, names)):
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and not words.IS_SECRET.fullmatch(key.value):
            found |= {id(one) for one in ast.walk(place)}
    return found


def _called(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in ("chmod", "chown", "lchmod"):
        yield "rights"
    texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    if name == "expanduser" or any(_PLACE.match(text) for text in texts):
        yield "outside"


def _decides(node: ast.Compare, names: Names) -> Iterator[str]:
    """Yield what the outcome of a comparison hangs on: the wall clock, or chance."""
    for call in (one for one in ast.walk(node) if isinstance(one, ast.Call)):
        func = call.func
        called = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
        for said in _dotted(call.func, names) or ((called,) if called else ()):
            yield from words.DECIDES.get(said.rpartition(".")[2], ())
            if said.startswith(("random.", "secrets.rand", "numpy.random.")):
                yield "chance"


def _dotted(node: ast.AST, names: Names) -> tuple[str, ...]:
    """Return a name with all that its first part was imported as; nothing for a variable and for no plain name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ()
    roots = names.get(node.id) or ({node.id} & _BUILT_IN)
    return tuple(".".join([root, *reversed(parts)]) for root in sorted(roots))


def _all_of(dotted: str) -> Iterator[str]:
    """Yield every capability of a module of which all names are imported."""
    module, _, name = dotted.rpartition(".")
    if name == "*":
        yield from dict.fromkeys(kind for word, kind in words.PYTHON.items() if word.startswith(f"{module}."))


def _kinds(dotted: str) -> Iterator[str]:
    """Yield the capability of a dotted name, or of the module that it is in."""
    part = dotted
    while part:
        if part in words.PYTHON:
            yield words.PYTHON[part]
            return
        part = part.rpartition(".")[0]
