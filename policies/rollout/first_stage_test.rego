package evoguard_test.rollout.first_stage_test

import data.evoguard_test.given

code := "rollout.first_stage"

planned(risk, first) := given.admitted(object.union(
	{"impact": {"risk": risk}, "component": {"stages": [first]}},
	given.with_approvals([{}, {"by": "grace"}]),
))

test_a_small_risk_may_begin_anywhere if given.allows(planned(299, 50))

test_a_higher_risk_begins_at_ten if {
	given.allows(planned(300, 10))
	given.denies(planned(300, 11), code)
}

test_a_high_risk_begins_at_one if {
	given.allows(planned(700, 1))
	given.denies(planned(700, 2), code)
}

test_at_review_too if given.denies(given.reviewed({"impact": {"risk": 700}, "component": {"stages": [50, 100]}}), code)

test_only_the_first_stage_counts if {
	given.allows(given.admitted(object.union(
		{"impact": {"risk": 700}, "component": {"stages": [1, 10, 50, 100]}},
		given.with_approvals([{}, {"by": "grace"}]),
	)))
}

test_without_stages if {
	given.denies_field(given.judged_at_admit(json.remove(given.admit, ["component/stages"])), "component.stages")
}

test_without_risk if given.denies_field(given.judged_at_admit(json.remove(given.admit, ["impact/risk"])), "impact.risk")
