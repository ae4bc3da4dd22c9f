# METADATA
# title: A rollout needs a flag
# description: Without a flag nothing can be switched off at once. A note at review, so that a foreign repository reaches approval.
# custom: {code: rollout.missing_flag, severity: deny, source: "policies/README.md#rollout"}
# authors: [evoguard]
package evoguard.rules.rollout.missing_flag

import data.evoguard.lib

code := "rollout.missing_flag"

deny contains found if {
	not input.stage == "review"
	some found in missing
}

notes contains found if {
	input.stage == "review"
	some found in missing
}

missing contains lib.finding(code, "the component has no flag", "", lib.at(["component", "name"])) if input.component.flag == ""
