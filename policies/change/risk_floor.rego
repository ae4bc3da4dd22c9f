# METADATA
# title: The risk is not below its floor
# description: |
#   Nobody's opinion lowers the floor: it was measured, and is at least every line of its own sum. A risk below it, or one
#   that rests on nothing, denies.
# custom: {code: change.risk_floor, severity: constitution, source: "policies/README.md#risk"}
# authors: [evoguard]
package evoguard.rules.change.risk_floor

import data.evoguard.lib

code := "change.risk_floor"

deny contains lib.finding(code, "the risk is below its floor", "", "risk") if not risk_holds

deny contains lib.finding(code, "the floor is below a line of its sum", "", lib.get(feature, "name")) if {
	some feature in input.impact.features
	not at_most_floor(feature)
}

deny contains lib.finding(code, "nothing was measured", "", "features") if not measured

risk_holds if input.impact.risk >= input.impact.floor

at_most_floor(feature) if feature.points <= input.impact.floor

measured if count(input.impact.features) > 0
