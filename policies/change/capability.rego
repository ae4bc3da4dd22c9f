# METADATA
# title: What code could not do before needs people's eyes
# description: |
#   A file that begins to reach other machines, to start programs, to run text as code or to read data that names code:
#   whether it should, no machine can tell. A file that could do so before gains nothing.
# custom: {code: change.capability, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.capability

import data.evoguard.lib

code := "change.capability"

escalate contains lib.finding(code, $"{lib.text(lib.get(note, "msg"))} (line {lib.get(note, "line")})", lib.get(note, "path"), lib.get(note, "rule")) if {
	some note in input.capabilities
}
