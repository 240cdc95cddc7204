#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
}

@test "ls shows the merged tree: whiteouts and opaque directories count" {
	assert_equal "$(nacre ls two:1 | xargs)" "bin etc opt tmp usr"
	assert_equal "$(nacre ls two:1 /etc | xargs)" "conf.d empty motd note shadow"
	assert_equal "$(nacre ls two:1 etc/conf.d/ | xargs)" "d"
	assert_equal "$(nacre ls base:1 etc/conf.d | xargs)" "a b c"
}

@test "ls -l: modes, owners, sizes, times, layers, links" {
	run nacre ls -l two:1 /
	assert_output_has "bin -> usr/bin"
	[[ $output =~ drwxrwxrwt\ .*tmp ]] || fail "$output"
	run nacre ls -l two:1 etc/shadow
	[[ $output =~ ^-rw-r-----\ 0\ 42\ 8\ 2020-09-13\ 12:26\ 1\ etc/shadow$ ]] || fail "$output"
	run nacre ls -l two:1 /etc/motd
	[[ $output =~ \ 2\ /etc/motd$ ]] || fail "$output"
}

@test "ls -R shows every folder under its path" {
	run nacre ls -R two:1 /etc
	assert_equal "${lines[0]}" "/etc:"
	assert_output_has $'\n/etc/conf.d:\nd'
}

@test "ls --json: keys, nanoseconds, names with a newline" {
	run nacre ls --json base:1 etc/motd
	assert_equal "$(json '.[0] | keys | join(" ")')" "Gid Layer Mode Modified Path Size Type Uid"
	assert_equal "$(json '.[0].Modified')" 2020-09-13T12:26:40.123456789Z
	assert_equal "$(json '.[0].Path')" /etc/motd
	run nacre ls --json -R base:1 /
	assert_equal "$(json '[.[] | select(.Path | endswith("line\nbreak"))] | length')" 1
	assert_equal "$(json '.[] | select(.Path == "/bin").Target')" usr/bin
	assert_equal "$(json length)" 24
}

@test "ls shows a name with a newline on one line" {
	run nacre ls base:1 usr/share/doc/x
	assert_equal "$output" $'copyright\nline\\nbreak'
}

@test "links are followed within the image" {
	assert_equal "$(nacre ls base:1 /bin | xargs)" "absolute again loop tool"
	assert_equal "$(nacre cat base:1 /bin/absolute)" "$(nacre cat base:1 usr/bin/tool)"
	assert_equal "$(nacre cat base:1 /../bin/../../etc/./motd)" welcome
}

@test "cat prints whole files, of packs and objects, several in a row" {
	nacre cat base:1 usr/share/big | cmp - <(tar -xOf "$BASE_TAR" usr/share/big)
	assert_equal "$(nacre cat two:1 etc/motd etc/empty etc/note | xargs)" "second noted"
}

@test "cat of what cannot be printed" {
	assert_refused "cannot print /none of base:1: No such file" nacre cat base:1 /none
	assert_refused "it is a directory" nacre cat base:1 /etc
	assert_refused "Not a directory" nacre cat base:1 /etc/motd/x
	assert_refused "Not a directory" nacre cat base:1 /etc/motd/
	assert_refused "Too many levels of symbolic links" nacre cat base:1 /bin/loop
	assert_refused "No such file" nacre cat two:1 /etc/passwd
	assert_refused "cannot read none:1: " nacre cat none:1 /etc/motd
	assert_refused "cannot list /none of base:1: " nacre ls base:1 /none
}

@test "cat goes on after a file that is not there, and fails" {
	run --separate-stderr nacre cat base:1 /none /etc/motd
	assert_status 1
	assert_equal "$output" welcome
}

@test "what cannot be written is an error" {
	run bash -c '"$NACRE" cat base:1 usr/share/big >/dev/full'
	assert_status 1
	run bash -c '"$NACRE" images >/dev/full'
	assert_status 1
	assert_output_has "No space left"
}

@test "layers: lowest first, with their columns and JSON" {
	run nacre layers two:1
	[[ ${lines[0]} =~ ^LAYER\ +DIFF\ ID\ +SIZE\ +ADDED\ +CHANGED\ +REMOVED\ +WASTED\ +CREATED\ BY$ ]] || fail "${lines[0]}"
	[[ ${lines[1]} =~ ^1\ .*step\ 0$ ]] || fail "${lines[1]}"
	[[ ${lines[2]} =~ ^2\ .*step\ 1$ ]] || fail "${lines[2]}"
	run nacre layers --json two:1
	assert_equal "$(json '.[0] | keys | join(" ")')" "Added Changed Comment CreatedBy DiffId Entries Layer Removed Size TarSize Wasted"
	assert_equal "$(json '[.[].Layer] | join(" ")')" "1 2"
	assert_refused "cannot list the layers of none: " nacre layers none
}

# layer_of_files NAME [FILE CONTENT]...: its archive.
layer_of_files() {
	local dir=$BATS_TEST_TMPDIR/$1
	mkdir -p "$dir"
	(cd "$dir" && cat >script && sh -e ./script && rm script)
	tar -C "$dir" --sort=name -cf "$dir.tar" .
}

@test "layers: what each adds, changes, removes and wastes" {
	layer_of_files 1 <<-'END'
		mkdir -p d o/sub swap
		printf 12345 >d/kept; printf 1234567 >d/changed; printf 123 >d/gone
		printf 1111 >o/hidden; printf 22 >o/again; printf 333333 >o/sub/deep
		printf 88888888 >one; ln one two
		printf 1 >swap/a; printf 2 >tofolder
	END
	layer_of_files 2 <<-'END'
		mkdir -p d o/sub tofolder
		printf 12 >d/changed; : >d/.wh.gone; : >d/.wh.never
		: >o/.wh..wh..opq; printf 4444 >o/again; : >o/new
		: >.wh.one
		printf file >swap; : >tofolder/in
	END
	layer_of_files 3 <<-'END'
		: >.wh.two; : >.wh.d
	END
	make_archive layout "$BATS_TEST_TMPDIR/three" three:1 "$BATS_TEST_TMPDIR"/{1,2,3}.tar
	nacre load -q "$BATS_TEST_TMPDIR/three" >/dev/null
	run nacre layers --json three:1
	# The lowest: all but kept (until the last), and one, whose second name stays until then.
	assert_equal "$(json '.[] | "\(.Added) \(.Changed) \(.Removed) \(.Wasted)"')" \
		$'10 0 0 37\n2 3 6 2\n0 0 3 0'
	run nacre layers three:1
	[[ ${lines[1]} =~ ^1\ .*\ 37B\ +10\ +0\ +0\ +37B\ .*step\ 0$ ]] || fail "${lines[1]}"
}

@test "which: the layer a file comes from, and what is under it" {
	run nacre which --json two:1 /etc/motd
	assert_equal "$(json '.[] | "\(.Layer) \(.State) \(.Size) \(.CreatedBy)"')" $'2 shown 7 step 1\n1 hidden 8 step 0'
	run nacre which --json two:1 bin/tool
	assert_equal "$(json '.[] | "\(.Layer) \(.State) \(.Type) \(.Mode)"')" "1 shown file 0755"
	run nacre which --json two:1 /bin
	assert_equal "$(json '.[0].Type')" symlink
	run nacre which --json two:1 usr/../etc/./motd
	assert_equal "$(json length)" 2
	run nacre which --json two:1 /
	assert_equal "$(json '.[] | "\(.Layer) \(.State)"')" $'2 shown\n1 merged'
}

@test "which: whiteouts and opaque directories, of what they took away" {
	run nacre which --json two:1 etc/passwd
	assert_equal "$(json '.[] | "\(.Layer) \(.State) \(.At)"')" $'2 removed /etc/passwd\n1 hidden null'
	run nacre which --json two:1 etc/conf.d/a
	assert_equal "$(json '.[] | "\(.Layer) \(.State) \(.At)"')" $'2 removed /etc/conf.d\n1 hidden null'
	run nacre which --json two:1 etc/conf.d
	assert_equal "$(json '.[] | "\(.Layer) \(.State)"')" $'2 shown\n1 hidden'
	run nacre which two:1 etc/passwd
	assert_output_has "removed, by /etc/passwd"
	assert_output_has "step 0"
}

@test "which: paths that no layer has" {
	assert_refused "no layer has it" nacre which two:1 /none/x
	assert_refused "no layer has it" nacre which two:1 etc/conf.d/never
	assert_refused "no layer has it" nacre which two:1 etc/motd/x
	assert_refused "cannot look into none:1" nacre which none:1 /etc
	assert_refused "Too many levels of symbolic links" nacre which two:1 bin/loop/x
}

@test "which: a name with a newline stays one line" {
	run nacre which base:1 $'usr/share/doc/x/line\nbreak'
	assert_equal "${#lines[@]}" 2
}

@test "cp: a tree out of an image, as cp -a copies it from a mount" {
	local out=$BATS_TEST_TMPDIR/out what='%P %y %m %T@ %s %l\n'
	mkdir "$out"
	nacre cp two:1 etc "$out"
	nacre cp two:1 usr "$out/renamed"
	nacre mount two:1 "$MNT"
	diff -r --no-dereference "$MNT/etc" "$out/etc"
	diff -r --no-dereference "$MNT/usr" "$out/renamed"
	# Directories have sizes of their file system.
	diff <(cd "$MNT/usr" && find . ! -type d -printf "$what" | sort) <(cd "$out/renamed" && find . ! -type d -printf "$what" | sort)
	diff <(cd "$MNT/etc" && find . -printf '%P %y %m %T@\n' | sort) <(cd "$out/etc" && find . -printf '%P %y %m %T@\n' | sort)
	nacre umount "$MNT"
	assert_equal "$(getfattr --only-values -n user.note "$out/etc/note")" "by hand"
	[ "$out/renamed/bin/tool" -ef "$out/renamed/bin/again" ] || fail "hard links became two files"
	if is_root; then
		assert_equal "$(stat -c %u:%g "$out/renamed/share/big" "$out/etc/shadow" | xargs)" "1000:1000 0:42"
	fi
}

@test "cp: files, links, into what is there" {
	local out=$BATS_TEST_TMPDIR/out
	mkdir "$out"
	nacre cp base:1 /bin "$out/link"
	assert_equal "$(readlink "$out/link")" usr/bin
	echo old >"$out/motd"
	ln -s /etc/hostname "$out/link2"
	nacre cp base:1 bin/../../etc/motd "$out"
	nacre cp two:1@1 etc/motd "$out/link2"
	assert_equal "$(cat "$out/motd" "$out/link2" | xargs)" "welcome welcome"
	[ ! -L "$out/link2" ] || fail "a symlink stayed in the way"
	(cd "$out" && nacre cp base:1 / .)
	assert_equal "$(cat "$out/usr/bin/again" | tail -n 1)" "echo tool"
}

@test "cp: a tree of an image goes to standard output as an archive" {
	local out=$BATS_TEST_TMPDIR/out what='%P %y %m %T@ %s %l\n'
	mkdir "$out"
	cd "$BATS_TEST_TMPDIR" || return
	nacre mount two:1 "$MNT"
	nacre cp two:1 etc - | tar -C "$out" -xpf -
	nacre cp two:1 /usr/. - >usr.tar
	mkdir "$out/usr"
	tar -C "$out/usr" -xpf usr.tar
	diff -r --no-dereference "$MNT/etc" "$out/etc"
	diff <(cd "$MNT/usr" && find . ! -type d -printf "$what" | sort) <(cd "$out/usr" && find . ! -type d -printf "$what" | sort)
	nacre umount "$MNT"
	# Whoever asks, the owners are the image's.
	assert_equal "$(tar --numeric-owner -tvf usr.tar share/big | cut -d ' ' -f 2)" 1000/1000
	assert_equal "$(tar -tvf usr.tar | grep -c ' link to ')" 1
	assert_equal "$(nacre cp two:1 etc/note - | tar --xattrs --xattrs-include='*' -tvvf - | grep -c user.note)" 1
	assert_equal "$(nacre cp base:1 /bin - | tar -tvf - | grep -o 'bin -> usr/bin')" 'bin -> usr/bin'
	assert_equal "$(nacre cp two:1@1 etc/motd - | tar -xOf -)" welcome
	# The whole of it is what export writes, but for the root itself.
	diff <(nacre cp two:1 / - | tar --numeric-owner -tvf -) <(nacre export two:1 | tar --numeric-owner -tvf - | grep -v ' \./$')
	nacre cp two:1 usr - | cmp - <(nacre cp two:1 usr -)
	assert_refused "cannot copy /none of two:1 to -: No such file" nacre cp two:1 /none -
	assert_refused "cannot copy etc of two:1 to -: No space left on device" bash -c '"$0" cp two:1 etc - >/dev/full' "$NACRE"
	# What the store has lost is named, and the rest is there.
	rm -r "$NACRE_STORE/objects"
	assert_refused "cannot copy /usr/share/big of two:1: its content is not in the store" bash -c '"$0" cp two:1 usr - >usr.tar' "$NACRE"
	tar -tf usr.tar | grep -qx usr/bin/tool || fail "what comes after it is not there"
}

@test "cp: what cannot be copied is named, the rest is" {
	local out=$BATS_TEST_TMPDIR/out
	mkdir -p "$out/etc/conf.d/b"
	assert_refused "cannot copy /etc/conf.d/b of base:1: cannot make it: Is a directory" nacre cp base:1 etc "$out"
	assert_equal "$(cat "$out/etc/conf.d/a" "$out/etc/conf.d/c" | xargs)" "a=1 c=1"
	assert_refused "cannot copy /none of base:1 to $out: No such file" nacre cp base:1 /none "$out"
	assert_refused "the folder of $out/none/x cannot be opened: No such file" nacre cp base:1 etc "$out/none/x"
	assert_refused "no such container: base ('nacre ps -a' lists the containers; of an image it is" nacre cp base:1 etc
	assert_misused nacre cp base:1
}

changes() { json '.[] | "\(.Kind) \(.Path) \(.Changed | join("+")) \(.OldSize) \(.NewSize)"'; }

@test "diff of two images: added, changed, deleted, with sizes" {
	run nacre diff --json base:1 two:1
	assert_equal "$(changes)" 'D /etc/conf.d/a  4 0
D /etc/conf.d/b  4 0
D /etc/conf.d/c  4 0
A /etc/conf.d/d  0 4
C /etc/motd content+time 8 7
D /etc/passwd  22 0
A /opt  0 0
A /opt/new  0 4'
	run nacre diff base:1 two:1
	assert_equal "${lines[4]}" "C      -1B /etc/motd (content, time)"
	assert_equal "${lines[6]}" "A          /opt"
	assert_equal "$(nacre diff two:1@1 two:1)" "$output"
	assert_equal "$(nacre diff two:1 two:1)" ""
	run nacre diff --json two:1 base:1
	assert_equal "$(changes | grep opt)" "D /opt  4 0"
}

@test "diff --layer: what a layer changed" {
	local -a ids
	mapfile -t ids < <(nacre layers --json two:1 | jq -r '.[].DiffId')
	assert_equal "$(nacre diff --layer "${ids[1]}")" "$(nacre diff base:1 two:1)"
	run nacre diff --json --layer "${ids[0]}"
	assert_equal "$(json 'map(.Kind) | unique | join(" ")')" A
	assert_equal "$(json '.[0].Path')" /
	assert_equal "$(json length)" 25
}

@test "diff of images: what is metadata only, and what is not" {
	local image
	mkdir -p "$BATS_TEST_TMPDIR/meta"
	python3 - "$BASE_TAR" "$BATS_TEST_TMPDIR/changed.tar" <<-'END'
		import io, sys, tarfile
		old, new = tarfile.open(sys.argv[1]), tarfile.open(sys.argv[2], "w", format=tarfile.PAX_FORMAT)
		for m in old:
		    data = old.extractfile(m).read() if m.isreg() else b""
		    if m.name == "etc/shadow": m.mode = 0o600
		    if m.name == "etc/empty": m.uid = 7
		    if m.name == "etc/passwd": m.mtime += 1
		    if m.name == "etc/note": m.pax_headers["SCHILY.xattr.user.note"] = "another"
		    if m.name == "usr/bin/absolute": m.linkname = "/usr/bin/again"
		    if m.name == "etc/motd": data = b"WELCOME\n"
		    if m.name == "tmp": m.type = tarfile.SYMTYPE; m.linkname = "usr"
		    new.addfile(m, io.BytesIO(data))
		new.close()
	END
	nacre import -q "$BATS_TEST_TMPDIR/changed.tar" changed:1
	run nacre diff --json base:1 changed:1
	assert_equal "$(json '.[] | "\(.Kind) \(.Path) \(.Changed | join("+"))"')" 'M /etc/empty owner
C /etc/motd content
M /etc/note xattrs
M /etc/passwd time
M /etc/shadow mode
C /tmp type
C /usr/bin/absolute target'
	run nacre diff base:1 changed:1
	assert_equal "${lines[1]}" "C        = /etc/motd (content)"
}

@test "diff: what cannot be compared" {
	assert_refused "cannot compare none:1: " nacre diff none:1 base:1
	assert_refused "cannot compare base:1@2: the image has 1 layer" nacre diff base:1 base:1@2
	assert_refused "cannot list the changes of layer 00000000: no such layer" nacre diff --layer 00000000
	assert_misused nacre diff
	assert_misused nacre diff --layer 0000 base:1
}
