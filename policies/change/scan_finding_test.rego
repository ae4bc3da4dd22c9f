package evoguard_test.change.scan_finding_test

import data.evoguard_test.given

code := "change.scan_finding"

with_hit(changes) := given.reviewed({"hits": [object.union(given.hit, changes)]})

test_no_hit if given.allows(given.reviewed({}))

test_an_error_denies if given.denies_term(with_hit({}), code, "python.decoded_code")

test_an_error_says_where if {
	some finding in with_hit({}).deny
	finding.code == code
	finding.path == "lending/scoring.py"
	finding.msg == "code is run that was decoded from data (line 7)"
}

test_a_warning_asks_people if {
	decision := with_hit({"severity": "warning"})
	given.allows(decision)
	some finding in decision.escalate
	finding.code == code
}

test_an_info_is_told if {
	decision := with_hit({"severity": "info"})
	given.allows(decision)
	count(decision.escalate) == 0
	some finding in decision.notes
	finding.code == code
}

test_another_severity_denies if given.denies(with_hit({"severity": "style"}), code)

test_no_severity_denies if given.denies(given.reviewed({"hits": [object.remove(given.hit, ["severity"])]}), code)

test_a_hit_without_path_denies if {
	given.denies_field(given.reviewed({"hits": [object.remove(given.hit, ["path"])]}), "hits[0].path")
}

test_more_than_is_listed_denies if given.denies_term(given.scanned({"omitted": 3}), code, "3 more")

test_still_denied_at_admit if given.denies(given.admitted({"hits": [given.hit]}), code)

test_without_hits if given.denies(given.judged_at_review(json.remove(given.review, ["hits"])), "input.incomplete")

test_hits_of_another_type if given.denies(given.reviewed({"hits": "none"}), "input.incomplete")

test_without_omitted if {
	given.denies(given.judged_at_review(json.remove(given.review, ["scan/omitted"])), "input.incomplete")
}

test_one_more_than_is_listed_denies if given.denies_term(given.scanned({"omitted": 1}), code, "1 more")

test_a_warning_is_no_note_and_an_error_neither if {
	every severity in ["warning", "error"] {
		count([1 | some note in with_hit({"severity": severity}).notes; note.code == code]) == 0
	}
}
