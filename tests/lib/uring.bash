# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016
#
# The kernel's switch for FUSE over io_uring.  It is one for all, so it is on while anybody needs it and then as it was:
# whoever needs it holds a shared lock on its file (descriptor 8), and who had to switch it on leaves somebody behind who
# waits until no such lock is left, which is so, too, when all who had one were killed.

URING_SWITCH=/sys/module/fuse/parameters/enable_uring
uring_switched=

# uring_on: 1 where the kernel has no such switch, or it is not ours to use.
uring_on() {
	[ -w "$URING_SWITCH" ] || return 1
	exec 8<"$URING_SWITCH"
	flock --shared 8
	[[ $(<"$URING_SWITCH") == N ]] || return 0
	if ! (echo Y >"$URING_SWITCH") 2>/dev/null; then
		exec 8<&-
		return 1
	fi
	uring_switched=yes
	setsid flock "$URING_SWITCH" sh -c 'echo N >"$1"' - "$URING_SWITCH" </dev/null >/dev/null 2>&1 3>&- 4>&- 8<&- &
	disown # not one of the caller's jobs, which he ends
}

# uring_off: we need it no more.
uring_off() {
	exec 8<&-
	# What we left behind does so too, a little later.
	[ -z "$uring_switched" ] || flock --nonblock "$URING_SWITCH" sh -c 'echo N >"$1"' - "$URING_SWITCH" || true
	uring_switched=
}
