#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs that people run, in a mounted tree.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# A C project with a library, generated headers and a test, as a lower.
project() {
	mkdir -p src include build tests
	# Recipes begin with >: the tabs of this file are taken away.
	cat >Makefile <<-'END'
		.RECIPEPREFIX = >
		CFLAGS = -O1 -Iinclude -Ibuild
		OBJECTS = build/main.o build/sum.o build/text.o
		all: build/program build/libsum.a
		build/version.h: Makefile
		>echo '#define VERSION "1.0"' >$@.tmp && mv $@.tmp $@
		build/%.o: src/%.c include/sum.h build/version.h
		>$(CC) $(CFLAGS) -MMD -c -o $@ $<
		build/libsum.a: build/sum.o build/text.o
		>rm -f $@ && ar rcs $@ $^
		build/program: build/main.o build/libsum.a
		>$(CC) -o $@ build/main.o build/libsum.a
		check: all
		>test "$$(build/program 3 4)" = "1.0: 7"
		clean:
		>rm -f build/*.o build/*.a build/*.d build/program build/version.h
		install: all
		>install -D -m 755 build/program $(DESTDIR)/usr/bin/program
		>install -D -m 644 build/libsum.a $(DESTDIR)/usr/lib/libsum.a
		>ln -sf program $(DESTDIR)/usr/bin/alias
		.PHONY: all check clean install
	END
	echo 'int sum(int a, int b); const char *text(void);' >include/sum.h
	echo '#include "sum.h"
int sum(int a, int b) { return a + b; }' >src/sum.c
	echo '#include "sum.h"
#include "version.h"
const char *text(void) { return VERSION; }' >src/text.c
	echo '#include <stdio.h>
#include <stdlib.h>
#include "sum.h"
int main(int argc, char **argv)
{ return argc < 3 || printf("%s: %d\n", text(), sum(atoi(argv[1]), atoi(argv[2]))) < 0; }' >src/main.c
	find . -exec touch -d '2020-01-01 00:00:00' {} +
}

setup_file() { make_lowers project; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

@test "make builds a C project, knows what is up to date, cleans and installs" {
	while fresh_mount; do
		(
			cd "$MNT"
			make -j2 check
			run make check
			[[ $output != *" -c "* ]] || fail "built twice: $output"
			touch src/sum.c
			run make check
			assert_output_has "src/sum.c"
			refute_output_has "src/text.c"
			make install DESTDIR="$MNT/inst"
			assert_equal "$("$MNT/inst/usr/bin/alias" 1 2)" "1.0: 3"
		)
		remount
		(
			cd "$MNT"
			run make
			assert_output_has "Nothing to be done"
			make clean
			make check
		)
	done
}

@test "git init, add, commit, clone, status, gc, checkout" {
	command -v git >/dev/null || fail "git is not installed"
	export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A \
		GIT_COMMITTER_EMAIL=a@example.org
	printf '[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n' >"$HOME/.gitconfig"
	while fresh_mount; do
		(
			cd "$MNT"
			git init -q .
			git add -A
			git commit -q -m first
			assert_equal "$(git status --porcelain)" ""
			echo changed >>src/sum.c
			git mv include headers
			assert_equal "$(git status --porcelain | sort | xargs)" "M src/sum.c R include/sum.h -> headers/sum.h"
			git commit -q -a -m second
			git clone -q . clone
			assert_equal "$(cd clone && git log --oneline | wc -l)" 2
			git -C clone gc -q
			git -C clone fsck --strict
			git -C clone checkout -q HEAD~1
			[ -e clone/include/sum.h ]
			rm -rf clone
		)
		remount
		(
			cd "$MNT"
			assert_equal "$(git status --porcelain)" ""
			git fsck --strict
			git checkout -q HEAD~1
			cmp src/sum.c "$LOWERS/src/sum.c"
		)
	done
}

@test "tar, cp -a and rsync copy a tree into and out of the mount" {
	local tree=$BATS_TEST_TMPDIR/tree
	mkdir "$tree"
	(cd "$tree" && base_tree && rm -f cdev bdev)
	while fresh_mount; do
		tar -C "$tree" --xattrs -c . | (mkdir "$MNT/tar" && tar -C "$MNT/tar" --xattrs --same-permissions -x)
		cp -a "$tree" "$MNT/cp"
		local -a copies=(tar cp)
		if command -v rsync >/dev/null; then
			rsync -aHX "$tree/" "$MNT/rsync"
			copies+=(rsync)
		fi
		for _ in 1 2; do
			for copy in "${copies[@]}"; do
				diff <(seen "$tree") <(seen "$MNT/$copy")
			done
			remount
		done
		rm -rf "$BATS_TEST_TMPDIR/back"
		cp -a "$MNT/cp" "$BATS_TEST_TMPDIR/back"
		diff <(seen "$tree") <(seen "$BATS_TEST_TMPDIR/back")
	done
}

# As list_tree, but without owners, which fakeroot shows as root's.
seen() {
	(cd "$1" && find . -mindepth 1 \( -type d -printf '%P %y %m %T@\n' -o -printf '%P %y %m %s %T@ %n %l\n' \) | sort &&
		find . -type f -print0 | sort -z | xargs -0 sha256sum &&
		find . -print0 | sort -z | xargs -0 getfattr -h -d -m user. -e hex --absolute-names -- 2>/dev/null)
}

# A package, from the cache, the network, or made here: what dpkg does with it is the same.
a_package() {
	local dir=$BATS_TEST_TMPDIR/package
	mkdir -p "$dir/DEBIAN" "$dir/usr/bin" "$dir/usr/share/doc/greet" "$dir/etc"
	printf '#!/bin/sh\necho greetings\n' >"$dir/usr/bin/greet"
	chmod 755 "$dir/usr/bin/greet"
	ln -sf greet "$dir/usr/bin/hail"
	echo text >"$dir/usr/share/doc/greet/README"
	echo setting=1 >"$dir/etc/greet.conf"
	printf 'Package: greet\nVersion: %s\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: greets\n' \
		"$1" >"$dir/DEBIAN/control"
	echo /etc/greet.conf >"$dir/DEBIAN/conffiles"
	chmod -R go-w "$dir"
	chmod 755 "$dir/DEBIAN"
	dpkg-deb --root-owner-group -Zgzip -b "$dir" "$BATS_TEST_TMPDIR/greet-$1.deb" >/dev/null
}

@test "dpkg installs, upgrades, verifies and removes a package in a mounted tree" {
	a_package 1.0
	a_package 2.0
	is_root || KINDS="fakeroot fakestore"
	while fresh_mount; do
		mkdir -p "$MNT/var/lib/dpkg/updates" "$MNT/var/lib/dpkg/info" "$MNT/var/lib/dpkg/triggers"
		touch "$MNT/var/lib/dpkg/status" "$MNT/var/lib/dpkg/available"
		local -a dpkg=(dpkg "--root=$MNT" --force-not-root --force-script-chrootless --log=/dev/null)
		"${dpkg[@]}" -i "$BATS_TEST_TMPDIR/greet-1.0.deb"
		assert_equal "$("$MNT/usr/bin/hail")" greetings
		if is_fake; then
			[[ $(getfattr -n user.containers.override_stat --only-values --absolute-names "$UPPER/usr/bin/greet") == 0:0:* ]] ||
				fail "not recorded as root's: $(getfattr -d -m - --absolute-names "$UPPER/usr/bin/greet")"
		fi
		echo setting=2 >"$MNT/etc/greet.conf"
		"${dpkg[@]}" --force-confold -i "$BATS_TEST_TMPDIR/greet-2.0.deb"
		assert_equal "$(cat "$MNT/etc/greet.conf")" setting=2
		"${dpkg[@]}" --verify greet >"$BATS_TEST_TMPDIR/verified" || true
		assert_equal "$(grep -vc '/etc/greet.conf' "$BATS_TEST_TMPDIR/verified" || true)" 0
		remount
		assert_equal "$("${dpkg[@]}" -s greet | sed -n 's/^Version: //p')" 2.0
		"${dpkg[@]}" -r greet
		[ ! -e "$MNT/usr/bin/greet" ]
		[ -e "$MNT/etc/greet.conf" ]
		"${dpkg[@]}" -P greet
		[ ! -e "$MNT/etc/greet.conf" ]
	done
}

@test "a real package of the distribution is unpacked as on a plain file system" {
	local deb
	deb=$(find /var/cache/apt/archives -maxdepth 1 -name '*.deb' -size -3M 2>/dev/null | sort | head -n 1)
	if [ -z "$deb" ]; then
		(cd "$BATS_TEST_TMPDIR" && timeout 60 apt-get -q download hello >/dev/null 2>&1) || true
		deb=$(find "$BATS_TEST_TMPDIR" -maxdepth 1 -name 'hello*.deb' | head -n 1)
	fi
	if [ -z "$deb" ]; then
		a_package 1.0
		deb=$BATS_TEST_TMPDIR/greet-1.0.deb
	fi
	dpkg-deb -x "$deb" "$BATS_TEST_TMPDIR/plain"
	while fresh_mount; do
		dpkg-deb -x "$deb" "$MNT/unpacked"
		diff <(seen "$BATS_TEST_TMPDIR/plain") <(seen "$MNT/unpacked")
		remount
		diff <(seen "$BATS_TEST_TMPDIR/plain") <(seen "$MNT/unpacked")
	done
}

@test "SQLite in WAL mode, written by two processes, copied up by their first write" {
	# The database is made in a mount, and is a lower of the next one.
	while fresh_mount; do
		sqlite3 "$MNT/db" 'PRAGMA journal_mode=WAL; CREATE TABLE t(who, n, text);
			INSERT INTO t VALUES ("lower", 0, hex(randomblob(50000)));' >/dev/null
		unmount
		cp -a "$UPPER/db" "$BATS_TEST_TMPDIR/db"
		clear_upper
		mkdir -p "$BATS_TEST_TMPDIR/top"
		mv "$BATS_TEST_TMPDIR/db" "$BATS_TEST_TMPDIR/top/db"
		local options="lowerdir=$BATS_TEST_TMPDIR/top,upperdir=$UPPER,workdir=$WORK"
		is_fake && options+=,fakeroot
		mkdir -p "$UPPER" "$WORK"
		nacrefs -o "$options" "$MNT"
		in_python <<-'END'
			import sqlite3
			def writer(who):
			    db = sqlite3.connect("db", timeout=60)
			    db.execute("PRAGMA mmap_size=1000000")
			    for n in range(60):
			        with db:
			            db.execute("INSERT INTO t VALUES (?, ?, ?)", (who, n, who * 500))
			    db.close()
			pids = []
			for who in "a", "b":
			    pid = os.fork()
			    if pid == 0:
			        writer(who)
			        os._exit(0)
			    pids.append(pid)
			for pid in pids:
			    eq(os.waitpid(pid, 0)[1], 0)
			db = sqlite3.connect("db")
			eq(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
			eq(db.execute("SELECT who, count(*), sum(n) FROM t GROUP BY who ORDER BY who").fetchall(),
			   [("a", 60, 1770), ("b", 60, 1770), ("lower", 1, 0)])
		END
		unmount
		nacrefs -o "$options" "$MNT"
		assert_equal "$(sqlite3 "$MNT/db" 'PRAGMA integrity_check; SELECT count(*) FROM t' | xargs)" "ok 121"
	done
}

@test "find, patch, sort, mv, cp, gzip, flock and dd do what they do" {
	while fresh_mount; do
		(
			cd "$MNT"
			cp src/sum.c sum.orig
			sed 's/return a + b/return b + a/' sum.orig >src/sum.c
			diff -u sum.orig src/sum.c | sed 's,sum.orig,src/sum.c,' >change.patch
			cp sum.orig src/sum.c
			patch -s -p0 <change.patch
			grep -q 'b + a' src/sum.c
			seq 100000 | shuf | sort -n -S 100k -T . | md5sum >sorted
			assert_equal "$(cat sorted)" "$(seq 100000 | md5sum)"
			find . -type d -empty -delete
			[ ! -e tests ]
			mv src src.old
			cp -r src.old src
			rm -r src.old
			gzip -c src/main.c >main.c.gz
			gunzip -c main.c.gz | cmp - src/main.c
			flock lockfile true
			truncate -s 10M sparse
			dd if=/dev/zero of=sparse bs=4096 count=10 conv=notrunc status=none
			assert_equal "$(stat -c %s sparse)" 10485760
		)
	done
}

# They set ACLs, and the kernel lets only the owner that it sees do that: not so simple under fakeroot.
@test "sed -i, install -m, cp -p and patch keep modes" {
	while fresh_mount; do
		(
			cd "$MNT"
			chmod 640 src/sum.c
			sed -i 's/return a + b/return b + a/' src/sum.c
			grep -q 'b + a' src/sum.c
			assert_equal "$(stat -c %a src/sum.c)" 640
			install -m 600 src/main.c main.c
			assert_equal "$(stat -c %a main.c)" 600
			cp -p src/sum.c copied
			assert_equal "$(stat -c '%a %y' copied)" "$(stat -c '%a %y' src/sum.c)"
		)
	done
}
