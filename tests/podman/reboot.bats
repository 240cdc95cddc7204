# SPDX-License-Identifier: Apache-2.0
# The machine goes down in the middle of everything: the storage is sound afterwards.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# Programs that were started with this file's folders, whatever they do: podman itself, conmon, drivers, those of a build.
all_processes() {
	local process
	for process in /proc/[0-9]*; do
		case $(readlink "$process/exe" 2>/dev/null) in
		*/podman | */conmon | */nacrefs | */crun | */busybox | */sleep)
			! tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qxF "PODMAN_RUN=$PODMAN_RUN" || printf '%s\n' "${process##*/}"
			;;
		esac
	done
}

# The mounts end with the namespace that started() has made, and the run root is in memory.
power_off() {
	local containers ids pids='' now
	containers=$(podman ps -q | xargs -r podman inspect --format '{{.State.Pid}}')
	ids=$(podman ps -q --no-trunc)
	# All stand still before the first is killed: conmon, which sees its container die, starts podman to clean up.
	while now=$(all_processes) && [ "$now" != "$pids" ]; do
		pids=$now
		# shellcheck disable=SC2086
		kill -STOP $pids 2>/dev/null || true
	done
	# shellcheck disable=SC2086
	kill -KILL $containers $pids
	wait_gone "$containers $pids"
	[ -z "$(storage_drivers)" ]
	! grep -F " $PODMAN_DIR/" /proc/self/mountinfo | grep fuse || fail "a mount was left"
	rm -rf "${PODMAN_RUN:?}"/*
	# The runtime's own notes too.
	! is_root || printf '%s' "$ids" | xargs -r -I ID rm -rf /run/crun/ID
}

# started NAME podman ...: in the background, and in a mount namespace of its own, which a plain user's podman makes itself.
started() {
	local name=$1
	local -a own=(unshare --mount --propagation=private)
	is_root || own=()
	shift
	"${own[@]}" "$@" >"$BATS_TEST_TMPDIR/$name.log" 2>&1 </dev/null 3>&- 4>&- &
}

until_there() {
	local tries
	for ((tries = 0; tries < 600; tries++)); do
		[ ! -e "$1" ] || return 0
		sleep 0.1
	done
	fail "$1 is not there" "$(cat "$BATS_TEST_TMPDIR"/*.log)"
}

# What is said to be written is on disk by then.
# shellcheck disable=SC2016
writes='rm -r /usr/share/data/deep; i=0; while :; do
	i=$((i + 1)); echo $i >>/root/log; mv /usr/share/data/5 /usr/share/data/five; mv /usr/share/data/five /usr/share/data/5
	busybox sync /root/log; echo $i >/out/new; mv /out/new /out/written; done'

@test "power off while a container writes, an image is built and another is committed" {
	local out=$BATS_TEST_TMPDIR/out container=$BATS_TEST_TMPDIR/Containerfile count
	mkdir "$out"
	chmod 777 "$out"
	podman run --name big base:1 sh -c 'for i in $(busybox seq 20); do cp -a /usr/share/data /root/$i; done'
	image_listing base:1 >"$BATS_TEST_TMPDIR/base"
	export_listing big >"$BATS_TEST_TMPDIR/big"
	wait_gone "$(storage_drivers)"
	started run podman run --name ctr -v "$out:/out" base:1 sh -c "$writes"
	printf 'FROM base:1\nRUN rm -r /usr/share/data && mkdir /usr/share/data && touch /root/done\n' >"$container"
	cp "$container" "$container.half"
	# shellcheck disable=SC2016
	echo 'RUN touch /out/building && while :; do i=$((i + 1)); cp -r /usr /root/$i; rm -r /root/$i; done' >>"$container.half"
	started build podman build --layers --isolation chroot -v "$out:/out" -t half:1 -f "$container.half" "$out"
	until_there "$out/written"
	until_there "$out/building"
	started commit podman commit -q big torn:1
	sleep 0.5
	power_off

	count=$(cat "$out/written")
	[ "$count" -gt 0 ]
	# Everything that was there is there, and what is new is whole or not there at all.
	image_listing base:1 | diff "$BATS_TEST_TMPDIR/base" -
	export_listing big | diff "$BATS_TEST_TMPDIR/big" -
	podman image exists half:1 && fail "an image that was not built is there"
	if podman image exists torn:1; then
		image_listing torn:1 | diff "$BATS_TEST_TMPDIR/big" -
	fi
	podman commit -q big whole:1 >/dev/null
	image_listing whole:1 | diff "$BATS_TEST_TMPDIR/big" -
	podman build -q --layers --isolation chroot -v "$out:/out" -t whole:2 -f "$container" "$out" >/dev/null
	assert_equal "$(podman run --rm whole:2 find /usr/share/data /root)" $'/usr/share/data\n/root\n/root/done'
	# The container goes on where it was.
	podman cp ctr:/root/log "$BATS_TEST_TMPDIR/log"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/log")" -ge "$count" ] || fail "$count lines were on disk" "$(tail "$BATS_TEST_TMPDIR/log")"
	diff <(head -n "$count" "$BATS_TEST_TMPDIR/log") <(seq "$count")
	podman diff ctr | grep -v -e five -e data/5 -e ' /etc$' -e ' /run' | sort >"$BATS_TEST_TMPDIR/changes"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/changes")" \
		$'A /out\nA /root/log\nC /root\nC /usr\nC /usr/share\nC /usr/share/data\nD /usr/share/data/deep'
	podman start ctr >/dev/null
	rm "$out/written"
	until_there "$out/written"
	podman rm -f -t 0 ctr >/dev/null
	podman rmi -f whole:1 whole:2 >/dev/null
	# What the killed build left in the folder for temporary files nobody takes away.
	in_storage rm -rf "$TMPDIR"/buildah*
	wait_gone "$(storage_drivers)"
}
