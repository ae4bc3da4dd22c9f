package evoguard_test.change.unbounded_test

import data.evoguard_test.given

code := "change.unbounded"

test_at_the_limit_of_files if given.allows(given.counted({"files": 100}))

test_over_the_limit_of_files if given.denies_term(given.counted({"files": 101}), code, "files")

test_longer_list_than_claimed if {
	given.denies_term(given.reviewed({"files": [given.file | some _ in numbers.range(1, 101)]}), code, "files")
}

test_at_the_limit_of_lines if given.allows(given.counted({"added": 2000, "deleted": 1000}))

test_over_the_limit_of_lines if given.denies_term(given.counted({"added": 2000, "deleted": 1001}), code, "lines")

test_more_lines_than_claimed if given.denies_term(given.reviewed(given.with_file({"added": 3001})), code, "lines")

test_omitted if given.denies_term(given.counted({"omitted": 1}), code, "omitted")

test_binary_added if {
	given.denies_term(given.reviewed(given.with_file({"binary": true, "status": "added"})), code, "binary")
}

test_binary_modified if given.denies_term(given.reviewed(given.with_file({"binary": true})), code, "binary")

test_binary_deleted if given.allows(given.reviewed(given.with_file({"binary": true, "status": "deleted"})))

test_lower_own_limit_of_files if {
	given.denies_term(given.reviewed({"totals": {"files": 10}, "tighten": {"max_files": 9}}), code, "files")
}

test_within_own_limit_of_files if given.allows(given.reviewed({"totals": {"files": 20}, "tighten": {"max_files": 100}}))

test_higher_own_limit_of_files if {
	given.denies_term(given.reviewed({"totals": {"files": 101}, "tighten": {"max_files": 1000}}), code, "files")
}

test_lower_own_limit_of_lines if given.denies_term(given.reviewed({"tighten": {"max_lines": 3}}), code, "lines")

test_higher_own_limit_of_lines if {
	given.denies_term(given.reviewed({"totals": {"added": 3001}, "tighten": {"max_lines": 9000}}), code, "lines")
}

test_without_totals if given.judged_at_review(json.remove(given.review, ["totals"])).allow == false

test_own_limit_of_one if {
	given.denies_term(given.reviewed({"totals": {"files": 2}, "tighten": {"max_files": 1}}), code, "files")
	given.denies_term(given.reviewed({"totals": {"added": 2}, "tighten": {"max_lines": 1}}), code, "lines")
}
