"""Verbs that keep running: serve, worker, flags serve. Their words go to stderr."""

from __future__ import annotations

from typing import Annotated

import typer

from evoguard.cli import exit_codes, flagging
from evoguard.cli.session import Session, emit, run, verb

LogLevel = Annotated[str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")]

flags = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The flag server, Unleash-compatible.")


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(app, "serve", example="evoguard serve\nevoguard --state /srv/evoguard serve --log-level debug")(serve)
    verb(app, "worker", example="evoguard worker\nevoguard worker --until-idle")(worker)
    verb(flags, "serve", example="evoguard flags serve")(flags_serve)
    flagging.attach(flags)
    app.add_typer(flags, name="flags")


def serve(session: Session, log_level: LogLevel = "info") -> int:
    """Run worker and flag server as processes of their own; one that dies is started again. SIGTERM ends both."""
    from evoguard.cli import process
    from evoguard.cli.supervise import Child, Supervisor
    from evoguard.wiring.serving import serving

    process.log_to_stderr(log_level)
    settings = session.settings()
    with session.opened():  # an unusable state is said once, here, and not by two processes for ever
        pass
    children = (
        Child("flags", ("flags", "serve"), settings.state, log_level),
        Child("worker", ("worker",), settings.state, log_level),
    )
    with serving(settings):  # so is a state that is served already
        run(process.until_signal(Supervisor(children, tell=emit if session.json else None).run))
    return exit_codes.DONE


def worker(
    session: Session,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing is left to do but to wait.")
    ] = False,
    log_level: LogLevel = "info",
) -> int:
    """Drive changes: one worker a state. SIGTERM ends it; killed at any line, it goes on when started again."""
    from evoguard.cli import process
    from evoguard.wiring import flow
    from evoguard.wiring.serving import remove_socket_folder

    process.log_to_stderr(log_level)
    process.end_with_parent()
    settings = session.settings()
    with flow.worker(settings) as made:
        try:
            run(process.until_signal(lambda stop: made.run(stop, until_idle=until_idle)))
        finally:
            remove_socket_folder(settings)  # before the lock goes: no other worker needs it yet
    return exit_codes.DONE


def flags_serve(session: Session, log_level: LogLevel = "info") -> int:
    """Serve flags to SDKs and take KPI batches, on the loopback address of the settings."""
    from evoguard.cli import process
    from evoguard.wiring.flags import serve_flags

    process.log_to_stderr(log_level)
    process.end_with_parent()
    run(serve_flags(session.settings()))
    return exit_codes.DONE
