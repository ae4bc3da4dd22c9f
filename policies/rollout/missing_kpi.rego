# METADATA
# title: A rollout needs a KPI
# description: Without a KPI nothing tells a good version from a bad one. A note at review, so that a foreign repository reaches approval.
# custom: {code: rollout.missing_kpi, severity: deny, source: "policies/README.md#rollout"}
# authors: [evoguard]
package evoguard.rules.rollout.missing_kpi

import data.evoguard.lib

code := "rollout.missing_kpi"

deny contains found if {
	not input.stage == "review"
	some found in missing
}

notes contains found if {
	input.stage == "review"
	some found in missing
}

missing contains lib.finding(code, "the component has no KPI", "", lib.at(["component", "name"])) if count(input.component.kpis) == 0
