package evoguard_test.evidence.unstable_tests_test

import data.evoguard_test.given

code := "evidence.unstable_tests"

day := 86400

now := given.review.now

entry := {"test": "tests/test_a.py::test_a", "until": now + day, "reason": "reads the clock", "owner": "ada"}

unstable(ids, entries) := given.reviewed({"evidence": {"unstable": ids}, "quarantine": entries})

with_entry(changes) := unstable([entry.test], [object.union(entry, changes)])

test_steady if given.allows(given.reviewed({}))

test_in_quarantine if given.allows(unstable([entry.test], [entry]))

test_not_in_quarantine if given.denies_term(unstable([entry.test], []), code, entry.test)

test_another_is_in_quarantine if given.denies(with_entry({"test": "tests/test_a.py::test_b"}), code)

test_one_of_two if given.denies_term(unstable([entry.test, "tests/test_a.py::test_b"], [entry]), code, "tests/test_a.py::test_b")

test_more_than_can_be_told if given.denies_term(unstable([entry.test, "and 3 more"], [entry]), code, "and 3 more")

test_ends_this_second if given.denies(with_entry({"until": now}), code)

test_has_run_out if given.denies(with_entry({"until": now - day}), code)

test_at_most_ninety_days if given.allows(with_entry({"until": now + (90 * day)}))

test_longer_than_ninety_days if given.denies(with_entry({"until": (now + (90 * day)) + 1}), code)

test_without_reason if given.denies(with_entry({"reason": ""}), code)

test_without_owner if given.denies(with_entry({"owner": ""}), code)

test_still_asked_at_admit if {
	given.denies(given.admitted({"evidence": {"unstable": [entry.test]}}), code)
}

test_an_entry_without_its_end if {
	given.denies(unstable([entry.test], [object.remove(entry, ["until"])]), code)
}

test_an_end_that_is_text if given.denies(with_entry({"until": "2027-01-01"}), code)

test_without_unstable if given.denies(given.judged_at_review(json.remove(given.review, ["evidence/unstable"])), code)

test_unstable_of_another_type if given.denies(given.proved({"unstable": "none"}), code)

test_without_quarantine if {
	given.denies(given.judged_at_review(json.remove(given.review, ["quarantine"])), "input.incomplete")
}

test_without_now if given.denies(given.judged_at_review(json.remove(given.review, ["now"])), "input.incomplete")

test_one_that_nobody_named_has_one_reason if {
	said := {finding.msg | some finding in unstable([entry.test], []).deny; finding.code == code}
	said == {"the test does not come out the same each time and is not in quarantine"}
}
