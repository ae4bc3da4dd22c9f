package evoguard_test.change.overlap_test

import data.evoguard_test.given

code := "change.overlap"

found(decision) := {[finding.path, finding.term] | some finding in decision.escalate; finding.code == code}

with_open(rows) := given.reviewed({"prior": {"open": rows}})

lost(field) := with_open([object.remove(given.open_change, [field])])

test_alone if found(given.reviewed({})) == set()

test_another_on_the_same_file if {
	decision := with_open([given.open_change])
	given.allows(decision)
	found(decision) == {["lending/scoring.py", "ch-other"]}
	some finding in decision.escalate
	finding.msg == "ch-other of rival is open and touches this file as well"
}

test_several_files_are_counted if {
	decision := with_open([object.union(given.open_change, {"paths": ["a.py", "b.py"]})])
	some finding in decision.escalate
	finding.path == "a.py"
	finding.msg == "ch-other of rival is open and touches 2 of its files"
}

test_each_change_is_told if {
	second := object.union(given.open_change, {"change": "ch-third"})
	count(found(with_open([given.open_change, second]))) == 2
}

test_at_admit_too if count(found(given.admitted({"prior": {"open": [given.open_change]}}))) == 1

test_those_not_looked_at_are_told if found(given.reviewed({"prior": {"omitted": 1}})) == {["", "omitted"]}

test_without_omitted if {
	decision := given.judged_at_review(json.remove(given.review, ["prior/omitted"]))
	found(decision) == {["", "omitted"]}
	given.denies_field(decision, "prior.omitted")
}

test_without_open if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["prior/open"])), "prior.open")
}

test_a_row_that_lost_a_field_is_still_told if {
	every field in ["change", "author", "paths"] {
		count(found(lost(field))) == 1
		given.denies_field(lost(field), $"prior.open[0].{field}")
	}
}
