#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# 100,000 files at once.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() { setup_store; }
teardown() { unmount_all; }

# bats test_tags=slow
@test "rm -rf and find -delete of 100,000 files, lower and new, while others list them" {
	local remove
	mkdir -p "$BATS_TEST_TMPDIR/low/many"
	(cd "$BATS_TEST_TMPDIR/low/many" && seq -f 'lower-%g' 1 50000 | xargs touch)
	mount_dirs "$BATS_TEST_TMPDIR/low"
	for remove in rm find; do
		(cd "$MNT/many" && seq -f 'upper-%g' 1 50000 | xargs touch)
		in_python "$MNT" "$remove" <<-'END'
			many = len(os.listdir("many"))
			eq(many, 100000 if sys.argv[1] == "rm" else 50000)
			tool = subprocess.Popen(["rm", "-rf", "many"] if sys.argv[1] == "rm"
			                        else ["find", "many", "-mindepth", "1", "-delete"])
			before = many
			while tool.poll() is None:
			    try:
			        seen = os.listdir("many")
			    except FileNotFoundError:
			        continue    # rm has come to the folder itself
			    eq(len(set(seen)), len(seen), "a name was listed twice")
			    assert len(seen) <= before, "names came back"
			    before = len(seen)
			    try:
			        tool.wait(0.2)    # leave it some room
			    except subprocess.TimeoutExpired:
			        pass
			eq(tool.returncode, 0)
			if sys.argv[1] == "rm":
			    os.mkdir("many")
			eq(os.listdir("many"), [])
		END
	done
	remount_dirs "$BATS_TEST_TMPDIR/low"
	assert_equal "$(ls -A "$MNT/many")" ""
}
