package evoguard_test.rollout.step_test

import data.evoguard_test.given

code := "rollout.step"

planned(risk, stages) := given.admitted(object.union(
	{"impact": {"risk": risk}, "component": {"stages": stages}},
	given.with_approvals([{}, {"by": "grace"}]),
))

test_a_small_risk_may_take_any_step if given.allows(planned(299, [1, 100]))

test_a_higher_risk_takes_ten_times if {
	given.allows(planned(300, [1, 10, 100]))
	given.denies(planned(300, [1, 11, 100]), code)
}

test_every_step_counts if given.denies(planned(300, [1, 2, 21, 100]), code)

test_one_stage_is_no_step if given.allows(planned(300, [10]))

test_at_review_too if given.denies(given.reviewed({"impact": {"risk": 300}, "component": {"stages": [1, 50, 100]}}), code)

test_without_stages if {
	given.denies_field(given.judged_at_admit(json.remove(given.admit, ["component/stages"])), "component.stages")
}

test_without_risk if given.denies_field(given.judged_at_admit(json.remove(given.admit, ["impact/risk"])), "impact.risk")
