# METADATA
# title: A risky change needs people's eyes
# description: |
#   A change of many points, or one whose reach could not be told, is pointed out to the people who are asked. How many
#   of them it takes is a step of `data.risk.people`.
# custom: {code: change.risk, severity: escalate, source: "policies/README.md#risk"}
# authors: [evoguard]
package evoguard.rules.change.risk

import data.evoguard.lib

code := "change.risk"

escalate contains lib.finding(code, $"a risk of {input.impact.risk} of 1000; `evoguard impact` shows the sum", "", "risk") if {
	input.impact.risk >= data.risk.escalate_from
}

escalate contains lib.finding(code, "what depends on it cannot be told; look at it yourself", path, "unknown") if {
	some path in input.impact.unknown
}

escalate contains lib.finding(code, "what depends on it cannot be told", "", "unknown") if not known

known if input.impact.known == true
