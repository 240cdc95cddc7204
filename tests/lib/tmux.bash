# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# A terminal to type at and to look at, by tmux.  Nothing is waited for but what shows.

# tmux_do ARG...: a tmux server of the test's own.  Its socket is named relative to its folder: a whole path may be longer
# than a socket's may be.
tmux_do() {
	(cd "$BATS_TEST_TMPDIR" && exec tmux -S tmux -f /dev/null "$@") 3>&-
}

# tmux_start COLUMNS ROWS: a shell on a terminal of that size.
tmux_start() {
	tmux_do new-session -d -x "$1" -y "$2" env LC_ALL=C.UTF-8 PS1='ready> ' HISTFILE= bash --norc --noprofile -i
	wait_screen 'ready>'
}

# For teardown.  What runs on the terminal goes first, and at once: the SIGCONT that comes with a hangup makes
# LeakSanitizer, which stops the process at its end to look at it, wait for ever.
tmux_stop() {
	local shell
	shell=$(tmux_do display-message -p '#{pane_pid}' 2>/dev/null) && { pkill -KILL -P "$shell" || true; }
	tmux_do kill-server 2>/dev/null || true
}

# type_keys KEY...: as tmux names them.
type_keys() {
	tmux_do send-keys "$@"
}

# type_line TEXT: at the shell.
type_line() {
	tmux_do send-keys -l "$1"
	tmux_do send-keys Enter
}

screen() {
	tmux_do capture-pane -p
}

# wait_screen TEXT...: until all of them are seen at once; "!TEXT": it is not.
wait_screen() {
	local end=$((SECONDS + 60)) seen text wrong
	while :; do
		seen=$(screen)
		wrong=
		for text in "$@"; do
			if [[ $text == !* ]]; then
				[[ $seen != *"${text#!}"* ]] || wrong=$text
			else
				[[ $seen == *"$text"* ]] || wrong=$text
			fi
		done
		[ -n "$wrong" ] || return 0
		[ "$SECONDS" -lt "$end" ] || fail "not as it should be on the screen: '$wrong': $seen"
		sleep 0.05
	done
}
