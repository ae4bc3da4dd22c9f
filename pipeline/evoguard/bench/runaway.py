"""Rules that run away, in a process of its own so that its memory can be told: `python -m evoguard.bench.runaway WASM`.

They are compiled by OPA from the text below. Each must end as no verdict, and the next question must be answered
right. Rules may not use regular expressions by themselves (capabilities.json); a glob is compiled to one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evoguard import bundle
from evoguard.adapters.opa_wasm_host import Program
from evoguard.authoring import folder
from evoguard.authoring.opa import at_work
from evoguard.bench import Figure
from evoguard.errors import UnavailableError

BAR_MS, BAR_MB = 500.0, 256.0
DEEP = 100_000
NAMES = ("glob", "range", "doubling", "cube", "deep JSON")
TIMEOUT_S = 120
_DOUBLED = "\n".join(f'd{n} := concat("", [d{n - 1}, d{n - 1}])' for n in range(1, 64))
RULES = f"""package evoguard.runaway

r := numbers.range(1, 3000)

calm := input.n + 1

by_glob := count([i | some i in r; some j in r; not glob.match("*a*a*a*a*a*a*b", [], input.long); i == j])

by_range := count({{n | some n in numbers.range(1, 1000000000)}})

d0 := input.long

{_DOUBLED}

by_doubling := count(d63)

by_cube := count([1 | some x in r; some y in r; some z in r; (x * y) * z == 0])
"""
ENTRIES = tuple(f"evoguard/runaway/{name}" for name in ("calm", "by_glob", "by_range", "by_doubling", "by_cube"))


def compiled(opa: Path) -> bytes:
    """Return the rules above as WebAssembly. Raises: as `Opa.run`."""
    from evoguard.authoring.builder import wasm

    texts = {"runaway.rego": RULES, folder.DATA: "{}", folder.CAPABILITIES: bundle.sources()[folder.CAPABILITIES]}
    with at_work(opa, folder.Sources(Path(), texts)) as asked:
        return wasm(asked, ENTRIES, tests=False)


def figures(opa: Path, place: Path) -> Iterator[Figure]:
    """Yield what each runaway rule takes, and the memory of the process that asked them all."""
    (place / "runaway.wasm").write_bytes(compiled(opa))
    done = subprocess.run([sys.executable, "-m", "evoguard.bench.runaway", str(place / "runaway.wasm")],
                          capture_output=True, check=True, timeout=TIMEOUT_S)  # fmt: skip
    doc = json.loads(done.stdout)
    for row in doc["rows"]:
        held = row["verdict"] == "none" and row["next"] == "right"
        note = f"no verdict, the next one right; {row['cpu_ms']:.0f} ms of them on a processor"
        if not held:
            note = f"DID NOT HOLD: verdict {row['verdict']}, the next one {row['next']}"
        yield Figure(f"runaway rule: {row['name']}", row["ms"] if held else 1e9, "ms", BAR_MS, note=note)
    yield Figure("memory of the process that asked them", doc["mb"], "MB", BAR_MB, doc["before_mb"],
                 note="baseline: the same process before the first question")  # fmt: skip


def tried(wasm: bytes) -> dict[str, Any]:
    """Ask each rule once and a calm one after it; return what each took and said."""
    program, before, rows = Program(wasm), _peak_mb(), []
    long = json.dumps({"long": "a" * 40, "n": 1}).encode()
    for name in NAMES:
        deep = name == "deep JSON"
        question = b'{"n":' * DEEP + b"1" + b"}" * DEEP if deep else long
        began, busy = time.perf_counter(), time.process_time()
        try:
            said = program.evaluate(
                ENTRIES[0] if deep else f"evoguard/runaway/by_{name}", data=b"{}", question=question
            )
            verdict = said.decode("utf-8", "replace")[:80]
        except UnavailableError:
            verdict = "none"
        row = {"name": name, "ms": (time.perf_counter() - began) * 1000, "verdict": verdict,
               "cpu_ms": (time.process_time() - busy) * 1000}  # fmt: skip
        calm = json.loads(program.evaluate(ENTRIES[0], data=b"{}", question=b'{"n": 41}'))
        rows.append({**row, "next": "right" if calm == [{"result": 42}] else "wrong"})
    return {"rows": rows, "mb": _peak_mb(), "before_mb": before}


def _peak_mb() -> float:
    """Return the most memory this program held; what getrusage says begins with the parent's."""
    rows = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    print(json.dumps(tried(Path(sys.argv[1]).read_bytes())))
