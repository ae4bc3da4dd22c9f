"""Hold every Python file to 400 lines and every function to 50; print each offender and fail."""

from __future__ import annotations

import ast
import pathlib
import sys

FILE_LINES, FUNCTION_LINES = 400, 50
ROOMS = ("pipeline", "agents", "sandbox", "tests", "examples", "deploy")


def offenders(path: pathlib.Path) -> list[str]:
    """Return one line for each bound that `path` breaks."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    found = [f"{path}: {lines} lines, at most {FILE_LINES}"] if lines > FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {size} lines, at most {FUNCTION_LINES}")
    return found


def main() -> int:
    """Print offenders; exit 1 when there is one."""
    found = [line for room in ROOMS for path in sorted(pathlib.Path(room).rglob("*.py")) for line in offenders(path)]
    print("\n".join(found) or "   all files and functions within bounds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
