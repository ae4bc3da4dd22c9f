"""What one Python file says of itself: what it imports, and its functions and classes. Read in a process of its own.

    python -I -S syntax.py < frames > lines

Python's parser is not made for hostile text, so this file is started apart, within limits, and imports the standard
library only. A frame is `<size>\n` and so many bytes; each is answered by one line of JSON, at once, in order.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import resource
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

MOST_BYTES = 512 << 10
"""Of one file; a larger one is not read."""
MOST_IMPORTS, MOST_SYMBOLS, MOST_NAME, MOST_WORDS = 2_000, 5_000, 200, 2_000
MODULE = "(module)"
"""What stands for the lines outside every function and class."""
_WORD = re.compile(rb"[^\W\d]\w*")
_MEMORY, _CPU_S = 2 << 30, 60


def read(raw: bytes) -> dict[str, Any]:
    """Return `imports` (level, module, names), `symbols` (name → digest of its lines) and `why` it cannot be read.

    A file that cannot be read has its `words` instead: whom it imports is among them; None: too many to say.
    """
    try:
        if len(raw) > MOST_BYTES:
            raise ValueError("it is larger than 512 KiB")
        tree = ast.parse(raw)
        return {"imports": list(_imports(tree)), "symbols": _symbols(tree, raw), "why": "", "words": []}
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as err:
        why = str(err)[:80] if type(err) is ValueError else f"it does not parse ({type(err).__name__})"
        return {"imports": [], "symbols": {}, "why": why, "words": _words(raw)}


def _imports(tree: ast.Module) -> Iterator[tuple[int, str, list[str]]]:
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            rows: list[tuple[int, str, list[str]]] = [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            rows = [(node.level, node.module or "", [alias.name for alias in node.names])]
        else:
            continue
        count += sum(1 + len(names) for _, _, names in rows)
        if count > MOST_IMPORTS or any(len(n) > MOST_NAME for _, m, names in rows for n in (m, *names)):
            raise ValueError("it imports too much")
        yield from rows


def _symbols(tree: ast.Module, raw: bytes) -> dict[str, str]:
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    rest = bytearray(b"\1" * len(lines))
    found: dict[str, Any] = {}

    def take(name: str, start: int, end: int) -> None:
        found.setdefault(name[:MOST_NAME], hashlib.sha256()).update(b"\n".join(lines[start:end]) + b"\0")
        if len(found) > MOST_SYMBOLS:
            raise ValueError("it has too many functions and classes")

    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            start, end = _span(node)
            rest[start:end] = bytes(end - start)
            inner = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            take(node.name, start, end)
            for method in inner if isinstance(node, ast.ClassDef) else ():
                take(f"{node.name}.{method.name}", *_span(method))
    kept = b"\n".join(line for line, outside in zip(lines, rest, strict=True) if outside)
    found[MODULE] = hashlib.sha256(kept)
    return {name: digest.hexdigest()[:16] for name, digest in found.items()}


def _span(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[int, int]:
    first = min((node.lineno, *(d.lineno for d in node.decorator_list)))
    return first - 1, node.end_lineno or node.lineno


def _words(raw: bytes) -> list[str] | None:
    words: set[bytes] = set()
    for found in _WORD.finditer(raw[: 4 * MOST_BYTES]):
        words.add(found[0][:MOST_NAME])
        if len(words) > MOST_WORDS:
            return None
    return None if len(raw) > 4 * MOST_BYTES else sorted(word.decode("utf-8", "replace") for word in words)


def _frames(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(20):
        yield stream.read(int(line))


def main() -> None:
    """Answer frames until there is no more."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    for none in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
        resource.setrlimit(none, (0, 0))
    warnings.simplefilter("ignore")
    for raw in _frames(sys.stdin.buffer):
        print(json.dumps(read(raw)), flush=True)


if __name__ == "__main__":
    main()
