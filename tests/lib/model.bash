# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Random operations on real mounts (fs/model.py), on top of fs.bash.

# The lowers that the operations begin with: two layers, something of the lower one hidden.
model_lowest() {
	mkdir -p a/b/c e/file dd gone
	printf 1 >a/file
	printf 22 >a/b/link
	head -c 20000 /dev/zero | tr '\0' 3 >a/b/c/e
	printf 4 >file
	ln file a/b/file
	ln file e/e
	ln -s file link
	printf 5 >dd/a
	printf 6 >gone/b
	setfattr -n user.x -v 1 a/file
	chmod 711 a/b
	find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
}
model_topmost() {
	mkdir -p a/b b
	printf 7 >a/dd
	printf 8 >b/a
	ln b/a b/b
	: >.wh.gone
	: >a/b/.wh.link
	find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
}

# Make $CONTROL, the program with which model.py mounts $KIND.
write_control() {
	CONTROL=$BATS_TEST_TMPDIR/control
	{
		echo '#!/bin/bash'
		declare -p NACRE_TOP NACRE_BUILD BATS_TEST_TMPDIR MNT UPPER WORK KIND LOWERS LOWERS_STORE
		cat <<-'END'
			set -eu
			. "$NACRE_TOP/tests/lib/common.bash"
			. "$NACRE_TOP/tests/lib/fs.bash"
			case $1 in
			reset)
				if mountpoint -q "$MNT"; then
					unmount "$MNT"
				fi
				clear_upper
				mount_kind "$KIND"
				;;
			mount) mount_kind "$KIND" "$2" ;;
			unmount) unmount "$MNT" ;;
			esac
		END
	} >"$CONTROL"
	chmod +x "$CONTROL"
}

# count OPERATIONS FEWER: the sanitizers' builds do fewer, and those with options for all mounts, which run after these, half.
count() {
	if [ -n "$NACRE_SANITIZER" ]; then
		echo "$2"
	elif [ -n "${NACRE_MOUNT_OPTIONS:-}" ]; then
		echo $(($1 / 2))
	else
		echo "$1"
	fi
}

# run_model SEED COUNT [OPTIONS...]: for each kind, with what to mount with from time to time.
run_model() {
	local seed=$1 count=${NACRE_OPERATIONS:-$2}
	shift 2
	for seed in ${NACRE_SEEDS:-"$seed"}; do
		for KIND in ${KINDS:-$(mount_kinds)}; do
			export KIND
			echo "# mounted as: $KIND, $count operations from seed $seed"
			write_control
			python3 -B "$NACRE_TOP/tests/fs/model.py" run "$seed" "$count" "$CONTROL" "$MNT" "$BATS_TEST_TMPDIR/model" "$@" 3>&-
		done
	done
}
