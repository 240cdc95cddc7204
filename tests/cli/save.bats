#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_store
	cd "$BATS_TEST_TMPDIR" || return
	make_archive base base.tar
	make_archive second second.tar
	make_archive layout oci shop:1 base.tar second.tar
	nacre load -q oci
	nacre import -q base.tar base:1
	ID=$(nacre images -q --no-trunc shop:1)
}

@test "what is saved is loaded again as the same image, in each format" {
	for format in docker-archive oci-archive oci-dir; do
		for gzip in "" -z; do
			[ "$format$gzip" != docker-archive-z ] || continue
			nacre save --format "$format" $gzip -o "out$format$gzip" shop:1 base:1
			nacre --store "s$format$gzip" load -q "out$format$gzip"
			assert_equal "$(nacre --store "s$format$gzip" images -q --no-trunc shop:1)" "$ID"
			assert_equal "$(nacre --store "s$format$gzip" images -q --no-trunc base:1)" \
				"$(nacre images -q --no-trunc base:1)"
			diff <(nacre ls -lR shop:1 /) <(nacre --store "s$format$gzip" ls -lR shop:1 /)
		done
	done
}

@test "a pipe between two stores; by ID there is no tag" {
	nacre save "$ID" | nacre --store other load -q
	assert_equal "$(nacre --store other inspect "$ID" | jq -c '.[0].RepoTags')" "[]"
	nacre save --format oci-archive "$ID" | nacre --store another load -q -
	assert_equal "$(nacre --store another inspect "$ID" | jq -c '.[0].RepoTags')" "[]"
}

@test "the layers are the streams that came in; a shared one is there once" {
	nacre save -o out.tar shop:1 base:1
	mkdir out
	tar -x -C out -f out.tar
	cmp base.tar "out/$(jq -r '.[] | select(.RepoTags == ["base:1"]).Layers[0]' out/manifest.json)"
	cmp second.tar "out/$(jq -r '.[] | select(.RepoTags == ["shop:1"]).Layers[1]' out/manifest.json)"
	assert_equal "$(find out -name '*.tar' | wc -l)" 2
	assert_equal "$(tar -t -f out.tar | sort | uniq -d)" ""
}

@test "skopeo and umoci read what is saved" {
	nacre save -o docker.tar shop:1
	nacre save --format oci-archive -o oci.tar shop:1
	nacre save --format oci-dir -o dir shop:1
	nacre save --format oci-dir -z -o packed shop:1
	for source in docker-archive:docker.tar oci-archive:oci.tar:1 oci:dir:1 oci:packed:1; do
		rm -rf copy
		skopeo --insecure-policy copy -q "$source" dir:copy
		assert_equal "$(jq -r .config.digest copy/manifest.json)" "$ID"
	done
	for layout in dir packed; do
		umoci unpack --rootless --image "$layout:1" "bundle-$layout" 2>/dev/null
		diff "bundle-$layout/rootfs/etc/motd" <(nacre cat shop:1 etc/motd)
	done
	run umoci ls --layout dir
	assert_equal "$output" 1
}

@test "the manifest comes back where its layers can be made again" {
	nacre save --format oci-dir -z -o first shop:1
	nacre --store s load -q first
	nacre --store s save --format oci-dir -z -o second shop:1
	assert_equal "$(jq -r '.manifests[0].digest' second/index.json)" "$(jq -r '.manifests[0].digest' first/index.json)"
	nacre save --format oci-archive -o plain.tar shop:1
	nacre --store t load -q plain.tar
	nacre --store t save --format oci-archive -o again.tar shop:1
	cmp plain.tar again.tar
}

@test "a failure leaves nothing, and what was there" {
	echo old >out.tar
	assert_refused "no such image: none" nacre save -o out.tar shop:1 none
	assert_equal "$(cat out.tar)" old
	assert_refused "cannot write to none/out.tar: No such file or directory" nacre save -o none/out.tar shop:1
	refute_output_has "nacre images"
	assert_refused "'nacre images' lists them" nacre save -o out.tar shop:1 none:1
	mkdir full
	touch full/something
	assert_refused "full: there is something in it" nacre save --format oci-dir -o full shop:1
	if [ -w /dev/full ]; then
		assert_refused "No space left" nacre save -o /dev/full shop:1
	fi
	for pack in "$NACRE_STORE"/packs/*; do
		chmod u+w "$pack"
		dd if=/dev/zero of="$pack" bs=64 count=1 conv=notrunc status=none
	done
	assert_refused "damaged" nacre save -o out.tar shop:1
	assert_equal "$(cat out.tar)" old
	assert_equal "$(echo out.tar*)" out.tar
	assert_misused nacre save
	assert_misused nacre save --format tar -o x shop:1
	assert_misused nacre save --format oci-dir shop:1
	assert_misused nacre save -z -o x shop:1
}

@test "no archive goes to a terminal" {
	run script -qec "'$NACRE' save shop:1" /dev/null
	assert_output_has "nothing for a terminal"
}
