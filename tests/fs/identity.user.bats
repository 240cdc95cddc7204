#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Owners in mounts of a plain user: in a user namespace of his, and outside.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() {
	setup_store
	mkdir -p "$UPPER" "$WORK"
}
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# in_namespace UNSHARE-OPTION... SCRIPT: as root of a user and mount namespace, with what common.bash offers.
in_namespace() {
	local script=${*: -1}
	export MNT UPPER WORK
	unshare --mount --propagation slave "${@:1:$#-1}" bash -euc 'source "$NACRE_TOP/tests/lib/common.bash"
		# The driver lives in the namespace and would hold it, and its own mount.
		trap "cd /; umount -l \"$MNT\" 2>/dev/null || true" EXIT
		refused() { if "$@" 2>/dev/null; then fail "not refused: $*"; fi; }'"
$script" 3>&- 4>&-
}

@test "mounted inside a user namespace with one ID" {
	in_namespace --map-root-user '
		nacrefs -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK" "$MNT"
		cd "$MNT"
		[ "$(stat -c %u:%g file d . | sort -u)" = 0:0 ]
		echo more >>file
		chown 0:0 file d
		chmod 4755 exec
		mkdir made
		rm d/a
		rm -r tree
		mkdir tree
		refused chown 1:1 file
		cd /
		unmount "$MNT"
		[ "$(stat -c %F "$UPPER/d/a")" = "character special file" ]
		mount_dirs "$LOWERS"
		[ "$(cat "$MNT/file" | xargs)" = "hello more" ]
		[ ! -e "$MNT/d/a" ]
		[ -z "$(ls -A "$MNT/tree")" ]
		unmount "$MNT"'
	assert_equal "$(stat -c %U "$UPPER/file" "$UPPER/made" | sort -u)" "$(id -un)"
}

@test "mounted inside a user namespace with ranges of subordinate IDs" {
	in_namespace --map-root-user --map-auto '
		nacrefs -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK" "$MNT"
		cd "$MNT"
		chown 5:6 file d
		mkdir made
		chown 7:8 made
		chmod 777 made
		setpriv --reuid=9 --regid=10 --clear-groups touch made/by-9
		refused setpriv --reuid=9 --regid=10 --clear-groups touch by-9
		[ "$(stat -c %u:%g file d made made/by-9 | xargs)" = "5:6 5:6 7:8 9:10" ]
		refused chown 100000000 file
		cd /
		unmount "$MNT"
		[ "$(cd "$UPPER" && stat -c %u:%g file d made made/by-9 | xargs)" = "5:6 5:6 7:8 9:10" ]
		# The plain user could not remove what is not his.
		rm -rf "$UPPER" "$WORK"'
}

@test "in a user namespace, xattr_permissions=2 records owners and modes, and all on disk is one user's" {
	in_namespace --map-root-user --map-auto '
		nacrefs -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,xattr_permissions=2" "$MNT"
		cd "$MNT"
		chown 5:6 file
		chmod 4751 file
		mkfifo -m 640 pipe
		[ "$(stat -c %u:%g:%a file)" = 5:6:4751 ]
		[ "$(stat -c %a:%F pipe)" = 640:fifo ]
		cd /
		unmount "$MNT"
		[ "$(stat -c %u:%g "$UPPER/file")" = 0:0 ]'
	assert_equal "$(getfattr --absolute-names --only-values -n user.containers.override_stat "$UPPER/file")" 5:6:4751:file
	assert_equal "$(getfattr --absolute-names --only-values -n user.containers.override_stat "$UPPER/pipe")" 0:0:0640:pipe
}

@test "squash_to_root, mounted outside: everything is root's, and writing works" {
	KINDS=dirs
	while fresh_mount squash_to_root; do
		assert_equal "$(find "$MNT" -printf '%U:%G\n' | sort -u)" 0:0
		# The kernel takes the files for root's: only what others may do there is the user's to do.
		run ! touch "$MNT/new"
	done
	unmount_all
	chmod 777 "$UPPER"
	mount_kind dirs squash_to_root
	echo more >"$MNT/new"
	assert_equal "$(stat -c %u:%g "$MNT/new")" 0:0
	assert_equal "$(stat -c %U "$UPPER/new")" "$(id -un)"
}

@test "squash_to_root in a user namespace: chown never fails, and a copy-up works" {
	in_namespace --map-root-user '
		nacrefs -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,squash_to_uid=0,squash_to_gid=0" "$MNT"
		cd "$MNT"
		echo more >>file
		chmod 700 d
		touch new
		chown 0:0 new file
		[ "$(stat -c %u:%g new file d | sort -u)" = 0:0 ]
		cd /
		unmount "$MNT"'
	assert_equal "$(xargs <"$UPPER/file")" "hello more"
}

@test "mounted outside through fusermount3: the user's own IDs, and others have no access" {
	KINDS="dirs fakeroot"
	while fresh_mount; do
		assert_equal "$(stat -c %U "$MNT/file")" "$(id -un)"
		[[ ",$(findmnt -n -o OPTIONS "$MNT")," == *",user_id=$(id -u),"* ]] || fail "$(findmnt "$MNT")"
		[[ ",$(findmnt -n -o OPTIONS "$MNT")," == *",nosuid,"*  ]] || fail "$(findmnt "$MNT")"
		[[ ",$(findmnt -n -o OPTIONS "$MNT")," != *",allow_other,"* ]] || fail "$(findmnt "$MNT")"
	done
}
