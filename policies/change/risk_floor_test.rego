package evoguard_test.change.risk_floor_test

import data.evoguard_test.given

code := "change.risk_floor"

measured(changes) := given.reviewed({"impact": changes})

with_points(points) := {"features": [object.union(given.feature, {"points": points})]}

test_risk_at_its_floor if given.allows(measured({"risk": 80, "floor": 80}))

test_risk_above_its_floor if given.allows(measured({"risk": 90, "floor": 80}))

test_risk_below_its_floor if given.denies_term(measured({"risk": 79, "floor": 80}), code, "risk")

test_no_line_of_the_sum if given.denies_term(measured({"features": []}), code, "features")

test_a_line_at_the_floor if given.allows(measured(with_points(80)))

test_a_line_above_the_floor if given.denies_term(measured(with_points(81)), code, "lines")

test_at_admit_too if given.denies(given.admitted({"impact": {"risk": 79, "floor": 80}}), code)

test_without_impact if given.denies(given.judged_at_review(json.remove(given.review, ["impact"])), code)

test_without_risk if given.denies(given.judged_at_review(json.remove(given.review, ["impact/risk"])), code)

test_without_floor if given.denies(given.judged_at_review(json.remove(given.review, ["impact/floor"])), code)

test_without_features if given.denies(given.judged_at_review(json.remove(given.review, ["impact/features"])), code)

test_a_line_without_points if {
	given.denies_term(measured({"features": [object.remove(given.feature, ["points"])]}), code, "lines")
}
