# METADATA
# title: No known vulnerability is added
# description: |
#   An advisory of the imported database covers a version that the change brings, and covered none of the base's.
# custom: {code: change.vulnerable, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.vulnerable

import data.evoguard.lib

code := "change.vulnerable"

deny contains covered(row) if {
	some row in input.vulnerable
	not lib.get(row, "severity") in data.supply.tolerated
}

escalate contains covered(row) if {
	some row in input.vulnerable
	row.severity in data.supply.tolerated
}

covered(row) := lib.finding(code, $"{lib.text(lib.get(row, "severity"))}: {lib.package_of(row)}", lib.get(row, "path"), lib.get(row, "id"))
