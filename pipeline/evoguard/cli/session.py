"""What every verb shares: `--state`, `--json`, and one way to open, to answer and to be registered."""

from __future__ import annotations

import inspect
import json as jsonlib
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from evoguard.cli.text import note

if TYPE_CHECKING:
    from evoguard.settings import Settings
    from evoguard.wiring.state import Opened

T = TypeVar("T")
Doc = Mapping[str, object]
Command = Callable[..., int]
StateDir = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="State folder; else EVOGUARD_STATE, else ~/.local/state/evoguard."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON on stdout, errors too.")]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="Your registered name.")]
SignWith = Annotated[Path, typer.Option("--sign-with", metavar="KEY", help="Your private key file; it stays here.")]


@dataclass(slots=True)
class Session:
    """One call of the command line."""

    state: Path | None = None
    json: bool = False

    def take(self, state: Path | None, json: bool) -> None:
        """Note the two options wherever they stood; the later `--state` wins."""
        self.state = state or self.state
        self.json = self.json or json

    def settings(self) -> Settings:
        """Return the settings of the state folder. Raises: ConfigError."""
        from evoguard.settings import Settings

        return Settings.load(self.state)

    def settings_or_defaults(self) -> Settings:
        """Return the settings, or the defaults for the state folder when its file is broken: a kill must not wait."""
        from evoguard.errors import ConfigError
        from evoguard.settings import FILE, Settings

        try:
            return Settings.load(self.state)
        except ConfigError as err:
            note(f"{err.message}; going on with the defaults, without {FILE}")
            folder = self.state or Path(
                os.environ.get("EVOGUARD_STATE") or Path.home() / ".local" / "state" / "evoguard"
            )
            return Settings(state=folder.expanduser().absolute())

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """Yield the opened state. Raises: ConfigError, UnavailableError."""
        from evoguard.wiring.state import open_state

        opened = open_state(self.settings())
        try:
            yield opened
        finally:
            opened.close()

    def answer(self, doc: Doc, text: Callable[[], object]) -> None:
        """Print one JSON object, or what `text` prints."""
        if self.json:
            emit(doc)
        else:
            text()


def emit(doc: Doc) -> None:
    """Print one JSON object as one line of ASCII, so that no text in it can reach a terminal raw."""
    print(jsonlib.dumps(doc, default=str), flush=True)


def run(work: Coroutine[object, object, T]) -> T:
    """Run the asynchronous part of a verb. SIGTERM ends it as Ctrl-C does: what it started is ended first."""
    import asyncio
    import signal
    import threading

    async def ended_in_order() -> T:
        task = asyncio.current_task()
        if task is not None and threading.current_thread() is threading.main_thread():
            # Not by way of SIGINT, which a shell has its background jobs ignore.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(ended_in_order())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def confirmed(question: str, *, fix: str) -> None:
    """Ask at a terminal before something is signed. Raises: InputError for a no, or when nobody can be asked."""
    from evoguard.errors import InputError

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError("there is no terminal to ask at", code="approval.unasked", fix=fix)
    if not typer.confirm(question, err=True):
        raise InputError("not signed", code="approval.declined")


def verb(app: typer.Typer, name: str, *, example: str, hidden: bool = False) -> Callable[[Command], Command]:
    """Register a command whose first parameter is the Session and whose result is the exit code.

    It gets `--state` and `--json`, its docstring as help and `example` as the end of its help.
    """

    def register(command: Command) -> Command:
        def called(ctx: typer.Context, **words: object) -> int:
            session = cast(Session, ctx.obj)
            session.take(cast("Path | None", words.pop("state")), bool(words.pop("json")))
            return command(session, **words)

        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        keyword = inspect.Parameter.KEYWORD_ONLY
        made = [
            inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
            *(p.replace(kind=keyword) for p in own),
            inspect.Parameter("state", keyword, annotation=StateDir, default=None),
            inspect.Parameter("json", keyword, annotation=AsJson, default=False),
        ]
        called.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]  # functions take attributes
        called.__doc__ = command.__doc__
        app.command(name, epilog="\b\nExample:\n" + _indented(example), hidden=hidden)(called)
        return command

    return register


def _indented(example: str) -> str:
    return "\n".join(f"  {row}" for row in example.strip().splitlines())
