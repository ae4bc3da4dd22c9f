package evoguard_test.evidence.not_isolated_test

import data.evoguard_test.given

code := "evidence.not_isolated"

test_gvisor if given.allows(given.reviewed({}))

test_nothing_proved if given.denies(given.reviewed({"evidence": {"isolation": ""}}), code)

test_container if given.denies(given.reviewed({"evidence": {"isolation": "docker"}}), code)

test_without_isolation if given.denies(given.judged_at_review(json.remove(given.review, ["evidence/isolation"])), code)
