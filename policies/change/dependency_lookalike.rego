# METADATA
# title: No dependency that is taken for another
# description: |
#   A new name in letters of another script, or one that reads like a known name, denies; one that is a single edit away
#   from a known name asks people. Known are the base's own dependencies and a short list of popular names.
# custom: {code: change.dependency_lookalike, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_lookalike

import data.evoguard.lib

code := "change.dependency_lookalike"

deny contains taken(row) if {
	some row in input.dependencies
	not lib.get(row, "how") in {"", "one edit"}
}

escalate contains taken(row) if {
	some row in input.dependencies
	row.how == "one edit"
}

taken(row) := lib.finding(code, said(row), lib.get(row, "path"), lib.package_of(row))

said(row) := $"it may be taken for {lib.text(lib.get(row, "alike"))}: {lib.text(lib.get(row, "how"))}"
