#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What listings print for programs: --format, --json and its schemas.
# shellcheck disable=SC2154,SC2011,SC2012,SC2030,SC2031
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
}
teardown() { unmount_all; }

@test "--format: fields as they are shown, or exact" {
	assert_equal "$(nacre images --format '{{.Repository}}:{{.Tag}}' | sort | xargs)" "base:1 two:1"
	short=${BASE_ID#sha256:}
	assert_equal "$(nacre images --format '{{.ID}}' base)" "${short:0:12}"
	assert_equal "$(nacre images --no-trunc --format '{{ .Id }}' base)" "$BASE_ID"
	assert_equal "$(nacre images --format '{{json .Id}}' base)" "\"$BASE_ID\""
	assert_equal "$(nacre images --format '{{.Size}} {{json .Size}}' base)" "1.05MB $(nacre images --json base | jq '.[0].Size')"
	assert_equal "$(nacre images --format 'x\t{{upper .Repository}}\n{{lower .Tag}}' base)" $'x\tBASE\n1'
	assert_equal "$(nacre images --format '{{.CreatedSince}}' two)" "$(nacre images two | awk 'NR == 2 { print $4, $5, $6 }')"
	assert_equal "$(nacre history --format '{{.Comment}}' base:1)" "the base"
	assert_equal "$(nacre layers --format '{{.Layer}} {{.Added}}' base:1)" "1 $(nacre layers --json base:1 | jq '.[0].Added')"
	assert_equal "$(nacre search --format '{{.Name}}' tw)" two:1
}

@test "--format json: a row a line, the same as --json has" {
	diff <(nacre images --format json | jq -s .) <(nacre images --json | jq .)
	diff <(nacre layers --format '{{json .}}' two:1 | jq -s .) <(nacre layers --json two:1 | jq .)
	assert_equal "$(nacre ps -a --format json)" ""
}

@test "--format table: columns under headings" {
	run nacre images --format 'table {{.Repository}}\t{{.Tag}}\t{{.CreatedSince}}' base
	[[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +CREATED\ SINCE$ ]] || fail "${lines[0]}"
	[[ ${lines[1]} =~ ^base\ +1\ +.*$ ]] || fail "${lines[1]}"
	diff <(nacre images --format table) <(nacre images)
}

@test "--format: what is no template, and fields that are not there" {
	for template in '{{.Id' '{{range .Id}}' '{{Id}}' '{{.Id .Tag}}' '{{}}' '{{json}}'; do
		assert_misused nacre images --format "$template"
	done
	assert_misused nacre images --json --format '{{.Id}}'
	assert_misused nacre images -q --format '{{.Id}}'
	assert_refused "there is no field 'Nope' (there are: Repository " nacre images --format '{{.Nope}}'
}

@test "--format of what is in images, and of inspect with names in names" {
	mount_rw --name work
	echo changed >"$MNT/etc/motd"
	assert_equal "$(nacre ls --format '{{.Mode}} {{.Path}}' base:1 /etc/motd)" "$(nacre ls --json base:1 /etc/motd | jq -r '.[0] | .Mode + " " + .Path')"
	assert_equal "$(nacre which --format '{{.Layer}} {{.State}}' base:1 /etc/motd)" "1 shown"
	assert_equal "$(nacre diff --format '{{.Kind}}{{.Path}}' work | xargs)" "C/etc C/etc/motd"
	assert_equal "$(nacre diff --format '{{.Kind}} {{.NewSize}}' base:1 two:1 | wc -l)" "$(nacre diff --json base:1 two:1 | jq length)"
	assert_equal "$(nacre du --format '{{.Name}} {{json .Size}}' | sort | head -n 1)" "base:1 $(nacre du --json | jq '.Images[] | select(.Name == "base:1").Size')"
	assert_equal "$(nacre inspect -f '{{.RootFS.Type}} {{.Id}}' base:1)" "layers $BASE_ID"
	assert_equal "$(nacre inspect --format '{{json .RootFS.Layers}}' two:1 | jq length)" 2
	assert_equal "$(nacre inspect -f '{{.Name}} {{.Image}}' work)" "work $BASE_ID"
	assert_refused "there is no field 'RootFS.Nope'" nacre inspect -f '{{.RootFS.Nope}}' base:1
	assert_misused nacre inspect -f '{{.RootFS.}}' base:1
	assert_misused nacre inspect -f '{{..Id}}' base:1
}

@test "layers -q: diff IDs" {
	assert_equal "$(nacre layers -q --no-trunc two:1 | xargs)" "$(nacre layers --json two:1 | jq -r '.[].DiffId' | xargs)"
	assert_equal "$(nacre layers -q two:1 | head -n 1 | wc -c)" 13
}

@test "--format: a name in an image cannot steer the terminal" {
	printf 'x' >"$BATS_TEST_TMPDIR/x"
	tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/x.tar" x
	nacre import -m $'\e[31mred\ttab' "$BATS_TEST_TMPDIR/x.tar" evil:1
	run nacre history --format '{{.Comment}}' evil:1
	[[ $output != *$'\e'* && $output != *$'\t'* ]] || fail "$output"
}

@test "--json of every listing is as its schema says" {
	run nacre ps -a --json
	schema_ok ps
	mount_rw --name work
	echo changed >"$MNT/etc/motd"
	rm "$MNT/etc/passwd"
	nacre commit -m "say" -a "who" "$MNT" app:1 >/dev/null
	nacre save -o "$BATS_TEST_TMPDIR/none.tar" app:1
	local -A calls=(
		[images]="images -a" [history]="history app:1" [layers]="layers app:1" [ps]="ps -a" [search]="search a"
		[du]="du" [ls]="ls -R two:1 /" [which]="which app:1 /etc/motd" [info]="info" [gc]="gc" [version]="version"
		[verify]="verify" [help]="help"
	)
	for name in "${!calls[@]}"; do
		# shellcheck disable=SC2086
		run --separate-stderr nacre ${calls[$name]} --json
		assert_status 0
		schema_ok "$name" || fail "the JSON of $name" "$output"
	done
	run nacre diff --json base:1 app:1
	schema_ok diff
	run nacre diff --json "$MNT"
	schema_ok diff-container
	run nacre layer ls --json "$MNT"
	schema_ok layer
	run nacre inspect two:1
	schema_ok inspect
}

@test "every command with --json has a schema" {
	for name in $(command_names); do
		nacre help "$name" | grep -q -- --json || continue
		[ -f "$NACRE_TOP/tests/cli/schemas/$name.json" ] || fail "no schema: $name"
	done
}
