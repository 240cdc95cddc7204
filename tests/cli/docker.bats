#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016,SC2030,SC2031
#
# What docker's users know works as the README says: the rows of its table are run as they stand there, one after another.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/podman
load ../lib/registry

setup() {
	setup_store
	export HOME=$BATS_TEST_TMPDIR/home
	mkdir -p "$HOME" "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/work"
	ln -s "$NACRE" "$BATS_TEST_TMPDIR/bin/nacre"
}

teardown() {
	# shellcheck disable=SC2046
	nacre rm -f $(nacre ps -aq) none >/dev/null 2>&1 || true
	stop_registries
	unmount_all
}

# A line for each row: docker's command, a tab, nacre's commands with tabs between them.
rows() {
	sed -n '/^## For docker/,/^## /s/^| `\(docker [^`]*\)` | \(`nacre .*\) |$/\1\t\2/p' "$NACRE_TOP/README.md" |
		sed 's/`[^`]*$//; s/\t`/\t/; s/`[^`]*`/\t/g'
}

@test "each row of the README's table does what it says" {
	local docker line command count=0
	local -a commands
	make_base_tree "$BATS_TEST_TMPDIR/base"
	tar -C "$BATS_TEST_TMPDIR/base" --owner=0 --group=0 -cf "$BATS_TEST_TMPDIR/work/rootfs.tar" .
	start_registry hub
	export PATH=$BATS_TEST_TMPDIR/bin:$PATH
	cd "$BATS_TEST_TMPDIR/work"
	while IFS= read -r line <&9; do
		IFS=$'\t' read -ra commands <<<"$line"
		docker=${commands[0]}
		for command in "${commands[@]:1}"; do
			command=${command//registry.example.org/$REGISTRY}
			run bash -c "$command" 3>&- 9<&- </dev/null
			[ "$status" = 0 ] || fail "$docker: '$command' ended with $status: $output"
			check_row "$command"
			count=$((count + 1))
		done
	done 9< <(rows)
	[ "$count" -ge 30 ] || fail "only $count commands were found in the README"
	# All but docker build, whose row tests/podman/build.bats runs.
	assert_equal "$(rows | wc -l)" "$(($(grep -c '^| `docker ' "$NACRE_TOP/README.md") - 1))"
}

# What some rows must have done, besides not failing.
check_row() {
	case $1 in
	"nacre images --format"*) assert_equal "$output" base:1 ;;
	"nacre ps -a") assert_output_has "touch /new" ;;
	"nacre diff work") assert_output_has "A /new" ;;
	"nacre commit"*)
		assert_equal "$(nacre inspect base:1 app:1 | jq -c '.[0].RootFS.Layers == .[1].RootFS.Layers[:-1]')" true
		assert_equal "$(nacre inspect app:1 | jq -r '.[0] | .Author + ": " + .Comment')" "who: what"
		;;
	"nacre exec"*) assert_output_has /new ;;
	"nacre cp work:/etc -"*) tar -tf etc.tar | grep -qx etc/copy || fail "no etc/copy in the archive" ;;
	"nacre cp app:1 /etc -"*) tar -tf etc.tar | grep -qx etc/passwd || fail "no etc/passwd in the archive" ;;
	"nacre cp"*) [ -f copy ] ;;
	"nacre top"*) assert_output_has "sleep 1000" ;;
	"nacre wait"*) assert_equal "$output" 137 ;;
	"nacre export"*) tar -tf work.tar | grep -qx './new\|new' || fail "no /new in the archive" ;;
	"nacre stop"*) assert_equal "$(nacre ps -a --format '{{.Name}} {{.State}}' | grep web)" "web exited" ;;
	"nacre load"*) assert_output_has app:1 ;;
	"nacre search "*/*) assert_output_has "$REGISTRY/team/app" ;;
	"nacre search app") assert_output_has "app:1" ;;
	'nacre rmi -f $(nacre images -qa)') assert_equal "$(nacre images -qa)" "" ;;
	esac
}

@test "the table has every command that docker has too" {
	for name in images inspect history tag rmi import load save pull push search commit diff run exec ps logs stop start rm \
		export cp info version kill wait restart rename top; do
		rows | cut -f 2- | grep -q "\bnacre $name\b" || fail "not in the README's table: $name"
	done
}
