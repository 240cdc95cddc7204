#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Random operations against a plain directory as the model (model.py), seeded: a failure prints its seed and as few
# operations as still fail.
# More by hand: NACRE_SEEDS="1 2 3" NACRE_OPERATIONS=100000 NACRE_WITHOUT="tmpfile acl".
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs
load ../lib/model

setup_file() { make_lowers model_lowest model_topmost; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "operations give the same as on a plain directory, and after remounts" {
	# Without volatile each copy-up waits for the disk.
	run_model 1 "$(count 8000 1000)" "" volatile volatile,metacopy=on volatile,metacopy=off volatile,timeout=0 \
		volatile,writeback=0 timeout=0,metacopy=on
}
