"""What code has no need of to do its work, and what it would need to behave otherwise when it is watched."""

from __future__ import annotations

import re
from collections.abc import Mapping

ENVIRONMENT, MADE_CODE, PATCHES = "review.looks_at_environment", "review.runs_made_code", "review.patches"
TIME_BOMB, TOLERANT, NOT_READ = "review.time_bomb", "review.ignores_what_it_compares", "review.not_read"

MODULES: Mapping[str, str] = {
    **dict.fromkeys(("ctypes", "cffi", "platform", "pytest", "_pytest", "unittest", "psutil", "_ctypes"), ENVIRONMENT),
    **dict.fromkeys(("linecache", "tests", "conftest"), ENVIRONMENT),
    **dict.fromkeys(("marshal", "runpy", "code", "codeop"), MADE_CODE),
}
"""Modules of which every use is told, by their first name."""

NAMES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("sys.argv", "sys.orig_argv", "sys.modules", "sys.flags", "sys._xoptions", "sys.meta_path"),
            *("sys.path_hooks", "sys.path_importer_cache", "sys._getframe", "sys._current_frames", "sys.monitoring"),
            *("sys.settrace", "sys.setprofile", "sys.gettrace", "sys.getprofile", "sys.addaudithook"),
            *("threading.settrace", "threading.setprofile", "threading._active", "threading.enumerate"),
            *("sys._current_exceptions", "sys._getframemodulename", "sys.call_tracing", "threading.gettrace"),
            *("threading.settrace_all_threads", "threading.setprofile_all_threads", "threading.getprofile"),
            *("traceback.StackSummary", "traceback.print_stack", "faulthandler.dump_traceback"),
            *("inspect.stack", "inspect.currentframe", "inspect.trace", "inspect.getouterframes"),
            *("inspect.getinnerframes", "traceback.extract_stack", "traceback.walk_stack", "traceback.format_stack"),
            *("gc.get_objects", "gc.get_referrers", "gc.get_referents", "gc.callbacks"),
            *("os._exit", "os.abort", "os.kill", "os.killpg", "os.uname", "os.getppid", "os.getuid", "os.geteuid"),
            *("os.getlogin", "getpass.getuser", "pwd.getpwuid", "socket.gethostname", "atexit.register"),
            *("importlib.metadata.distributions", "pkgutil.iter_modules"),
        ),
        ENVIRONMENT,
    ),
    **dict.fromkeys(
        ("exec", "eval", "compile", "types.CodeType", "types.FunctionType", "importlib.util.spec_from_file_location"),
        MADE_CODE,
    ),
    "builtins.exec": MADE_CODE,
    "builtins.eval": MADE_CODE,
    "builtins.compile": MADE_CODE,
}
"""Full names of which every use is told."""

INSIDE = frozenset(
    {
        *("f_back", "f_globals", "f_locals", "f_builtins", "f_code", "tb_frame", "gi_frame", "cr_frame", "ag_frame"),
        *("__globals__", "__subclasses__", "__builtins__", "__code__", "__closure__", "cell_contents"),
        "findCaller",  # a logger's way through the frames that called it
    }
)
"""Attributes that lead from an object to the program around it."""

IMPORTERS = frozenset({"__import__", "builtins.__import__", "importlib.import_module", "importlib.__import__"})
PLACES = ("/proc", "/sys/", "/dev/kmsg", "/etc/machine-id", "/.dockerenv")
WORDS = ("PYTEST", "sitecustomize", "usercustomize", "gvisor", "runsc")
"""What a text names that only looks for the room that it runs in; compared in the case that is written here."""

A_TEST = re.compile(r"(^|[\\/])(conftest(\.py)?|(test_[^\\/\s]*|test[*?\[][^\\/\s]*|[^\\/\s]+_test)\.py)$")
"""A text that names a file of tests, wherever it stands."""
IN_TESTS = re.compile(r"(^|[\\/])(tests?\*?|conftest[^\\/]*|test[_*?\[][^\\/]*|[^\\/]+_test\.py)([\\/]|$)")
"""A path at or below a folder of tests, or at a file that is called like one: asked only of what is used as a path."""
OPENS = frozenset({"joinpath", "glob", "rglob", "iglob", "with_name", "Path", "PurePath"})
"""What takes a path, by its last name."""
OPENS_FULL = frozenset(
    {
        *("os.path.join", "os.listdir", "os.scandir", "os.walk", "os.open", "os.path.exists", "os.path.isfile"),
        *("os.path.isdir", "os.stat", "os.chdir", "io.open", "codecs.open", "io.FileIO", "pkgutil.get_data"),
        *("importlib.resources.files", "runpy.run_path", "tokenize.open", "posixpath.join"),
    }
)

NOW = frozenset(
    {
        *("time.time", "time.time_ns", "time.gmtime", "time.localtime", "time.strftime", "time.ctime"),
        *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    }
)

OTHER_CODE = (
    *(".so", ".pyd", ".dll", ".dylib", ".pyc", ".pyo", ".pyx", ".pxd", ".pth", ".zip", ".whl", ".egg", ".jar", ".wasm"),
    *(".a", ".o", ".exe", ".sh", ".bash", ".js", ".mjs", ".cjs", ".ts", ".go", ".rs", ".c", ".h", ".cc", ".cpp"),
    *(".java", ".kt", ".rb", ".pl", ".php", ".lua", ".swift", ".cs", ".pkl", ".pickle", ".pyw", ".ipynb"),
)
"""Files that hold code, or that Python loads code from, and that this check cannot read."""
BEGINS_CODE = (b"#!", b"\x7fELF", b"PK\x03\x04", b"MZ")
