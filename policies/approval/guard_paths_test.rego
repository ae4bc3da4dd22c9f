package evoguard_test.approval.guard_paths_test

import data.evoguard_test.given

code := "approval.guard_paths"

person := {"author": {"id": "carl", "kind": "person"}}

two := given.with_approvals([{}, {"by": "grace"}])

touching(path) := given.with_file({"path": path})

test_plain_paths_pass if given.allows(given.reviewed(touching("lending/policies.py")))

test_agent_touching_component_file if given.denies(given.reviewed(touching(".evoguard.toml")), code)

test_agent_touching_nested_component_file if given.denies(given.reviewed(touching("sub/.evoguard.toml")), code)

test_agent_touching_rules if given.denies(given.reviewed(touching("policies/lib/lib.rego")), code)

test_agent_replacing_rules_folder if given.denies(given.reviewed(touching("policies")), code)

test_agent_touching_owners_at_root if given.denies(given.reviewed(touching("CODEOWNERS")), code)

test_agent_touching_owners_below if given.denies(given.reviewed(touching("docs/CODEOWNERS")), code)

test_agent_touching_workflow if given.denies(given.reviewed(touching(".github/workflows/ci.yml")), code)

test_agent_in_other_case if given.denies(given.reviewed(touching("Policies/DATA.json")), code)

test_agent_with_letters_that_fold if given.denies(given.reviewed(touching("polıcieſ/data.json")), code)

test_agent_renaming_away if {
	renamed := given.with_file({"path": "old.txt", "old_path": "CODEOWNERS", "status": "renamed"})
	given.denies(given.reviewed(renamed), code)
}

test_agent_deleting if given.denies(given.reviewed(given.with_file({"path": "CODEOWNERS", "status": "deleted"})), code)

test_agent_at_admit_with_two_people if {
	given.denies(given.admitted(object.union(touching("CODEOWNERS"), two)), code)
}

test_person_is_escalated_at_review if {
	decision := given.reviewed(object.union(touching("CODEOWNERS"), person))
	given.allows(decision)
	{finding.code | some finding in decision.escalate} == {code}
	decision.quorum == 2
}

test_person_with_one_approver if given.denies(given.admitted(object.union(touching("CODEOWNERS"), person)), code)

test_person_with_two_approvers if {
	given.allows(given.admitted(object.union(object.union(touching("CODEOWNERS"), person), two)))
}

test_person_who_approves_too if {
	votes := given.with_approvals([{}, {"by": "carl"}])
	given.denies(given.admitted(object.union(object.union(touching("CODEOWNERS"), person), votes)), code)
}

test_own_glob_adds if {
	given.denies(given.reviewed({"tighten": {"guard": ["lending/*.py"]}}), code)
}

test_own_glob_covers_root if {
	given.denies(given.reviewed(object.union(touching("keys.pem"), {"tighten": {"guard": ["**/*.pem"]}})), code)
}

test_own_folder_glob_covers_folder_itself if {
	given.denies(given.reviewed(object.union(touching("secure"), {"tighten": {"guard": ["secure/**"]}})), code)
}

test_own_glob_for_other_path if given.allows(given.reviewed({"tighten": {"guard": ["auth/**"]}}))

test_without_author_kind if {
	question := json.remove(object.union(given.review, touching("CODEOWNERS")), ["author/kind"])
	given.judged_at_review(question).allow == false
}

test_escalated_at_review_of_a_person_only if {
	touches := given.with_file({"path": "policies/data.json"})
	person := object.union(touches, {"author": {"id": "eve", "kind": "person"}})
	count([1 | some found in given.reviewed(person).escalate; found.code == "approval.guard_paths"]) == 1
	count([1 | some found in given.admitted(person).escalate; found.code == "approval.guard_paths"]) == 0
	count([1 | some found in given.reviewed(touches).escalate; found.code == "approval.guard_paths"]) == 0
}
