package evoguard_test.rollout.missing_flag_test

import data.evoguard_test.given

code := "rollout.missing_flag"

missing := {"component": {"flag": ""}}

test_present if given.allows(given.admitted({}))

test_missing_at_review_is_a_note if {
	decision := given.reviewed(missing)
	given.allows(decision)
	{note.code | some note in decision.notes} == {code}
}

test_missing_at_admit if given.denies(given.admitted(missing), code)

test_without_field if given.judged_at_admit(json.remove(given.admit, ["component/flag"])).allow == false

test_missing_at_admit_is_no_note if given.admitted(missing).notes == set()
