package evoguard_test.evidence.not_isolated_test

import data.evoguard_test.given

code := "evidence.not_isolated"

test_gvisor if given.allows(given.reviewed({}))

test_nothing_proved if given.denies(given.reviewed({"evidence": {"isolation": ""}}), code)

test_container if given.denies(given.reviewed({"evidence": {"isolation": "docker"}}), code)

test_a_runtime_that_settings_call_unsafe if {
	given.denies_term(given.reviewed({"evidence": {"isolation": "unsafe-runc"}}), code, "unsafe-runc")
}

test_unsafe_at_admit if given.denies(given.admitted({"evidence": {"isolation": "unsafe-runc"}}), code)

test_a_name_that_begins_alike if given.denies(given.reviewed({"evidence": {"isolation": "gvisor-unsafe"}}), code)

test_without_isolation if given.denies(given.judged_at_review(json.remove(given.review, ["evidence/isolation"])), code)
