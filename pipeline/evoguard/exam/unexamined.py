"""What the exam does not look at, found in the sources: every refusal of the guard's rooms that no row takes out."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from types import ModuleType

from evoguard import bundle
from evoguard.domain.canonical import Json
from evoguard.exam.gate import Gate
from evoguard.exam.surgery import Cut, Silent

ROOMS = (
    "flow.intake", "flow.impact", "flow.check", "flow.judge", "flow.approve", "flow.sign", "flow.release", "flow.watch",
    "flow.known_good", "flow.revert", "flow.runs", "flow.graph", "flow.routes", "kill", "desk", "worker", "bundle",
    "domain.activation", "domain.approval", "domain.attestation", "domain.component", "domain.identity", "domain.latch",
    "domain.rollout", "domain.quarantine", "flags.server", "flags.document", "flags.doors", "flags.frontend",
    "flags.unguarded", "wiring.desk", "wiring.kill", "wiring.flag_files",
    "wiring.activating", "wiring.rulebook", "wiring.flow", "adapters.artifacts", "adapters.bundles", "adapters.dsse",
    "adapters.floored", "adapters.keys", "adapters.latches", "adapters.latch_files", "adapters.opa_wasm",
    "adapters.opa_wasm_host", "adapters.opa_server", "adapters.repository_rules", "domain.repository_rules",
    "adapters.sandbox_cache", "adapters.sandbox_layers",
    "adapters.signer", "adapters.state_folder", "adapters.git.epochs", "adapters.git.forge", "adapters.git.mirror",
    "adapters.git.moves", "adapters.git.origin", "adapters.git.quarantine", "adapters.git.sources",
    "adapters.git.trees", "adapters.sqlite.audit", "adapters.sqlite.effects", "adapters.sqlite.event_log",
    "adapters.sqlite.flags", "adapters.sqlite.inbox", "adapters.sqlite.kpis", "adapters.sqlite.registry",
    "adapters.sqlite.roots", "adapters.sqlite.saver", "adapters.sqlite.sponsors",
    "flow.regress", "domain.cases", "domain.regression", "adapters.sandbox_replay", "flow.versions", "domain.version",
    "adapters.version_store", "edge.versions", "wiring.going_back", "domain.way_back", "adapters.way_back",
    "flow.breaker", "domain.breaker", "adapters.client_roll", "edge.starting", "edge.proxy",
)  # fmt: skip
BEYOND = (
    "the sandbox's own layers (mutants, splits, held-out tests): `evoguard bench forgeries`, gVisor",
    "ways out of the sandbox: `evoguard bench escapes`, gVisor",
    "what the database's schema forbids by itself: a vote's nonce twice, one checkpoint with two children",
    "file modes, locks and other accounts of the machine: `evoguard doctor`",
)


def unexamined(gates: Sequence[Gate]) -> list[Json]:
    """Return a line for each refusal that no row takes out, and for what cannot be examined here."""
    cut = {(one.place, _plain(one.of)) for gate in gates for one in gate.removals if isinstance(one, Cut)}
    silent = {one.code for gate in gates for one in gate.removals if isinstance(one, Silent)}
    found: list[Json] = [f"rule {code}" for code in bundle.load().manifest.rules if code not in silent]
    for room in ROOMS:
        module = importlib.import_module(f"evoguard.{room}")
        found += [f"{place}: {test}" for place, test in _refusals(module) if not _taken(place, test, cut)]
    return [*found, *BEYOND]


def _taken(place: str, test: str, cut: set[tuple[str, str]]) -> bool:
    return any(place == where and (of == test or of in test) for where, of in cut)


def _refusals(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield (place, condition) of every `if` whose own body raises or returns a finding, and of every route."""
    tree = ast.parse(inspect.getsource(module))
    for name, function in _functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.If) and any(_refuses(one) for one in node.body):
                yield f"{module.__name__}:{name}", ast.unparse(node.test)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for one in node.body:
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{one.name}", one


def _refuses(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return True
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield):
        return _says_no(statement.value.value)
    return isinstance(statement, ast.Return) and _says_no(statement.value)


def _says_no(value: ast.AST | None) -> bool:
    called = [node.func for node in ast.walk(value) if isinstance(node, ast.Call)] if value is not None else []
    return any(isinstance(f, ast.Name) and f.id in ("Finding", "refusal", "_refusal", "_no") for f in called)


def _plain(expression: str) -> str:
    return ast.unparse(ast.parse(expression, mode="eval"))
