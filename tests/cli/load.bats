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
}

layer_line() { sha256sum "$1" | cut -c 1-12; }

@test "load of a layout: layers in their order, config and history" {
	run nacre load oci
	assert_status 0
	assert_output_has "Loaded image: shop:1"
	run nacre inspect shop:1
	assert_equal "$(json '.[0].RootFS.Layers | join(" ")')" \
		"sha256:$(sha256sum base.tar | cut -d ' ' -f 1) sha256:$(sha256sum second.tar | cut -d ' ' -f 1)"
	assert_equal "$(json '.[0].Config.Cmd | join(" ")')" /bin/sh
	assert_equal "$(json '.[0].Author')" "Ann <ann@example.org>"
	assert_equal "$(json '.[0].Created')" 2020-09-13T12:26:40Z
	run nacre history --json shop:1
	assert_equal "$(json '[.[].CreatedBy] | join("|")')" 'CMD ["/bin/sh"]|step 1|step 0'
	assert_equal "$(json '[.[].EmptyLayer] | join("|")')" 'true|false|false'
}

@test "the image ID is the digest of the config" {
	nacre load oci
	config=$(jq -r .config.digest "oci/blobs/sha256/$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' oci/index.json)")
	assert_equal "$(nacre inspect shop:1 | jq -r '.[0].Id')" "$config"
}

@test "a tar of a layout, compressed, from a file, with -i and from standard input" {
	tar -C oci -czf oci.tgz .
	for call in "load oci.tgz" "load -i oci.tgz" "load -" "load"; do
		# shellcheck disable=SC2086
		run nacre --store "${call// /-}" $call <oci.tgz
		assert_status 0
		assert_output_has "Loaded image: shop:1"
		assert_equal "$(nacre --store "${call// /-}" images --json | jq 'length')" 1
	done
}

@test "a docker archive" {
	make_archive docker docker.tar shop:docker base.tar second.tar
	run nacre load docker.tar
	assert_status 0
	assert_output_has "Loaded image: shop:docker"
	assert_equal "$(nacre layers --json shop:docker | jq length)" 2
}

@test "a folder with manifest.json and all blobs in it, as skopeo's dir: and podman save write it" {
	local id kind
	nacre load -q oci >/dev/null
	id=$(nacre inspect shop:1 | jq -r '.[0].Id')
	skopeo --insecure-policy copy -q oci:oci:shop:1 dir:plain
	skopeo --insecure-policy copy -q --format v2s2 oci:oci:shop:1 dir:docker
	tar -C plain -cf plain.tar .
	# With an index: the manifests it names have names of their own.
	cp -r plain several
	digest=$(sha256sum plain/manifest.json | cut -d ' ' -f 1)
	mv several/manifest.json "several/$digest.manifest.json"
	jq -n --arg digest "sha256:$digest" --argjson size "$(stat -c %s plain/manifest.json)" --arg arch "$(nacre inspect shop:1 |
		jq -r '.[0].Architecture')" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [
		{mediaType: "application/vnd.oci.image.manifest.v1+json", $digest, $size, platform: {os: "linux", architecture: $arch}}]}' \
		>several/manifest.json
	for kind in plain plain.tar docker several; do
		run nacre --store "store-$kind" load -q "$kind"
		assert_status 0
		assert_output_has "Loaded image ID: sha256:"
		[[ $kind == docker || $output == *"$id" ]] || fail "$kind is another image: $output, not $id"
		run nacre --store "store-$kind" layers --json "${output##*:}"
		assert_equal "$(json '[.[].DiffId] | join(" ")')" "$(nacre layers --json shop:1 | jq -r '[.[].DiffId] | join(" ")')"
		nacre --store "store-$kind" verify
	done
	assert_refused "has no image for linux/s390x" nacre --store s load --platform linux/s390x several
	# A byte of a layer, and a blob that is not there.
	blob=$(jq -r '.layers[1].digest | ltrimstr("sha256:")' plain/manifest.json)
	printf x | dd of="plain/$blob" bs=1 seek=20 conv=notrunc status=none
	assert_refused "cannot load plain: layer sha256:$blob" nacre --store s load plain
	rm "docker/$(jq -r '.config.digest | ltrimstr("sha256:")' docker/manifest.json)"
	assert_refused "is not in it" nacre --store s load docker
}

@test "a name that is not valid is said, and the image comes in" {
	local names
	make_archive docker docker.tar shop:docker base.tar
	mkdir docker
	tar -C docker -xf docker.tar
	jq -c '.[0].RepoTags = ["shop:one", "Not A\u001b[31m Tag", "shop:two", "SHOP"]' docker/manifest.json >new
	mv new docker/manifest.json
	run --separate-stderr nacre load -q docker
	assert_status 0
	assert_equal "$output" $'Loaded image: shop:one\nLoaded image: shop:two'
	id=$(nacre images -q shop:one)
	assert_equal "$stderr" "nacre: warning: image $id does not get the name \"Not A\\x1b[31m Tag\", which is not a valid one
nacre: warning: image $id does not get the name \"SHOP\", which is not a valid one"
	names=$(printf '"N%d",' {1..100} | sed 's/,$//')
	jq -c --argjson names "[$names]" '.[0].RepoTags = $names + ["X" * 5000]' docker/manifest.json >new
	mv new docker/manifest.json
	run --separate-stderr nacre --store other load -q docker
	assert_status 0
	[[ $output == "Loaded image ID: sha256:$id"* ]] || fail "$output"
	[[ $stderr == *'"N8", which is'*"image $id does not get 93 more names, which are not valid" ]] || fail "$stderr"
	[ "$(wc -l <<<"$stderr")" = 9 ] || fail "$stderr"

	jq '.manifests[0].annotations["org.opencontainers.image.ref.name"] = "v1.0+build"' oci/index.json >new
	mv new oci/index.json
	run --separate-stderr nacre load -q oci
	assert_status 0
	[[ $output == "Loaded image ID: sha256:"* ]] || fail "$output"
	[[ $stderr == *'does not get the name "v1.0+build", which is not a valid one' ]] || fail "$stderr"
}

@test "layers compressed with xz and bzip2, and by media type; what goes out is plain, or gzip" {
	local kind
	nacre load -q oci >/dev/null
	id=$(nacre inspect shop:1 | jq -r '.[0].Id')
	for kind in xz bzip2; do
		cp -r oci "$kind"
		recompress_layers "$kind" "+$kind" "$kind"
		grep -q "tar+$kind\"" "$kind"/blobs/sha256/* || fail "no layer has the type"
		run nacre --store "s-$kind" load "$kind"
		assert_status 0
		[ "$(grep -c ': loaded$' <<<"$output")" = 2 ] || fail "$output"
		nacre --store "s-$kind" verify
		assert_equal "$(nacre --store "s-$kind" inspect shop:1 | jq -r '.[0].Id')" "$id"
		nacre --store "s-$kind" save --format oci-dir -o "$kind.out" shop:1
		nacre --store "s-$kind" save -z --format oci-dir -o "$kind.gz.out" shop:1
		assert_equal "$(skopeo inspect --raw "oci:$kind.out" | jq -r '.layers[].mediaType' | sort -u)" \
			application/vnd.oci.image.layer.v1.tar
		assert_equal "$(skopeo inspect --raw "oci:$kind.gz.out" | jq -r '.layers[].mediaType' | sort -u)" \
			application/vnd.oci.image.layer.v1.tar+gzip
		assert_equal "$(skopeo inspect --config "oci:$kind.out" | jq -c .rootfs)" "$(nacre inspect shop:1 | jq -c '.[0] | {type: "layers",
			diff_ids: .RootFS.Layers}')"
	done
	# One byte of the compressed data.
	blob=$(skopeo inspect --raw oci:xz | jq -r '.layers[0].digest | ltrimstr("sha256:")')
	printf x | dd of="xz/blobs/sha256/$blob" bs=1 seek=300 conv=notrunc status=none
	assert_refused "cannot load xz: layer sha256:$blob" nacre --store s-new load xz
	assert_equal "$(nacre --store s-new images --json | jq length)" 0
}

@test "a layer that is there is said to exist already" {
	run nacre load oci
	refute_output_has "already exists"
	[ "$(grep -c ': loaded$' <<<"$output")" = 2 ] || fail "$output"
	run nacre load oci
	assert_status 0
	[ "$(grep -c ': already exists$' <<<"$output")" = 2 ] || fail "$output"
	[[ $output =~ ^[0-9a-f]{12}:\ already\ exists ]] || fail "$output"
}

@test "load -q says only the images" {
	run --separate-stderr nacre load -q oci
	assert_equal "$output" "Loaded image: shop:1"
	[ -z "$stderr" ]
}

@test "a source that is not there" {
	nacre load -q oci
	assert_refused_unchanged "cannot load none: " nacre load none
}

@test "a folder that is no layout" {
	nacre load -q oci
	mkdir empty
	assert_refused_unchanged "cannot load empty: " nacre load empty
}

@test "a flipped byte in each blob of a layout" {
	make_archive base other.tar
	printf 'more' >>other.tar
	nacre load -q oci
	for blob in oci/blobs/sha256/*; do
		rm -rf bad
		cp -r oci bad
		size=$(stat -c %s "$blob")
		byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$blob")
		# shellcheck disable=SC2059
		printf "\\x$(printf %x $((byte ^ 1)))" |
			dd of="bad/${blob#oci/}" bs=1 seek=$((size / 2)) conv=notrunc status=none
		# A store that has the layers may not look at their blobs again: a new one must.
		run nacre --store "fresh-${blob##*/}" load bad
		assert_status 1
		assert_output_has "nacre: cannot load bad: "
		assert_equal "$(nacre --store "fresh-${blob##*/}" images --json | jq length)" 0
	done
	run nacre images
	assert_output_has shop
}

@test "a layer whose diff ID is another than the config says" {
	make_archive layout lie lie:1 base.tar
	manifest=lie/blobs/sha256/$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' lie/index.json)
	config=lie/blobs/sha256/$(jq -r '.config.digest | ltrimstr("sha256:")' "$manifest")
	jq -c '.rootfs.diff_ids[0] = "sha256:" + ("0" * 64)' "$config" >config.new
	new=$(sha256sum config.new | cut -d ' ' -f 1)
	mv config.new "lie/blobs/sha256/$new"
	jq -c --arg d "sha256:$new" --argjson s "$(stat -c %s "lie/blobs/sha256/$new")" \
		'.config.digest = $d | .config.size = $s' "$manifest" >manifest.new
	new=$(sha256sum manifest.new | cut -d ' ' -f 1)
	size=$(stat -c %s manifest.new)
	mv manifest.new "lie/blobs/sha256/$new"
	jq -c --arg d "sha256:$new" --argjson s "$size" \
		'.manifests[0].digest = $d | .manifests[0].size = $s' lie/index.json >index.new
	mv index.new lie/index.json
	nacre load -q oci
	assert_refused_unchanged "cannot load lie: " nacre load lie
}

@test "a blob that is missing" {
	nacre load -q oci
	make_archive layout gone gone:1 second.tar
	manifest=gone/blobs/sha256/$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' gone/index.json)
	rm "gone/blobs/sha256/$(jq -r '.config.digest | ltrimstr("sha256:")' "$manifest")"
	assert_refused_unchanged "cannot load gone: " nacre load gone
}

@test "a truncated archive of a layout" {
	nacre load -q oci
	tar -C oci -cf oci.tar .
	head -c $(($(stat -c %s oci.tar) / 2)) oci.tar >cut.tar
	assert_refused_unchanged "cannot load cut.tar: " nacre --store "$NACRE_STORE" load cut.tar
}

@test "an index in an index without a platform is looked into, and so are the configs of images without one" {
	python3 - oci <<-'END'
		import hashlib, json, pathlib, shutil, sys
		INDEX = "application/vnd.oci.image.index.v1+json"
		MANIFEST = "application/vnd.oci.image.manifest.v1+json"
		def put(root, value, kind):
		    data = json.dumps(value).encode()
		    name = hashlib.sha256(data).hexdigest()
		    (root / "blobs/sha256" / name).write_bytes(data)
		    return {"mediaType": kind, "digest": "sha256:" + name, "size": len(data)}
		def images(root, said):
		    manifest = json.loads((root / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
		    config = json.loads((root / "blobs/sha256" / manifest["config"]["digest"][7:]).read_text())
		    for arch, variant in ("s390x", None), ("amd64", None), ("arm", "v7"), ("arm", "v6"), ("arm64", "v8"):
		        platform = {"architecture": arch, "os": "linux", **({"variant": variant} if variant else {})}
		        config.update(platform, author=arch + (variant or ""))
		        manifest["config"] = put(root, config, manifest["config"]["mediaType"])
		        yield {**put(root, manifest, MANIFEST), **({"platform": platform} if said else {})}
		for kind in "nested", "unsaid":
		    root = pathlib.Path(kind)
		    shutil.copytree(sys.argv[1], root)
		    index = json.loads((root / "index.json").read_text())
		    entries = list(images(root, kind == "nested"))
		    if kind == "nested":
		        # The image that is looked for may be in any of them.
		        entries = [put(root, {"schemaVersion": 2, "mediaType": INDEX, "manifests": part}, INDEX)
		                   for part in (entries[:1], entries[1:])]
		    for _ in range(2):
		        entries = [put(root, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)]
		    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
	END
	for kind in nested unsaid; do
		for wanted in s390x:s390x amd64:amd64 amd64/v1:amd64 arm:armv7 arm/v7:armv7 arm/v6:armv6 arm64:arm64v8; do
			id=$(nacre load -q --platform "linux/${wanted%:*}" "$kind" | sed -n '$s/.* //p')
			assert_equal "$(nacre inspect "$id" | jq -r '.[0].Author')" "${wanted#*:}"
		done
		assert_refused "has no image for linux/riscv64" nacre load --platform linux/riscv64 "$kind"
	done
	case $(uname -m) in x86_64) own=amd64 ;; aarch64) own=arm64v8 ;; *) return 0 ;; esac
	for kind in nested unsaid; do
		id=$(nacre load -q "$kind" | sed -n '$s/.* //p')
		assert_equal "$(nacre inspect "$id" | jq -r '.[0].Author')" "$own"
	done
}
