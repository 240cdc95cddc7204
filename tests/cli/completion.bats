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

# types SHELL-COMMAND INIT KEYS EXPECTED: in a terminal of its own, what is shown after these keys and a tab or two.
types() {
	local shell=$1 init=$2 keys=$3 expected=$4 socket
	# A server that is ending still has its socket.
	socket=$(mktemp -u "$BATS_TEST_TMPDIR/tmuxXXXX")
	tmux -S "$socket" -f /dev/null new-session -d -x 120 -y 30 "env PATH=$BATS_TEST_TMPDIR/bin:$PATH PS1='> ' $shell" 3>&- 4>&-
	tmux -S "$socket" send-keys "$init; echo re''ady" Enter
	await "$socket" ready
	tmux -S "$socket" send-keys "$keys" Tab
	sleep 0.3
	tmux -S "$socket" send-keys Tab
	await "$socket" "$expected"
	tmux -S "$socket" kill-server
}

await() {
	local tries shown
	for ((tries = 0; tries < 300; tries++)); do
		[[ $(tmux -S "$1" capture-pane -p) != *"$2"* ]] || return 0
		sleep 0.2
	done
	shown=$(tmux -S "$1" capture-pane -p)
	tmux -S "$1" kill-server
	fail "not shown: $2" "$shown"
}

# bats test_tags=slow
@test "zsh and bash complete as one types" {
	local shell init
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s "$NACRE" "$BATS_TEST_TMPDIR/bin/nacre"
	nacre mount --rw --name workbench base:1 "$MNT" >/dev/null
	for shell in zsh bash; do
		nacre completion "$shell" >"$BATS_TEST_TMPDIR/complete.$shell"
		init="source $BATS_TEST_TMPDIR/complete.$shell"
		command="$shell --norc"
		[ "$shell" = bash ] || {
			init="autoload -U compinit; compinit -u -D; $init"
			command="zsh -f"
		}
		types "$command" "$init" 'nacre im' images
		types "$command" "$init" 'nacre mount --whit' '> nacre mount --whiteouts'
		types "$command" "$init" 'nacre history bas' '> nacre history base:1'
		types "$command" "$init" 'nacre rm workb' '> nacre rm workbench'
		types "$command" "$init" 'nacre cp workb' '> nacre cp workbench:'
	done
}
