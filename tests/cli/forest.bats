#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Mounts of several trees: an image's layers side by side, and all of the store.
# shellcheck disable=SC2154,SC2011,SC2012,SC2030,SC2031
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
	mapfile -t IDS < <(nacre layers --json two:1 | jq -r '.[].DiffId | ltrimstr("sha256:")')
}
teardown() { unmount_all; }

tree() { (cd "$1" && find . -mindepth 1 -printf '%P\n' | sort | xargs); }

# The same tree in two places: all that can be said of its files but their numbers, and the layer they come from.
same_tree() {
	diff <(list_tree "$1") <(list_tree "$2") || fail "$1 and $2 are not the same"
	diff <(cd "$1" && find . ! -type l -exec getfattr -n user.nacre.layer {} + 2>&1) \
		<(cd "$2" && find . ! -type l -exec getfattr -n user.nacre.layer {} + 2>&1)
}

@test "--layers: a folder for each layer, numbered, and the whole" {
	local one=$BATS_TEST_TMPDIR/one
	mkdir "$one"
	run nacre mount --layers two:1 "$MNT"
	assert_status 0
	assert_equal "$output" ""
	assert_equal "$(ls "$MNT" | xargs)" "01-${IDS[0]:0:12} 02-${IDS[1]:0:12} merged"
	nacre mount two:1 "$one"
	same_tree "$one" "$MNT/merged"
	for i in 0 1; do
		nacre umount "$one"
		nacre mount --layer "${IDS[i]}" "$one"
		same_tree "$one" "$MNT/0$((i + 1))-${IDS[i]:0:12}"
	done
	run touch "$MNT/x" "$MNT/merged/x"
	assert_output_has "Read-only file system"
	run nacre rmi two:1
	assert_status 1
	assert_output_has "the image is mounted"
	nacre umount "$MNT"
	[ -z "$(ls "$MNT")" ]
}

@test "--layers --whiteouts: what each takes away, and nothing in merged" {
	nacre mount --layers --whiteouts=mark two:1 "$MNT"
	[ -f "$MNT/02-${IDS[1]:0:12}/etc/.wh.passwd" ]
	[ -f "$MNT/02-${IDS[1]:0:12}/etc/conf.d/.wh..wh..opq" ]
	assert_equal "$(find "$MNT/merged" "$MNT/01-${IDS[0]:0:12}" -name '.wh.*')" ""
	assert_equal "$(getfattr --only-values --absolute-names -n user.nacre.layer "$MNT/merged/etc/motd")" "sha256:${IDS[1]}"
}

@test "--all: images by name and tag, layers by ID" {
	nacre tag base:1 registry.example:5000/team/app:1.0
	nacre tag base:1 team:app
	nacre tag two:1 team/app:9
	nacre mount --all "$MNT"
	assert_equal "$(cd "$MNT" && find . -maxdepth 6 -path '*/etc/motd' | sort | sed 's,/etc/motd,,' | xargs)" \
		"./images/base/1 ./images/team/:app ./images/team/app/9 ./images/two/1 $(printf './layers/%s\n' "${IDS[@]:0:2}" |
			cut -c 1-21 | sort | xargs)"
	assert_equal "$(cat "$MNT/images/registry.example:5000/team/app/1.0/etc/motd")" welcome
	assert_equal "$(cat "$MNT/images/two/1/etc/motd")" second
	[ ! -e "$MNT/images/base/2" ] && [ ! -e "$MNT/images/none" ] && [ ! -e "$MNT/layers/x" ]
	# Two trees of the same layers: no folder of the one is a folder of the other.
	assert_equal "$(find "$MNT" -type d -printf '%i\n' | sort | uniq -d)" ""
	local one=$BATS_TEST_TMPDIR/one
	mkdir "$one"
	nacre mount two:1 "$one"
	same_tree "$one" "$MNT/images/two/1"
}

@test "--all: what comes and goes later, at once" {
	nacre mount --all "$MNT"
	assert_equal "$(ls "$MNT/images" | xargs)" "base two"
	nacre tag two:1 three:7
	assert_equal "$(ls "$MNT/images" | xargs)" "base three two"
	assert_equal "$(cat "$MNT/images/three/7/etc/motd")" second
	# A tag that moves.
	nacre tag base:1 three:7
	assert_equal "$(cat "$MNT/images/three/7/etc/motd")" welcome
	nacre rmi three:7
	[ ! -e "$MNT/images/three" ]
	run cat "$MNT/images/three/7/etc/motd"
	assert_output_has "No such file"
	echo new >"$BATS_TEST_TMPDIR/new"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/new.tar" new
	nacre import "$BATS_TEST_TMPDIR/new.tar" another:1
	assert_equal "$(cat "$MNT/images/another/1/new")" new
	assert_equal "$(ls "$MNT/layers" | wc -l)" 3
}

@test "--all: an image that was looked into can be removed; who is still in it is told" {
	nacre mount --all "$MNT"
	cd "$MNT/images/two/1/etc"
	assert_equal "$(cat motd)" second
	exec 5<note
	nacre rmi two:1
	[ ! -e "$MNT/images/two" ]
	assert_equal "$(ls "$MNT/layers" | xargs)" "${IDS[0]:0:12}"
	run cat shadow
	[ "$status" != 0 ]
	run ls conf.d
	[ "$status" != 0 ]
	exec 5<&-
	# The same again: a new tree, whatever is kept of the old one.
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
	assert_equal "$(cat "$MNT/images/two/1/etc/note")" noted
	assert_equal "$(cat "$MNT/images/two/1/etc/shadow")" "$(nacre cat two:1 etc/shadow)"
	cd /
}

@test "--all: what stat says of an image's root is the same before somebody enters it and after" {
	of_roots() { stat -c '%n %i %u %g %a %s %b %h %x %y %z' "$MNT"/images/*/* "$MNT"/layers/*; }
	mkdir "$BATS_TEST_TMPDIR/root"
	touch -d '2001-02-03 04:05:06.789' "$BATS_TEST_TMPDIR/root"
	tar -C "$BATS_TEST_TMPDIR/root" --format=pax --owner=:11 --group=:12 -cf "$BATS_TEST_TMPDIR/root.tar" .
	nacre import -q "$BATS_TEST_TMPDIR/root.tar" timed:1 >/dev/null
	local all=("" squash_to_uid=7,squash_to_gid=8)
	[ "$EUID" != 0 ] || all+=(uidmapping=5000:0:100,gidmapping=6000:0:100) # a user's mounts give the image's owners
	for options in "${all[@]}"; do
		nacre mount --all ${options:+-o "$options"} "$MNT"
		of_roots >"$BATS_TEST_TMPDIR/before"
		ls "$MNT"/images/*/* "$MNT"/layers/* >/dev/null
		of_roots | diff "$BATS_TEST_TMPDIR/before" -
		nacre umount "$MNT"
		grep -q '^[^ ]*/timed/1 .* 2001-02-03 04:05:06.789000000' "$BATS_TEST_TMPDIR/before"
	done
}

@test "--all: 1,000 layers are mounted at once, and opened only as they are entered" {
	python3 - "$NACRE_STORE" <<-'END'
		import hashlib, json, sqlite3, sys
		db = sqlite3.connect(sys.argv[1] + "/index.db")
		base = db.execute("SELECT * FROM layer LIMIT 1")
		names = [c[0] for c in base.description]
		row = dict(zip(names, base.fetchone()))
		entry = dict(zip([c[1] for c in db.execute("PRAGMA table_info(entry)")],
		                 db.execute("SELECT * FROM entry WHERE layer = ? AND dir = 0", (row["id"],)).fetchone()))
		def add(table, values):
		    keys = ", ".join(values)
		    return db.execute(f"INSERT INTO {table} ({keys}) VALUES ({', '.join('?' * len(values))})",
		                      list(values.values())).lastrowid
		for i in range(100):
		    ids = []
		    for k in range(10):
		        digest = hashlib.sha256(b"%d %d" % (i, k)).digest()
		        ids.append((add("layer", {**{n: v for n, v in row.items() if n != "id"}, "diff_id": digest}), digest))
		        add("entry", {**entry, "layer": ids[-1][0]})
		    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + d.hex() for _, d in ids]}})
		    image = add("image", {"digest": hashlib.sha256(config.encode()).digest(), "config": config.encode(), "created": 0})
		    for n, (layer, _) in enumerate(ids):
		        add("image_layer", {"image": image, "layer": layer, "position": n})
		    add("tag", {"name": f"many:{i}", "image": image})
		db.commit()
	END
	nacre mount --all "$MNT"
	assert_equal "$(ls "$MNT/layers" | wc -l)" 1002
	assert_equal "$(ls "$MNT/images/many" | wc -l)" 100
	[ -d "$MNT/images/many/7" ]
	leases() { find "$NACRE_STORE/leases" -type f | wc -l; }
	ls -l "$MNT/layers" "$MNT/images/many" >/dev/null
	assert_equal "$(leases)" 0
	ls "$MNT/images/two/1" >/dev/null
	assert_equal "$(leases)" 1
}

# No library can be put before a sanitizer's.
# bats test_tags=slow
@test "--all: the kernel may forget a tree once it has its answer, whoever has not done with the request yet" {
	local hold=$BATS_TEST_TMPDIR/hold tries
	mkdir "$hold"
	# What is freed is filled with bytes that make a lock a robust one that somebody has: who takes it waits for ever.
	printf '#!/bin/sh\nLD_PRELOAD=%s NACRE_FAULT_HOLD_READ=%s GLIBC_TUNABLES=%s exec %s "$@"\n' \
		"$NACRE_BUILD/tests/fault/libnacre_fault.so" "$hold" glibc.malloc.perturb=16:glibc.malloc.tcache_count=0 \
		"$NACREFS" >"$BATS_TEST_TMPDIR/driver"
	chmod +x "$BATS_TEST_TMPDIR/driver"
	head -c 20000 /dev/zero >"$BATS_TEST_TMPDIR/zeros"
	tar -C "$BATS_TEST_TMPDIR" -c zeros | nacre import -q - held:1
	NACREFS=$BATS_TEST_TMPDIR/driver nacre mount --all "$MNT"
	assert_equal "$(cat "$MNT/images/held/1/zeros" | wc -c)" 20000
	for ((tries = 0; tries < 600; tries++)); do
		[ ! -e "$hold/held.1" ] || break
		sleep .05
	done
	[ -e "$hold/held.1" ] || fail "no answer was held up"
	nacre tag base:1 held:1
	[ -d "$MNT/images/held/1" ]
	for ((tries = 0; tries < 600; tries++)); do
		[ "$(nacrefs --stats --json "$MNT" | jq '.RequestsByOpcode | .FORGET + .BATCH_FORGET')" = 0 ] || break
		sleep .05
	done
	sleep .5
	touch "$hold/go"
	assert_equal "$(cat "$MNT/images/held/1/etc/motd" "$MNT/images/two/1/etc/motd" | xargs)" "welcome second"
	unmount "$MNT"
}

@test "--all: who waits for the store is waited for by nobody who looks at other images" {
	local tries
	nacre mount --all "$MNT"
	ls "$MNT/images/two" >/dev/null
	exec 5<"$NACRE_STORE/lock"
	flock 5 # as gc has it
	cat "$MNT/images/two/1/etc/motd" >"$BATS_TEST_TMPDIR/read" 5<&- 3>&- &
	sleep .3
	stat "$MNT/images/two/1" >/dev/null 5<&- 3>&- &
	sleep .3
	ls "$MNT/images" >"$BATS_TEST_TMPDIR/listed" 5<&- 3>&- & # who waits cannot be ended
	for ((tries = 0; tries < 1200; tries++)); do
		[ ! -s "$BATS_TEST_TMPDIR/listed" ] || break
		sleep .05
	done
	cat "$BATS_TEST_TMPDIR/listed" "$BATS_TEST_TMPDIR/read" >"$BATS_TEST_TMPDIR/meanwhile"
	exec 5<&-
	wait
	assert_equal "$(xargs <"$BATS_TEST_TMPDIR/meanwhile")" "base two"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/read")" second
}

@test "--all is of who mounts it, who may read in the images what root may" {
	nacre mount --all "$MNT"
	assert_equal "$(stat -c '%U %a' "$MNT/images/base/1/etc/shadow")" "$(id -un) 640"
	assert_equal "$(cat "$MNT/images/base/1/etc/shadow")" "$(nacre cat base:1 etc/shadow)"
	assert_equal "$(stat -c %u "$MNT" "$MNT/images" "$MNT/images/base/1" | sort -u)" "$(id -u)"
}

@test "what is not there, and what makes no sense" {
	assert_refused "cannot mount none:1 on $MNT: " nacre mount --layers none:1 "$MNT"
	assert_refused "leave out the @" nacre mount --layers two:1@1 "$MNT"
	assert_misused nacre mount --all base:1 "$MNT"
	assert_misused nacre mount --all --layers "$MNT"
	assert_misused nacre mount --all --rw "$MNT"
	assert_misused nacre mount --layers --rw two:1 "$MNT"
	assert_misused nacre mount --layer "${IDS[0]}" --layers two:1 "$MNT"
	assert_misused nacre mount --all
	assert_refused "cannot mount all images on $MNT: " nacre mount --all -o io=passthrough "$MNT"
	assert_refused "cannot mount all images on $MNT/none: there is no such directory" nacre mount --all "$MNT/none"
}

@test "many look around while images come and go" {
	nacre mount --all "$MNT"
	for i in 1 2 3; do
		(for _ in 1 2 3; do find "$MNT" -type f -exec cat {} + >/dev/null 2>&1 || true; done) &
	done
	(for _ in {1..50}; do stat "$MNT"/images "$MNT"/images/*/* "$MNT"/layers/* >/dev/null 2>&1 || true; done) &
	# Tags that move from one image to another: each time the kernel forgets a tree that somebody may be reading.
	for i in 1 2; do
		(for _ in {1..150}; do cat "$MNT/images/more/moved$i/etc/motd" >/dev/null 2>&1 || true; done) &
		python3 - "$NACRE_STORE/index.db" "more:moved$i" <<-'END' &
			import sqlite3, sys, time
			db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
			images = [row[0] for row in db.execute("SELECT id FROM image")]
			for i in range(300):
			    db.execute("INSERT OR REPLACE INTO tag VALUES(?, ?)", (sys.argv[2], images[i % 2]))
			    time.sleep(.005)
			db.execute("DELETE FROM tag WHERE name = ?", (sys.argv[2],))
		END
	done
	for i in 1 2 3 4 5; do
		nacre tag base:1 "more:$i"
		nacre tag two:1 "more:$i"
		nacre rmi "more:$i" >/dev/null
	done
	wait
	assert_equal "$(ls "$MNT/images" | xargs)" "base two"
	assert_equal "$(find "$MNT" -type f -exec cat {} + | sha256sum)" "$(find "$MNT" -type f -exec cat {} + | sha256sum)"
}
