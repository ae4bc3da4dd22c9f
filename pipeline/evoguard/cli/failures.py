"""One line for every failure, as text on stderr or as the one JSON object on stdout, and its exit code."""

from __future__ import annotations

import os
import sys

from evoguard.cli import exit_codes
from evoguard.cli.session import emit
from evoguard.cli.text import note
from evoguard.errors import EvoguardError

DEBUG = "EVOGUARD_DEBUG"


def report(err: BaseException, *, as_json: bool) -> int:
    """Say what went wrong and return the exit code; a traceback only of the unknown, and only when asked for."""
    code, message, fix, retryable, status = _told(err)
    if as_json:
        emit({"error": {"code": code, "message": message, "fix": fix, "retryable": retryable}})
    else:
        note(f"error: {message}" + (f"  → {fix}" if fix else ""))
    if code.startswith("unexpected.") and os.environ.get(DEBUG):
        import traceback

        traceback.print_exception(err, file=sys.stderr)
    return status


def _told(err: BaseException) -> tuple[str, str, str, bool, int]:
    if isinstance(err, EvoguardError):
        kind = next(
            (c.__name__ for c in type(err).__mro__ if exit_codes.of_error(c.__name__, "") != exit_codes.ERROR), ""
        )
        return err.code, err.message, err.fix, err.retryable, exit_codes.of_error(kind, err.code)
    if _is_locked(err):
        fix = "try again; see `evoguard doctor`"
        return "unavailable.database", f"database: {str(err)[:120]}", fix, True, exit_codes.TRANSIENT
    if isinstance(err, UnicodeEncodeError):
        return "text.encoding", "a word on the command line is not UTF-8", "send UTF-8", False, exit_codes.USAGE
    if isinstance(err, OSError):
        where = f": {err.filename}" if err.filename else ""
        text = f"{err.strerror or type(err).__name__}{where}"
        return "os", text, "check the path, its owner and the disk", False, exit_codes.ERROR
    fix = f"this is a bug; {DEBUG}=1 shows where"
    return f"unexpected.{type(err).__name__}", f"{type(err).__name__}: {str(err)[:300]}", fix, False, exit_codes.ERROR


def _is_locked(err: BaseException) -> bool:
    """Tell whether SQLite gave no answer; asked without importing it."""
    sqlite = sys.modules.get("sqlite3")
    return sqlite is not None and isinstance(err, sqlite.Error)
