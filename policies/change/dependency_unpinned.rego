# METADATA
# title: What is brought in is pinned
# description: |
#   A range, a tag or a branch is another thing tomorrow: it denies. An exact version without a hash asks people. A
#   manifest is as firm as the lock in its folder, or in one above, has it.
# custom: {code: change.dependency_unpinned, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_unpinned

import data.evoguard.lib

code := "change.dependency_unpinned"

deny contains loose(row, "it floats: pin it by digest, hash or full commit") if {
	some row in input.dependencies
	not lib.get(row, "pinned") in {"digest", "version"}
}

escalate contains loose(row, "an exact version, but no hash of its content") if {
	some row in input.dependencies
	row.pinned == "version"
}

loose(row, msg) := lib.finding(code, msg, lib.get(row, "path"), lib.package_of(row))
