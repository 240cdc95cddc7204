#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common

setup() {
	run_sh=$NACRE_TOP/tests/bench/run.sh
	bench=$NACRE_BUILD/tests/bench/nacre-bench
	report=$NACRE_TOP/tests/bench/report.py
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	! mountpoint -q "$BATS_TEST_TMPDIR/mnt" || fusermount3 -u "$BATS_TEST_TMPDIR/mnt"
}

# bench_run OPTION...: with our programs, in our folder, for a moment
bench_run() { NACRE_SETUP=0 "$run_sh" --quick --rounds 1 --build "$NACRE_BUILD" --dir "$BATS_TEST_TMPDIR" "$@" 3>&- 4>&-; }

@test "requests are counted without those that ask for the count" {
	mkdir lower upper work mnt
	"$bench" -n 100 -s 10 lower make
	nacrefs -o lowerdir=lower,upperdir=upper,workdir=work mnt
	run -0 "$bench" -n 100 -s 10 -p 2 -m mnt mnt ask stat dirs
	[[ $output == *$'requests\task\t1.0000\tIOCTL 1.0000\n'* ]]
	[[ $output == *$'requests\tstat\t0.0000\t\n'* ]]
	[[ $output == *$'requests\trmdir\t'*'RMDIR 1.0000'* ]]
	[[ ! $output =~ mkdir.*IOCTL ]]
}

@test "of a folder that is no mount of nacrefs no requests are told" {
	mkdir lower
	"$bench" -n 10 -s 10 lower make
	run -0 "$bench" -n 10 -s 10 -m lower lower stat
	[[ $output == stat* && $output != *requests* ]]
}

# bats test_tags=slow
@test "a row is measured without the column of the file system below, and a column again" {
	run -0 bench_run --rows '^(round-trip|untar)$' --peers 'nacrefs|nacrefs-straight' --variant straight=writeback=0 --again nacrefs --json out.json
	[[ $output != *failed* ]]
	run -0 jq -r '.samples | keys | join(" ")' out.json
	[ "$output" = "round-trip untar" ]
	run -0 jq -r '.samples[] | [.nacrefs, .["nacrefs-straight"], .["nacrefs-again"]] | map(.[0] > 0 | tostring) | join(" ")' out.json
	[ "$output" = $'true true true\ntrue true true' ]
	# What tar asks for: each of the files is made, and no name twice.
	run -0 jq '.requests.untar.nacrefs | .MKNOD > 0.5 and .MKNOD <= 1 and .LOOKUP >= 1' out.json
	[ "$output" = true ]
}

@test "a variant with options that do not mount is refused" {
	run -1 bench_run --rows '^stat$' --peers nacrefs --variant odd=max_threads=none
	[[ $output == *"error: nacrefs does not mount with max_threads=none: "*max_threads* ]]
}

@test "a column that is not there cannot be had again" {
	run -1 bench_run --rows '^stat$' --peers nacrefs --again elsewhere
	[[ $output == *"error: there is no column elsewhere"* ]]
}

@test "a flame graph of two columns is refused" {
	run -1 bench_run --rows '^stat$' --peers 'native|nacrefs' --flame out.svg
	[[ $output == *"error: --flame is for one column, not 2: say which with --peers NAME"* ]]
	[ ! -e out.svg ]
}

# results NAME VALUE: what a run leaves, of one row
results() {
	printf 'machine\tmine\nkernel\tLinux\nversions\tnone\nsizes\tsmall\nimage\tnone\npackages\tnone\npeers\toverlayfs nacrefs\n' >about
	printf 'round-trip\tnacrefs\t5000\nmkdir\toverlayfs\t10000\nmkdir\tnacrefs\t%s\n' "$1" >samples
	printf 'mkdir\tnacrefs\t3.5\tLOOKUP 2.0 MKDIR 1.5\nmkdir\tnacrefs\t3.0\tLOOKUP 1.0 MKDIR 2.0\n' >requests
	python3 "$report" collect . run.json
}

@test "results go between their marks, and what is said around them stays" {
	printf '# Mine\n\n<!-- disk -->\nold\n<!-- end -->\n\n## What was compared\n\nby hand\n' >RESULTS.md
	results 20000
	python3 "$report" results RESULTS.md run.json
	results 24000
	python3 "$report" results RESULTS.md run.json
	run -0 cat RESULTS.md
	[[ $output == $'# Mine\n\n<!-- disk -->\n'*$'<!-- end -->\n\n## What was compared\n\nby hand' ]]
	[[ $output != *old* && $output != *'20.0 (2.00)'* && $output == *'24.0 (2.40)'* ]]
	[ "$(grep -c '^- mine' RESULTS.md)" = 1 ]
	# The fewest requests, and what they take at least.
	[[ $output =~ 'mkdir, us'\ +'| nacrefs |'\ +'3.00 |'\ +'15.0 |'\ +'24.0 |'\ +'10.0 | MKDIR 2.00, LOOKUP 1.00' ]]
}

@test "results have no place in a file without marks" {
	printf 'mine\n' >RESULTS.md
	results 20000
	run -1 python3 "$report" results RESULTS.md run.json
	[[ $output == *"RESULTS.md has no place for it"* ]]
	[ "$(cat RESULTS.md)" = mine ]
}
