"""Run untrusted tests and commands in gVisor, and say what was seen. Knows nothing of changes, policies or flags.

Two doors: `run` (a pytest suite → evidence) and `execute` (one command). There is no way round the sandbox: without
gVisor both refuse.
"""

from evoguard_sandbox.job import execute, prove
from evoguard_sandbox.rooms.engine_link import Engine
from evoguard_sandbox.rooms.pool import Pool
from evoguard_sandbox.rooms.room import Interpreter, Proof, Room, sweep
from evoguard_sandbox.suite import run
from evoguard_sandbox.types import (
    Behaviour,
    Connect,
    Finding,
    Job,
    JobReport,
    Limits,
    SandboxError,
    Suite,
    SuiteReport,
    TestResult,
)

__all__ = [
    "Behaviour",
    "Connect",
    "Engine",
    "Finding",
    "Interpreter",
    "Job",
    "JobReport",
    "Limits",
    "Pool",
    "Proof",
    "Room",
    "SandboxError",
    "Suite",
    "SuiteReport",
    "TestResult",
    "execute",
    "prove",
    "run",
    "sweep",
]
