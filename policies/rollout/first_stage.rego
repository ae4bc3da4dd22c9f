# METADATA
# title: A risky change begins small
# description: The first stage of a rollout is at most what `data.risk.first_percent` allows a change of this risk.
# custom: {code: rollout.first_stage, severity: deny, source: "policies/README.md#risk"}
# authors: [evoguard]
package evoguard.rules.rollout.first_stage

import data.evoguard.lib

code := "rollout.first_stage"

deny contains lib.finding(code, $"{first} % at first, at most {step.most} % from a risk of {step.from} on", "", lib.at(["component", "name"])) if {
	some at, first in input.component.stages
	at == 0
	some step in data.risk.first_percent
	input.impact.risk >= step.from
	first > step.most
}
