package evoguard_test.evidence.not_inspected_test

import data.evoguard_test.given

code := "evidence.not_inspected"

inspected(changes) := given.reviewed({"inspection": changes})

test_complete if given.allows(given.reviewed({}))

test_incomplete if given.denies_term(inspected({"status": "incomplete"}), code, "incomplete")

test_not_run if given.denies_term(inspected({"status": "not run"}), code, "not run")

test_another_word if given.denies(inspected({"status": "fine"}), code)

test_more_than_is_listed if given.denies_term(inspected({"omitted": 1}), code, "1 more")

test_without_a_bill if {
	every name in ["base", "head", "difference"] {
		given.denies_term(given.reviewed({"sbom": {name: ""}}), code, name)
		given.denies_term(given.judged_at_review(json.remove(given.review, [$"sbom/{name}"])), code, name)
	}
}

test_still_asked_at_admit if given.denies(given.admitted({"inspection": {"status": "not run"}}), code)

test_without_inspection if given.denies(given.judged_at_review(json.remove(given.review, ["inspection"])), code)

test_without_omitted if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["inspection/omitted"])), "inspection.omitted")
}
