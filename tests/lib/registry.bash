# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# Registries for tests, all on 127.0.0.1 with ports that the system chose.  stop_registries belongs into teardown.

# What runs: process ids, in a file, since a test's functions may run in subshells.
registry_pids() { cat "$BATS_TEST_TMPDIR"/*.registry-pid 2>/dev/null || true; }

stop_registries() {
	local pid
	for pid in $(registry_pids); do
		kill "$pid" 2>/dev/null || true
	done
	for pid in $(registry_pids); do
		while [ -e "/proc/$pid" ] && [[ $(process_state "$pid") != [XZ]* ]]; do sleep 0.02; done
	done
	rm -f "$BATS_TEST_TMPDIR"/*.registry-pid
	[ ! -e "$BATS_FILE_TMPDIR/faults.pid" ] || tell_faults ""
}

wait_for() {
	local tries
	for ((tries = 0; tries < 1500; tries++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.02
	done
	fail "this did not come true: $*"
}

# start_registry NAME [tls]: Debian's docker-registry; with tls also a password, tester's "secret".  $REGISTRY is its
# address; $CACERT its certificate.
start_registry() {
	local dir=$BATS_TEST_TMPDIR/$1 port
	mkdir -p "$dir"
	{
		printf 'version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: %s/data}}\n' "$dir"
		if [ "${2:-}" = tls ]; then
			make_certificate "$dir"
			# As htpasswd -Bbn tester secret prints it.
			# shellcheck disable=SC2016
			printf 'tester:%s\n' '$2y$05$UZ5ABlWf8uCIK/tn0t/r/OUveuZOF5ooZdmReFY7WRacfbD5oQJPa' >"$dir/htpasswd"
			printf 'http: {addr: "127.0.0.1:0", secret: x, tls: {certificate: %s/cert.pem, key: %s/key.pem}}\n' \
				"$dir" "$dir"
			printf 'auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n' "$dir"
			CACERT=$dir/cert.pem
		else
			printf 'http: {addr: "127.0.0.1:0", secret: x}\n'
		fi
	} >"$dir/config.yml"
	docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- 4>&- &
	echo $! >"$BATS_TEST_TMPDIR/$1.registry-pid"
	wait_for grep -q 'listening on' "$dir/log"
	port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' "$dir/log" | head -n 1)
	REGISTRY=localhost:$port
}

make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout "$1/key.pem" \
		-out "$1/cert.pem" -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
}

# write_auth FILE USER PASSWORD KEY...: a file of credentials
write_auth() {
	local file=$1 auth
	auth=$(printf '%s:%s' "$2" "$3" | base64 -w 0)
	shift 3
	mkdir -p "$(dirname "$file")"
	jq -n --arg auth "$auth" '{auths: ([$ARGS.positional[] | {(.): {auth: $auth}}] | add)}' --args "$@" >"$file"
}

# cut_connections BYTES TIMES: before the registry at $REGISTRY a proxy that cuts connections at their byte BYTES, TIMES
# times; $REGISTRY is its address then, and ./proxy-log has what was sent over each.
cut_connections() {
	local port=$BATS_TEST_TMPDIR/proxy-port
	rm -f "$port"
	python3 "$NACRE_TOP/tests/lib/cutting_proxy.py" "$port" "$PWD/proxy-log" "${REGISTRY##*:}" "$1" "$2" \
		3>&- 4>&- &
	echo $! >"$BATS_TEST_TMPDIR/proxy.registry-pid"
	wait_for test -e "$port"
	REGISTRY=localhost:$(<"$port")
}

# start_faults FAULT...: fault_registry.py over the layouts in $BATS_TEST_TMPDIR/served; $REGISTRY, $OTHER and $LOG.  One
# process serves all tests of a file: stop_faults belongs into teardown_file.
start_faults() {
	local dir=$BATS_TEST_TMPDIR/served
	mkdir -p "$dir"
	LOG=$dir/log
	: >"$LOG"
	tell_faults "$dir" "$@"
	REGISTRY=127.0.0.1:$(<"$dir/port")
	OTHER=$(<"$dir/other-port")
}

# tell_faults [DIR FAULT...]: to the process, which is started if there is none.
tell_faults() {
	local control=$BATS_FILE_TMPDIR/faults tries
	printf '%s\n' "$@" >"$control"
	if [ -e "$control.pid" ]; then
		kill -HUP "$(<"$control.pid")"
	else
		python3 "$NACRE_TOP/tests/lib/fault_registry.py" "$control" 2>"$control.errors" 3>&- 4>&- &
		echo $! >"$control.pid"
	fi
	for ((tries = 0; tries < 3000; tries++)); do
		[ -e "$control" ] || return 0
		sleep 0.01
	done
	fail "the registry with faults does not start: $(<"$control.errors")"
}

stop_faults() {
	[ ! -e "$BATS_FILE_TMPDIR/faults.pid" ] || kill "$(<"$BATS_FILE_TMPDIR/faults.pid")" || true
}

# serve_app: app:1, of two layers, in fault_registry.py's folder; base.tar and second.tar.  Made once for a file's tests.
serve_app() {
	local made=$BATS_FILE_TMPDIR/app
	if [ ! -d "$made" ]; then
		mkdir -p "$made.new/served"
		make_archive base "$made.new/base.tar"
		make_archive second "$made.new/second.tar"
		make_archive layout "$made.new/served/app" app:1 "$made.new/base.tar" "$made.new/second.tar"
		mv "$made.new" "$made"
	fi
	rm -rf served/app
	cp -a "$made/." .
}

# requests PATTERN: how many lines of the log have it
requests() { grep -c -- "$1" "$LOG" || true; }
