package evoguard_test.policy.bundle_changed_test

import data.evoguard_test.given

code := "policy.bundle_changed"

test_same if given.allows(given.admitted({}))

test_other_at_admit if given.denies(given.admitted({"policy": {"bundle": "sha256:other"}}), code)

test_never_reviewed if given.denies(given.admitted({"policy": {"reviewed_bundle": ""}}), code)

test_nothing_to_compare_at_review if given.allows(given.reviewed({}))

test_without_bundle if given.judged_at_admit(json.remove(given.admit, ["policy/bundle"])).allow == false
