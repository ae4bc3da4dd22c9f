# METADATA
# title: Licences that are allowed
# description: |
#   A new package under a licence that the list does not hold denies; one whose licence nobody told asks people. Of
#   several to choose from one is enough, of several that hold together each must be allowed.
# custom: {code: change.licence, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.licence

import data.evoguard.lib

code := "change.licence"

deny contains lib.finding(code, $"its licence is not allowed: {row.licence}", lib.get(row, "path"), lib.package_of(row)) if {
	some row in licensed
	count(lib.get(row, "licences")) > 0
	not allowed(row)
}

escalate contains lib.finding(code, $"nobody tells its licence: {row.licence}", lib.get(row, "path"), lib.package_of(row)) if {
	some row in licensed
	count(lib.get(row, "licences")) == 0
}

licensed contains row if {
	some row in input.dependencies
	row.change in {"added", "renamed"}
	row.ecosystem in data.supply.licensed
	row.own == false
}

allowed(row) if {
	some choice in row.licences
	count(choice) > 0
	every id in choice { id in data.supply.licences }
}
