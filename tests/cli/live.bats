#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A commit of a mount in use: its upper becomes a layer, and a fresh one takes its place.
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

# The same of each file that any view of the tree must show; times of folders too.
listing() { find "$1" -printf '%P %y %m %U %G %s %T@ %l\n' | sort; }
# And what a mount keeps as long as it is there.
identities() { find "$1" -printf '%P %i %n\n' | sort; }
contents() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2); }

folder() { echo "$NACRE_STORE/containers/$CONTAINER"; }
folders() { find "$(folder)" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }

change() {
	echo added >"$MNT/etc/added"
	echo more >>"$MNT/etc/motd"
	rm "$MNT/etc/passwd"
	rm -r "$MNT/usr/share/doc"
	mkdir "$MNT/usr/share/doc"
	echo fresh >"$MNT/usr/share/doc/fresh"
	mv "$MNT/etc/conf.d" "$MNT/etc/moved.d"
	chmod 600 "$MNT/usr/share/big"
	mv "$MNT/usr/share/big" "$MNT/usr/share/large"
	echo x >>"$MNT/usr/bin/tool"
	ln "$MNT/etc/added" "$MNT/etc/linked"
	ln -s nowhere "$MNT/etc/symlink"
	mkfifo "$MNT/etc/fifo"
	setfattr -n user.mark -v here "$MNT/etc/added"
	chmod 750 "$MNT"
}

@test "nothing shows of it, in the mount, the image and the container mounted again" {
	mount_rw
	change
	before=$(listing "$MNT") files=$(contents "$MNT") numbers=$(identities "$MNT")
	run --separate-stderr nacre commit --live -m "while it runs" "$MNT" live:1
	assert_status 0
	[[ $output =~ ^sha256:[0-9a-f]{64}$ ]] || fail "no image ID: $output"
	assert_equal "$(listing "$MNT")" "$before"
	assert_equal "$(contents "$MNT")" "$files"
	assert_equal "$(identities "$MNT")" "$numbers"
	is_root && echo 2 >/proc/sys/vm/drop_caches
	assert_equal "$(identities "$MNT")" "$numbers"
	assert_equal "$(getfattr --only-values -n user.mark "$MNT/etc/linked")" here
	[ -z "$(nacre diff "$MNT")" ]
	assert_equal "$(nacre ps --json | jq -r '.[0].Image')" live:1
	assert_equal "$(nacre history --json live:1 | jq -r '.[0].Comment')" "while it runs"
	nacre umount "$MNT"
	nacre mount live:1 "$MNT"
	assert_equal "$(listing "$MNT")" "$before"
	assert_equal "$(contents "$MNT")" "$files"
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(listing "$MNT")" "$before"
	assert_equal "$(contents "$MNT")" "$files"
}

@test "what is done afterwards is a layer of its own" {
	mount_rw
	change
	nacre commit --live "$CONTAINER" live:1
	mv "$MNT/etc/moved.d" "$MNT/etc/again.d"
	rm "$MNT/etc/motd" "$MNT/etc/fifo"
	echo changed >>"$MNT/etc/linked"
	mkdir "$MNT/etc/passwd"
	mv "$MNT/usr/share/large" "$MNT/huge"
	chown "$(id -u):$(id -g)" "$MNT/huge"
	echo y >>"$MNT/usr/bin/again"
	chmod 755 "$MNT"
	assert_equal "$(cat "$MNT/etc/added")" $'added\nchanged'
	assert_equal "$(tail -n 1 "$MNT/bin/tool")" y
	before=$(listing "$MNT") files=$(contents "$MNT")
	nacre commit --live "$CONTAINER" live:2
	assert_equal "$(nacre layers --json live:2 | jq length)" 3
	assert_equal "$(nacre cat live:1 /etc/added)" added
	assert_equal "$(nacre cat live:2 /etc/added)" $'added\nchanged'
	nacre umount "$MNT"
	nacre mount live:2 "$MNT"
	assert_equal "$(listing "$MNT")" "$before"
	assert_equal "$(contents "$MNT")" "$files"
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(listing "$MNT")" "$before"
	nacre verify
}

@test "no new file has the number of one that is in a layer by now" {
	mount_rw
	mkdir "$MNT/d"
	(cd "$MNT/d" && touch old{1..100})
	nacre commit --live "$MNT" live:1
	(cd "$MNT/d" && for file in old*; do echo changed >>"$file"; done)
	numbers=$(identities "$MNT/d")
	is_root && echo 2 >/proc/sys/vm/drop_caches
	assert_equal "$(identities "$MNT/d")" "$numbers"
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	numbers=$(identities "$MNT/d")
	# Until the numbers of the files that were there then are given again.
	(cd "$MNT/d" && touch new{1..20000})
	assert_equal "$(find "$MNT" -type f -links 1 -printf '%i\n' | sort | uniq -d)" ''
	(cd "$MNT/d" && rm new*)
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(identities "$MNT/d")" "$numbers"
}

@test "a file that is given the number of one of a former upper is not taken for its copy" {
	mount_rw
	mkdir "$MNT/d"
	(cd "$MNT/d" && for i in {1..100}; do echo first >"old$i" && ln "old$i" "other$i"; done)
	nacre commit --live "$MNT" live:1
	(cd "$MNT/d" && for i in {1..100}; do echo changed >>"old$i"; done)
	nacre umount "$MNT"
	# Until the numbers of the files that were there then are given again.
	python3 - added <<-'END'
		import os, sys
		os.mkdir(sys.argv[1])
		for i in range(20000):
		    with open(f"{sys.argv[1]}/a{i}", "w") as file:
		        file.write(f"{i}\n")
		    os.link(f"{sys.argv[1]}/a{i}", f"{sys.argv[1]}/b{i}")
	END
	nacre mount --container "$CONTAINER" "$MNT"
	nacre layer add "$MNT" ./added
	assert_equal "$(cd "$MNT" && cat a* b* | sha256sum)" "$(cd added && cat a* b* | sha256sum)"
	assert_equal "$(cd "$MNT/d" && cat other* | sort | uniq -c | tr -s ' ')" $' 100 changed\n 100 first'
}

@test "a link that nobody has looked at since changes with the others" {
	mount_rw
	mkdir "$MNT/a" "$MNT/b"
	echo old >"$MNT/a/file"
	ln "$MNT/a/file" "$MNT/b/file"
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	echo old >>"$MNT/a/file"
	nacre commit --live "$MNT"
	echo new >"$MNT/a/file"
	nacre commit --live "$MNT" live:2
	assert_equal "$(cat "$MNT/b/file")" new
	assert_equal "$(nacre cat live:2 /b/file)" new
	nacre umount "$MNT"
	nacre mount live:2 "$MNT"
	assert_equal "$(stat -c %i "$MNT/a/file")" "$(stat -c %i "$MNT/b/file")"
}

@test "a link in a folder that was renamed since changes with the others" {
	mount_rw
	mkdir -p "$MNT/a/in" "$MNT/b"
	echo old >"$MNT/a/in/file"
	ln "$MNT/a/in/file" "$MNT/b/file"
	nacre commit --live "$MNT"
	mkdir "$MNT/to"
	mv "$MNT/a" "$MNT/to/c"
	nacre commit --live "$MNT"
	if is_root; then # nobody has looked at it
		sync -f "$MNT"
		echo 2 >/proc/sys/vm/drop_caches
	fi
	echo new >"$MNT/b/file"
	nacre commit --live "$MNT" live:2
	assert_equal "$(cat "$MNT/to/c/in/file")" new
	assert_equal "$(nacre cat live:2 /to/c/in/file)" new
	assert_equal "$(stat -c %i "$MNT/to/c/in/file")" "$(stat -c %i "$MNT/b/file")"
}

@test "many files of two names: each has its count, before and after it changes" {
	mount_rw
	counts() { find "$MNT/many" -type f -printf '%n\n' | sort | uniq -c | xargs; }
	mkdir "$MNT/many"
	for ((i = 0; i < 150; i++)); do
		: >"$MNT/many/$i"
		ln "$MNT/many/$i" "$MNT/many/$i.2"
	done
	nacre commit --live "$MNT"
	assert_equal "$(counts)" "300 2"
	rm "$MNT/many/0"
	ln "$MNT/many/1" "$MNT/many/1.3"
	mv "$MNT/many/2" "$MNT/many/3"
	nacre commit --live "$MNT"
	assert_equal "$(counts)" "2 1 294 2 3 3"
}

@test "programs go on with their files while it happens" {
	mount_rw
	programs_beside 120 cli/live.py "$MNT" 4 || fail "see above"
	before=$(listing "$MNT") files=$(contents "$MNT")
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(listing "$MNT")" "$before"
	assert_equal "$(contents "$MNT")" "$files"
	nacre verify
}

@test "the folders of the past are gone with the mount" {
	mount_rw
	echo 1 >"$MNT/one"
	nacre commit --live "$MNT"
	echo 2 >"$MNT/two"
	nacre commit --live "$MNT"
	assert_equal "$(find "$(folder)" -maxdepth 1 -name 'frozen.*' | wc -l)" 2
	nacre umount "$MNT"
	assert_equal "$(folders)" $'upper\nwork'
	assert_equal "$(find "$(folder)/work" -name 'links*' | wc -l)" 1
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(cat "$MNT/one" "$MNT/two")" $'1\n2'
}

# Each state that a crash can leave (store/frozen.c): after_step N, with the driver alive or not.
after_step() {
	local c n
	c=$(folder)
	mkdir "$c/fresh"
	n=$(stat -c %i "$c/fresh")
	mkdir "$c/work/links-$(printf %x "$n")"
	[ "$1" -ge 2 ] || return 0
	mv "$c/upper" "$c/frozen.1"
	[ "$1" -ge 3 ] || return 0
	mv "$c/fresh" "$c/upper"
}

kill_driver() {
	local pid
	pid=$(driver_pids "$MNT")
	kill -KILL "$pid"
	nacre umount "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
}

@test "an interrupted one: nothing is lost, whoever comes next ends it" {
	for step in 1 2 3; do
		for how in killed commit live umount; do
			[ $step = 3 ] || [ $how = killed ] || [ $how = live ] || continue
			mount_rw
			echo first >"$MNT/first"
			rm "$MNT/etc/motd"
			sync "$MNT/first"
			after_step $step
			echo second >"$MNT/second" # the driver knows of nothing
			sync "$MNT/second"
			case $how in
			killed) kill_driver ;;
			umount) nacre umount "$MNT" ;;
			live) nacre commit --live "$MNT" "app:$step" ;;
			commit) nacre commit "$MNT" "app:$step" ;;
			esac
			[ "$how" != live ] && [ "$how" != commit ] ||
				assert_equal "$(nacre cat "app:$step" /first; nacre cat "app:$step" /second)" $'first\nsecond'
			if [ "$how" = killed ] || [ "$how" = umount ]; then
				[ $step != 3 ] || { run nacre diff "$CONTAINER"; assert_status 1; assert_output_has interrupted; }
				nacre mount --container "$CONTAINER" "$MNT"
			fi
			echo third >"$MNT/third"
			assert_equal "$(cat "$MNT/first" "$MNT/second" "$MNT/third")" $'first\nsecond\nthird'
			[ ! -e "$MNT/etc/motd" ]
			nacre umount "$MNT"
			assert_equal "$(folders)" $'upper\nwork'
			nacre mount --container "$CONTAINER" "$MNT"
			assert_equal "$(cat "$MNT/first" "$MNT/second" "$MNT/third")" $'first\nsecond\nthird'
			nacre umount --rm "$MNT"
		done
	done
	nacre verify
}

@test "killed anywhere: what was synced is there" {
	mount_rw
	: >"$MNT/log"
	for i in $(seq 12); do
		echo "$i" >>"$MNT/log"
		sync "$MNT/log"
		timeout -s KILL "0.00$((i % 9 + 1))" "$NACRE" commit -q --live "$MNT" 3>&- 4>&- >/dev/null 2>&1 || true
	done
	assert_equal "$(cat "$MNT/log")" "$(seq 12)"
	kill_driver
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(cat "$MNT/log")" "$(seq 12)"
	nacre commit --live "$MNT" live:1
	assert_equal "$(nacre cat live:1 /log)" "$(seq 12)"
	nacre verify
}

@test "what is refused leaves all as it was" {
	mount_rw
	echo 1 >"$MNT/one"
	assert_refused_unchanged NONSENSE nacre commit --live -c 'NONSENSE x' "$MNT"
	assert_refused_unchanged "not a valid image name" nacre commit --live "$MNT" 'a b'
	assert_equal "$(folders)" $'upper\nwork'
	nacre umount "$MNT"
	assert_refused_unchanged "not mounted" nacre commit --live "$CONTAINER"
	nacre mount base:1 "$MNT"
	assert_refused_unchanged "read-only" nacre commit --live "$MNT"
}

@test "a process in a container of the same user may not" {
	mount_rw
	namespaces=(-m)
	is_root || namespaces=(-m -U --map-current-user)
	unshare "${namespaces[@]}" true 2>/dev/null || skip "no namespaces here"
	run unshare "${namespaces[@]}" python3 -c '
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
try:
    fcntl.ioctl(fd, 0x4e74)
except PermissionError:
    sys.exit(0)
sys.exit(1)' "$MNT" 3>&- 4>&-
	assert_status 0
}

@test "size= counts the fresh upper" {
	mount_rw -o size=1m
	head -c 900K /dev/zero | tr '\0' x >"$MNT/full"
	run dd if=/dev/zero of="$MNT/more" bs=1k count=400 status=none
	assert_status 1
	rm "$MNT/more"
	exec 7>"$MNT/nameless" # it stays where it is, and takes its room
	rm "$MNT/nameless"
	dd if=/dev/zero bs=1k count=50 status=none >&7
	nacre commit --live "$MNT" live:1
	head -c 900K /dev/zero | tr '\0' y >"$MNT/second"
	run dd if=/dev/zero of="$MNT/more" bs=1k count=100 status=none
	assert_status 1
	rm "$MNT/more"
	exec 7>&-
	assert_equal "$(wc -c <"$MNT/full")" 921600
}
