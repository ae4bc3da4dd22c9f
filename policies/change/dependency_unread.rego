# METADATA
# title: What names dependencies can be read
# description: |
#   A lock or manifest that is not what it claims to be, that readers take differently or that its manifest contradicts
#   denies. One of a kind that nobody here reads asks people.
# custom: {code: change.dependency_unread, severity: deny, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.dependency_unread

import data.evoguard.lib

code := "change.dependency_unread"

deny contains unread(fault) if {
	some fault in input.faults
	not lib.get(fault, "kind") == "unsupported"
}

escalate contains unread(fault) if {
	some fault in input.faults
	fault.kind == "unsupported"
}

unread(fault) := lib.finding(code, lib.text(lib.get(fault, "why")), lib.get(fault, "path"), $"line {lib.get(fault, "line")}")
