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
}
teardown() { stop_registries; }
teardown_file() { stop_faults; }

# ---- a real registry ------------------------------------------------------------------------------------------------

push_with_skopeo() {
	skopeo --insecure-policy copy -q "$@"
}

@test "pull from a registry over TLS with a password: all that skopeo pushed" {
	start_registry one tls
	write_auth auth.json tester secret "$REGISTRY"
	push_with_skopeo --dest-creds tester:secret --dest-tls-verify=false oci:served/app:app:1 \
		"docker://$REGISTRY/team/app:1"
	run --separate-stderr nacre pull --authfile auth.json --cacert "$CACERT" "$REGISTRY/team/app:1"
	assert_status 0
	assert_equal "$(grep -c ': pulled$' <<<"$output")" 2
	assert_output_has "Pulled image: $REGISTRY/team/app:1"
	assert_equal "${lines[-1]}" "$(nacre images -q --no-trunc)"
	nacre load -q served/app
	assert_equal "$(nacre images -q --no-trunc | sort -u | wc -l)" 1

	run nacre pull --authfile auth.json --cacert "$CACERT" "$REGISTRY/team/app:1"
	assert_status 0
	assert_equal "$(grep -c ': already exists$' <<<"$output")" 2
	assert_output_has "Image is up to date"
}

@test "a private CA is believed from each place it may be in" {
	start_registry one tls
	write_auth "$HOME/.docker/config.json" tester secret "$REGISTRY"
	push_with_skopeo --dest-creds tester:secret --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/app"
	nacre import -q base.tar other:1
	assert_refused_unchanged "self-signed certificate" nacre pull "$REGISTRY/app"
	[[ $output == *--cacert* ]] || fail "no hint at --cacert: $output"
	assert_refused_unchanged "no-such-file" nacre pull --cacert no-such-file "$REGISTRY/app"
	assert_refused_unchanged "has no certificate in it" nacre pull --cacert base.tar "$REGISTRY/app"
	mkdir certs
	assert_refused_unchanged "self-signed certificate" nacre pull --cert-dir certs "$REGISTRY/app"
	cp "$CACERT" certs/ca.crt
	run nacre --store s1 pull -q --cert-dir certs "$REGISTRY/app"
	assert_status 0
	run nacre --store s2 pull -q --insecure "$REGISTRY/app"
	assert_status 0
	mkdir -p "$HOME/.config/containers/certs.d/$REGISTRY"
	cp "$CACERT" "$HOME/.config/containers/certs.d/$REGISTRY/ca.crt"
	run nacre --store s3 pull -q "$REGISTRY/app"
	assert_status 0
}

@test "credentials: none, wrong ones, and each file that may have them" {
	start_registry one tls
	push_with_skopeo --dest-creds tester:secret --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/team/app"
	pull() { nacre --store "$1" pull -q --cacert "$CACERT" "$REGISTRY/team/app"; }
	assert_refused "wants a name and a password" pull s
	[[ $output == *login* ]] || fail "no hint: $output"
	write_auth "$HOME/.docker/config.json" tester wrong "$REGISTRY"
	assert_refused "refuses the name and password from $HOME/.docker/config.json" pull s

	write_auth "$HOME/.docker/config.json" tester secret "https://$REGISTRY/v1/"
	pull s1
	write_auth "$HOME/.config/containers/auth.json" tester secret "$REGISTRY/team/app"
	rm "$HOME/.docker/config.json"
	pull s2
	# The longest key counts.
	write_auth a tester wrong "$REGISTRY" "$REGISTRY/team"
	write_auth b tester secret "$REGISTRY/team/app"
	jq -s '{auths: (.[0].auths + .[1].auths)}' a b >"$HOME/.config/containers/auth.json"
	pull s3
	write_auth a tester wrong "$REGISTRY/team/app" "$REGISTRY"
	write_auth b tester secret "$REGISTRY/team/app/more" "$REGISTRY/other" "$REGISTRY/tea"
	jq -s '{auths: (.[0].auths + .[1].auths)}' a b >"$HOME/.config/containers/auth.json"
	assert_refused "refuses" pull s
	export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run
	write_auth "$XDG_RUNTIME_DIR/containers/auth.json" tester secret "$REGISTRY"
	pull s4
	write_auth mine tester wrong "$REGISTRY"
	REGISTRY_AUTH_FILE=mine assert_refused "refuses the name and password from mine" pull s
	REGISTRY_AUTH_FILE=none assert_refused "none: No such file" pull s
	echo '{ not json' >bad
	REGISTRY_AUTH_FILE=bad assert_refused "bad: not a file of credentials" pull s
	jq -n --arg r "$REGISTRY" '{auths: {($r): {auth: "????"}}}' >bad
	REGISTRY_AUTH_FILE=bad assert_refused "no base64 of USER:PASSWORD" pull s
}

@test "credential helpers are asked" {
	start_registry one tls
	push_with_skopeo --dest-creds tester:secret --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/app"
	mkdir bin
	cat >bin/docker-credential-test <<-'END'
		#!/bin/sh
		read -r key || [ -n "$key" ]
		[ "$1" = get ] || exit 3
		case $key in
		localhost:*) echo "{\"ServerURL\":\"$key\",\"Username\":\"tester\",\"Secret\":\"$(cat "$HOME/secret")\"}" ;;
		*) echo "credentials not found in native keychain"; exit 1 ;;
		esac
	END
	chmod +x bin/docker-credential-test
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
	echo secret >"$HOME/secret"
	jq -n --arg r "$REGISTRY" '{credHelpers: {($r): "test"}}' >auth.json
	run nacre --store s1 pull -q --cacert "$CACERT" --authfile auth.json "$REGISTRY/app"
	assert_status 0
	jq -n '{credsStore: "test"}' >auth.json
	run nacre --store s2 pull -q --cacert "$CACERT" --authfile auth.json "$REGISTRY/app"
	assert_status 0
	echo wrong >"$HOME/secret"
	assert_refused "refuses the name and password" nacre pull --cacert "$CACERT" --authfile auth.json "$REGISTRY/app"
	jq -n '{credsStore: "missing"}' >auth.json
	assert_refused "cannot run the credential helper docker-credential-missing" \
		nacre pull --cacert "$CACERT" --authfile auth.json "$REGISTRY/app"
	jq -n '{credsStore: "../bin/docker-credential-test"}' >auth.json
	assert_refused "is not the name of a credential helper" \
		nacre pull --cacert "$CACERT" --authfile auth.json "$REGISTRY/app"
}

@test "plain HTTP on this machine; what the registry says of what it lacks" {
	start_registry one
	push_with_skopeo --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/app:1"
	run nacre pull -q "$REGISTRY/app:1"
	assert_status 0
	assert_refused_unchanged "HTTP 404; MANIFEST_UNKNOWN" nacre pull "$REGISTRY/app:2"
	[[ $output == *"nacre: cannot pull $REGISTRY/app:2: $REGISTRY/app: manifest 2: "* ]] || fail "names not all: $output"
	assert_refused_unchanged "HTTP 404; " nacre pull "$REGISTRY/none"
}

@test "pull by digest, and with tag and digest" {
	start_registry one
	push_with_skopeo --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/app:1"
	digest=$(skopeo inspect --tls-verify=false "docker://$REGISTRY/app:1" | jq -r .Digest)
	run nacre pull "$REGISTRY/app@$digest"
	assert_status 0
	assert_output_has "Digest: $digest"
	assert_equal "$(nacre inspect "${lines[-1]}" | jq -c '.[0].RepoTags')" "[]"
	run nacre pull --json "$REGISTRY/app@$digest"
	schema_ok pull
	run nacre pull --json "$REGISTRY/app:other@$digest"
	assert_status 0
	schema_ok pull
	assert_equal "$(json .RepoTag)" "$REGISTRY/app:other"
	assert_equal "$(json .Digest)" "$digest"
	assert_equal "$(json .Existed)" true
	assert_equal "$(json .Id)" "$(nacre images -q --no-trunc)"
	assert_refused_unchanged "HTTP 404" nacre pull "$REGISTRY/app@sha256:$(printf '0%.0s' {1..64})"
}

@test "an image that was changed since" {
	start_registry one
	push_with_skopeo --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/app:1"
	old=$(nacre pull -q "$REGISTRY/app:1")
	make_archive layout new app:1 base.tar
	push_with_skopeo --dest-tls-verify=false oci:new:app:1 "docker://$REGISTRY/app:1"
	run nacre pull "$REGISTRY/app:1"
	assert_status 0
	assert_output_has "already exists"
	assert_equal "$(nacre images -q --no-trunc "$REGISTRY/app:1")" "${lines[-1]}"
	[ "${lines[-1]}" != "$old" ]
}

@test "skopeo, umoci and nacre see the same files in what was pulled" {
	start_registry one
	push_with_skopeo --dest-tls-verify=false oci:served/app:app:1 "docker://$REGISTRY/app:1"
	nacre pull -q "$REGISTRY/app:1"
	nacre load -q served/app
	diff <(nacre ls -lR "$REGISTRY/app:1" /) <(nacre ls -lR app:1 /)
}

# ---- names ----------------------------------------------------------------------------------------------------------

@test "names that are none" {
	for name in "" UPPER/case a//b "localhost/a:" "localhost/a@sha256:12" "localhost/a@md5:$(printf '0%.0s' {1..32})" \
		"localhost/a b" "localhost/a@" "http://localhost/a"; do
		run nacre pull --retry 0 "$name"
		[ "$status" != 0 ] || fail "taken: $name"
		[[ $output == *nacre:* || $output == *Usage* ]] || fail "$output"
	done
	assert_misused nacre pull
	assert_misused nacre pull a b
	assert_misused nacre pull --retry no a
	assert_misused nacre pull --retry -1 a
	assert_refused "is no platform" nacre pull --platform linux localhost/a
	assert_refused "is no platform" nacre pull --platform linux/arm/v7/x localhost/a
}

@test "no plain HTTP to another machine" {
	assert_refused "https://" nacre pull --retry 0 "registry.invalid:1/app:1"
	[[ $output != *"http://"* ]] || fail "plain HTTP was tried: $output"
	assert_refused "http://[::1]:1:" nacre pull --retry 0 "[::1]:1/app:1"
	assert_refused "http://" nacre pull --retry 0 --insecure "registry.invalid:1/app:1"
}

# ---- faults ---------------------------------------------------------------------------------------------------------

@test "a broken connection: the blob is fetched on from where it was" {
	head -c 300000 /dev/urandom >noise
	tar -c noise >noise.tar
	make_archive layout served/noise noise:1 noise.tar
	start_faults drop:100000:2
	run nacre pull -q "$REGISTRY/noise:1"
	assert_status 0
	assert_equal "$(requests ' bytes=100000-')" 1
	assert_equal "$(requests ' bytes=200000-')" 1
	nacre cat "$REGISTRY/noise:1" noise | cmp - noise
	run ! ls "$NACRE_STORE"/ingest/* 2>/dev/null
}

@test "a registry without ranges: what was had is skipped" {
	head -c 300000 /dev/urandom >noise
	tar -c noise >noise.tar
	make_archive layout served/noise noise:1 noise.tar
	start_faults drop:100000:1 norange
	run nacre pull -q "$REGISTRY/noise:1"
	assert_status 0
	nacre cat "$REGISTRY/noise:1" noise | cmp - noise
}

@test "a registry that sends another range than was asked for" {
	head -c 300000 /dev/urandom >noise
	tar -c noise >noise.tar
	make_archive layout served/noise noise:1 noise.tar
	start_faults drop:100000:1 badrange
	nacre load -q served/app
	assert_refused_unchanged "from byte 100000 on, the registry sends bytes 100001-" nacre pull "$REGISTRY/noise:1"
}

@test "a connection that always breaks is given up" {
	start_faults drop:100:1000
	nacre load -q served/app
	nacre rmi app:1
	assert_refused_unchanged "broken off at byte" nacre pull --retry 1 "$REGISTRY/app:1"
	assert_equal "$(nacre images -aq | wc -l)" 0
}

@test "a sick registry is asked again, and given up in the end" {
	start_faults status:manifests:503:2 status:blobs:429:1:0 status:blobs:500:1
	run nacre pull -q "$REGISTRY/app:1"
	assert_status 0
	assert_equal "$(requests ' /v2/app/manifests/1 ')" 3
	stop_registries
	start_faults status:manifests:503:1000
	assert_refused "HTTP 503; SICK: told to fail" nacre --store s2 pull --retry 2 "$REGISTRY/app:1"
	assert_equal "$(requests ' /v2/app/manifests/1 ')" 3
	stop_registries
	start_faults status:manifests:400:1000
	assert_refused "HTTP 400; SICK: told to fail" nacre --store s2 pull "$REGISTRY/app:1"
	assert_equal "$(requests ' /v2/app/manifests/1 ')" 1
}

@test "Retry-After is waited for" {
	start_faults status:manifests:429:1:1
	begin=$(date +%s%N)
	run nacre pull -q "$REGISTRY/app:1"
	assert_status 0
	[ $((($(date +%s%N) - begin) / 1000000)) -ge 1000 ] || fail "asked again too soon"
}

@test "blobs that are not what the manifest says" {
	for fault in flip short long endless-blob; do
		start_faults "$fault"
		assert_refused "nacre: cannot pull $REGISTRY/app:1: " nacre pull --retry 1 "$REGISTRY/app:1"
		assert_equal "$(nacre images -aq | wc -l)" 0
		assert_equal "$(sqlite3 -readonly "$NACRE_STORE/index.db" 'SELECT count(*) FROM layer')" 0
		case $fault in
		flip) assert_output_has "gzip data is damaged" ;;
		short) assert_output_has "fewer bytes" ;;
		*) assert_output_has "longer than" ;;
		esac
		stop_registries
	done
}

@test "layers compressed with xz and bzip2; what is pushed of them is gzip" {
	local kind
	nacre --store from load -q served/app >/dev/null
	start_registry real
	real=$REGISTRY
	for kind in xz bzip2; do
		cp -r served/app "served/$kind"
		recompress_layers "served/$kind" "+$kind" "$kind"
		start_faults ""
		run nacre --store "$kind" pull -q "$REGISTRY/$kind:1"
		assert_status 0
		assert_equal "$(nacre --store "$kind" images -q --no-trunc)" "$(nacre --store from images -q --no-trunc)"
		nacre --store "$kind" verify
		nacre --store "$kind" push -q "$REGISTRY/$kind:1" "$real/$kind:1"
		assert_equal "$(skopeo inspect --tls-verify=false --raw "docker://$real/$kind:1" | jq -r '.layers[].mediaType' | sort -u)" \
			application/vnd.oci.image.layer.v1.tar+gzip
	done
}

@test "manifests that are none" {
	nacre load -q served/app
	start_faults endless-manifest
	assert_refused_unchanged "longer than" nacre pull "$REGISTRY/app:1"
	stop_registries
	start_faults digest
	assert_refused_unchanged "what came has the digest" nacre pull "$REGISTRY/app:1"
	stop_registries
	start_faults text
	assert_refused_unchanged "not JSON" nacre pull "$REGISTRY/app:1"
}

@test "a bearer token is fetched, used, and fetched again when it has run out" {
	start_faults basic:tester:secret token:2
	write_auth auth.json tester secret "$REGISTRY"
	run nacre pull -q --authfile auth.json "$REGISTRY/app:1"
	assert_status 0
	[ "$(requests ' /token?')" -ge 2 ] || fail "one token only"
	grep ' /token?' "$LOG" | grep -q 'service=test,%20%22quoted%22&scope=repository:app:pull' || fail "$(cat "$LOG")"
	# The password goes to the token service alone.
	assert_equal "$(grep -v ' /token?' "$LOG" | grep -c Basic_)" 0
	stop_registries
	start_faults basic:tester:other token:2
	write_auth auth.json tester secret "$REGISTRY"
	assert_refused "the token service refuses the credentials from auth.json" \
		nacre --store s pull --authfile auth.json "$REGISTRY/app:1"
	stop_registries
	start_faults token:1000
	run nacre --store s pull -q "$REGISTRY/app:1"
	assert_status 0
	assert_equal "$(requests ' /token?')" 1
	stop_registries
	start_faults token:0
	assert_refused "HTTP 401; UNAUTHORIZED: a token is wanted" nacre pull "$REGISTRY/app:1"
	stop_registries
	start_faults token:1 endless-token
	assert_refused "longer than" nacre pull "$REGISTRY/app:1"
}

@test "a token is asked for again before it ends" {
	start_faults token:1000:0
	run nacre pull -q "$REGISTRY/app:1"
	assert_status 0
	[ "$(requests ' /token?')" -ge 3 ] || fail "$(cat "$LOG")"
}

@test "another host that one is sent to sees no credentials" {
	start_faults redirect basic:tester:secret
	write_auth auth.json tester secret "$REGISTRY"
	run nacre pull -q --authfile auth.json "$REGISTRY/app:1"
	assert_status 0
	[ "$(requests "^$OTHER GET ")" -ge 3 ] || fail "not sent on: $(cat "$LOG")"
	assert_equal "$(grep "^$OTHER " "$LOG" | grep -vc ' -$')" 0
	[ "$(requests "^${REGISTRY#*:} GET .* Basic_")" -ge 3 ] || fail "$(cat "$LOG")"
}

@test "redirects that lead nowhere" {
	start_faults loop
	assert_refused "sends us on more than" nacre pull "$REGISTRY/app:1"
	stop_registries
	start_faults downgrade:file:///etc/passwd
	assert_refused "file:///etc/passwd" nacre pull "$REGISTRY/app:1"
}

@test "of an image for several platforms this machine's is taken, or the one asked for" {
	case $(uname -m) in x86_64) own=amd64 ;; aarch64) own=arm64 ;; *) own=$(uname -m) ;; esac
	python3 - "$own" <<-'END'
		import hashlib, json, pathlib, sys
		root = pathlib.Path("served/app")
		blobs = root / "blobs/sha256"
		index = json.loads((root / "index.json").read_text())
		def put(value):
		    data = json.dumps(value).encode()
		    name = hashlib.sha256(data).hexdigest()
		    (blobs / name).write_bytes(data)
		    return {"digest": "sha256:" + name, "size": len(data)}
		manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
		config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
		entries = []
		for arch, variant in (("s390x", None), (sys.argv[1], None), ("arm", "v7"), ("arm", "v6")):
		    config["architecture"], config["os"], config["author"] = arch, "linux", f"{arch} {variant}"
		    manifest["config"].update(put(config))
		    platform = {"os": "linux", "architecture": arch, **({"variant": variant} if variant else {})}
		    entries.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", **put(manifest),
		                    "platform": platform})
		outer = put({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries})
		index["manifests"] = [{"mediaType": "application/vnd.oci.image.index.v1+json", **outer, "annotations":
		                       {"org.opencontainers.image.ref.name": "1"}}]
		(root / "index.json").write_text(json.dumps(index))
	END
	start_faults
	author() { nacre inspect "$1" | jq -r '.[0].Author'; }
	for source in "pull $REGISTRY/app:1" "load served/app"; do
		assert_equal "$(author "$(nacre "${source% *}" -q "${source#* }" | sed -n '$s/.* //;$p')")" "$own None"
		for wanted in linux/s390x linux/arm linux/arm/v6 linux/arm/v7; do
			id=$(nacre "${source% *}" -q --platform "$wanted" "${source#* }" | sed 's/.* //' | tail -n 1)
			case $wanted in
			linux/s390x) assert_equal "$(author "$id")" "s390x None" ;;
			linux/arm/v6) assert_equal "$(author "$id")" "arm v6" ;;
			*) assert_equal "$(author "$id")" "arm v7" ;;
			esac
		done
		assert_refused "has no image for linux/riscv64" nacre "${source% *}" --platform linux/riscv64 "${source#* }"
		assert_refused "has no image for windows/$own" nacre "${source% *}" --platform "windows/$own" "${source#* }"
	done
}

@test "a single image for another platform than was asked for is refused" {
	start_faults
	nacre load -q served/app
	assert_refused_unchanged "the image is for " nacre pull --platform linux/s390x "$REGISTRY/app:1"
	assert_refused_unchanged "the image is for " nacre load --platform linux/s390x served/app
}

@test "a pull that is ended in the middle leaves a sound store, and the next one finishes" {
	head -c 3000000 /dev/urandom >noise
	tar -c noise >noise.tar
	make_archive layout served/noise noise:1 base.tar noise.tar
	for signal in TERM KILL; do
		# The second attempt comes too late for the one that is ended.
		start_faults status:blobs:503:1000:60
		"$NACRE" pull "$REGISTRY/noise:1" >out 2>&1 3>&- &
		pid=$!
		wait_for grep -q blobs "$LOG"
		kill -"$signal" "$pid"
		wait "$pid" || true
		stop_registries
		assert_equal "$(nacre images -aq | wc -l)" 0
	done
	start_faults
	run nacre pull -q "$REGISTRY/noise:1"
	assert_status 0
	nacre cat "$REGISTRY/noise:1" noise | cmp - noise
	run ! ls -d "$NACRE_STORE"/ingest/?* 2>/dev/null
	nacre verify
}

@test "layers that came before a failure are not fetched again, and gc takes them" {
	start_faults status:blobs:404:1
	head -c 3000000 /dev/urandom >noise
	tar -c noise >noise.tar
	run nacre pull "$REGISTRY/app:1"
	assert_status 1
	run nacre gc
	assert_status 0
	assert_equal "$(sqlite3 -readonly "$NACRE_STORE/index.db" 'SELECT count(*) FROM layer')" 0
}

@test "a layer that an image has twice is fetched once" {
	make_archive layout served/twice twice:1 base.tar second.tar base.tar
	start_faults
	run nacre pull "$REGISTRY/twice:1"
	assert_status 0
	assert_equal "$(grep -c ' /v2/twice/blobs/' "$LOG")" 3
	assert_equal "$(nacre inspect "$REGISTRY/twice:1" | jq '.[0].RootFS.Layers | length')" 3
}

@test "two pulls at once both succeed" {
	start_faults
	nacre pull -q "$REGISTRY/app:1" >one &
	nacre pull -q "$REGISTRY/app:1" >two
	wait $!
	cmp one two
	assert_equal "$(sqlite3 -readonly "$NACRE_STORE/index.db" 'SELECT count(*) FROM layer')" 2
}

@test "an overlay's own marks in a layer are left out, and that is said" {
	make_archive odd odd.tar
	make_archive layout served/odd odd:1 odd.tar
	start_faults
	run --separate-stderr nacre pull -q "$REGISTRY/odd:1"
	assert_status 0
	[[ $stderr == "nacre: warning: $REGISTRY/odd:1: 5 xattrs were left out, which are marks of an overlay file system" ]] ||
		fail "$stderr"
	run --separate-stderr nacre pull -q "$REGISTRY/odd:1"
	[ -z "$stderr" ]
}
