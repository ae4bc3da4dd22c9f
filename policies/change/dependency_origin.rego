# METADATA
# title: Dependencies come from where the project takes them
# description: |
#   Another index, an address of another package, an unencrypted way or other content under the same version denies. A
#   repository, a URL or a path asks people.
# custom: {code: change.dependency_origin, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_origin

import data.evoguard.lib

code := "change.dependency_origin"

deny contains from(row, $"it comes another way: {lib.text(lib.get(row, "origin"))} {lib.text(lib.get(row, "where"))}") if {
	some row in input.dependencies
	not lib.get(row, "origin") in {"index", "git", "url", "path"}
}

deny contains from(row, "other content under a version that was there before") if {
	some row in input.dependencies
	row.change == "rehashed"
}

escalate contains from(row, $"it comes from no index: {row.origin} {lib.text(lib.get(row, "where"))}") if {
	some row in input.dependencies
	row.origin in {"git", "url", "path"}
}

from(row, msg) := lib.finding(code, msg, lib.get(row, "path"), lib.package_of(row))
