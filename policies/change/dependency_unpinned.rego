# METADATA
# title: What is brought in is pinned
# description: |
#   A range, a tag or a branch is another thing tomorrow: it denies. An exact version without a hash asks people. A
#   manifest is as firm as the lock in its folder, or in one above, has it. What floated before and floats on asks people.
# custom: {code: change.dependency_unpinned, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_unpinned

import data.evoguard.lib

code := "change.dependency_unpinned"

deny contains loose(row, "it floats: pin it by digest, hash or full commit") if {
	some row in input.dependencies
	not lib.get(row, "pinned") in {"digest", "version"}
	not floated(row)
}

escalate contains loose(row, "it floats, as it did before: whatever is newest on the day") if {
	some row in input.dependencies
	floated(row)
}

escalate contains loose(row, "an exact version, but no hash of its content") if {
	some row in input.dependencies
	row.pinned == "version"
}

# A package that comes in under its own name from where it came from, and floated at the base: no looser than it was.
floated(row) if {
	row.pinned == "floating"
	row.pinned_before == "floating"
	row.change == "changed"
	row.origin == "index"
}

loose(row, msg) := lib.finding(code, msg, lib.get(row, "path"), lib.package_of(row))
