#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/registry

setup() {
	setup_store
	unset REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_RUNTIME_DIR XDG_CONFIG_HOME
	cd "$BATS_TEST_TMPDIR" || return
	serve_app
	nacre load -q served/app
}
teardown() { stop_registries; }
teardown_file() { stop_faults; }

copy() { skopeo --insecure-policy copy -q "$@"; }

@test "push over TLS with a password: skopeo copies it, umoci unpacks it" {
	start_registry one tls
	write_auth "$HOME/.docker/config.json" tester secret "$REGISTRY"
	run --separate-stderr nacre push --cacert "$CACERT" app:1 "$REGISTRY/team/app:1"
	assert_status 0
	[ -z "$stderr" ]
	assert_equal "$(grep -c ': pushed$' <<<"$output")" 2
	assert_output_has "Pushed image: $REGISTRY/team/app:1"
	assert_equal "${lines[-1]}" "$(skopeo inspect --creds tester:secret --tls-verify=false \
		"docker://$REGISTRY/team/app:1" | jq -r .Digest)"
	copy --src-creds tester:secret --src-tls-verify=false "docker://$REGISTRY/team/app:1" oci:out:1
	assert_equal "$(jq -r '.config.digest' "out/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' out/index.json)")" \
		"$(nacre images -q --no-trunc app:1)"
	umoci unpack --rootless --image out:1 bundle 2>/dev/null
	diff bundle/rootfs/etc/motd <(nacre cat app:1 etc/motd)
	diff <(cd bundle/rootfs && find . -mindepth 1 -printf '%P\n' | sort) \
		<(nacre ls -R --json app:1 / | jq -r '.. | .Path? // empty' | sed 's|^/||' | grep . | sort)

	run nacre push --cacert "$CACERT" app:1 "$REGISTRY/team/app:1"
	assert_status 0
	assert_equal "$(grep -c ': already exists$' <<<"$output")" 2
	run nacre --store other pull -q --cacert "$CACERT" "$REGISTRY/team/app:1"
	assert_status 0
	assert_equal "$output" "$(nacre images -q --no-trunc app:1)"
}

@test "an image goes to the registry that its name says" {
	start_registry one
	nacre tag app:1 "$REGISTRY/a/b:2"
	digest=$(nacre push -q "$REGISTRY/a/b:2")
	assert_equal "$digest" "$(skopeo inspect --tls-verify=false "docker://$REGISTRY/a/b:2" | jq -r .Digest)"
	assert_refused "no such image" nacre push "$REGISTRY/a/c"
	assert_refused "a push goes to a tag" nacre push app:1 "$REGISTRY/a/b@$digest"
	assert_misused nacre push
	assert_misused nacre push a b c
}

@test "an image that was pulled is pushed with its own manifest, also to another repository" {
	start_registry one
	# By another program, so that it cannot be made again: only what the registry has will do.
	copy --dest-compress-format zstd --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/from/app:1"
	digest=$(skopeo inspect --tls-verify=false "docker://$REGISTRY/from/app:1" | jq -r .Digest)
	nacre --store s pull -q "$REGISTRY/from/app:1"
	run nacre --store s push --json "$REGISTRY/from/app:1" "$REGISTRY/to/app:9"
	assert_status 0
	schema_ok push
	assert_equal "$(json .SameManifest)" true
	assert_equal "$(json .Digest)" "$digest"
	run nacre --store s push "$REGISTRY/from/app:1" "$REGISTRY/more/app:9"
	assert_output_has "taken from another repository"
	assert_equal "${lines[-1]}" "$digest"
}

@test "uncompressed layers and those that nacre compressed keep the manifest in any registry" {
	start_registry one
	first=$(nacre push -q app:1 "$REGISTRY/app:1")
	nacre --store s1 pull -q "$REGISTRY/app:1"
	one=$REGISTRY
	start_registry two
	assert_equal "$(nacre --store s1 push -q "$one/app:1" "$REGISTRY/else:1")" "$first"
	stop_registries
	python3 - <<-'END'
		import gzip, hashlib, json, pathlib
		root = pathlib.Path("served/app")
		blobs = root / "blobs/sha256"
		index = json.loads((root / "index.json").read_text())
		def put(data, entry):
		    name = hashlib.sha256(data).hexdigest()
		    (blobs / name).write_bytes(data)
		    entry.update(digest="sha256:" + name, size=len(data))
		manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
		for layer in manifest["layers"]:
		    layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar"
		    put(gzip.decompress((blobs / layer["digest"][7:]).read_bytes()), layer)
		put(json.dumps(manifest, indent=7).encode(), index["manifests"][0])
		(root / "index.json").write_text(json.dumps(index))
	END
	start_faults
	one=$REGISTRY
	digest=$(nacre --store s2 pull --json "$one/app:1" | jq -r .Digest)
	assert_equal "$(nacre --store s2 push -q "$one/app:1" "$REGISTRY/plain:1")" "$digest"
	start_registry three
	assert_equal "$(nacre --store s2 push -q "$one/app:1" "$REGISTRY/plain:1")" "$digest"
}

@test "an image made by commit, over layers that were pulled" {
	start_registry one
	nacre push -q app:1 "$REGISTRY/app:1"
	nacre mount --rw --name c "app:1" "$MNT"
	echo more >"$MNT/more"
	nacre commit -q c "$REGISTRY/app:2"
	nacre umount --rm c
	run nacre push "$REGISTRY/app:2"
	assert_status 0
	assert_equal "$(grep -c ': already exists$' <<<"$output")" 2
	assert_equal "$(grep -c ': pushed$' <<<"$output")" 1
	nacre --store other pull -q "$REGISTRY/app:2"
	assert_equal "$(nacre --store other cat "$REGISTRY/app:2" more)" more
}

# import_large: large:1, with 3 MB that cannot be compressed
import_large() {
	mkdir -p large
	head -c 3000000 /dev/urandom >large/noise
	tar -c -C large noise | nacre import -q - large:1 >/dev/null
}

# What the registry has is the image.
assert_pushed() {
	local store
	store=$(mktemp -d "$BATS_TEST_TMPDIR/store.XXXXXX")
	nacre --store "$store" pull -q "$2" >/dev/null
	assert_equal "$(nacre --store "$store" images -q --no-trunc "$2")" "$(nacre images -q --no-trunc "$1")"
	nacre --store "$store" verify -q
}

@test "an upload that breaks off goes on where it was" {
	import_large
	start_faults drop-upload:3 keep-upload
	run nacre push -q large:1 "$REGISTRY/new/large:1"
	assert_status 0
	# One for the layer and one for the config: nothing has begun anew.  curl may try once more by itself, so that there
	# are less questions than breaks.
	assert_equal "$(requests 'POST /v2/new/large/blobs/uploads')" 2
	[ "$(requests 'GET /v2/new/large/blobs/uploads')" -ge 1 ]
	assert_pushed large:1 "$REGISTRY/new/large:1"
}

@test "chunks: as asked for, as the registry wants them, and none where it takes none" {
	import_large
	start_faults
	run nacre push -q --chunk-size 1M large:1 "$REGISTRY/new/a:1"
	assert_status 0
	assert_equal "$(requests 'PATCH /v2/new/a')" 2
	assert_pushed large:1 "$REGISTRY/new/a:1"
	assert_misused nacre push --chunk-size 1x large:1 "$REGISTRY/new/a:1"
	stop_registries
	start_faults min-chunk:2000000
	run nacre push -q --chunk-size 1M large:1 "$REGISTRY/new/a:1"
	assert_status 0
	assert_equal "$(requests 'PATCH /v2/new/a')" 1
	assert_pushed large:1 "$REGISTRY/new/a:1"
	stop_registries
	start_faults max-body:1500000
	run nacre push -q large:1 "$REGISTRY/new/a:1"
	assert_status 0
	assert_equal "$(requests 'PATCH /v2/new/a')" 2
	assert_pushed large:1 "$REGISTRY/new/a:1"
	stop_registries
	start_faults nochunks
	run nacre push -q --chunk-size 1M large:1 "$REGISTRY/new/a:1"
	assert_status 0
	assert_equal "$(requests 'PATCH /v2/new/a')" 1
	assert_pushed large:1 "$REGISTRY/new/a:1"
	stop_registries
	start_faults drop-upload:2 keep-upload
	run nacre push -q --chunk-size 1M large:1 "$REGISTRY/new/a:1"
	assert_status 0
	assert_equal "$(requests 'POST /v2/new/a')" 2
	assert_pushed large:1 "$REGISTRY/new/a:1"
}

@test "chunks to docker's registry" {
	import_large
	start_registry one
	run nacre push -q --chunk-size 1M large:1 "$REGISTRY/a/large:1"
	assert_status 0
	grep -q 'http.request.method=PATCH' "$BATS_TEST_TMPDIR/one/log"
	assert_pushed large:1 "$REGISTRY/a/large:1"
	copy --src-tls-verify=false "docker://$REGISTRY/a/large:1" oci:out:1
}

# push_broken_off NAME CHUNK: to a docker-registry called NAME, over a connection that is cut in the middle of the layer
push_broken_off() {
	rm -f proxy-log
	start_registry "$1"
	cut_connections 1500000 1
	run nacre push -q --chunk-size "$2" large:1 "$REGISTRY/a/large:1"
	assert_status 0
	grep -qx 1500000 proxy-log || fail "nothing broke off: $(cat proxy-log)"
	assert_pushed large:1 "$REGISTRY/a/large:1"
	copy --src-tls-verify=false "docker://$REGISTRY/a/large:1" "oci:out-$1:1"
	stop_registries
}

# It gives up an upload whose part broke off ("upload resumed at wrong offest"), so that nothing can go on there.
@test "an upload to docker's registry that breaks off, whole or in a chunk, arrives" {
	import_large
	push_broken_off whole 100M
	push_broken_off chunks 2M
}

@test "a broken upload begins anew; a token that has run out is renewed" {
	start_faults drop-upload:2 status:uploads:503:1 basic:tester:secret token:3
	write_auth "$HOME/.docker/config.json" tester secret "$REGISTRY"
	run nacre push -q app:1 "$REGISTRY/new/app:1"
	assert_status 0
	stop_registries
	grep -q 'scope=repository:new:pull&scope=repository:new/app:pull,push' "$LOG" || fail "$(cat "$LOG")"
	assert_equal "$(grep -v ' /token?' "$LOG" | grep -c Basic_)" 0
}

@test "what a registry refuses is said, and nothing has its tag" {
	start_faults drop-upload:1000
	assert_refused "upload of blob sha256:" nacre push --retry 1 app:1 "$REGISTRY/new/app:1"
	assert_equal "$(requests 'PUT /v2/new/app/manifests')" 0
	stop_registries
	start_faults status:uploads:403:1000
	assert_refused "HTTP 403; SICK: told to fail" nacre push app:1 "$REGISTRY/new/app:1"
	stop_registries
	start_faults status:manifests:413:1000
	assert_refused "manifest 1: the registry answers with HTTP 413" nacre push app:1 "$REGISTRY/new/app:1"
	stop_registries
	start_faults
	rm -rf "$NACRE_STORE/packs"
	assert_refused "damaged" nacre push app:1 "$REGISTRY/new/app:1"
}

@test "a registry that lends nothing gets the layers themselves" {
	start_faults nomount
	nacre --store s pull -q "$REGISTRY/app:1"
	run nacre --store s push "$REGISTRY/app:1" "$REGISTRY/new/app:1"
	assert_status 0
	assert_equal "$(grep -c ': pushed$' <<<"$output")" 2
	[ "$(requests 'mount=sha256:')" = 2 ] || fail "$(cat "$LOG")"
	run nacre --store s2 pull -q "$REGISTRY/new/app:1"
	assert_status 0
}
