# METADATA
# title: Weaker tests need people's eyes
# description: |
#   The verdict rests on the base's tests. What an agent's change takes from them would be missing from the next one on;
#   of a person's change it is told.
# custom: {code: change.tests_weakened, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.tests_weakened

import data.evoguard.lib

code := "change.tests_weakened"

escalate contains weaker(note) if {
	not lib.at(["author", "kind"]) == "person"
	some note in input.weakened
}

notes contains weaker(note) if {
	input.author.kind == "person"
	some note in input.weakened
}

weaker(note) := lib.finding(code, $"{lib.text(lib.get(note, "msg"))} (line {lib.get(note, "line")})", lib.get(note, "path"), lib.get(note, "rule"))
