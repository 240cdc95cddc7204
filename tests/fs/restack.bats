#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Layers that come to a mount in use and leave it: whatever the kernel had cached, what shows is what a new mount of the
# same layers shows.  More by hand: NACRE_SEEDS="1 2 3" NACRE_CHANGES=60 (a removal that is refused takes a second).
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

numbered() {
	local n
	for n in 0 1 2 3 4 5 6 7; do
		printf '%s %s\n' "$1" "$n" >"$2$n"
	done
}

lowest() {
	mkdir -p both/deep still gone/sub low
	numbered lowest ./
	numbered lowest both/
	numbered lowest both/deep/
	numbered lowest still/
	numbered lowest low/
	echo gone >gone/sub/file
	ln low/0 low/link
	ln low/0 both/link
	ln -s 0 both/symlink
}
topmost() {
	mkdir -p both/deep top
	numbered topmost top/
	echo topmost >both/0
	echo topmost >both/deep/top
}

setup_file() {
	make_lowers lowest topmost
	export EXTRA=$BATS_FILE_TMPDIR/extra
	mkdir -p "$EXTRA/a/both/deep" "$EXTRA/a/new/sub" "$EXTRA/b/both" "$EXTRA/b/still" "$EXTRA/b/new/sub" "$EXTRA/c/low"
	cd "$EXTRA/a" || return
	# A file over a file, new ones, a folder over a file, a file over a folder, a whiteout, an opaque folder.
	echo 'a of the added' >both/1
	printf '%5000s\n' a >both/2
	echo a >both/deep/fresh
	numbered a new/
	numbered a new/sub/
	mkdir 3
	echo a >3/inside
	echo a >gone
	: >.wh.4
	cd ../b || return
	numbered b new/
	echo b >new/sub/b
	: >both/.wh..wh..opq
	echo b >both/5
	ln -s nowhere still/1
	: >still/.wh.2
	cd ../c || return
	echo c >low/0
	mkdir low/1
	: >.wh.both
}
setup() { setup_store; }
teardown() {
	local pid
	for pid in ${STARTED:-}; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	[ ! -d "$BATS_TEST_TMPDIR/hold" ] || touch "$BATS_TEST_TMPDIR/hold/go"
	unmount_all
}
teardown_file() { lowers_unchanged; }

add() { nacre layer add "$MNT" "$EXTRA/$1"; }
take() { nacre layer remove "$MNT" "$EXTRA/$1"; }

# What anybody can see, without the times of folders where others stat them just when something is made there: an answer
# that is on its way then may come last, and the kernel keeps it.
seen() {
	local folder=' %T@'
	[ -z "${TIMES_RACE:-}" ] || folder=
	(cd "$1" && find . \( -type d -printf "%P %y %m %U:%G$folder\n" -o -printf '%P %y %m %U:%G %l %T@\n' \) | sort && find . -type f -printf '%P %s\n' | sort &&
		find . -type f -exec sha256sum {} + | sort -k 2)
}

# as_new_mount [FOLDER...]: $MNT shows what a new mount of its upper, these folders and the lowers does; and its listings,
# lookups and attributes agree.
as_new_mount() {
	local other=$BATS_TEST_TMPDIR/other folder stack=$UPPER options=ro
	is_fake && options+=,fakeroot
	for folder; do
		stack+=:$folder
	done
	stack+=:$LOWERS
	mkdir -p "$other"
	# Not sync -f, for which newer kernels do not wait until the driver has what it was sent.
	find "$MNT" -type f -exec sync {} +
	nacrefs -o "$options,lowerdir=$stack" "$other"
	diff <(seen "$other") <(seen "$MNT") || fail "it is not as a new mount of the same layers ($KIND)"
	unmount "$other"
}

@test "names, contents and folders come and go at once for who has seen the others" {
	while fresh_mount; do
		seen "$MNT" >/dev/null
		[ ! -e "$MNT/new" ] && [ ! -e "$MNT/both/deep/fresh" ] && [ -f "$MNT/3" ] && [ -e "$MNT/4" ]
		before=$(cd "$MNT" && find . ! -type d -printf '%P %i %n\n' | sort)
		add a
		assert_equal "$(cat "$MNT/both/1")" 'a of the added'
		assert_equal "$(stat -c %s "$MNT/both/2")" 5001
		assert_equal "$(cat "$MNT/new/sub/7" "$MNT/both/deep/fresh" "$MNT/3/inside" "$MNT/gone")" $'a 7\na\na\na'
		[ ! -e "$MNT/4" ]
		add b
		assert_equal "$(find "$MNT/both" -mindepth 1 -printf '%P\n')" 5
		[ -L "$MNT/still/1" ] && [ ! -e "$MNT/still/2" ]
		as_new_mount "$EXTRA/b" "$EXTRA/a"
		add c
		[ ! -e "$MNT/both" ] && [ -d "$MNT/low/1" ]
		as_new_mount "$EXTRA/c" "$EXTRA/b" "$EXTRA/a"
		take b
		as_new_mount "$EXTRA/c" "$EXTRA/a"
		take c
		take a
		as_new_mount
		diff <(printf '%s\n' "$before") <(cd "$MNT" && find . ! -type d -printf '%P %i %n\n' | sort) || fail "inode numbers"
	done
}

@test "what the upper has stays, and what is copied up from an added layer is whole" {
	while fresh_mount; do
		seen "$MNT" >/dev/null
		echo mine >"$MNT/both/1"
		mkdir "$MNT/new"
		echo mine >"$MNT/new/0"
		rm "$MNT/3"
		rm -r "$MNT/both/deep"
		mkdir "$MNT/both/deep"
		mv "$MNT/low" "$MNT/moved"
		echo link >>"$MNT/moved/link"
		add a
		assert_equal "$(cat "$MNT/both/1" "$MNT/new/0" "$MNT/new/1")" $'mine\nmine\na 1'
		[ ! -e "$MNT/3" ] && [ -z "$(ls -A "$MNT/both/deep")" ]
		chmod 600 "$MNT/both/2" "$MNT/new/3"
		mv "$MNT/new/sub" "$MNT/taken"
		echo more >>"$MNT/new/4"
		rm "$MNT/new/5"
		as_new_mount "$EXTRA/a"
		take a
		assert_equal "$(stat -c %s "$MNT/both/2")" 5001
		assert_equal "$(cat "$MNT/new/3" "$MNT/taken/7" "$MNT/new/4")" $'a 3\na 7\na 4\nmore'
		[ ! -e "$MNT/new/1" ]
		assert_equal "$(cat "$MNT/both/link")" $'lowest 0\nlink'
		as_new_mount
	done
}

@test "a file that is open goes on, also when it shows no more" {
	KINDS=$(one_kind)
	while fresh_mount; do
		exec 7<"$MNT/both/1" 8<>"$MNT/gone/sub/file"
		add a
		add c
		assert_equal "$(cat <&7)" 'lowest 1'
		echo changed >&8
		[ ! -e "$MNT/both" ] && [ -f "$MNT/gone" ]
		assert_equal "$(cat /proc/self/fd/8)" changed
		exec 7<&- 8<&-
		take c
		take a
		as_new_mount
	done
}

@test "what is in use is not removed: open, mapped, a working directory" {
	while fresh_mount; do
		add a
		seen "$MNT" >/dev/null
		exec 7<"$MNT/new/sub/3"
		run take a
		assert_status 1
		assert_output_has "/new/sub/3 of it is in use by "
		assert_equal "$(cat <&7)" 'a 3'
		exec 7<&-
		in_python "$MNT" "$NACRE" "$EXTRA/a" <<-'END'
			mount = os.getcwd()
			def refused():
			    run = subprocess.run([sys.argv[1], "layer", "remove", mount, sys.argv[2]], stderr=subprocess.PIPE)
			    assert run.returncode == 1, run
			    return run.stderr.decode()
			with open("both/2") as f:
			    area = mmap.mmap(f.fileno(), 5001, prot=mmap.PROT_READ)
			said = refused()
			assert "/both/2 of it is in use by python3" in said, said
			assert area[4999:5001] == b"a\n"
			area.close()
			os.chdir("new")
			said = refused()
			assert "/new of it is in use by python3" in said, said
			assert os.listdir(".")
		END
		as_new_mount "$EXTRA/a"
		take a
		as_new_mount
	done
}

@test "metacopies keep their data, and hold a layer of the mount" {
	big() { head -c 40000 /dev/zero | tr '\0' "$1"; }
	mkdir -p "$BATS_TEST_TMPDIR/low" "$BATS_TEST_TMPDIR/lower/d" "$BATS_TEST_TMPDIR/add/d"
	big l >"$BATS_TEST_TMPDIR/lower/d/big"
	big l >"$BATS_TEST_TMPDIR/lower/d/untouched"
	big a >"$BATS_TEST_TMPDIR/add/d/big"
	big a >"$BATS_TEST_TMPDIR/add/d/other"
	mount_dirs "$BATS_TEST_TMPDIR/lower" "$BATS_TEST_TMPDIR/low"
	chmod 600 "$MNT/d/big"
	nacre layer add "$MNT" "$BATS_TEST_TMPDIR/add"
	is_root && drop_caches 3
	assert_equal "$(sha256sum <"$MNT/d/big")" "$(big l | sha256sum)"
	chmod 600 "$MNT/d/other"
	run nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/lower"
	assert_status 1
	assert_output_has "only the attributes of d/big were changed"
	nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/add"
	assert_equal "$(sha256sum <"$MNT/d/other")" "$(big a | sha256sum)"
	echo >>"$MNT/d/big"
	nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/lower"
	[ ! -e "$MNT/d/untouched" ]
	assert_equal "$(sha256sum <"$MNT/d/big")" "$( (big l; echo) | sha256sum)"
	run nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/low"
	assert_status 1
	assert_output_has "it is the only layer"
}

# No library can be put before a sanitizer's.
# bats test_tags=slow
@test "who opens a name after a layer has come gets its file, although the kernel was not told yet" {
	local library=$NACRE_BUILD/tests/fault/libnacre_fault.so hold=$BATS_TEST_TMPDIR/hold low=$BATS_TEST_TMPDIR/low add n tries
	mkdir -p "$hold" "$low/d" "$low/signs" "$BATS_TEST_TMPDIR/new/d" "$BATS_TEST_TMPDIR/new/signs"
	cd "$BATS_TEST_TMPDIR" || return
	touch new/signs/{1..60} new/fresh new/.wh.gone low/gone
	echo low | tee low/file >low/d/file
	echo new | tee new/file >new/d/file
	LD_PRELOAD=$library NACRE_FAULT_HOLD=$hold mount_dirs "$low"
	assert_equal "$(cat "$MNT/file" "$MNT/d/file")" $'low\nlow'
	[ -e "$MNT/gone" ] && [ ! -e "$MNT/fresh" ]
	nacre layer add "$MNT" "$BATS_TEST_TMPDIR/new" 3>&- 4>&- &
	add=$!
	# Each time that the kernel is to be told: has the layer come?
	for ((n = 1; ; n++)); do
		for ((tries = 0; tries < 6000; tries++)); do
			[ ! -e "$hold/held.$n" ] || break
			sleep .01
		done
		[ -e "$hold/held.$n" ] || fail "the kernel was told of no name once the layer had come"
		[ ! -e "$MNT/signs/$n" ] || break
		assert_equal "$(cat "$MNT/file" "$MNT/d/file")" $'low\nlow'
		[ -e "$MNT/gone" ] && [ ! -e "$MNT/fresh" ]
		touch "$hold/go.$n"
	done
	echo mine >>"$MNT/file"
	echo mine >>"$MNT/d/file"
	[ ! -e "$MNT/gone" ] && [ -e "$MNT/fresh" ]
	touch "$hold/go"
	wait "$add"
	assert_equal "$(cat "$MNT/file" "$MNT/d/file")" $'new\nmine\nnew\nmine'
	assert_equal "$(cat "$UPPER/file" "$UPPER/d/file")" $'new\nmine\nnew\nmine'
}

@test "programs go on while layers come and go" {
	KINDS=$(one_kind) TIMES_RACE=y
	for seed in ${NACRE_SEEDS:-1}; do
		KINDS_DONE=0 KIND=''
		fresh_mount volatile
		programs_beside 200 fs/restack.py "$MNT" "$EXTRA" "${NACRE_CHANGES:-16}" "$seed" >"$BATS_TEST_TMPDIR/stack" ||
			fail "see above (seed $seed)"
		mapfile -t folders <"$BATS_TEST_TMPDIR/stack"
		[ -n "${folders[0]}" ] || folders=()
		as_new_mount "${folders[@]}"
		unmount "$MNT"
	done
}
