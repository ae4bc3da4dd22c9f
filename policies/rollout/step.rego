# METADATA
# title: A risky change widens in small steps
# description: |
#   Evidence of few users says little about many: from a risk on, no stage is more than so many times the one before it.
# custom: {code: rollout.step, severity: deny, source: "policies/README.md#rollout"}
# authors: [evoguard]
package evoguard.rules.rollout.step

import data.evoguard.lib

code := "rollout.step"

deny contains lib.finding(code, $"from {small} % to {wide} %, at most {step.most} times from a risk of {step.from} on", "", lib.at(["component", "name"])) if {
	some at, small in input.component.stages
	wide := input.component.stages[at + 1]
	some step in data.risk.step_times
	input.impact.risk >= step.from
	wide > small * step.most
}
