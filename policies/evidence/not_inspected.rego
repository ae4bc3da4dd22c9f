# METADATA
# title: What the change brings was looked at
# description: |
#   Both trees were read within the bounds, each has its bill of material, and everything that was found is listed.
# custom: {code: evidence.not_inspected, severity: deny, source: "policies/README.md#evidence"}
# authors: [evoguard]
package evoguard.rules.evidence.not_inspected

import data.evoguard.lib

code := "evidence.not_inspected"

deny contains lib.finding(code, "what the change brings was not looked at", "", lib.at(["inspection", "status"])) if {
	not lib.at(["inspection", "status"]) == "complete"
}

deny contains lib.finding(code, "more than can be listed", "", $"{input.inspection.omitted} more") if {
	input.inspection.omitted > 0
}

deny contains lib.finding(code, "a bill of material is missing", "", name) if {
	some name in ["base", "head", "difference"]
	lib.at(["sbom", name]) in {"", null}
}
