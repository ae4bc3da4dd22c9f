"""Every error of the guard, by who must act. A refusal is a value, not one of these: an error means "we got no answer".

EvoguardError
├── ConfigError        operator: settings, keys or state unusable; refuse to start
├── InputError         sender: malformed, not authentic, or about an old digest; nothing stored but the refusal
├── AuthError          sender: the signature, key or person is not one the guard knows
├── UnavailableError   nobody, then operator: an outside thing gave no answer; the gate stays shut, try again
├── FencedError        nobody: another driver or a kill came first; what was decided is void
├── HaltedError        whoever may lift: a kill covers this; the gate stays shut
└── IntegrityError     on-call, now: a digest, signature or chain does not match; never retried
"""

from __future__ import annotations


class EvoguardError(Exception):
    """Base: a public `code`, a message for people, and the mend. Never carries secrets or unbounded text."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        """Travel whole from one process to another, whatever the arguments of the kind are."""
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[EvoguardError], args: tuple[object, ...], fields: dict[str, object]) -> EvoguardError:
    made = kind.__new__(kind)
    made.args = args
    made.__dict__.update(fields)
    return made


class ConfigError(EvoguardError):
    """Settings, keys or the state folder are unusable. The operator acts; nothing starts."""

    code = "config"


class InputError(EvoguardError):
    """What was sent is malformed or about something old. The sender acts; nothing is stored but the refusal."""

    code = "input"


class AuthError(EvoguardError):
    """The signature does not belong to a registered identity with this right."""

    code = "auth"


class UnavailableError(EvoguardError):
    """An outside thing gave no answer in time. The gate stays shut; asking again is safe."""

    code = "unavailable"
    retryable = True

    def __init__(self, port: str, message: str, *, fix: str = "") -> None:
        super().__init__(f"{port}: {message}", code=f"unavailable.{port}", fix=fix)
        self.port = port


class FencedError(EvoguardError):
    """Another driver, or a kill, came first: what was decided before is void and has had no effect."""

    code = "fenced"
    retryable = True


class HaltedError(EvoguardError):
    """A kill covers this. Only two people can lift it."""

    code = "halted"


class IntegrityError(EvoguardError):
    """A digest, signature or event-log link does not match. Never retried; people look at it now."""

    code = "integrity"
