# SPDX-License-Identifier: Apache-2.0
# nacre serve-layers: the form of an additional layer store.

load ../lib/common
load ../lib/cli

setup() {
	setup_store
	mkdir "$BATS_TEST_TMPDIR/dir"
	cd "$BATS_TEST_TMPDIR"
	mkdir -p tree/sub
	echo text >tree/sub/file
	tar -C tree --owner=0 --group=0 -cf layer.tar .
	nacre import -q layer.tar base:1
	DIFF_ID=$(nacre inspect base:1 | jq -r '.[0].RootFS.Layers[0]')
}
teardown() { unmount_all; }

@test "a layer by its diff ID, and below any reference in base64" {
	local reference
	nacre serve-layers dir
	[ "$(cat "dir/$DIFF_ID/diff/sub/file")" = text ]
	reference=$(printf localhost/team/base:1 | base64 -w 0)
	[ "$(cat "dir/$reference/$DIFF_ID/diff/sub/file")" = text ]
	assert_equal "$(ls "dir/$DIFF_ID")" $'blob\ndiff\ninfo'
	cmp layer.tar "dir/$DIFF_ID/blob"
	assert_equal "$(jq -r '."compressed-diff-digest", ."diff-digest", ."diff-size", ."compression"' "dir/$DIFF_ID/info")" \
		"$DIFF_ID"$'\n'"$DIFF_ID"$'\n'"$(stat -c %s layer.tar)"$'\n'0
	assert_equal "$(ls -A dir)" images
	nacre umount dir
	[ -z "$(driver_pids "$BATS_TEST_TMPDIR/dir")" ]
}

@test "all images in the form of an additional image store, with each layer's archive byte for byte" {
	local id layer store=dir/images lock
	nacre serve-layers dir
	lock=$(cat $store/overlay-images/images.lock)
	[ "${#lock}" = 64 ]
	head -c 600000 /dev/urandom >tree/large
	tar -C tree --owner=0 --group=0 -cf large.tar .
	nacre import -q large.tar localhost/team/large:1
	[ "$(cat $store/overlay-images/images.lock)" != "$lock" ]
	assert_equal "$(jq -r '[.[].names[]] | sort[]' $store/overlay-images/images.json)" \
		$'docker.io/library/base:1\nlocalhost/team/large:1'
	id=$(nacre inspect -f '{{.Id}}' localhost/team/large:1)
	assert_equal "sha256:$(sha256sum <"$store/overlay-images/${id#*:}/=$(printf %s "$id" | base64 -w 0)" | cut -d ' ' -f 1)" "$id"
	assert_equal "sha256:$(sha256sum <"$store/overlay-images/${id#*:}/manifest" | cut -d ' ' -f 1)" \
		"$(jq -r --arg id "${id#*:}" '.[] | select(.id == $id).digest' $store/overlay-images/images.json)"
	layer=$(jq -r --arg id "${id#*:}" '.[] | select(.id == $id).layer' $store/overlay-images/images.json)
	cmp tree/large "$store/overlay/l/$(cat "$store/overlay/$layer/link")/large"
	assert_equal "$(jq -r '.[]."diff-digest"' $store/overlay-layers/layers.json | sort)" \
		"$(nacre inspect base:1 localhost/team/large:1 | jq -r '.[].RootFS.Layers[0]' | sort)"
	# gzip looks at the checksum and the length; what is at its end can be read before the rest.
	tail -c 1000 "$store/overlay-layers/$layer.tar-split.gz" >end
	cp "$store/overlay-layers/$layer.tar-split.gz" split.gz
	tail -c 1000 split.gz | cmp - end
	zcat split.gz | jq -r .payload | base64 -d | cmp - large.tar
	assert_equal "$(zcat split.gz | jq .position | tail -n 1)" $((($(stat -c %s large.tar) + 47999) / 48000 - 1))
	find $store >names
	[ "$(wc -l <names)" -gt 20 ]
	run touch $store/overlay-images/new $store/overlay/new
	assert_status 1
	nacre umount dir
	nacre rmi localhost/team/large:1
}

@test "an image that went and came back is whole" {
	local id store=dir/images/overlay-images
	nacre serve-layers dir
	id=$(nacre inspect -f '{{.Id}}' base:1)
	nacre save -o saved.tar base:1
	stat "$store/${id#*:}" >before
	nacre rmi base:1
	assert_equal "$(jq length $store/images.json)" 0
	nacre import -q layer.tar other:1
	nacre load -q saved.tar
	assert_equal "sha256:$(sha256sum <"$store/${id#*:}/=$(printf %s "$id" | base64 -w 0)" | cut -d ' ' -f 1)" "$id"
	assert_equal "sha256:$(sha256sum <"$store/${id#*:}/manifest" | cut -d ' ' -f 1)" \
		"$(jq -r --arg id "${id#*:}" '.[] | select(.id == $id).digest' $store/images.json)"
	nacre umount dir
}

@test "what is no layer is not there, and nothing can be changed" {
	local name
	nacre serve-layers dir
	for name in nothing sha256:00 "sha256:$(printf '0%.0s' $(seq 64))" "$(printf 'a b' | base64)" "$DIFF_ID/other" "$DIFF_ID/use"; do
		[ ! -e "dir/$name" ] || fail "$name is there"
	done
	for name in touch mkdir; do
		run "$name" "dir/new" "dir/$DIFF_ID/diff/new"
		assert_status 1
	done
	run rm -rf "dir/$DIFF_ID/diff/sub"
	assert_status 1
	# Who begins and who ends to use a layer is told that it was heard.
	python3 - "dir/$DIFF_ID" <<-'END'
		import os, sys
		for call in lambda: os.open(sys.argv[1] + "/use", os.O_CREAT | os.O_RDWR), lambda: os.rmdir(sys.argv[1]):
		    try:
		        call()
		    except FileNotFoundError:
		        continue
		    raise SystemExit("the call was not refused")
	END
	[ "$(cat "dir/$DIFF_ID/diff/sub/file")" = text ]
}

@test "a layer that was entered stays until the mount ends" {
	nacre serve-layers dir
	[ "$(cat "dir/$DIFF_ID/diff/sub/file")" = text ]
	run nacre rmi base:1
	assert_status 1
	nacre umount dir
	nacre rmi base:1
	nacre serve-layers dir
	[ ! -e "dir/$DIFF_ID" ]
	# And what comes later is there.
	nacre import -q layer.tar again:1
	sleep 1.1
	[ "$(cat "dir/$DIFF_ID/diff/sub/file")" = text ]
}

@test "a layer that was only asked for goes with its image, and comes again" {
	nacre serve-layers dir
	[ "$(jq -r '."diff-digest"' "dir/$DIFF_ID/info")" = "$DIFF_ID" ]
	cmp layer.tar "dir/$DIFF_ID/blob"
	nacre rmi base:1
	sleep 1.1
	[ ! -e "dir/$DIFF_ID" ]
	nacre import -q layer.tar base:1
	sleep 1.1
	[ "$(cat "dir/$DIFF_ID/diff/sub/file")" = text ]
	[ "$(jq -r '."diff-digest"' "dir/$DIFF_ID/info")" = "$DIFF_ID" ]
	cmp layer.tar "dir/$DIFF_ID/blob"
}

# No library can be put before a sanitizer's.
# bats test_tags=slow
@test "while a layer's archive is made others are found" {
	local other reader try
	printf '#!/bin/sh\nLD_PRELOAD=%s NACRE_FAULT_SLOW=4000 exec %s "$@"\n' \
		"$NACRE_BUILD/tests/fault/libnacre_fault.so" "$NACREFS" >driver
	chmod +x driver
	echo other >tree/other
	tar -C tree --owner=0 --group=0 -cf other.tar .
	nacre import -q other.tar other:1
	other=$(nacre inspect other:1 | jq -r '.[0].RootFS.Layers[0]')
	# Where the machine is busy ls may be slower than what it must not wait for: but not each time.
	for try in 1 2 3 4 5 6; do
		NACREFS=$PWD/driver nacre serve-layers dir
		cmp layer.tar "dir/$DIFF_ID/blob" 3>&- &
		reader=$!
		sleep .5
		assert_equal "$(ls "dir/$other")" $'blob\ndiff\ninfo'
		! kill -0 "$reader" 2>/dev/null || break
		wait "$reader"
		nacre umount dir
	done
	[ "$try" -lt 6 ] || fail "it was waited for"
	wait "$reader"
}

@test "what stat says of an image's files is the same in the next mount" {
	of_all() { find dir/images ! -name '*.json' ! -name '*.lock' ! -path '*/diff/*' -printf '%p %m %n %u %g %s %t\n' | sort; }
	nacre serve-layers dir
	of_all >before
	nacre umount dir
	sleep .1
	nacre serve-layers dir
	of_all | diff before -
}

@test "many look around while images come and go" {
	local i
	nacre serve-layers dir
	for i in 1 2 3; do
		(for _ in {1..6}; do
			find dir/images -printf '%p %l\n' -name '*json' -exec cat {} + >/dev/null 2>&1 || true
			cat "dir/$DIFF_ID/info" >/dev/null
		done) 3>&- &
	done
	for i in 1 2 3 4 5 6; do
		echo "$i" >tree/sub/file
		tar -C tree --owner=0 --group=0 -c . | nacre import -q - "more:$i"
		nacre tag base:1 "again:$i"
		nacre rmi "more:$i" "again:$i" >/dev/null || true # somebody may be reading it
	done
	wait
	assert_equal "$(jq -r '.[].names[]' dir/images/overlay-images/images.json | grep -c base:1)" 1
	assert_equal "$(find dir/images -xtype l)" ""
}

@test "bad uses are refused" {
	run nacre serve-layers
	assert_status 2
	run nacre serve-layers missing
	assert_status 1
	assert_output_has 'make the directory first'
	touch file
	run nacre serve-layers file
	assert_status 1
	nacre serve-layers dir
	run nacre serve-layers dir
	assert_status 1
	assert_output_has 'mounted there already'
	run nacrefs -o "layerstore=$NACRE_STORE,lowerdir=tree" dir
	assert_status 2
}

@test "an image is removed as soon as nothing of it is open, and is another one when it comes again" {
	local store=dir/images/overlay file
	nacre serve-layers dir
	file=$(echo $store/*/diff/sub/file)
	[ "$(cat "$file")" = text ]
	find dir >/dev/null
	exec 9<"$file"
	run nacre rmi base:1
	assert_status 1
	assert_output_has "the image is in use on $(realpath dir)"
	[ "$(cat <&9)" = text ]
	exec 9<&-
	nacre rmi base:1
	[ ! -e "$file" ]
	assert_equal "$(find "$NACRE_STORE/leases" -type f)" ""
	nacre import -q layer.tar base:1
	[ "$(cat "$file")" = text ]
	nacre rmi base:1
}
