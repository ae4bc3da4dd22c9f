"""The one table of exit codes; scripts and agents may rely on every line of it."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
ERROR: Final = 1
USAGE: Final = 2
DENIED: Final = 3
AUTH: Final = 4
WAITING: Final = 5
REVERTED: Final = 6
KILLED: Final = 7
TRANSIENT: Final = 8
INTERRUPTED: Final = 130

TABLE: Final[tuple[tuple[int, str], ...]] = (
    (DONE, "done; for a kill: it is in force and confirmed"),
    (ERROR, "an error; for `doctor`, `audit verify`, `policy test|lint`, `bench --check`, `exam`: what does not hold"),
    (USAGE, "the command line, or what it names, is wrong; nothing was stored"),
    (DENIED, "the answer is no: refused, rejected, withdrawn, superseded, held, or not verified"),
    (AUTH, "the signature, key or person is not one that the guard knows"),
    (WAITING, "waits for people: an approval, a revert by hand, the second person of a lift or of a registration"),
    (REVERTED, "the change was rolled out and taken back"),
    (KILLED, "a kill covers it"),
    (TRANSIENT, "no answer in time; asking again is safe"),
    (INTERRUPTED, "interrupted, or the reader of the output went away"),
)
_ENDS: Final = {
    "known-good": DONE,
    "refused": DENIED,
    "rejected": DENIED,
    "withdrawn": DENIED,
    "superseded": DENIED,
    "reverted": REVERTED,
    "killed": KILLED,
}
_CLASSES: Final = {
    "InputError": USAGE,
    "AuthError": AUTH,
    "HaltedError": KILLED,
    "UnavailableError": TRANSIENT,
    "FencedError": TRANSIENT,
}
_CODES: Final = {"author.held": DENIED, "key.missing": USAGE}
"""What is not its class's: a private key file that is not there is a wrong word, as a public one is."""


def of_standing(status: str, outcome: str, detail: str = "") -> int:
    """Return the code of where a change stands; one that is on its way is DONE."""
    if outcome:
        return _ENDS.get(outcome, ERROR)
    by_hand = status == "reverting" and detail.startswith("REVERT BY HAND")
    return WAITING if by_hand or status == "waiting for approval" else DONE


def of_error(name: str, code: str) -> int:
    """Return the code of an error by its class's name and its public code."""
    return _CODES.get(code, _CLASSES.get(name, ERROR))
