"""Every gate that is examined."""

from __future__ import annotations

from evoguard.exam import (
    file_gates,
    flow_gates,
    kill_gates,
    log_gates,
    people_gates,
    question_gates,
    release_gates,
    repository_gates,
    rollout_gates,
    rule_gates,
)
from evoguard.exam.gate import Gate

GATES: tuple[Gate, ...] = (
    *flow_gates.GATES, *rule_gates.GATES, *question_gates.GATES, *release_gates.GATES, *repository_gates.GATES,
    *kill_gates.GATES, *people_gates.GATES, *rollout_gates.GATES, *log_gates.GATES, *file_gates.GATES,
)  # fmt: skip
