#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# nacre browse on a terminal: keys are typed, and what shows is looked at.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/tmux

setup() {
	setup_base
	unset NO_COLOR
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	# The third layer changes a mode and nothing else.
	mkdir -p "$BATS_TEST_TMPDIR/third/etc"
	printf 'root:*:\n' >"$BATS_TEST_TMPDIR/third/etc/shadow"
	chmod 600 "$BATS_TEST_TMPDIR/third/etc/shadow"
	touch -d @1600000000 "$BATS_TEST_TMPDIR/third/etc/shadow"
	tar -C "$BATS_TEST_TMPDIR/third" --owner=0 --group=42 -cf "$BATS_TEST_TMPDIR/third.tar" etc/shadow
	make_archive layout "$BATS_TEST_TMPDIR/oci" three:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar" \
		"$BATS_TEST_TMPDIR/third.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
}

teardown() { tmux_stop; }

# browse COLUMNS ROWS [ARG...]: the view of three:1, once all of it is there.
browse() {
	local columns=$1 rows=$2
	shift 2
	tmux_start "$columns" "$rows"
	type_line "clear; ${*:-} $NACRE browse three:1; echo left with \$?"
	wait_screen "q quit"
}

@test "the first screen: layers, the tree, and what is wasted" {
	browse 130 40
	wait_screen "Layers" "Tree at layer 1" "A drwxr-xr-x       0:0" "etc/ +" "Image:        three:1" "in 3 layers" \
		"Wasted space: " "Efficiency: " "Count  Wasted  Path" "/etc/passwd"
	# Of the folders all that is below, once it is summed up.
	wait_screen "1.05MB └── usr/ +"
	type_keys q
	wait_screen "left with 0"
}

@test "layers are gone through, and the marks with them" {
	browse 130 40
	type_keys Down
	wait_screen "Tree at layer 2, changes of layer 2" "C drwxr-xr-x" "A drwxr-xr-x"
	type_keys Tab Down Space
	wait_screen "── passwd" "── motd"
	[[ $(screen) =~ D\ -rw-r--r--[^$'\n']*\ passwd ]] || fail "$(screen)"
	[[ $(screen) =~ C\ -rw-r--r--[^$'\n']*\ motd ]] || fail "$(screen)"
	type_keys Down Space
	wait_screen "── d" "── a"
	[[ $(screen) =~ D\ -rw-r--r--[^$'\n']*──\ a ]] || fail "$(screen)"
	[[ $(screen) =~ A\ -rw-r--r--[^$'\n']*──\ d ]] || fail "$(screen)"
	type_keys Tab Down
	wait_screen "Tree at layer 3"
	[[ $(screen) =~ M\ -rw-------[^$'\n']*\ shadow ]] || fail "$(screen)"
	type_keys C-a
	wait_screen "changes since layer 1" "── passwd"
	[[ $(screen) =~ C\ -rw-r--r--[^$'\n']*\ motd ]] || fail "$(screen)"
	type_keys C-l
	wait_screen "changes of layer 3" "!── passwd" "── shadow"
	type_keys Home
	wait_screen "Tree at layer 1"
}

@test "folders open and shut, alone and all together" {
	browse 130 40
	type_keys Tab
	wait_screen "SPACE open"
	type_keys Down Right
	wait_screen "conf.d/ +" "── motd"
	type_keys Left
	wait_screen "etc/ +" "!── motd"
	type_keys C-Space
	wait_screen "conf.d/" "copyright" 'line\nbreak' "loop -> loop" "(2 names)" "!conf.d/ +"
	type_keys C-Space
	wait_screen "etc/ +" "!copyright"
	type_keys C-b
	wait_screen "!drwxr-xr-x" "etc/ +"
}

@test "kinds of changes can be left out" {
	browse 130 40
	type_keys Down Tab C-Space
	wait_screen "── passwd" "── motd" "copyright"
	type_keys C-u
	wait_screen "Not shown: unmodified" "── passwd" "── motd" "!copyright" "!── shadow"
	type_keys C-r
	wait_screen "Not shown: removed, unmodified" "!── passwd" "── motd"
	type_keys m
	wait_screen "Not shown: removed, modified, unmodified" "!── motd"
	type_keys C-a
	wait_screen "Not shown: added, removed, modified, unmodified" "nothing to show"
	type_keys C-a m C-r C-u
	wait_screen "── passwd" "── motd" "copyright" "!Not shown"
}

@test "a filter, as it is typed" {
	browse 130 40
	type_keys C-f
	wait_screen "Filter:"
	type_keys -l 'motd|copy'
	wait_screen "── motd" "copyright" "!── shadow"
	type_keys -l 'q'
	wait_screen "motd|copyq" "── motd" "!copyright"
	type_keys BSpace Enter
	wait_screen "Filter: motd|copy" "copyright" "q quit"
	type_keys Tab Down Tab
	wait_screen "Tree at layer 2" "── motd"
	type_keys Escape
	wait_screen "!Filter:" "etc/ +"
	type_keys C-f
	type_keys -l 'zzz'
	wait_screen "nothing matches the filter"
	type_keys Escape
	wait_screen "!Filter:" "etc/ +"
}

@test "a search goes to a name wherever it is" {
	browse 130 40
	type_keys /
	wait_screen "Search:"
	type_keys -l copyr
	type_keys Enter
	wait_screen "copyright"
	type_keys Enter
	wait_screen "/usr/share/doc/x/copyright" "free"
	type_keys q /
	type_keys -l nosuch
	type_keys Enter
	wait_screen "No name has 'nosuch' in it"
}

@test "a file is looked into as text and in hexadecimal, also one that was removed" {
	browse 130 40
	type_keys /
	type_keys -l motd
	type_keys Enter Enter
	wait_screen "/etc/motd" "owner 0:0" "8 bytes" "welcome"
	type_keys x
	wait_screen "00000000  77 65 6c 63 6f 6d 65 0a" "|welcome.|"
	type_keys q Tab Down Tab /
	type_keys -l passwd
	type_keys Enter Enter
	wait_screen "/etc/passwd" "Removed:" "root:x:0:0"
	type_keys Escape Tab Home Tab /
	type_keys -l big
	type_keys Enter Enter
	wait_screen "/usr/share/big" "1.05MB (1048576 bytes)" "00000010  10 11 12"
	type_keys End
	wait_screen "000ffff0  f0 f1"
}

@test "a path's history, a layer, the waste and the help" {
	browse 130 40
	type_keys /
	type_keys -l motd
	type_keys Enter h
	wait_screen "Layers that have /etc/motd" "    2  shown" "    1  hidden"
	type_keys q Tab i
	wait_screen "Layer 1 of 3" "Digest:   sha256:" "Command:"
	type_keys q w
	wait_screen "Wasted space: files" "/etc/passwd"
	type_keys q '?'
	wait_screen "Everywhere" "changed in mode, owner, time"
	type_keys q
	wait_screen "q quit"
}

@test "IMAGE@N, an ID's first digits, and an image of one layer" {
	tmux_start 130 40
	type_line "clear; $NACRE browse three:1@2; echo left with \$?"
	wait_screen "in 2 layers" "three:1@2" "q quit"
	type_keys q
	wait_screen "left with 0"
	type_line "clear; $NACRE browse ${BASE_ID:7:12}; echo left with \$?"
	wait_screen "in 1 layer" "base:1" "Tree at layer 1" "q quit"
	type_keys C-c
	wait_screen "left with 0"
}

@test "the terminal grows and shrinks, down to nothing much" {
	browse 130 40
	type_keys Tab Down Space
	wait_screen "── motd"
	tmux_do resize-window -x 60 -y 12
	wait_screen "Tree at layer 1" "etc/" "!Image:"
	tmux_do resize-window -x 20 -y 5
	wait_screen "etc/" "!Layers"
	for key in Tab Down Up PageDown End Home Tab PageDown PageUp C-f a Enter Escape h q w q '?' PageDown End q / x Enter; do
		type_keys "$key"
	done
	tmux_do resize-window -x 1 -y 1
	tmux_do resize-window -x 2 -y 3
	type_keys Tab Down PageDown w PageDown q
	tmux_do resize-window -x 130 -y 40
	wait_screen "Tree at layer" "Image:        three:1" "q quit"
	type_keys q
	wait_screen "left with 0"
}

@test "no colours with NO_COLOR: the letters say it all" {
	browse 130 40
	[[ $(tmux_do capture-pane -pe) == *$'\e[32mA '* ]] || fail "no green: $(tmux_do capture-pane -pe)"
	type_keys q
	wait_screen "left with 0"
	type_line "clear; NO_COLOR=1 $NACRE browse three:1"
	wait_screen "q quit" "A drwxr-xr-x"
	[[ $(tmux_do capture-pane -pe) != *$'\e[3'[1-6]* ]] || fail "colours: $(tmux_do capture-pane -pe)"
}

@test "without UTF-8 there are lines of ASCII" {
	browse 130 40 LC_ALL=C
	wait_screen "-- Layers ----" "|-- etc/ +" "\`-- usr/ +"
}

@test "the terminal is as it was after each way to end" {
	local signal
	tmux_start 100 30
	type_line "stty -a >$BATS_TEST_TMPDIR/before; clear; echo what was there"
	wait_screen "what was there" "ready>"
	for signal in q TERM INT HUP; do
		type_line "$NACRE browse three:1"
		wait_screen "q quit"
		if [ "$signal" = q ]; then
			type_keys q
		else
			kill "-$signal" "$(pgrep -P "$(tmux_do display-message -p '#{pane_pid}')" -x nacre)"
		fi
		wait_screen "!q quit" "what was there"
	done
	type_line "stty -a >$BATS_TEST_TMPDIR/after; echo all done"
	wait_screen "all done"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after" || fail "the terminal's settings have changed"
	assert_equal "$(tmux_do display-message -p '#{alternate_on} #{cursor_flag}')" "0 1"
}

@test "it stops and goes on" {
	browse 100 30
	type_keys Down
	wait_screen "Tree at layer 2"
	type_keys C-z
	wait_screen "Stopped" "ready>" "!q quit"
	type_line fg
	wait_screen "Tree at layer 2" "q quit"
	type_keys Down
	wait_screen "Tree at layer 3"
	type_keys q
	wait_screen "Stopped" "!q quit"
}

@test "the image stays while it is looked at" {
	browse 100 30
	run nacre rmi three:1
	assert_status 1
	assert_output_has "browsed by process"
	type_keys q
	wait_screen "left with 0"
	nacre rmi three:1 >/dev/null
}

@test "no terminal, no such terminal, no such image: exit 1, and why" {
	assert_refused "is no terminal" nacre browse three:1
	assert_output_has "nacre layers"
	run script -qec "TERM=nosuchterm $NACRE browse three:1" /dev/null </dev/null
	assert_status 1
	assert_output_has "there is no terminal 'nosuchterm'"
	run script -qec "TERM=dumb $NACRE browse three:1" /dev/null </dev/null
	assert_status 1
	assert_output_has "cannot move its cursor"
	run script -qec "env -u TERM $NACRE browse three:1" /dev/null </dev/null
	assert_status 1
	assert_output_has 'TERM is not set'
	assert_refused "nosuch" nacre browse nosuch:1
	assert_refused "has 3 layers" nacre browse three:1@9
	assert_misused nacre browse
	assert_misused nacre browse three:1 more
}

@test "ncurses is loaded by nothing else" {
	if ldd "$NACRE" | grep -q ncurses; then skip "it is linked here"; fi
	mkdir "$BATS_TEST_TMPDIR/broken"
	: >"$BATS_TEST_TMPDIR/broken/libncursesw.so.6"
	export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/broken
	nacre layers three:1 >/dev/null
	run script -qec "TERM=xterm $NACRE browse three:1" /dev/null </dev/null
	assert_status 1
	assert_output_has "libncursesw.so.6: file too short"
}

@test "damaged content is said where it would be shown" {
	browse 130 40
	rm -rf "${NACRE_STORE:?}/objects" "$NACRE_STORE/packs"
	type_keys /
	type_keys -l big
	type_keys Enter Enter
	wait_screen "/usr/share/big" "cannot be read" "nacre verify"
	type_keys q q
	wait_screen "left with 0"
}
