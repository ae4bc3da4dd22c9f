"""Keeps text and bytes of the hostile side from becoming code in the process of the tests.

Answers are data, but tests may do with data what makes it code: eval(repr(x)), pickle.loads(x.dump()), hints that are
strings, a child process that runs the package. Python tells an audit hook before each of these, and the hook refuses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest.split_proxy import Link, PxMeta
    from evoguard_sandbox.guest.split_stock import NAMED
else:
    from split_proxy import Link, PxMeta
    from split_stock import NAMED

Value = Any  # what an audit event carries
CODE = frozenset(("compile", "marshal.loads", "marshal.load", "code.__new__"))
STARTS = frozenset(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"))
# Modules that make code out of names which they check first, or of syntax trees only, or of files of the tests.
MAKERS = ("collections", "dataclasses", "ast")
REBUILDERS = frozenset(("copyreg._reconstructor", "copyreg.__newobj__", "split_proxy.thaw", "_codecs.encode"))


def _files() -> frozenset[str]:
    found = {str(sys.modules[name].__file__) for name in MAKERS if name in sys.modules}
    return frozenset(found | {"<frozen importlib._bootstrap_external>", "<frozen importlib._bootstrap>"})


def _folders() -> tuple[str, ...]:
    runner = [getattr(sys.modules.get(name), "__file__", None) for name in ("_pytest", "pluggy")]
    return tuple(os.path.dirname(str(file)) + os.sep for file in runner if file)


def _known(module: Value, name: Value) -> bool:
    """Tell whether a pickle may name this: plain types, stand-ins, and what puts them together."""
    if f"{module}.{name}" in NAMED or f"{module}.{name}" in REBUILDERS:
        return True
    return isinstance(getattr(sys.modules.get(str(module)), str(name), None), PxMeta)


def watcher(link: Link) -> Callable[[str, tuple[Value, ...]], None]:
    """Return the audit hook. It raises UnsplitError: the test fails, and proves nothing."""
    files, folders, frame = _files(), _folders(), sys._getframe
    hints = sys.modules["typing"].__file__

    def watch(event: str, args: tuple[Value, ...]) -> None:
        if event in CODE or event == "exec":
            caller = frame(1).f_code.co_filename
            hint = caller == hints and event == "compile"  # read where it stands in a module; running it is "exec"
            if not link.calls:  # nothing of the other side is here yet, so this is text of the tests' own libraries
                return
            if caller.startswith(folders):
                # The condition of a mark, which a test may take from the code: the base's, or none.
                if isinstance(args[0], str | bytes) and not link.kinds.compiles(args[0]):
                    raise link.refuse("a text of the code's that the test runner makes code of")
            elif not hint and caller not in files:
                raise link.refuse(f"{event} in the process of the tests")
        elif event == "pickle.find_class":
            if not _known(*args[:2]):
                raise link.refuse("a pickle that names more than plain types")
        elif event in STARTS:
            raise link.refuse("a process started by the tests")

    return watch
