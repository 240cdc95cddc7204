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
	[ -z "$(ls -A dir)" ]
	nacre umount dir
	[ -z "$(driver_pids "$BATS_TEST_TMPDIR/dir")" ]
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
