"""A Python that waits for its command: what `python -I -c CODE ARGS` does, without the time that Python takes to start.

It is started as `python -I` itself and has run nothing but this file when the command comes.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import types
from typing import Any

REPORT_FD = 3


def read_order() -> dict[str, Any]:
    """Read the order from stdin; what runs next finds nothing there, and no way to the supervisor."""
    data = b""
    while chunk := os.read(0, 1 << 16):
        data += chunk
    os.close(REPORT_FD)
    order: dict[str, Any] = json.loads(data)
    return order


def main() -> None:
    """Become the ordered program; its exceptions are shown as Python shows them, without this file in them."""
    gc.collect()
    gc.freeze()
    os.write(REPORT_FD, b"+")
    order = read_order()
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["-c", *order["args"]]
    own = types.ModuleType("__main__")
    own.__builtins__ = __builtins__  # type: ignore[attr-defined]  # as every __main__ has it
    sys.modules["__main__"] = own
    try:
        exec(compile(order["code"], "<string>", "exec", dont_inherit=True), own.__dict__)  # noqa: S102 (the order)
    except SystemExit:
        raise
    except BaseException as err:  # noqa: BLE001 (whatever the program raised)
        tell = err.__traceback__.tb_next if err.__traceback__ is not None else None
        sys.excepthook(type(err), err.with_traceback(tell), tell)
        sys.exit(1)


main()
