"""The application: verbs in order, one edge where every failure becomes a line and a code. Only Typer is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

from evoguard.cli import (
    counting,
    edging,
    examining,
    exit_codes,
    killing,
    machine,
    proposing,
    proving,
    reading,
    registering,
    rollouts,
    ruling,
    running,
    sandboxing,
    shadowing,
    supplying,
    tooling,
    voting,
)
from evoguard.cli.session import AsJson, Session, StateDir

ORDER = (
    "init", "person", "agent", "key", "doctor", "submit", "withdraw", "status", "list", "show", "impact", "evidence",
    "watch", "rollout", "approve", "reject", "kill", "lift", "drill", "verify", "capsule", "audit", "policy", "sandbox",
    "shadow", "sbom", "osv", "serve", "worker", "flags", "edge", "kpi", "tools", "bench", "exam", "demo",
)  # fmt: skip
_CODES = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in exit_codes.TABLE)
EPILOG = f"""\b
Example:
  evoguard init --person alice --key alice.pub
  evoguard submit --repo . --head my-branch --base main --intent "a better rule" --as coder --sign-with coder
  evoguard watch ch-0123456789ab

\b
Exit codes:
{_CODES}

\b
stdout is data only. With --json it is one JSON object (`watch`, `serve`: one a line), and an error is
{{"error": {{"code", "message", "fix", "retryable"}}}} there too. NO_COLOR is honoured.
"""


class _Ordered(TyperGroup):
    """Verbs in the order in which a change meets them."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002  (Typer hands it over)
        """Return the verbs; one that ORDER does not name comes last."""
        return sorted(self.commands, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


app = typer.Typer(
    name="evoguard", cls=_Ordered, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)  # fmt: skip
ROOMS = (
    registering, proposing, reading, rollouts, voting, killing, proving, ruling, tooling, sandboxing, shadowing,
    supplying, running, edging, counting, machine, examining,
)  # fmt: skip
for room in ROOMS:
    room.attach(app)


def _version(asked: bool) -> None:
    if asked:
        from evoguard import __version__

        print(f"evoguard {__version__}")
        raise typer.Exit(exit_codes.DONE)


@app.callback()
def root(
    ctx: typer.Context,
    state: StateDir = None,
    json: AsJson = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Carry changes of coding agents to running software through tests, policies, people and evidence, and back."""
    del version
    ctx.obj.take(state, json)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but SystemExit of Python itself ever leaves here."""
    args = list(sys.argv[1:] if argv is None else argv)
    session = Session()
    _forgiving_streams()
    try:
        code = typer.main.get_command(app).main(
            args=args or ["--help"], prog_name="evoguard", standalone_mode=False, obj=session
        )
        sys.stdout.flush()
        return int(code or 0)
    except (BrokenPipeError, SystemExit) as err:  # Typer turns a reader that went away into exit 1
        return _gone() if getattr(err, "code", 1) else exit_codes.DONE
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as err:  # noqa: BLE001  (the edge: everything becomes one line and a code)
        from evoguard.cli import failures

        return failures.report(_usage(err), as_json=session.json or "--json" in args)


def _gone() -> int:
    """Let nothing more be written to a reader that went away, or Python complains at its end."""
    sys.stdout = sys.__stdout__ or sys.stdout
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_codes.INTERRUPTED


def _usage(err: Exception) -> Exception:
    """Return a mistake on the command line as an InputError with its mend, anything else as it is."""
    if not isinstance(err, typer.TyperException) and not hasattr(err, "format_message"):
        return err
    from evoguard.errors import InputError

    ctx = getattr(err, "ctx", None)
    path = ctx.command_path if ctx is not None else "evoguard"
    message = "a verb is missing" if type(err).__name__ == "NoArgsIsHelpError" else str(err.format_message())
    return InputError(message[:500], code="usage", fix=f"{path} --help")


def _forgiving_streams() -> None:
    """A terminal that cannot show a character gets an escape, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
