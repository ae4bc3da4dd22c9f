# METADATA
# title: Another open change touches the same files
# description: |
#   Two changes of one file were each judged without the other. People are told which one it is, of whom, and where both
#   touch; a change that is replaced by this one is none.
# custom: {code: change.overlap, severity: escalate, source: "policies/README.md#change"}
# authors: [evoguard]
package evoguard.rules.change.overlap

import data.evoguard.lib

code := "change.overlap"

escalate contains lib.finding(code, told(other), first(other), named(other, "change")) if {
	some other in input.prior.open
}

escalate contains lib.finding(code, $"{lib.at(["prior", "omitted"])} more open changes were not looked at", "", "omitted") if not all_seen

all_seen if input.prior.omitted == 0

told(other) := $"{named(other, "change")} of {named(other, "author")} is open and touches {shared(other)}"

named(other, field) := lib.text(lib.get(other, field))

paths(other) := [lib.text(path) | some path in lib.get(other, "paths")]

first(other) := paths(other)[0]

first(other) := "" if count(paths(other)) == 0

shared(other) := "this file as well" if count(paths(other)) == 1

shared(other) := $"{count(paths(other))} of its files" if count(paths(other)) != 1
