package evoguard_test.input.incomplete_test

import data.evoguard_test.given

# A question with one item in every list, so that a field of an item can be lost.
full := object.union(given.admit, {
	"secrets": [given.secret],
	"owners": [{"path": "lending/scoring.py", "names": ["@ada"]}],
	"quarantine": [given.set_aside],
	"dependencies": [given.dependency],
	"faults": [given.fault],
	"vulnerable": [given.vulnerable],
	"weakened": [given.weaker],
	"blobs": [given.blob],
	"capabilities": [given.capability],
})

# Lost, null, a number below zero, a table: wrong for every field.
needed(field) if {
	path := split(field, ".")
	named(json.remove(full, [concat("/", path)]), field)
	every wrong in [null, -1, {}] {
		named(changed(path, wrong), field)
	}
}

changed([key], value) := object.union(full, {key: value})

changed([part, key], value) := object.union(json.remove(full, [$"{part}/{key}"]), {part: {key: value}})

needed_in(list, field) if {
	item := full[list][0]
	without := object.remove(item, [field])
	name := $"{list}[0].{field}"
	named(object.union(full, {list: [without]}), name)
	every wrong in [null, -1, {}] {
		named(object.union(full, {list: [object.union(without, {field: wrong})]}), name)
	}
}

named(question, field) if {
	decision := given.judged_at_admit(question)
	decision.allow == false
	some finding in decision.deny
	finding.code == "input.incomplete"
	finding.path == field
}

refused(decision, field) if {
	decision.allow == false
	some finding in decision.deny
	finding.code == "input.incomplete"
	finding.path == field
}

test_needs_v if needed("v")

test_needs_stage if needed("stage")

test_needs_now if needed("now")

test_needs_change_id if needed("change.id")

test_needs_change_repo if needed("change.repo")

test_needs_impact_floor if needed("impact.floor")

test_needs_impact_risk if needed("impact.risk")

test_needs_impact_features if needed("impact.features")

test_needs_impact_known if needed("impact.known")

test_needs_impact_unknown if needed("impact.unknown")

test_needs_impact_dependants if needed("impact.dependants")

test_needs_impact_tests if needed("impact.tests")

test_needs_impact_components if needed("impact.components")

test_needs_each_field_of_a_feature if {
	every field in ["name", "value", "points", "hard", "note"] {
		named(
			changed(["impact", "features"], [object.remove(given.feature, [field])]),
			$"impact.features[0].{field}",
		)
	}
}

test_points_end_at_1000 if {
	named(changed(["impact", "risk"], 1001), "impact.risk")
	named(changed(["impact", "floor"], 1001), "impact.floor")
}

test_needs_change_base if needed("change.base")

test_needs_change_head if needed("change.head")

test_needs_change_tree if needed("change.tree")

test_needs_change_intent if needed("change.intent")

test_needs_change_component if needed("change.component")

test_needs_files if needed("files")

test_needs_totals_files if needed("totals.files")

test_needs_totals_added if needed("totals.added")

test_needs_totals_deleted if needed("totals.deleted")

test_needs_totals_omitted if needed("totals.omitted")

test_needs_author_id if needed("author.id")

test_needs_author_kind if needed("author.kind")

test_needs_author_held if needed("author.held")

test_needs_author_model if needed("author.model")

test_needs_tighten_seats if needed("tighten.seats")

test_needs_approvals_item_model if needed_in("approvals", "model")

test_needs_author_sponsors if needed("author.sponsors")

test_needs_owners if needed("owners")

test_needs_owners_item_path if needed_in("owners", "path")

test_needs_owners_item_names if needed_in("owners", "names")

test_needs_prior_reverted if needed("prior.reverted")

test_needs_prior_open if needed("prior.open")

test_needs_prior_omitted if needed("prior.omitted")

test_data_without_prior if {
	without_data(given.judged_at_review(given.review)) with data.prior as {}
	without_data(given.judged_at_review(given.review)) with data.prior.days as "30"
	without_data(given.judged_at_review(given.review)) with data.prior.reverts as -1
}

test_data_without_approval if {
	without_data(given.judged_at_review(given.review)) with data.approval as {}
	without_data(given.judged_at_review(given.review)) with data.approval.sponsors_count as "no"
	without_data(given.judged_at_review(given.review)) with data.approval.seats as "1"
	without_data(given.judged_at_review(given.review)) with data.approval.owners as []
	without_data(given.judged_at_review(given.review)) with data.approval.owners as {"@ada": "ada"}
	without_data(given.judged_at_review(given.review)) with data.approval.owners as {"@ada": [1]}
}

test_needs_component_name if needed("component.name")

test_needs_component_flag if needed("component.flag")

test_needs_component_kpis if needed("component.kpis")

test_needs_component_quorum if needed("component.quorum")

test_needs_component_stages if needed("component.stages")

test_needs_evidence_digest if needed("evidence.digest")

test_needs_evidence_passed if needed("evidence.passed")

test_needs_evidence_isolation if needed("evidence.isolation")

test_needs_evidence_behaviour if needed("evidence.behaviour")

test_needs_evidence_assurance if needed("evidence.assurance")

test_needs_evidence_expected if needed("evidence.expected")

test_needs_evidence_run if needed("evidence.run")

test_needs_evidence_failed if needed("evidence.failed")

test_needs_evidence_split if needed("evidence.split")

test_needs_evidence_unstable if needed("evidence.unstable")

test_needs_evidence_review if needed("evidence.review")

test_needs_quarantine if needed("quarantine")

test_needs_quarantine_item_test if needed_in("quarantine", "test")

test_needs_quarantine_item_until if needed_in("quarantine", "until")

test_needs_quarantine_item_reason if needed_in("quarantine", "reason")

test_needs_quarantine_item_owner if needed_in("quarantine", "owner")

test_needs_inspection_digest if needed("inspection.digest")

test_needs_inspection_status if needed("inspection.status")

test_needs_inspection_omitted if needed("inspection.omitted")

test_needs_advisories_status if needed("advisories.status")

test_needs_advisories_digest if needed("advisories.digest")

test_needs_advisories_imported if needed("advisories.imported")

test_needs_advisories_newest if needed("advisories.newest")

test_needs_advisories_entries if needed("advisories.entries")

test_needs_sbom_base if needed("sbom.base")

test_needs_sbom_head if needed("sbom.head")

test_needs_sbom_difference if needed("sbom.difference")

test_needs_dependencies if needed("dependencies")

test_needs_dependencies_item_ecosystem if needed_in("dependencies", "ecosystem")

test_needs_dependencies_item_name if needed_in("dependencies", "name")

test_needs_dependencies_item_version if needed_in("dependencies", "version")

test_needs_dependencies_item_before if needed_in("dependencies", "before")

test_needs_dependencies_item_change if needed_in("dependencies", "change")

test_needs_dependencies_item_path if needed_in("dependencies", "path")

test_needs_dependencies_item_line if needed_in("dependencies", "line")

test_needs_dependencies_item_origin if needed_in("dependencies", "origin")

test_needs_dependencies_item_where if needed_in("dependencies", "where")

test_needs_dependencies_item_pinned if needed_in("dependencies", "pinned")

test_needs_dependencies_item_scripts if needed_in("dependencies", "scripts")

test_needs_dependencies_item_alike if needed_in("dependencies", "alike")

test_needs_dependencies_item_how if needed_in("dependencies", "how")

test_needs_dependencies_item_licence if needed_in("dependencies", "licence")

test_needs_dependencies_item_licences if needed_in("dependencies", "licences")

test_needs_dependencies_item_alias if needed_in("dependencies", "alias")

test_needs_dependencies_item_own if needed_in("dependencies", "own")

test_needs_faults if needed("faults")

test_needs_faults_item_path if needed_in("faults", "path")

test_needs_faults_item_line if needed_in("faults", "line")

test_needs_faults_item_why if needed_in("faults", "why")

test_needs_faults_item_kind if needed_in("faults", "kind")

test_needs_vulnerable if needed("vulnerable")

test_needs_vulnerable_item_id if needed_in("vulnerable", "id")

test_needs_vulnerable_item_severity if needed_in("vulnerable", "severity")

test_needs_vulnerable_item_ecosystem if needed_in("vulnerable", "ecosystem")

test_needs_vulnerable_item_name if needed_in("vulnerable", "name")

test_needs_vulnerable_item_version if needed_in("vulnerable", "version")

test_needs_vulnerable_item_path if needed_in("vulnerable", "path")

test_needs_vulnerable_item_line if needed_in("vulnerable", "line")

test_needs_weakened if needed("weakened")

test_needs_weakened_item_rule if needed_in("weakened", "rule")

test_needs_weakened_item_path if needed_in("weakened", "path")

test_needs_weakened_item_line if needed_in("weakened", "line")

test_needs_weakened_item_msg if needed_in("weakened", "msg")

test_needs_capabilities if needed("capabilities")

test_needs_capabilities_item_rule if needed_in("capabilities", "rule")

test_needs_capabilities_item_path if needed_in("capabilities", "path")

test_needs_capabilities_item_line if needed_in("capabilities", "line")

test_needs_capabilities_item_msg if needed_in("capabilities", "msg")

test_needs_dependencies_item_pinned_before if needed_in("dependencies", "pinned_before")

test_needs_blobs if needed("blobs")

test_needs_blobs_item_rule if needed_in("blobs", "rule")

test_needs_blobs_item_path if needed_in("blobs", "path")

test_needs_blobs_item_line if needed_in("blobs", "line")

test_needs_blobs_item_msg if needed_in("blobs", "msg")

test_needs_secrets if needed("secrets")

test_needs_approvals if needed("approvals")

test_needs_approval_digest if needed("approval_digest")

test_needs_tighten_guard if needed("tighten.guard")

test_needs_tighten_max_files if needed("tighten.max_files")

test_needs_tighten_max_lines if needed("tighten.max_lines")

test_needs_tighten_quorum if needed("tighten.quorum")

test_needs_tighten_assurance if needed("tighten.assurance")

test_needs_tighten_split_percent if needed("tighten.split_percent")

test_no_more_than_all if named(changed(["tighten", "split_percent"], 101), "tighten.split_percent")

test_needs_policy_bundle if needed("policy.bundle")

test_needs_policy_reviewed_bundle if needed("policy.reviewed_bundle")

test_needs_files_item_path if needed_in("files", "path")

test_needs_files_item_old_path if needed_in("files", "old_path")

test_needs_files_item_status if needed_in("files", "status")

test_needs_files_item_added if needed_in("files", "added")

test_needs_files_item_deleted if needed_in("files", "deleted")

test_needs_files_item_binary if needed_in("files", "binary")

test_needs_files_item_mode_old if needed_in("files", "mode_old")

test_needs_files_item_mode_new if needed_in("files", "mode_new")

test_needs_files_item_size if needed_in("files", "size")

test_needs_secrets_item_rule if needed_in("secrets", "rule")

test_needs_secrets_item_path if needed_in("secrets", "path")

test_needs_secrets_item_line if needed_in("secrets", "line")

test_needs_approvals_item_by if needed_in("approvals", "by")

test_needs_approvals_item_kind if needed_in("approvals", "kind")

test_needs_approvals_item_digest if needed_in("approvals", "digest")

test_needs_approvals_item_at if needed_in("approvals", "at")

test_needs_approvals_item_expires if needed_in("approvals", "expires")

test_needs_approvals_item_verdict if needed_in("approvals", "verdict")

test_complete_at_review if given.allows(given.reviewed({}))

test_complete_at_admit if given.allows(given.admitted({}))

test_nothing_at_all if given.denies(given.judged_at_review({}), "input.incomplete")

test_null if given.denies(given.judged_at_review(null), "input.incomplete")

test_a_list if given.denies(given.judged_at_admit([]), "input.incomplete")

test_review_question_at_admit if refused(given.judged_at_admit(given.review), "stage")

test_admit_question_at_review if refused(given.judged_at_review(given.admit), "stage")

test_second_item_is_read_too if refused(given.reviewed({"files": [given.file, {}]}), "files[1].path")

test_item_that_is_no_table if refused(given.reviewed({"files": ["a.py"]}), "files[0].path")

test_another_version if refused(given.reviewed({"v": 2}), "v")

test_empty_id if refused(given.reviewed({"change": {"id": ""}}), "change.id")

test_unknown_status if refused(given.reviewed(given.with_file({"status": "copied"})), "files[0].status")

test_unknown_vote if refused(given.admitted(given.with_approvals([{"verdict": "approved"}])), "approvals[0].verdict")

test_fraction if refused(given.reviewed({"totals": {"added": 1.5}}), "totals.added")

test_stage_that_is_no_number if refused(given.reviewed({"component": {"stages": ["1"]}}), "component.stages")

test_empty_kpi_name if refused(given.reviewed({"component": {"kpis": [""]}}), "component.kpis")

test_glob_that_cannot_be_read if refused(given.reviewed({"tighten": {"guard": ["[a"]}}), "tighten.guard")

test_glob_that_is_no_text if refused(given.reviewed({"tighten": {"guard": [7]}}), "tighten.guard")

test_path_out_of_the_tree if refused(given.reviewed(given.with_file({"path": "a/../policies/x"})), "files[0].path")

test_path_from_the_root if refused(given.reviewed(given.with_file({"path": "/etc/passwd"})), "files[0].path")

test_path_with_backslash if refused(given.reviewed(given.with_file({"path": "policies\\x.rego"})), "files[0].path")

test_old_path_out_of_the_tree if refused(given.reviewed(given.with_file({"old_path": "./x"})), "files[0].old_path")

test_no_approval_digest_at_admit if refused(given.admitted({"approval_digest": ""}), "approval_digest")

test_data_without_limits if {
	decision := data.evoguard.review with input as given.review with data.limits as {}
	refused(decision, "data")
}

test_data_without_quarantine_days if {
	decision := data.evoguard.review with input as given.review with data.evidence.quarantine_days as "90"
	refused(decision, "data")
}

test_data_without_guard if {
	decision := data.evoguard.review with input as given.review with data.guard.globs as []
	refused(decision, "data")
}

without_data(decision) if given.denies_field(decision, "data")

test_data_of_another_type if {
	without_data(given.judged_at_review(given.review)) with data.change.locks as [1]
	without_data(given.judged_at_review(given.review)) with data.modes.executable as 5
	without_data(given.judged_at_review(given.review)) with data.modes.executable as ""
	without_data(given.judged_at_review(given.review)) with data.evidence.assurance as "none"
}

test_a_hundred_percent_is_the_most if {
	given.allows(given.reviewed({"tighten": {"split_percent": 100}}))
	given.denies_field(given.reviewed({"tighten": {"split_percent": 101}}), "tighten.split_percent")
}

test_what_is_named_at_admit_is_a_text_at_review_too if {
	given.denies_field(given.reviewed({"approval_digest": 5}), "approval_digest")
	given.denies_field(given.reviewed({"policy": {"reviewed_bundle": null}}), "policy.reviewed_bundle")
}
