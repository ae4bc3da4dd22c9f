package evoguard_test.change.vulnerable_test

import data.evoguard_test.given

code := "change.vulnerable"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

fits(changes) := given.reviewed({"vulnerable": [object.union(given.vulnerable, changes)]})

test_none if {
	given.allows(given.reviewed({}))
	found(given.reviewed({}), "escalate") == set()
}

test_bad_ones_deny if {
	every severity in ["malicious", "critical", "high", "unknown", "odd"] {
		given.denies_term(fits({"severity": severity}), code, "GHSA-0000-0000-0000")
	}
}

test_what_is_tolerated_asks_people if {
	every severity in ["moderate", "low"] {
		given.allows(fits({"severity": severity}))
		found(fits({"severity": severity}), "escalate") == {"GHSA-0000-0000-0000"}
	}
}

test_a_bad_one_is_denied_not_asked_about if found(fits({"severity": "high"}), "escalate") == set()

test_without_severity if {
	question := object.union(given.review, {"vulnerable": [object.remove(given.vulnerable, ["severity"])]})
	given.denies(given.judged_at_review(question), code)
}

test_without_vulnerable if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["vulnerable"])), "vulnerable")
}

test_still_denied_at_admit if given.denies(given.admitted({"vulnerable": [given.vulnerable]}), code)
