#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# Archives of docker before 1.10: no manifest.json, a folder for each layer, and "repositories".
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_store
	cd "$BATS_TEST_TMPDIR" || return
	make_archive base base.tar
	make_archive second second.tar
}

old_archive() { python3 "$NACRE_TOP/tests/lib/old_archive.py" "$1" "${2-$1}" base.tar second.tar; }

diff_id() { echo "sha256:$(sha256sum "$1" | cut -c 1-64)"; }

@test "the images are those that docker makes of it: layers, config, history, image ID" {
	old_archive good
	run nacre load good
	assert_status 0
	assert_output_has "Loaded image: shop:1"
	assert_output_has "Loaded image ID: $(<good.3)"
	run nacre inspect shop:1
	assert_equal "$(json '.[0].Id')" "$(<good.2)"
	assert_equal "$(json '.[0].RootFS.Layers | join(" ")')" "$(diff_id base.tar) $(diff_id second.tar)"
	assert_equal "$(json '.[0].Config.Env | join(" ")')" "Z=1 A=<&>"
	assert_equal "$(json '.[0].Author')" "Ann <ann@example.org>"
	assert_equal "$(json '.[0].Created')" 2015-10-31T22:22:52.69085195Z
	run nacre history --json shop:1
	assert_equal "$(json '.[1].CreatedBy')" "/bin/sh -c #(nop) ADD file:1 in /"
	run nacre history --json "$(<good.3)"
	assert_equal "$(json '.[0].Comment')" '"last"'
	assert_equal "$(nacre cat shop:1 /etc/motd)" second
	assert_refused "passwd" nacre cat shop:1 /etc/passwd
	nacre verify
}

@test "as a folder, a tar, compressed, from standard input, with compressed layers: the same images" {
	old_archive good
	tar -C good -cf old.tar .
	(cd good && tar -czf ../old.tgz -- *)
	xz -k old.tar
	cp -r good packed
	for layer in packed/*/layer.tar; do
		gzip "$layer"
		mv "$layer.gz" "$layer"
	done
	for call in "load good" "load old.tar" "load -i old.tgz" "load old.tar.xz" "load packed" "load -" "load"; do
		# shellcheck disable=SC2086
		run nacre --store "s${call// /-}" $call <old.tgz
		assert_status 0
		assert_equal "$(nacre --store "s${call// /-}" images -a --no-trunc --json | jq -r '[.[].Id] | sort | join(" ")')" \
			"$(cat good.2 <(echo) good.3 | sort | paste -sd ' ')"
		nacre --store "s${call// /-}" verify
	done
}

@test "a layer that the store has from elsewhere is shared" {
	nacre import base.tar base:1
	old_archive good
	run nacre load good
	assert_status 0
	assert_output_has "$(diff_id base.tar | cut -c 8-19): already exists"
	assert_output_has "$(diff_id second.tar | cut -c 8-19): loaded"
	assert_equal "$(sqlite3 "$NACRE_STORE/index.db" 'SELECT count(*) FROM layer')" 3
	nacre verify
}

@test "images saved by their IDs have no repositories, and come in without a tag" {
	old_archive by-id
	tar -cf by-id.tar -C by-id .
	for from in by-id by-id.tar; do
		old_archive good "good-$from"
		run nacre --store "s-$from" load "$from"
		assert_status 0
		assert_output_has "Loaded image ID: $(<"good-$from.3")"
		assert_equal "$(nacre --store "s-$from" images -a --json | jq length)" 1
	done
}

@test "layer.tar may be a link to that of another layer" {
	old_archive links
	tar -C links -cf links.tar .
	for from in links links.tar; do
		run nacre --store "s-$from" load "$from"
		assert_status 0
		assert_equal "$(nacre --store "s-$from" inspect shop:1 | jq -r '.[0].RootFS.Layers | join(" ")')" \
			"$(diff_id second.tar) $(diff_id second.tar)"
		assert_equal "$(nacre --store "s-$from" images -a --json | jq -c '[.[].Layers]')" "[3,2]"
		nacre --store "s-$from" verify
	done
}

@test "all tags of an image are kept; keys may be missing, null or empty" {
	local kind
	for kind in tags blanks one-word; do
		old_archive "$kind"
		run nacre --store "s-$kind" load "$kind"
		assert_status 0
		[ "$kind" != tags ] || for name in "shop:Not/a tag" shop:5000/x SHOP:1; do
			assert_output_has "does not get the name \"$name\", which is not a valid one"
		done
		nacre --store "s-$kind" verify
	done
	assert_equal "$(nacre --store s-tags images --json | jq -r '[.[] | select(.Tag) | .Repository + ":" + .Tag] | sort | join(" ")')" \
		"shop:1 shop:2"
	assert_equal "$(nacre --store s-one-word history --json shop:1 | jq -r '.[1].CreatedBy')" "all of it"
}

@test "an image for another platform is refused when one is asked for" {
	old_archive good
	assert_refused "the image is for" nacre load --platform linux/s390x good
}

@test "what is lost of a layer comes back from such an archive" {
	old_archive good
	tar -C good -cf old.tar .
	nacre load -q old.tar >/dev/null
	rm "$NACRE_STORE"/packs/*
	run nacre verify --repair --from old.tar
	assert_status 0
	assert_output_has "read again from old.tar"
	nacre verify
	assert_equal "$(nacre cat shop:1 /etc/motd)" second
}

@test "a stack of a thousand layers, and no more layers than a bound" {
	old_archive chain-1000 many
	run nacre load -q many
	assert_status 0
	assert_equal "$(nacre inspect chain:1 | jq '.[0].RootFS.Layers | length')" 1000
	nacre verify
	old_archive chain-10001 more
	assert_refused_unchanged "more: more than 10000 layers" timeout 60 "$NACRE" load more
	old_archive all-layers all
	assert_refused_unchanged "all: its images have more than 100000 layers together" timeout 60 "$NACRE" load all
}

@test "what is refused, with the reason, and leaves no trace" {
	local b s t kind reason from
	b=$(printf 'b%.0s' {1..64}) s=${b//b/5} t=${b//b/7}
	nacre import base.tar base:1
	while IFS='|' read -r kind reason; do
		old_archive "$kind"
		tar -C "$kind" -cf "$kind.tar" .
		for from in "$kind" "$kind.tar"; do
			# How files are found is all that differs.
			[[ $from != *.tar || $kind =~ ^(no|link|layer|cut)- ]] || continue
			assert_refused_unchanged "cannot load $from: " timeout 60 "$NACRE" load -q "$from"
			assert_output_has "$reason"
			[ "${#output}" -lt 600 ] || fail "a message of ${#output} bytes"
		done
	done <<-END
		loop|the parents of layer $s form a loop
		own-parent|the parents of layer $s form a loop
		no-parent|layer $b, the parent of $s is not in it
		no-image|layer $s is not in it
		no-json|layer $t is not in it ($t/json)
		no-layer|layer $b is not in it ($b/layer.tar)
		layer-folder|$b/layer.tar
		link-nowhere|layer $s is not in it ($s/layer.tar)
		link-loop|$s/layer.tar
		link-out|$s/layer.tar
		no-tar|($b/layer.tar): it is not a tar archive
		cut-layer|($s/layer.tar): damaged or truncated at byte 512
		cut-gzip|$s/layer.tar: the gzip data is
		nothing|has no images
		only-repository|has no images
		id-slash|repositories: shop:1 is no image's ID: ../5
		id-short|repositories: shop:1 is no image's ID: 5
		id-upper|repositories: shop:1 is no image's ID: B
		id-empty|repositories: shop:1 is no image's ID
		id-number|repositories: shop:1 is no image's ID: not a string
		id-long|repositories: shop:1 is no image's ID: b
		repositories-list|repositories: not a JSON object
		repositories-text|repositories: not
		repositories-cut|repositories: not JSON
		repositories-tags|repositories: shop is no object of tags
		repositories-null|repositories: shop is no object of tags
		parent-slash|$s/json: parent is no ID: bbb
		parent-number|$s/json: parent is not a string
		parent-long|$s/json: parent is no ID: bbb
		wrong-config-list|$s/json: config is no object
		wrong-container_config-text|$s/json: container_config is no object
		wrong-created-number|$s/json: created is not a string
		wrong-author-list|$s/json: author is not a string
		wrong-comment-number|$s/json: comment is not a string
		wrong_cmd|$s/json: container_config.Cmd[1] is not a string
		json-list|$b/json: not a JSON object
		json-deep|maximum parsing depth
		json-large|larger than 4194304 bytes
	END
	nacre verify
}

@test "a cut archive is refused, wherever it ends" {
	local bytes at
	old_archive good
	tar -C good -cf old.tar .
	bytes=$(stat -c %s old.tar)
	for at in 100 600 1600 $((bytes / 3)) $((bytes / 2)) $((bytes * 9 / 10)); do
		head -c "$at" old.tar >cut.tar
		assert_refused "cannot load cut.tar: " nacre load cut.tar
	done
	[ "$(nacre images -a --json | jq length)" = 0 ]
	nacre verify
}
