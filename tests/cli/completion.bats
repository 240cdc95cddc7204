#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2034,SC2317
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

# complete WORD...: what bash offers for the last word, one a line.
complete_line() {
	# compopt works only while a key is handled.
	compopt() { :; }
	# shellcheck disable=SC1090
	source <(nacre completion bash)
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_nacre
	printf '%s\n' "${COMPREPLY[@]}"
}

@test "bash completes commands, options and what stands behind them" {
	assert_equal "$(complete_line nacre im | sort | xargs)" "images import"
	assert_equal "$(complete_line nacre ls --rec)" "--recursive"
	assert_equal "$(complete_line nacre help umo)" "umount"
	assert_equal "$(complete_line nacre completion "fi")" "fish"
	assert_equal "$(complete_line nacre inspect bas)" "base:1"
	assert_equal "$(complete_line nacre tag base:1 bas)" "base:1"
}

@test "bash asks the store that is named in the line" {
	nacre --store "$BATS_TEST_TMPDIR/other" import "$BASE_TAR" elsewhere:2
	assert_equal "$(complete_line nacre --store "$BATS_TEST_TMPDIR/other" inspect else)" "elsewhere:2"
	assert_equal "$(complete_line nacre inspect else)" ""
}

@test "bash completes files with blanks in their names" {
	cd "$BATS_TEST_TMPDIR"
	touch "two words.tar"
	assert_equal "$(complete_line nacre import two)" "two words.tar"
}

@test "every command and option is in the scripts of all shells" {
	for shell in bash zsh fish; do
		script=$(nacre completion "$shell")
		for name in $(command_names); do
			[[ $script == *"$name"* ]] || fail "$shell: no $name"
		done
		for option in $(nacre help --json | jq -r '.Commands[].Options[].Name'); do
			[[ $script == *"$option"* ]] || fail "$shell: no --$option"
		done
	done
}

@test "the scripts are well formed" {
	nacre completion bash | bash -n
	for shell in zsh fish; do
		if command -v "$shell" >/dev/null; then
			nacre completion "$shell" >"$BATS_TEST_TMPDIR/script"
			"$shell" -n "$BATS_TEST_TMPDIR/script"
		fi
	done
}

@test "fish completes commands, options and images, by itself" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s "$NACRE" "$BATS_TEST_TMPDIR/bin/nacre"
	nacre completion fish >"$BATS_TEST_TMPDIR/nacre.fish"
	fish_completes() {
		PATH=$BATS_TEST_TMPDIR/bin:$PATH HOME=$BATS_TEST_TMPDIR XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/config \
			fish --no-config -c "source $BATS_TEST_TMPDIR/nacre.fish; complete -C '$1'" 3>&- | cut -f 1 | sort | xargs
	}
	assert_equal "$(fish_completes 'nacre im')" "images import"
	assert_equal "$(fish_completes 'nacre mount --whit')" "--whiteouts"
	assert_equal "$(fish_completes 'nacre rmi bas')" "base:1"
}
