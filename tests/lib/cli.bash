# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# What the tests of the nacre command share, on top of common.bash.

make_archive() { python3 "$NACRE_TOP/tests/lib/make_archive.py" "$@"; }

# A store with base:1 in it; $BASE_TAR is its archive and $BASE_ID its image ID.
setup_base() {
	setup_store
	BASE_TAR=$BATS_TEST_TMPDIR/base.tar
	make_archive base "$BASE_TAR"
	BASE_ID=$(nacre import -m "the base" "$BASE_TAR" base:1)
}

# recompress_layers LAYOUT SUFFIX COMMAND...: its one image's layers, which gzip has compressed, compressed by COMMAND instead;
# their media types end with SUFFIX.
recompress_layers() {
	local blobs=$1/blobs/sha256 index=$1/index.json suffix=$2 manifest layer digest
	shift 2
	manifest=$(cat "$blobs/$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$index")")
	for layer in $(jq -r '.layers[].digest | ltrimstr("sha256:")' <<<"$manifest"); do
		gzip -dc "$blobs/$layer" | "$@" >recompressed
		digest=$(sha256sum recompressed | cut -c 1-64)
		manifest=$(jq --arg old "sha256:$layer" --arg new "sha256:$digest" --arg suffix "$suffix" \
			--argjson size "$(stat -c %s recompressed)" '(.layers[] | select(.digest == $old)) |=
			(.digest = $new | .size = $size | .mediaType |= sub("[+].*"; $suffix))' <<<"$manifest")
		mv recompressed "$blobs/$digest"
		rm "$blobs/$layer"
	done
	digest=$(sha256sum <<<"$manifest" | cut -c 1-64)
	cat >"$blobs/$digest" <<<"$manifest"
	manifest=$(jq --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$blobs/$digest")" \
		'.manifests[0].digest = $digest | .manifests[0].size = $size' "$index")
	cat >"$index" <<<"$manifest"
}

# What a user and the file system can see of the store: for "the store is as it was".  The index's own files change with
# its readers, so it is asked for its rows instead.
store_state() {
	[ -e "$NACRE_STORE/index.db" ] || { find "$NACRE_STORE" 2>/dev/null | sort; return; }
	nacre images -a --no-trunc --json
	nacre ps -a --json
	(cd "$NACRE_STORE" && find . -type f ! -name 'index.db*' ! -name 'lock*' ! -path './leases/*' -printf '%p %s\n' | sort)
	sqlite3 -readonly "$NACRE_STORE/index.db" \
		'SELECT count(*) FROM layer; SELECT count(*) FROM entry; SELECT count(*) FROM content;'
}

# assert_refused_unchanged MESSAGE COMMAND...: exit 1, the message, and the store as it was.
assert_refused_unchanged() {
	local before
	before=$(store_state)
	assert_refused "$@"
	[[ $output == "nacre: "* ]] || fail "the error does not begin with the program's name: $output"
	diff <(printf '%s\n' "$before") <(store_state) || fail "the store has changed"
}

# assert_misused COMMAND...: exit 2, nothing on stdout, help on how it is called on stderr.
assert_misused() {
	run --separate-stderr "$@"
	assert_status 2
	[ -z "$output" ] || fail "a usage error printed on stdout: $output"
	[[ $stderr == *"Try 'nacre "* ]] || fail "no usage on stderr: $stderr"
}

# json FILTER: what jq selects in $output, without quotes.
json() { jq -r "$1" <<<"$output"; }

# The names in the table, one a line.
command_names() { nacre help --json | jq -r '.Commands[].Name'; }

# mount_rw [MORE...]: base:1 writable at $MNT; its container in $CONTAINER.
mount_rw() {
	CONTAINER=$(nacre mount --rw "$@" base:1 "$MNT")
}

# schema_ok NAME: $output is as tests/cli/schemas/NAME.json says.
schema_ok() {
	python3 - "$NACRE_TOP/tests/cli/schemas/$1.json" <(printf '%s' "$output") <<-'END'
		import json, sys, jsonschema
		schema = json.load(open(sys.argv[1]))
		jsonschema.Draft7Validator.check_schema(schema)
		jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.load(open(sys.argv[2])))
	END
}

# container_store: for setup_file, $NACRE_STORE with base:1, which has what containers need (make_base_tree of podman.bash).
container_store() {
	export NACRE_STORE=$BATS_FILE_TMPDIR/store
	make_base_tree "$BATS_FILE_TMPDIR/base"
	tar -C "$BATS_FILE_TMPDIR/base" --owner=0 --group=0 -cf "$BATS_FILE_TMPDIR/base.tar" .
	nacre import "$BATS_FILE_TMPDIR/base.tar" base:1 >/dev/null
}

# containers_gone: for teardown.
containers_gone() {
	local pids
	# shellcheck disable=SC2046
	nacre rm -f $(nacre ps -aq) none >/dev/null
	pids=$(driver_pids "$NACRE_STORE")
	unmount_all
	wait_gone "$pids"
}
