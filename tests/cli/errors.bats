#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
#
# What every command says when it cannot do what it is asked: the same way, on stderr, with docker's exit statuses.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	mkdir -p "$BATS_TEST_TMPDIR/here/mnt"
	cd "$BATS_TEST_TMPDIR/here" || exit
	cp "$BASE_TAR" rootfs.tar
}
teardown() { unmount_all; }

# One call of each command that asks for something in the store; "none" is not there.
calls() {
	cat <<-'END'
		inspect none
		history none
		tag none x
		rmi none
		save -o out none
		push none
		mount none mnt
		mount --container none mnt
		mount --layer 1234 mnt
		diff none
		diff none none
		diff --layer 1234
		export none
		export --layer 1234
		commit none x
		run none true
		exec none true
		start none
		start -a none
		stop none
		logs none
		rm none
		ls none
		ls base:1 /none
		cat none /x
		cat base:1 /none
		cp none:/x .
		cp . none:/x
		cp none /x .
		cp base:1 /none .
		which none /x
		which base:1 /none
		layers none
		verify none
	END
}

# One call of each other command that opens the store.
other_calls() {
	cat <<-'END'
		images
		ps
		mount
		search x
		import rootfs.tar
		load rootfs.tar
		pull localhost:1/x
		du
		gc
		verify
		info
		serve-layers mnt
	END
}

# expected_status COMMAND: docker's, where a program's own would be told apart.
expected_status() {
	case $1 in
	run* | exec* | "start -a"*) echo 125 ;;
	*) echo 1 ;;
	esac
}

@test "what is not there: named, with the reason and what helps" {
	local call
	while IFS= read -r call; do
		run --separate-stderr nacre $call
		[ "$status" = "$(expected_status "$call")" ] || fail "$call: exit $status" "$stderr"
		[[ $stderr == "nacre: cannot "*"("*"'"*")" ]] || fail "$call: no hint: $stderr"
		[[ $stderr == *none* || $stderr == *1234* ]] || fail "$call: the object is not named: $stderr"
		[ "$(wc -l <<<"$stderr")" = 1 ] || fail "$call: more than a line: $stderr"
		[[ $call == inspect* || -z $output ]] || fail "$call: something on stdout: $output"
	done < <(calls)
	[ ! -e out ]
}

@test "a store that is damaged: what cannot be read, and what helps" {
	local call
	rm "$NACRE_STORE"/packs/*
	while read -r call; do
		assert_refused "'nacre verify' tells what is damaged, with --repair it mends what it can" "$NACRE" $call
	done <<-'END'
		cat base:1 etc/motd
		cp base:1 etc x
		export -o x base:1
		save -o x base:1
	END
	assert_refused "cannot copy /etc/motd of base:1: its content is not in the store" nacre cp base:1 etc y
	# Pages of the index, without its first one.
	nacre gc >/dev/null
	dd if=/dev/zero of="$NACRE_STORE/index.db" bs=8192 seek=2 count=30 conv=notrunc status=none
	while read -r call; do
		assert_refused "damaged" "$NACRE" $call
		[[ $output != *"Bad message"* ]] || fail "$call: $output"
		assert_output_has "'nacre verify' tells what is damaged"
	done <<-'END'
		images
		ls base:1
		du
		mount base:1 mnt
		tag base:1 x
		import rootfs.tar x
	END
	run nacre verify
	assert_equal "$status" 1
	assert_output_has "index"
}

@test "an archive of another kind than the command takes" {
	assert_refused "'nacre import' takes the files of a system" nacre load rootfs.tar
}

@test "a store that is none: named, with the reason and what helps" {
	local call store
	: >notdir
	mkdir damaged
	head -c 4096 /dev/urandom >damaged/index.db
	while IFS= read -r call; do
		for store in notdir damaged; do
			run --separate-stderr nacre --store "$PWD/$store" $call
			[ "$status" = "$(expected_status "$call")" ] || fail "$call: exit $status" "$stderr"
			[[ $stderr == "nacre: cannot open store $PWD/$store: "*" ("*")" ]] || fail "$call: $stderr"
			[ -z "$output" ] || fail "$call: something on stdout: $output"
		done
	done < <(calls; other_calls)
}

@test "every option that takes an argument says so without one, every command without its operands" {
	local name option
	while read -r name option; do
		run --separate-stderr nacre "$name" "$option"
		assert_status 2
		[[ $stderr == "nacre $name: option $option needs an argument ("*"Try 'nacre help $name'"* ]] || fail "$stderr"
	done < <(nacre help --json | jq -r '.Commands[] | .Name as $n | .Options[] | select(.Argument) | $n + " --" + .Name')
	while read -r name; do
		case $name in
		load | images | ps | mount | gc | du | info | version | verify | help) continue ;;
		esac
		assert_misused nacre "$name"
	done < <(command_names)
}
