package evoguard_test.evidence.not_passed_test

import data.evoguard_test.given

code := "evidence.not_passed"

test_passed if given.allows(given.reviewed({}))

test_red if given.denies(given.proved({"passed": false}), code)

test_nothing_ran if given.denies(given.proved({"run": 0, "expected": 0}), code)

test_fewer_than_expected if given.denies(given.proved({"run": 9, "expected": 10}), code)

test_more_than_expected if given.denies(given.proved({"run": 10, "expected": 9}), code)

test_one_failed if given.denies(given.proved({"failed": 1}), code)

test_red_at_admit if given.denies(given.admitted({"evidence": {"passed": false}}), code)

test_text_is_not_true if given.denies(given.proved({"passed": "true"}), code)

test_without_passed if given.denies(given.judged_at_review(json.remove(given.review, ["evidence/passed"])), code)

test_without_evidence if given.denies(given.judged_at_review(json.remove(given.review, ["evidence"])), "input.incomplete")

test_one_test_is_a_test if given.allows(given.proved({"expected": 1, "run": 1}))
