#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/registry

setup() {
	setup_store
	unset REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_RUNTIME_DIR XDG_CONFIG_HOME
	cd "$BATS_TEST_TMPDIR" || return
	serve_app
}
teardown() { stop_registries; }
teardown_file() { stop_faults; }

@test "search finds images of the store by a part of their names" {
	nacre import -q base.tar tools/one:1
	nacre import -q base.tar tools/two:2
	assert_equal "$(nacre search -q tools | sort | tr '\n' ' ')" "tools/one:1 tools/two:2 "
	assert_equal "$(nacre search -q one)" "tools/one:1"
	assert_equal "$(nacre search -q none)" ""
	run nacre search --json two
	assert_equal "$(json '.[0] | .Name + " " + (.Registry | tostring)')" "tools/two:2 null"
	assert_misused nacre search
	assert_misused nacre search a b
}

@test "search looks through all pages of a registry's catalogue" {
	for n in 1 2 3 4 5; do cp -r served/app "served/app$n"; done
	cp -r served/app served/other
	start_faults pages:2
	assert_equal "$(nacre search -q "$REGISTRY/app" | wc -l)" 6
	assert_equal "$(nacre search -q "$REGISTRY/" | wc -l)" 7
	assert_equal "$(nacre search -q "$REGISTRY/th")" "$REGISTRY/other"
	assert_equal "$(nacre search --json "$REGISTRY/other" | jq -r '.[0].Registry')" "$REGISTRY"
	assert_equal "$(nacre search -q --list-tags "$REGISTRY/app")" "$REGISTRY/app:1"
	run nacre search --json --list-tags "$REGISTRY/app"
	schema_ok search
	assert_refused "NAME_UNKNOWN" nacre search --list-tags "$REGISTRY/none"
	nacre pull -q "$(nacre search -q --list-tags "$REGISTRY/other")"
	assert_refused "no catalogue" nacre search docker.io/alpine
}

@test "search in a registry over TLS with a password" {
	start_registry one tls
	assert_refused "wants a name and a password" nacre search --cacert "$CACERT" "$REGISTRY/"
	write_auth "$HOME/.docker/config.json" tester secret "$REGISTRY"
	run nacre search -q --cacert "$CACERT" "$REGISTRY/"
	assert_status 0
	assert_equal "$output" ""
	skopeo --insecure-policy copy -q --dest-creds tester:secret --dest-tls-verify=false oci:served/app:app:1 \
		"docker://$REGISTRY/team/app:1"
	assert_equal "$(nacre search -q --cacert "$CACERT" "$REGISTRY/")" "$REGISTRY/team/app"
	assert_equal "$(nacre search -q --list-tags --cacert "$CACERT" "$REGISTRY/team/app")" "$REGISTRY/team/app:1"
}
