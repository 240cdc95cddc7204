# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the bats suites share.  A file starts with
#
#	load ../lib/common
#	setup() { setup_store; }
#	teardown() { unmount_all; }
#
# and works in $BATS_TEST_TMPDIR.  tests/run.sh runs each file twice, as root and as a plain user; NAME.root.bats only as
# root and NAME.user.bats only as the user, so that no test has to skip for want of a privilege.  A test tagged slow
# (`# bats test_tags=slow`) stays out of the sanitizer builds.  A skip needs a reason that names what the kernel lacks:
# see skip_without_kernel.
#
# Programs under test: nacre and nacrefs are functions as well as $NACRE and $NACREFS.  The functions close bats' own
# descriptor 3, which a daemon would hold open, and bats waits for that; write 3>&- where a program is started by path.

NACRE_TOP=${NACRE_TOP:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)}
NACRE_BUILD=${NACRE_BUILD:-$NACRE_TOP/build}
[[ $NACRE_BUILD == /* ]] || NACRE_BUILD=$NACRE_TOP/$NACRE_BUILD
NACRE=$NACRE_BUILD/tools/nacre
NACREFS=$NACRE_BUILD/fs/nacrefs
# "", "address" or "thread": for a test that must know, because it measures time or memory.
NACRE_SANITIZER=${NACRE_SANITIZER:-}
NACRE_TEST_USER=${NACRE_TEST_USER:-nacre-test}
export NACRE_TOP NACRE_BUILD NACRE NACREFS NACRE_SANITIZER NACRE_TEST_USER
export LC_ALL=C.UTF-8 TZ=UTC

nacre() { "$NACRE" "$@" 3>&- 4>&-; }
nacrefs() {
	with_run_options "$@"
	"$NACREFS" "${WITH_RUN_OPTIONS[@]}" 3>&- 4>&-
}

# with_run_options ARG...: nacrefs' arguments, in a mount's those first that tests/run.sh wants all mounts of a run to have: a
# test that asks for something else gets that.
with_run_options() {
	local i
	WITH_RUN_OPTIONS=("$@")
	[ -n "${NACRE_MOUNT_OPTIONS:-}" ] || return 0
	for ((i = 1; i < $#; i++)); do
		if [ "${WITH_RUN_OPTIONS[i - 1]}" = -o ]; then
			WITH_RUN_OPTIONS[i]=$NACRE_MOUNT_OPTIONS,${WITH_RUN_OPTIONS[i]}
			break
		fi
	done
}

is_root() { [ "$(id -u)" = 0 ]; }

# ---- identities -----------------------------------------------------------------------------------------------------

# shellcheck source=tests/lib/reachable.bash
. "${BASH_SOURCE[0]%/*}/reachable.bash"

# Let the plain user reach the test's folder, and give it one of its own: $USER_DIR.
setup_user() {
	reachable "$BATS_TEST_TMPDIR"
	export USER_DIR=$BATS_TEST_TMPDIR/user
	mkdir -p "$USER_DIR/home"
	if is_root; then
		chown "$NACRE_TEST_USER": "$USER_DIR" "$USER_DIR/home"
	fi
}

# Run a command as the plain user with its own home and store; when the tests are that user already, just run it.
as_user() {
	local program=$1
	shift
	case $program in
	nacre) program=$NACRE ;;
	nacrefs) program=$NACREFS ;;
	esac
	[ -n "${USER_DIR:-}" ] || setup_user
	local -a prefix=(env "HOME=$USER_DIR/home" "NACRE_STORE=${USER_STORE:-$USER_DIR/store}" "TMPDIR=$USER_DIR")
	if is_root; then
		prefix+=("USER=$NACRE_TEST_USER" "LOGNAME=$NACRE_TEST_USER" setpriv
			"--reuid=$(id -u "$NACRE_TEST_USER")" "--regid=$(id -g "$NACRE_TEST_USER")" --init-groups
			--inh-caps=-all)
	fi
	"${prefix[@]}" "$program" "$@" 3>&- 4>&-
}

# ---- stores and mounts ----------------------------------------------------------------------------------------------

# Use a store of the test's own; $USER_DIR is the plain user's folder.
setup_store() {
	export NACRE_STORE=$BATS_TEST_TMPDIR/store
	export HOME=$BATS_TEST_TMPDIR/home
	mkdir -p "$HOME"
	MNT=$BATS_TEST_TMPDIR/mnt
	UPPER=$BATS_TEST_TMPDIR/upper
	WORK=$BATS_TEST_TMPDIR/work
	mkdir -p "$MNT"
	setup_user
}

# Join lowers, the topmost first, as the lowerdir option wants them.
join_lowers() {
	local IFS=:
	printf '%s' "$*"
}

# mount_dirs [-o MORE] LOWER...: mount them read-write at $MNT, with $UPPER and $WORK as they are or new.
mount_dirs() {
	local more=
	if [ "$1" = -o ]; then
		more=,$2
		shift 2
	fi
	: "${MNT:=$BATS_TEST_TMPDIR/mnt}" "${UPPER:=$BATS_TEST_TMPDIR/upper}" "${WORK:=$BATS_TEST_TMPDIR/work}"
	mkdir -p "$MNT" "$UPPER" "$WORK"
	nacrefs -o "lowerdir=$(join_lowers "$@"),upperdir=$UPPER,workdir=$WORK$more" "$MNT"
}

# mount_dirs_ro [-o MORE] LOWER...: the same without an upper.
mount_dirs_ro() {
	local more=
	if [ "$1" = -o ]; then
		more=,$2
		shift 2
	fi
	: "${MNT:=$BATS_TEST_TMPDIR/mnt}"
	mkdir -p "$MNT"
	nacrefs -o "lowerdir=$(join_lowers "$@")$more" "$MNT"
}

# mount_kernel DIR [-o MORE] LOWER...: kernel overlayfs (root only), with $UPPER and $WORK if UPPER is set and not "".
mount_kernel() {
	local dir=$1 options more=
	shift
	if [ "$1" = -o ]; then
		more=,$2
		shift 2
	fi
	mkdir -p "$dir"
	options="lowerdir=$(join_lowers "$@")"
	if [ -n "${UPPER:-}" ]; then
		mkdir -p "$UPPER" "$WORK"
		options+=",upperdir=$UPPER,workdir=$WORK"
	fi
	mount -t overlay overlay -o "$options$more" "$dir"
}

# Unmount one directory and wait until its driver has gone: only then is all of the upper written and free.
unmount() {
	local dir=${1:-$MNT} pids
	pids=$(driver_pids "$dir")
	if [ "$(findmnt -n -o FSTYPE --mountpoint "$dir" | tail -n 1)" = overlay ] || is_root; then
		umount "$dir"
	else
		fusermount3 -u "$dir"
	fi
	wait_gone "$pids"
}

remount_dirs() {
	unmount "$MNT"
	mount_dirs "$@"
}

# programs_beside SECONDS PROGRAM [ARG...]: a script of ours that uses programs.py, in at most that time.
programs_beside() {
	NACRE=$NACRE PYTHONPATH=$NACRE_TOP/tests/lib PYTHONDONTWRITEBYTECODE=1 timeout "$1" python3 "$NACRE_TOP/tests/$2" "${@:3}" \
		3>&- 4>&-
}

# wait_until COMMAND...: at most a minute.
wait_until() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	fail "it did not come to pass: $*"
}

# Wait until none of the processes is left; 1 after a minute.  A mount namespace that another test made meanwhile holds
# copies of all mounts, and a driver stays as long as one is left.
wait_gone() {
	local pid tries
	local -a threads
	for pid in $1; do
		for ((tries = 0; tries < 1200; tries++)); do
			[ -e "/proc/$pid" ] || continue 2
			# A zombie without threads has done all it had to do; nobody may be there to reap it.
			if [[ $(process_state "$pid") == [XZ]* ]]; then
				threads=(/proc/"$pid"/task/*)
				[ ${#threads[@]} -gt 1 ] || continue 2
			fi
			sleep 0.05
		done
		who_keeps "$pid" >&2
		return 1
	done
}

# Why a driver may still be there: what its threads do, and who else has a copy of its mount.
who_keeps() {
	local point other
	point=$(tr '\0' '\n' <"/proc/$1/cmdline" | tail -n 1)
	for other in /proc/"$1"/task/*; do
		echo "thread ${other##*/} of $1: $(cat "$other/wchan" 2>/dev/null)"
	done
	for other in $(grep -lsF -- " $point " /proc/[0-9]*/mountinfo); do
		other=${other%/mountinfo}
		echo "mounted for ${other#/proc/}: $(tr '\0' ' ' <"$other/cmdline" 2>/dev/null | head -c 200)"
	done
}

process_state() { sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || true; }

# The drivers that have $1 on their command line, as a word or inside one.
driver_pids() {
	local exe
	# One find instead of a readlink for each process: this runs at each unmount.
	find /proc -mindepth 2 -maxdepth 2 -name exe -lname "$NACREFS" 2>/dev/null | while IFS= read -r exe; do
		if tr '\0' '\n' 2>/dev/null <"${exe%exe}cmdline" | grep -qF -- "$1"; then
			exe=${exe%/exe}
			printf '%s\n' "${exe##*/}"
		fi
	done
}

# Mount points under a folder, the innermost and latest first.
mounts_below() {
	awk -v prefix="$1/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo |
		sed 's/\\040/ /g; s/\\011/\t/g; s/\\134/\\/g' | tac
}

# Unmount all that the test mounted.  A driver that does not leave is a failure of the test, and is killed.
unmount_all() {
	local point pids result=0
	pids=$(driver_pids "$BATS_TEST_TMPDIR")
	while IFS= read -r point; do
		umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null ||
			umount -l "$point" 2>/dev/null || fusermount3 -uz "$point" 2>/dev/null || true
	done < <(mounts_below "$BATS_TEST_TMPDIR")
	if ! wait_gone "$pids"; then
		echo "a driver did not leave after its mount had gone:" "$pids" >&2
		# shellcheck disable=SC2086
		kill -KILL $pids 2>/dev/null || true
		result=1
	fi
	return "$result"
}

# ---- comparing ------------------------------------------------------------------------------------------------------

# List a tree as a user of it sees it: type, mode, owner, size, time in ns, links, target, device; then xattrs; then the
# content.  A directory's size and link count are the file system's own affair.  With "notime" times are left out.
list_tree() {
	local dir=$1 time='%T@'
	[ "${2:-}" != notime ] || time=-
	(
		cd "$dir" || exit
		find . -mindepth 1 \( -type d -printf "%P %y %m %U %G - $time -\n" \
			-o -type l -printf "%P %y %m %U %G %s $time %n -> %l\n" \
			-o -type f -printf "%P %y %m %U %G %s $time %n\n" \
			-o -printf "%P %y %m %U %G - $time %n\n" \) | sort
		find . \( -type b -o -type c \) -exec stat -c 'device %n %t:%T' {} + | sort
		find . \( -type f -o -type d -o -type l \) -print0 | sort -z |
			xargs -0 -r getfattr --absolute-names -h -d -m - -e hex -- 2>/dev/null || true
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum --
	)
}

# Fail, showing the difference, unless both trees look the same.
assert_same_tree() {
	diff <(list_tree "$1" "${3:-}") <(list_tree "$2" "${3:-}")
}

# ---- asserting ------------------------------------------------------------------------------------------------------

fail() {
	printf '%s\n' "$@" >&2
	return 1
}

# assert_equal ACTUAL EXPECTED
assert_equal() {
	[ "$1" = "$2" ] || fail "expected: $2" "actual:   $1"
}

# After `run`: the exit status, and what the output has in it.
assert_status() {
	# shellcheck disable=SC2154
	[ "$status" = "$1" ] || fail "expected exit $1, got $status" "$output"
}

assert_output_has() {
	[[ $output == *"$1"* ]] || fail "expected in the output: $1" "output: $output"
}

refute_output_has() {
	[[ $output != *"$1"* ]] || fail "not expected in the output: $1" "output: $output"
}

# A command must fail as house style has it: exit 1, with a message, not by a signal.
assert_refused() {
	local message=$1
	shift
	run "$@"
	assert_status 1
	assert_output_has "$message"
}

# skip_without_kernel FEATURE COMMAND...: the only reason for which a test may be skipped.
skip_without_kernel() {
	local feature=$1
	shift
	"$@" >/dev/null 2>&1 || skip "kernel without $feature"
}
