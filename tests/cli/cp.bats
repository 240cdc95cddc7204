#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016
#
# nacre cp into and out of containers, as docker's: running, ended, mounted.  All tests share one store.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/podman

setup_file() { container_store; }

setup() {
	export HOME=$BATS_TEST_TMPDIR/home
	MNT=$BATS_TEST_TMPDIR/mnt
	mkdir -p "$HOME" "$MNT" "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here" || exit
}

teardown() { containers_gone; }

# each_way: the container "box", running, ended and mounted in turn, to be used in a loop; 1 when all were had.
each_way() {
	case ${WAY:=none} in
	none) nacre run -d --name box base:1 sleep 1000 >/dev/null && WAY=running ;;
	running) nacre stop -t 0 box >/dev/null && WAY=ended ;;
	ended) nacre mount --container box "$MNT" >/dev/null && WAY=mounted ;;
	mounted) return 1 ;;
	esac
	echo "# $WAY"
}

@test "files and folders go out and in, as cp and docker have it" {
	while each_way; do
		rm -rf ./*
		mkdir -p src/sub
		echo one >src/one
		echo two >src/sub/two
		ln -s one src/link
		ln src/one src/hard
		chmod 750 src/one
		touch -d 2020-02-02T02:02:02.123456789Z src/one
		# Of a folder that is not there it becomes the name, into one that is there it goes.
		nacre cp src "box:/$WAY"
		nacre cp src "box:$WAY"
		nacre cp src/. "box:/$WAY/src/sub"
		nacre cp src/one "box:/$WAY/file"
		assert_equal "$(nacre diff box | grep "^A /$WAY" | cut -d / -f 3- | xargs)" \
			"file hard link one src src/hard src/link src/one src/sub src/sub/hard src/sub/link src/sub/one src/sub/sub src/sub/sub/two src/sub/two sub sub/two"
		nacre cp "box:/$WAY" out
		nacre cp "box:/$WAY/file" out/src/sub/../taken
		diff -r src out/src >diffs || true
		assert_equal "$(sed 's/: .*//' diffs | xargs)" "Only in out/src/sub Only in out/src/sub Only in out/src/sub Only in out/src/sub Only in out/src"
		assert_equal "$(stat -c '%a %y' out/one)" "$(stat -c '%a %y' src/one)"
		assert_equal "$(stat -c %i out/one)" "$(stat -c %i out/hard)"
		assert_equal "$(readlink out/link)" one
		assert_equal "$(cat out/src/taken)" one
		# A file in the place of another.
		echo more >src/one
		nacre cp src/one "box:/$WAY/file"
		nacre cp "box:/$WAY/file" out/one
		assert_equal "$(cat out/one out/hard)" $'more\none'
	done
	assert_equal "$(nacre ps -a --format '{{.Name}} {{.MountPoint}}')" "box $MNT"
}

@test "whose the copies are" {
	while each_way; do
		rm -rf ./*
		echo mine >mine
		nacre cp mine "box:/mine-$WAY"
		assert_equal "$(nacre export box | tar --numeric-owner -tvf - "mine-$WAY" | awk '{ print $2 }')" 0/0
		if [ "$WAY" = running ]; then
			nacre exec box sh -c 'echo web >/web; chown 33:33 /web; chmod 6755 /web'
		fi
		nacre cp box:/web web
		assert_equal "$(stat -c '%u %a' web)" "$(id -u) 755"
	done
	if is_root; then
		nacre cp -a box:/web kept
		assert_equal "$(stat -c '%u:%g %a' kept)" "33:33 6755"
		chown 12:34 mine
		nacre cp -a mine box:/kept
		assert_equal "$(stat -c '%u:%g' "$MNT/kept")" 12:34
	fi
}

@test "symbolic links: named ones are copied, or followed with -L, and none leads out of the container" {
	local outside=$BATS_TEST_TMPDIR/outside
	mkdir "$outside"
	echo secret >"$outside/secret"
	echo payload >payload
	while each_way; do
		rm -rf out*
		if [ "$WAY" = running ]; then
			nacre exec box sh -c "mkdir -p /d $outside; echo inside >$outside/secret; ln -s $outside/secret /abs
				ln -s ../../../../../../../../../..$outside /up; ln -s /d /to-d; ln -s d/new /to-new"
		fi
		nacre cp box:/abs out
		assert_equal "$(readlink out)" "$outside/secret"
		nacre cp -L box:/abs out2
		assert_equal "$(cat out2)" inside
		nacre cp box:/up/secret out3
		assert_equal "$(cat out3)" inside
		nacre cp box:/../../../up/secret out4
		assert_equal "$(cat out4)" inside
		nacre cp payload "box:/up/$WAY"
		nacre cp payload box:/to-d
		nacre cp payload box:/abs
		assert_equal "$(nacre export box | tar -xOf - d/payload)" payload
		assert_equal "$(nacre export box | tar -xOf - "${outside#/}/secret")" payload
		echo inside >again
		nacre cp again box:/abs
		assert_equal "$(ls "$outside")" secret
		assert_equal "$(cat "$outside/secret")" secret
	done
}

@test "a running container that swaps a folder for a link meanwhile leads nowhere" {
	local outside=$BATS_TEST_TMPDIR/outside n
	mkdir "$outside"
	nacre run -d --name box base:1 sh -c "mkdir -p /d/e /d/f $outside; touch /ready
		while :; do rm -rf /d/e; ln -s $outside /d/e; rm /d/e; mkdir /d/e; done" >/dev/null
	until nacre exec box test -e /ready; do sleep 0.1; done
	mkdir -p src/e
	echo x >src/e/x
	for ((n = 0; n < 8; n++)); do
		nacre cp src/. box:/d 2>/dev/null || true
		nacre cp src/e/x box:/d/e/y 2>/dev/null || true
	done
	assert_equal "$(ls "$outside")" ""
}

@test "what is mounted in a running container, and what is the kernel's" {
	mkdir shared
	echo host >shared/file
	nacre run -d --name box -v "$PWD/shared:/data" base:1 sleep 1000 >/dev/null
	nacre cp box:/data out
	assert_equal "$(cat out/file)" host
	nacre cp out/file box:/data/back
	assert_equal "$(cat shared/back)" host
	nacre cp box:/proc/1/cmdline cmdline
	assert_equal "$(tr '\0' ' ' <cmdline)" "sleep 1000 "
	nacre cp box:/etc/hostname name
	assert_equal "$(cat name)" "$(nacre ps -q)"
	nacre cp box:/ whole
	assert_equal "$(find whole/proc whole/sys whole/dev | wc -l)" 3
	[ -f whole/etc/passwd ]
	# The folder that is copied to is in the container.
	run nacre cp box:/ shared
	assert_status 1
	assert_output_has "nacre: cannot copy /data of box: it is where the copy goes"
}

@test "archives come in from standard input and go out to standard output" {
	while each_way; do
		rm -rf ./*
		mkdir -p src/sub
		echo one >src/one
		chmod 4750 src/one
		ln src/one src/hard
		ln -s one src/link
		ln -s /etc src/etc
		mkfifo src/pipe
		head -c 300000 /dev/urandom >src/large # more than a pipe holds
		setfattr -n user.note -v word src/one
		touch -h -d 2020-02-02T02:02:02.123456789Z src/*
		tar -C src --xattrs --format=pax --owner=33 --group=33 -cf in.tar etc hard large link one pipe sub
		nacre cp src/sub "box:/$WAY"
		gzip <in.tar | nacre cp - "box:/$WAY"
		nacre cp "box:/$WAY/." - >out.tar
		for name in in out; do python3 "$NACRE_TOP/tests/lib/rootfs.py" list $name.tar >$name; done
		diff in out
		nacre cp "box:/$WAY/link" - | tar -tf - >names
		assert_equal "$(cat names)" link
		assert_equal "$(nacre cp -L "box:/$WAY/link" - | tar -xOf -)" one
		# Into itself under another name, by two at once.
		nacre cp "box:/$WAY" - | nacre cp - box:/tmp
		nacre cp "box:/tmp/$WAY/." - >again.tar
		python3 "$NACRE_TOP/tests/lib/rootfs.py" list again.tar | diff in -
		# A link of the container's leads where it leads there, and none of the archive's out of it.
		mkdir etc
		echo mine >etc/mine
		tar -cf mine.tar etc/mine
		nacre cp - "box:/$WAY" <mine.tar
		[ ! -e /etc/mine ]
		nacre cp box:/etc/mine taken
		tar -cf up.tar -P --transform 's,^,x/../../,' etc/mine
		assert_refused "cannot copy standard input to /$WAY of box: an entry of the archive leads out of the folder" \
			nacre cp - "box:/$WAY" <up.tar
		assert_refused "standard input: it is not a tar archive" nacre cp - "box:/$WAY" <taken
		head -c 700 in.tar >cut.tar
		assert_refused "damaged or truncated" nacre cp - "box:/$WAY" <cut.tar
		assert_refused "an archive is copied into a folder, and /etc/passwd is none" nacre cp - box:/etc/passwd <in.tar
	done
	assert_refused "No space left on device" sh -c '"$0" cp box:/etc - >/dev/full' "$NACRE"
	assert_equal "$(nacre cp base:1 /etc - | tar -xOf - etc/group | head -n 1)" root:x:0:
	assert_misused nacre cp - -
}

@test "errors name the file, the container and the reason" {
	while each_way; do
		rm -rf ./*
		mkdir dir
		echo x >file
		assert_refused "nacre: cannot copy /none of box to out: in it, /none: No such file or directory" nacre cp box:/none out
		assert_refused "nacre: cannot copy file to /none/x of box: in it, /none/x: No such file or directory" \
			nacre cp file box:/none/x
		assert_refused "nacre: cannot copy none to / of box: none: No such file or directory" nacre cp none box:/
		assert_refused "/etc/passwd is a file, and what is copied is a folder" nacre cp dir box:/etc/passwd
		assert_refused "there is no folder new/" nacre cp box:/etc/passwd new/
		mkdir -p sub/passwd
		assert_refused "nacre: cannot copy /etc/passwd of box: cannot make it: Is a directory" nacre cp box:/etc/passwd sub
		[ ! -e out ]
	done
	assert_refused "no such container: nobody ('nacre ps -a' lists the containers;" nacre cp nobody:/etc/passwd out
	assert_misused nacre cp file dir
	assert_misused nacre cp box:/a box:/b
	assert_misused nacre cp -a base:1 /etc/passwd out
	nacre umount "$MNT"
	nacre run --name fixed --read-only base:1 true
	nacre run -d --name ro --read-only base:1 sleep 100
	assert_refused "Read-only file system" nacre cp file ro:/file
	nacre cp file fixed:/file
	assert_equal "$(nacre diff fixed)" "A /file"
}
