package evoguard_test.evidence.regression_test

import data.evoguard_test.given

code := "evidence.regression"

found(kind) := {"code": kind, "component": "scoring", "case": "a loan", "msg": "was 1, is 2"}

differing(kind) := given.replayed({"findings": [found(kind)]})

escalates(decision, term) if {
	some finding in decision.escalate
	finding.code == code
	finding.term == term
	finding.path == "scoring a loan"
}

silent(decision) if {
	every finding in decision.deny | decision.escalate { finding.code != code }
}

test_nothing_is_declared if silent(given.reviewed({}))

test_all_answered_alike if {
	given.allows(given.replayed({}))
	silent(given.replayed({}))
}

test_a_listed_difference_asks_people if {
	every kind in ["regression.answer", "regression.stale", "regression.time", "regression.unstable"] {
		escalates(differing(kind), kind)
		given.allows(differing(kind))
	}
}

test_every_other_difference_denies if {
	every kind in ["regression.error", "regression.pinned", "regression.effect", "regression.not_run", "regression.new"] {
		given.denies_term(differing(kind), code, kind)
		not escalates(differing(kind), kind)
	}
}

test_data_decide if {
	decision := differing("regression.answer") with data.evidence.regression_escalates as []
	given.denies_term(decision, code, "regression.answer")
	other := differing("regression.error") with data.evidence.regression_escalates as ["regression.error"]
	escalates(other, "regression.error")
	given.allows(other)
}

test_not_run if given.denies_term(given.replayed({"status": "not run"}), code, "not run")

test_incomplete if given.denies_term(given.replayed({"status": "incomplete"}), code, "incomplete")

test_an_answer_is_missing if given.denies_term(given.replayed({"answered": 1}), code, "complete")

test_complete_of_nothing if given.denies_term(given.replayed({"asked": 0, "answered": 0}), code, "complete")

test_complete_and_nothing_declared if given.denies_term(given.replayed({"declared": 0}), code, "complete")

test_none_though_some_are_declared if given.denies_term(given.replayed({"status": "none"}), code, "none")

test_more_than_is_listed if given.denies_term(given.replayed({"omitted": 3}), code, "3 more")

test_still_asked_at_admit if {
	given.denies_term(given.admitted({"regression": object.union(given.replay, {"status": "not run"})}), code, "not run")
}

test_a_finding_without_its_words_still_denies if {
	given.denies(given.replayed({"findings": [{"code": "regression.error"}]}), code)
	given.denies(given.replayed({"findings": [{}]}), code)
}

test_without_regression if given.denies(given.judged_at_review(json.remove(given.review, ["regression"])), code)

test_without_each_field if {
	every field in ["digest", "declared", "status", "asked", "answered", "omitted", "findings"] {
		given.denies_field(given.judged_at_review(json.remove(given.review, [$"regression/{field}"])), $"regression.{field}")
	}
}
