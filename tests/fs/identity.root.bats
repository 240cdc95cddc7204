#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who owns what, and who may do what, in root's mounts.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree owners_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# Files that a mapping of 65536 IDs reaches, and one that it does not.
owners_tree() {
	mkdir -p owned/dir owned/sticky
	echo five >owned/five
	echo far >owned/far
	ln -s five owned/link
	chown 5:6 owned/five owned/dir
	chown -h 7:8 owned/link
	chown 200000:200000 owned/far
	chmod 1777 owned/sticky
	touch owned/sticky/root
	chown 100000:100000 .
	chmod 755 .
}

MAPPED=uidmapping=:0:100000:65536,gidmapping=:0:100000:65536

# as_ids UID GID[,GID...] COMMAND...
as_ids() {
	local uid=$1 gids=$2
	shift 2
	setpriv "--reuid=$uid" "--regid=${gids%%,*}" "--groups=$gids" --inh-caps=-all "$@" 3>&-
}

@test "what a mapped user makes has his number of the layers on disk; one without a number makes nobody's" {
	KINDS="dirs store"
	while fresh_mount "$MAPPED"; do
		chown 100000:100000 "$MNT"
		chmod 777 "$MNT"
		assert_equal "$(stat -c %u:%g "$UPPER")" 0:0
		as_ids 100003 100004 sh -c 'cd "$1" && echo x >new && mkdir newdir && ln -s new newlink && mkfifo newfifo' - "$MNT"
		assert_equal "$(cd "$MNT" && stat -c %u:%g new newdir newlink newfifo | sort -u)" 100003:100004
		assert_equal "$(cd "$UPPER" && stat -c %u:%g new newdir newlink newfifo | sort -u)" 3:4
		# As podman does it in a container that it sets up: whoever has a number may get it then.
		ln -s x "$MNT/by-root"
		mkdir "$MNT/dir-by-root"
		assert_equal "$(cd "$UPPER" && stat -c %u:%g by-root dir-by-root | sort -u)" 65534:65534
		chown -h 100000:100004 "$MNT/by-root"
		assert_equal "$(stat -c %u:%g "$MNT/by-root" "$UPPER/by-root" | xargs)" "100000:100004 0:4"
		[ -z "$(ls -A "$WORK/work")" ] || fail "left in work: $(ls -A "$WORK/work")"
	done
}

@test "a copy-up under a mapping keeps the owner on disk, also one that no mapping has" {
	KINDS="dirs store"
	while fresh_mount "$MAPPED"; do
		assert_equal "$(cd "$MNT/owned" && stat -c %u:%g five dir link far | xargs)" \
			"100005:100006 100005:100006 100007:100008 65534:65534"
		touch -h "$MNT"/owned/{five,dir,link,far}
		chmod 600 "$MNT/owned/far"
		assert_equal "$(cd "$UPPER/owned" && stat -c %u:%g five dir link far | xargs)" "5:6 5:6 7:8 200000:200000"
		remount
		assert_equal "$(cd "$MNT/owned" && stat -c %u:%g five dir link far | xargs)" \
			"100005:100006 100005:100006 100007:100008 65534:65534"
	done
}

@test "a user namespace with the same mapping sees the owners of the layers, and its root may change them" {
	KINDS="dirs store"
	while fresh_mount "$MAPPED"; do
		in_python <<-'END'
			import ctypes

			CLONE_NEWUSER = 0x10000000
			made, mapped = os.pipe(), os.pipe()
			child = os.fork()
			if child == 0:
			    assert ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0
			    os.write(made[1], b"y")
			    os.read(mapped[0], 1)
			    os.setgroups([])
			    os.setgid(0)
			    os.setuid(0)
			    os.execlp("bash", "bash", "-euc", """
			        cd owned
			        [ "$(stat -c %u:%g five)" = 5:6 ]
			        chown 9:10 five
			        [ "$(stat -c %u:%g five)" = 9:10 ]
			        echo more >>five
			        mkdir made
			        [ "$(stat -c %u:%g made)" = 0:0 ]""")
			os.read(made[0], 1)
			for kind in "uid_map", "gid_map":
			    with open(f"/proc/{child}/{kind}", "w") as file:
			        file.write("0 100000 65536")
			os.write(mapped[1], b"y")
			eq(os.waitpid(child, 0)[1], 0)
		END
		assert_equal "$(cd "$UPPER/owned" && stat -c %u:%g five made | xargs)" "9:10 0:0"
	done
}

@test "xattr_permissions=2 under a mapping records the owner of the layers" {
	KINDS="dirs store"
	while fresh_mount "$MAPPED,xattr_permissions=2"; do
		chown 100000:100000 "$MNT"
		chown 100009:100010 "$MNT/owned/five"
		as_ids 100000 100000 mkdir "$MNT/made"
		chmod 4711 "$MNT/owned/five"
		assert_equal "$(getfattr --absolute-names --only-values -n user.containers.override_stat "$UPPER/owned/five")" \
			9:10:4711:file
		assert_equal "$(getfattr --absolute-names --only-values -n user.containers.override_stat "$UPPER/made")" \
			0:0:0755:dir
		assert_equal "$(stat -c %u:%g:%a "$MNT/owned/five")" 100009:100010:4711
		remount
		assert_equal "$(stat -c %u:%g:%a "$MNT/owned/five")" 100009:100010:4711
	done
}

@test "a recorded owner stays when only the mode changes, also where all is shown as root's" {
	KINDS=dirs
	while fresh_mount xattr_permissions=2,squash_to_root; do
		chmod 640 "$MNT/owned/five"
		chmod 750 "$MNT/owned/dir"
		assert_equal "$(getfattr --absolute-names --only-values -n user.containers.override_stat "$UPPER/owned/five")" \
			5:6:0640:file
		assert_equal "$(stat -c %u:%g:%a "$MNT/owned/five" "$MNT/owned/dir" | xargs)" "0:0:640 0:0:750"
	done
}

@test "squash_to_uid counts more than squash_to_root, and owners on disk stay what they are" {
	KINDS="dirs store"
	while fresh_mount squash_to_uid=1000,squash_to_root; do
		touch "$MNT/owned/five" "$MNT/new"
		chown 77:78 "$MNT/new"
		assert_equal "$(find "$MNT" -printf '%U:%G\n' | sort -u)" 1000:0
		assert_equal "$(stat -c %u:%g "$UPPER/owned/five" "$UPPER/new" | xargs)" "5:6 77:78"
	done
}

@test "the kernel checks permissions: owner, groups, others, ACLs, sticky folders" {
	KINDS="dirs store"
	while fresh_mount; do
		mkdir -m 2775 "$MNT/team"
		chgrp 4444 "$MNT/team"
		as_ids 3000 3000,4444 touch "$MNT/team/by-member"
		assert_equal "$(stat -c %u:%g "$MNT/team/by-member")" 3000:4444
		run ! as_ids 3001 3001 touch "$MNT/team/by-stranger"
		run ! as_ids 3001 3001 cat "$MNT/secret"
		setfacl -m u:3001:r "$MNT/secret"
		assert_equal "$(as_ids 3001 3001 cat "$MNT/secret")" mine
		run ! as_ids 3002 3002 cat "$MNT/secret"
		run ! as_ids 3001 3001 rm -f "$MNT/owned/sticky/root"
		as_ids 3001 3001 touch "$MNT/owned/sticky/mine"
		run ! as_ids 3002 3002 rm -f "$MNT/owned/sticky/mine"
		as_ids 3001 3001 rm "$MNT/owned/sticky/mine"
		run ! as_ids 3001 3001 chmod 666 "$MNT/file"
		run ! as_ids 3001 3001 chown 3001 "$MNT/file"
		as_ids 5 6 chmod 600 "$MNT/owned/five"
		[ -e "$MNT/owned/sticky/root" ]
		remount
		assert_equal "$(as_ids 3001 3001 cat "$MNT/secret")" mine
		run ! as_ids 3002 3002 cat "$MNT/secret"
	done
}
