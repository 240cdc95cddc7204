#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154,SC2016
#
# Containers: run, exec, start, stop, logs and what ps, rm, diff and commit make of them.  All tests share one store.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli
load ../lib/podman

setup_file() { container_store; }

setup() {
	export HOME=$BATS_TEST_TMPDIR/home
	mkdir -p "$HOME"
	MNT=$BATS_TEST_TMPDIR/mnt
	mkdir "$MNT"
	unset NO_COLOR
}

teardown() {
	[ -z "${STOPPED:-}" ] || kill -KILL "$STOPPED" 2>/dev/null || true
	containers_gone
}

in_base() { nacre run --rm base:1 "$@"; }

# configured NAME CHANGE...: base:1 with another config as NAME.
configured() {
	local name=$1 change container
	local -a changes=()
	shift
	for change in "$@"; do
		changes+=(-c "$change")
	done
	container=$(nacre mount --rw base:1 "$MNT")
	nacre commit -q "${changes[@]}" "$container" "$name" >/dev/null
	nacre umount --rm "$MNT"
}

@test "run: what it writes, its standard input and its exit status" {
	run --separate-stderr in_base sh -c 'id -u; echo wrong >&2; exit 7'
	assert_status 7
	assert_equal "$output" 0
	assert_equal "$stderr" wrong
	run nacre run --rm -i base:1 cat <<<"hello"
	assert_equal "$output" hello
	run in_base cat <<<"hello"
	assert_status 0
	assert_equal "$output" ""
	run in_base sh -c 'sh -c "kill -9 \$\$"; exit $?'
	assert_status 137
	assert_equal "$(nacre ps -aq)" ""
	# All of much, through a reader that is slow to begin.
	assert_equal "$(in_base sh -c 'head -c 3000000 /dev/zero' | { sleep 0.3; wc -c; })" 3000000
}

@test "run: docker's statuses for what cannot be run" {
	run -127 in_base no-such-program
	assert_output_has "nacre: cannot run base:1: "
	run -127 in_base /no/such/program
	run in_base /etc/passwd
	assert_status 126
	run nacre run --rm no-image sh
	assert_status 125
	assert_output_has "nacre: cannot run no-image: "
	assert_output_has "nacre images"
	run in_base
	assert_status 125
	assert_output_has "names no command"
	# Nothing is left of any of them; without --rm the container is there, to be looked at.
	assert_equal "$(nacre ps -aq)" ""
	run -127 nacre run --name bad base:1 no-such-program
	assert_equal "$(nacre ps -a --json | jq -r '.[0] | .Name + " " + .State')" "bad created"
}

@test "run: each error says what is wrong" {
	while IFS='|' read -r options message; do
		# shellcheck disable=SC2086
		run nacre run --rm $options base:1 true
		assert_status 125
		assert_output_has "nacre: cannot run base:1: "
		assert_output_has "$message"
	done <<-'END'
		-u nobody|there is no user nobody in its /etc/passwd
		-u web:none|there is no group none in its /etc/group
		--network bridge|there is no network bridge: host or none
		-v named:/data|there are no named volumes
		-v /no/such:/data|/no/such cannot be used: No such file or directory
		-v /tmp:data|DST begins with a '/'
		-v /tmp:/data:rx|rx is neither ro nor rw
		-w var|does not begin with a '/'
		-e =x|has no name
		--env-file /no/such|cannot read /no/such
		--memory much|--memory much is no size
		--pids-limit few|--pids-limit few is no number
		--runtime no-runtime|no-runtime is missing
		-it|-t and -i need a terminal
	END
	assert_equal "$(nacre ps -aq)" ""
	nacre run -d --name one base:1 sleep 100
	run nacre run --rm --name one base:1 true
	assert_status 125
	assert_output_has "there is a container named one already"
}

@test "run: driver and runtime named relative to where one is" {
	cd "$BATS_TEST_TMPDIR"
	ln -s "$NACREFS" driver
	ln -s "$(command -v crun)" crun
	run env NACREFS=./driver "$NACRE" run --rm --runtime ./crun base:1 id -u
	assert_equal "$output" 0
}

@test "run: without a runtime it says what to install" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	run env PATH="$BATS_TEST_TMPDIR/bin" "$NACRE" run --rm base:1 true
	assert_status 125
	assert_output_has "crun is missing, which starts containers (install the package crun)"
}

@test "run: user, group, working directory, environment, host name" {
	run nacre run --rm -u web base:1 sh -c 'id; echo $HOME; grep CapEff /proc/self/status'
	assert_equal "${lines[0]}" "uid=33(web) gid=33(web)"
	assert_equal "${lines[1]}" /var/www
	[[ ${lines[2]} =~ ^CapEff:\ *$'\t'?0+$ ]] || fail "${lines[2]}"
	run nacre run --rm -u 33:0 -w /new/dir base:1 sh -c 'id -u; id -g; pwd; stat -c %u /new/dir'
	assert_equal "$output" $'33\n0\n/new/dir\n0'
	run in_base grep CapEff /proc/self/status
	assert_equal "${output##*[$'\t ']}" 00000000a80425fb
	printf '# comment\nFROM_FILE=a b\n\nTAKEN\nOVER=file\n' >"$BATS_TEST_TMPDIR/env"
	run env TAKEN=here "$NACRE" run --rm --env-file "$BATS_TEST_TMPDIR/env" -e OVER=line -e TAKEN -e UNSET base:1 \
		sh -c 'echo "$FROM_FILE|$OVER|$TAKEN|${UNSET-none}|$HOME|$PATH"'
	assert_equal "$output" "a b|line|here|none|/root|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	run nacre run --rm --hostname box base:1 sh -c \
		'cat /proc/sys/kernel/hostname /etc/hostname; echo $HOSTNAME; grep -c box /etc/hosts'
	assert_equal "$output" $'box\nbox\nbox\n1'
}

@test "run: the image's config is honoured" {
	configured conf:1 'ENTRYPOINT ["sh", "-c", "echo $GREETING $0 $*; pwd; id -u"]' 'CMD ["one", "two"]' \
		'ENV GREETING=hello' 'WORKDIR /srv/made' 'USER web' 'VOLUME /srv/volume'
	run nacre run --rm conf:1
	assert_equal "$output" $'hello one two\n/srv/made\n33'
	run nacre run --rm conf:1 three
	assert_equal "$output" $'hello three\n/srv/made\n33'
	run nacre run --rm --entrypoint stat conf:1 -c %F /srv/volume
	assert_equal "$output" directory
	run nacre run --rm --entrypoint '' -u 0 --read-only conf:1 sh -c 'touch /srv/volume/a && touch /srv/b'
	assert_status 1
	assert_output_has "/srv/b: Read-only file system"
	refute_output_has "/srv/volume/a"
}

@test "run: folders of the machine, network, a root that is read-only" {
	mkdir "$BATS_TEST_TMPDIR/shared"
	echo there >"$BATS_TEST_TMPDIR/shared/file"
	run nacre run --rm --name vol -v "$BATS_TEST_TMPDIR/shared:/shared" base:1 sh -c \
		'cat /shared/file; echo back >/shared/answer; stat -c %u /shared/file'
	assert_equal "$output" $'there\n0'
	assert_equal "$(stat -c %u "$BATS_TEST_TMPDIR/shared/answer")" "$(id -u)"
	cd "$BATS_TEST_TMPDIR"
	run nacre run --rm -v ./shared:/shared:ro base:1 touch /shared/no
	assert_status 1
	assert_output_has "Read-only file system"
	run nacre run --rm --network none base:1 sh -c 'ls /sys/class/net; cat /etc/resolv.conf; grep -c localhost /etc/hosts'
	assert_equal "$output" $'lo\n2'
	run in_base cat /etc/resolv.conf
	assert_equal "$output" "$(cat /etc/resolv.conf)"
	run nacre run --rm --read-only base:1 touch /etc/no
	assert_status 1
	assert_output_has "Read-only file system"
}

@test "run: no link of an image leads out of it" {
	local outside=$BATS_TEST_TMPDIR/outside
	mkdir "$outside"
	echo 'web:x:0:0::/:/bin/sh' >"$outside/passwd"
	nacre mount --rw --name evil base:1 "$MNT" >/dev/null
	mv "$MNT/etc" "$MNT/real"
	mkdir -p "$MNT$outside"
	ln -s "../../../../../../../../$outside" "$MNT/etc"
	ln -s "$outside" "$MNT/link"
	nacre commit -q evil evil:1 >/dev/null
	nacre umount "$MNT"
	run nacre run --rm -u web evil:1 true
	assert_status 125
	assert_output_has "there is no user web"
	run nacre run --rm --hostname box evil:1 cat /etc/hostname
	assert_equal "$output" box
	run nacre run --rm -w /link/made evil:1 sh -c 'pwd -P'
	assert_equal "$output" "$outside/made"
	assert_equal "$(ls "$outside")" passwd
}

@test "run -d, ps, logs, exec, stop, start, rm" {
	run nacre run -d --name bg base:1 sh -c 'trap "echo stopping; exit 3" TERM; echo one; echo two >&2; printf three;
		while :; do sleep 0.1; done'
	assert_status 0
	[[ $output =~ ^[0-9a-f]{12}$ ]] || fail "no ID: $output"
	id=$output
	wait_until grep -q three "$NACRE_STORE/containers/$id/log"
	run nacre ps
	[[ ${lines[1]} =~ ^$id\ +base:1\ +sh\ -c.*\ Up\ .*\ bg$ ]] || fail "${lines[1]}"
	run --separate-stderr nacre logs bg
	assert_equal "$output" $'one\nthree'
	assert_equal "$stderr" two
	run --separate-stderr nacre logs -n 1 -t bg
	[[ $output =~ ^20[0-9-]*T[0-9:.]*Z\ three$ ]] || fail "$output"
	run nacre exec -e A=b -w /etc -u web bg sh -c 'echo $A $PWD $(id -u) $(grep -c sleep /proc/1/cmdline); touch /tmp/by-web'
	assert_equal "$output" "b /etc 33 1"
	run nacre exec bg sh -c 'exit 9'
	assert_status 9
	run -127 nacre exec bg no-such-program
	assert_output_has "nacre: cannot run no-such-program in bg: there is no such program in it"
	run nacre exec bg /etc/passwd
	assert_status 126
	run nacre exec -w /none bg true
	assert_status 126
	assert_output_has "the working directory /none: No such file or directory"
	run nacre exec -u nobody bg true
	assert_status 125
	nacre exec -d bg touch /tmp/detached
	wait_until nacre exec bg rm /tmp/detached
	run nacre exec -i bg cat <<<"in"
	assert_equal "$output" in
	run nacre exec bg cat <<<"in"
	assert_equal "$output" ""
	assert_equal "$(nacre diff bg | grep /tmp)" $'C /tmp\nA /tmp/by-web'
	assert_refused "cannot remove container bg: it is running" nacre rm bg
	assert_refused "cannot mount container bg on $MNT: it is running" nacre mount --container bg "$MNT"
	run nacre start bg
	assert_status 1
	assert_output_has "it is running already"
	nacre logs -f bg >"$BATS_TEST_TMPDIR/followed" &
	run nacre stop bg
	assert_status 0
	assert_equal "$output" bg
	wait
	assert_equal "$(cat "$BATS_TEST_TMPDIR/followed")" $'one\nthreestopping'
	run nacre ps -a
	[[ ${lines[1]} == *"Exited (3) "*bg ]] || fail "${lines[1]}"
	assert_equal "$(nacre ps)" "$(nacre ps | head -n 1)"
	assert_equal "$(nacre inspect bg | jq -c '.[0].State | [.Status, .ExitCode]')" '["exited",3]'
	run nacre stop bg
	assert_status 0
	run nacre exec bg true
	assert_status 125
	assert_output_has "it is not running"
	run nacre start bg
	assert_equal "$output" bg
	assert_equal "$(nacre exec bg ls /tmp)" by-web
	run nacre stop -t 0 bg
	assert_equal "$(nacre ps -a --json | jq '.[0].ExitCode')" 137
	assert_equal "$(nacre rm bg)" bg
	[ ! -e "$NACRE_STORE/containers/$id" ]
}

@test "kill, wait, restart, rename, top" {
	local id pids
	id=$(nacre run -d --name bg base:1 sh -c 'trap "echo hup" HUP; trap "exit 7" TERM; echo up; while :; do sleep 0.1; done')
	wait_until grep -q up "$NACRE_STORE/containers/$id/log"
	nacre exec -d -u web bg sleep 600
	wait_until sh -c '"$0" top bg | grep -q "sleep 600"' "$NACRE"
	run nacre top bg
	[[ ${lines[0]} =~ ^UID\ +PID\ +PPID\ +PID\ INSIDE\ +STARTED\ +CPU\ TIME\ +COMMAND$ ]] || fail "${lines[0]}"
	[[ ${lines[1]} =~ ^\ *0\ +[0-9]+\ +[0-9]+\ +1\ .*\ sh\ -c\ trap ]] || fail "${lines[1]}"
	run nacre top --json bg
	schema_ok top
	assert_equal "$(json '.[] | select(.Command == "sleep 600") | .Uid')" 33
	# They are this machine's numbers.
	pids=$(json '.[] | select(.Command == "sleep 600") | .Pid')
	assert_equal "$(tr '\0' ' ' <"/proc/$pids/cmdline")" "sleep 600 "
	assert_equal "$(nacre top --format '{{.PidInside}}' bg | head -n 1)" 1

	assert_equal "$(nacre kill -s HUP bg)" bg
	wait_until grep -q hup "$NACRE_STORE/containers/$id/log"
	assert_misused nacre kill -s NONE bg
	nacre wait "$id" >"$BATS_TEST_TMPDIR/waited" &
	nacre rename bg other
	assert_equal "$(nacre kill --signal 15 other)" other
	wait
	assert_equal "$(cat "$BATS_TEST_TMPDIR/waited")" 7
	assert_equal "$(nacre wait other)" 7
	assert_refused "cannot kill other: it is not running" nacre kill other
	assert_refused "cannot list the processes of other: it is not running" nacre top other
	assert_refused "no such container: none ('nacre ps -a' lists the containers)" nacre wait none
	[ ! -e "/proc/$pids" ] || fail "it runs yet"

	assert_equal "$(nacre restart other)" other
	assert_equal "$(nacre exec other cat /proc/1/comm)" sh
	nacre exec other touch /kept
	assert_equal "$(nacre restart -t 0 other)" other
	nacre exec other rm /kept
	nacre kill other
	assert_equal "$(nacre wait other)" 137

	assert_refused '"a/b" cannot be a container' nacre rename other a/b
	assert_refused '"-" cannot be a container' nacre rename -- other -
	run nacre run --name 'x y' base:1 true
	assert_status 125
	assert_output_has '"x y" cannot be a container'
	nacre run --name bg base:1 true
	assert_refused "cannot rename bg: there is a container named other already" nacre rename bg other
	assert_equal "$(nacre ps -a --format '{{.Name}}' | sort | xargs)" "bg other"
}

@test "what a container changes: diff, commit, history, the new image, while it runs and after" {
	nacre run -d --name work base:1 sh -c 'mkdir /made; echo new >/made/file; chown -R 33:33 /made; chmod 4750 /made/file
		ln -s file /made/link; chown -h 33:33 /made/link; rm /usr/share/data/7; touch /ready; exec sleep 100'
	wait_until nacre exec work test -e /ready
	nacre commit -q -m "what and why" -a "somebody" work live:1
	nacre stop -t 0 work
	assert_equal "$(nacre diff work)" \
		$'A /made\nA /made/file\nA /made/link\nA /ready\nC /usr\nC /usr/share\nC /usr/share/data\nD /usr/share/data/7'
	nacre commit -q -m "what and why" -a "somebody" work app:1
	for image in live:1 app:1; do
		run nacre run --rm "$image" sh -c 'cd /made; stat -c "%n %u:%g %a %F" *; ls /usr/share/data | wc -l'
		assert_equal "$output" $'file 33:33 4750 regular file\nlink 33:33 777 symbolic link\n52'
		assert_equal "$(nacre history --json "$image" | jq -r '.[0].Comment + "," + .[0].Author')" "what and why,somebody"
		assert_equal "$(nacre layers --json "$image" | jq length)" 2
	done
	assert_equal "$(nacre inspect base:1 | jq '.[0].RootFS.Layers[0]')" "$(nacre inspect app:1 | jq '.[0].RootFS.Layers[0]')"
	# All that is on disk belongs to who ran it.
	if ! is_root; then
		assert_equal "$(find "$NACRE_STORE/containers" ! -user "$(id -un)")" ""
	fi
	# A container that has ended can be mounted, and started when it is not mounted any more.
	nacre mount --container work "$MNT"
	assert_equal "$(cat "$MNT/made/file")" new
	run nacre start work
	assert_status 1
	assert_output_has "it is mounted on $MNT"
	nacre umount "$MNT"
}

@test "a container leaves no trace of its own in a diff" {
	nacre run --name quiet base:1 sh -c 'cat /etc/hosts >/dev/null; echo mine >/etc/hostname'
	assert_equal "$(nacre diff quiet)" ""
	nacre run --name loud base:1 touch /etc/mine
	assert_equal "$(nacre diff loud)" $'C /etc\nA /etc/mine'
	# Whoever starts it may keep what he makes to himself.
	run sh -c "umask 077; '$NACRE' run --rm -u web base:1 sh -c 'cat /etc/hosts >/dev/null; umask' 3>&- 4>&-"
	assert_equal "$output" 0022
}

@test "signals are passed on" {
	"$NACRE" run --name sig base:1 sh -c 'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.1; done' \
		>"$BATS_TEST_TMPDIR/out" 3>&- 4>&- &
	wait_until grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM $!
	status=0
	wait $! || status=$?
	assert_equal "$status" 9
	assert_equal "$(cat "$BATS_TEST_TMPDIR/out")" $'ready\ngot'
}

@test "the command that waits is killed: the container goes on" {
	"$NACRE" run --name on base:1 sh -c 'echo a; while [ ! -e /go ]; do sleep 0.1; done; echo b; exit 4' \
		>"$BATS_TEST_TMPDIR/out" 3>&- 4>&- &
	wait_until grep -q a "$BATS_TEST_TMPDIR/out"
	kill -KILL $!
	wait $! || true
	nacre exec on touch /go
	wait_until sh -c "'$NACRE' ps -a | grep 'Exited (4)'"
	assert_equal "$(nacre logs on)" $'a\nb'
}

@test "nobody reads what it writes: the other commands do not wait for that, and nothing is lost" {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	start_unread() {
		# Both outputs are the same pipe, so that what is written to one fills the other.
		"$NACRE" run --name unread base:1 sh -c "$1" >"$BATS_TEST_TMPDIR/pipe" 2>&1 3>&- 4>&- 5>&- &
		starter=$!
		exec 5<"$BATS_TEST_TMPDIR/pipe"
	}
	start_unread 'while echo out; do echo error >&2; done'
	wait_until sh -c "[ \"\$('$NACRE' logs unread 2>&1 | wc -c)\" -gt 60000 ]"
	timeout 30 "$NACRE" commit --live -q unread unread:1 >/dev/null
	timeout 30 "$NACRE" stop -t 1 unread
	run nacre ps -a
	assert_output_has "Exited (137)"
	kill -0 "$starter"
	wc -c <&5 >"$BATS_TEST_TMPDIR/bytes"
	exec 5<&-
	wait "$starter" || assert_equal "$?" 137
	assert_equal "$(cat "$BATS_TEST_TMPDIR/bytes")" "$(nacre logs unread 2>&1 | wc -c)"
	nacre rm unread >/dev/null
	# It ends by itself, and could start again; or who waits gives up.
	start_unread 'i=0; while [ $i -lt 8000 ]; do i=$((i + 1)); echo number $i; done; exit 3'
	wait_until sh -c "'$NACRE' logs unread | grep -q number"
	assert_equal "$(timeout 30 "$NACRE" wait unread)" 3
	timeout 30 "$NACRE" start unread >/dev/null
	assert_equal "$(timeout 30 "$NACRE" wait unread)" 3
	kill "$starter"
	wait "$starter" || assert_equal "$?" 3
	exec 5<&-
	assert_equal "$(nacre logs unread | tail -n 1)" "number 8000"
}

# The processes that have the container's folder for their own: its monitor.
monitor_of() { find /proc -mindepth 2 -maxdepth 2 -name cwd -lname "$NACRE_STORE/containers/$1" 2>/dev/null | cut -d / -f 3; }

@test "its monitor is killed: the container has ended, nothing is left, and it can be started or removed" {
	id=$(nacre run -d --name lost base:1 sleep 100)
	monitor=$(monitor_of "$id")
	drivers=$(driver_pids "$NACRE_STORE")
	[ -n "$monitor" ] && [ -n "$drivers" ]
	kill -KILL "$monitor"
	wait_gone "$monitor $drivers"
	assert_equal "$(nacre ps -aq)" "$id"
	assert_equal "$(nacre ps -q)" ""
	run nacre ps -a
	assert_output_has "Exited (137)"
	nacre stop lost
	nacre start lost
	assert_equal "$(nacre exec lost id -u)" 0
	monitor=$(monitor_of "$id")
	kill -KILL "$monitor"
	wait_gone "$monitor"
	run nacre rm lost
	assert_status 0
	assert_equal "$(nacre ps -aq)" ""
	run find /sys/fs/cgroup -path "*/nacre/$id"
	assert_equal "$output" ""
}

# at_its_end COMMAND...: of a container that runs, which ends after the command has reached its monitor and before that takes
# what it says.
at_its_end() {
	local id monitor hold=$BATS_TEST_TMPDIR/hold
	id=$(nacre run -d --name last base:1 sleep 100)
	monitor=$(monitor_of "$id")
	mkdir "$hold"
	STOPPED=$monitor
	kill -STOP "$monitor"
	LD_PRELOAD=$NACRE_BUILD/tests/fault/libnacre_fault.so NACRE_FAULT_HOLD_SENDS=$hold "$NACRE" "$@" \
		>"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 4>&- &
	wait_until test -e "$hold/held.1"
	kill -KILL "$monitor"
	wait_gone "$monitor"
	STOPPED=
	touch "$hold/go"
	status=0
	wait $! || status=$?
	output=$(<"$BATS_TEST_TMPDIR/said")
	rm -r "$hold"
	nacre rm -f last >/dev/null 2>&1 || true
}

# The library is not there for the sanitizers' builds.
# bats test_tags=slow
@test "it ends while a command has just connected" {
	at_its_end wait last
	assert_equal "$status $output" "0 137"
	at_its_end stop -t 0 last
	assert_equal "$status $output" "0 last"
	at_its_end rm -f last
	assert_equal "$status $output" "0 last"
	at_its_end diff last
	assert_equal "$status $output" "0 "
	at_its_end kill last
	assert_equal "$status" 1
	assert_output_has "cannot kill last: it is not running"
	at_its_end commit --live last new:1
	assert_equal "$status" 1
	assert_output_has "it has ended meanwhile"
}

@test "more commands at one container than its monitor talks to are told so" {
	local n
	local -a waiting=()
	nacre run -d --name many base:1 sleep 100
	for ((n = 0; n < 64; n++)); do
		"$NACRE" wait many >/dev/null 2>&1 3>&- 4>&- &
		waiting+=($!)
	done
	# One that only looks whether it runs takes a place for a moment.
	wait_until sh -c 'for n in 1 2 3 4 5 6 7 8 9 10; do ! "$0" kill -s HUP many || exit 1; done' "$NACRE"
	assert_refused "cannot kill many: Device or resource busy" nacre kill -s HUP many
	assert_refused "Device or resource busy" nacre logs -f many
	assert_equal "$(nacre ps --format '{{.Name}} {{.State}}')" "many running"
	kill "${waiting[@]}"
	wait_until nacre kill many
	assert_equal "$(nacre wait many)" 137
}

@test "run --rm and rm -f of one that runs" {
	nacre run -d --rm --name gone base:1 sleep 100
	run nacre rm -f gone
	assert_status 0
	assert_equal "$output" gone
	nacre run -d --rm --name gone base:1 sleep 100
	nacre stop -t 0 gone
	assert_equal "$(nacre ps -aq)" ""
	id=$(nacre run -d --name gone base:1 sleep 100)
	nacre rm -f gone
	[ ! -e "$NACRE_STORE/containers/$id" ]
}

@test "limits: for root, and refused to others" {
	if is_root; then
		run nacre run --rm --memory 64m --pids-limit 20 base:1 sh -c \
			'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max \
				/sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null'
		assert_equal "$output" $'20\n67108864'
		# None that cannot be kept is taken.
		run unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"' sh "$NACRE" run --rm -m 64m base:1 true
		assert_status 125
		assert_output_has "no control groups may be made in /sys/fs/cgroup"
		if mountpoint -q /sys/fs/cgroup/memory; then
			run unshare -m sh -c 'umount -l /sys/fs/cgroup/memory && exec "$@"' sh "$NACRE" run --rm -m 64m base:1 true
			assert_status 125
			assert_output_has "--memory cannot be kept: this machine has no control group controller 'memory'"
		fi
	else
		run nacre run --rm --memory 64m base:1 true
		assert_status 125
		assert_output_has "--memory and --pids-limit need control groups, which are root's; "
		if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
			assert_output_has "systemd-run --user --scope"
		else
			assert_output_has "version 1"
		fi
	fi
}

@test "the other commands know containers of run" {
	assert_misused nacre stop
	assert_misused nacre stop -t soon x
	assert_misused nacre start -a x y
	assert_misused nacre logs -n some x
	assert_misused nacre exec x
	assert_misused nacre run
	for command in "stop none" "start none" "logs none"; do
		# shellcheck disable=SC2086
		assert_refused "no such container: none" nacre $command
	done
	run nacre exec none true
	assert_status 125
	assert_output_has "no such container: none"
	container=$(nacre mount --rw base:1 "$MNT")
	assert_refused "it is not one of nacre run's" nacre start "$container"
	assert_refused "'nacre umount' ends its mount" nacre stop "$container"
	assert_refused "it has written nothing" nacre logs "$container"
	run nacre exec "$container" true
	assert_status 125
}

# ---- on a terminal ----------------------------------------------------------------------------------------------------

# on_terminal STEPS COMMAND...: on a terminal of 100 columns and 30 lines; see terminal.py.
on_terminal() { run python3 "$NACRE_TOP/tests/lib/terminal.py" "$@"; }

# A shell that edits no lines, so that each prompt is shown once.
shell='trap stop=1 INT; while printf "ready> " && read -r line; do eval "$line"; done'

@test "run -it: a terminal of its own, whose size follows, and ours as it was" {
	on_terminal 'tty; /bin/busybox stty size
		RESIZE
		until /bin/busybox stty size | grep 77; do sleep 0.1; done
		echo bu""sy; until [ "$stop" ]; do sleep 0.1; done; echo after; exit 5
		INTERRUPT' \
		"$NACRE" run -it --rm base:1 sh -c "$shell"
	assert_status 5
	assert_output_has /dev/pts/0
	assert_output_has "30 100"
	assert_output_has "22 77"
	assert_output_has after
	assert_output_has "[terminal as before]"
}

@test "runc: what it runs, its terminal, and its errors on one line" {
	run --separate-stderr nacre run --rm -i --runtime runc base:1 sh -c 'cat; echo wrong >&2; exit 7' <<<hello
	assert_status 7
	assert_equal "$output" hello
	assert_equal "$stderr" wrong
	run -127 nacre run --rm --runtime runc base:1 no-such-program
	assert_equal "$output" 'nacre: cannot run base:1: runc run failed: unable to start container process: exec: "no-such-program": executable file not found in $PATH'
	run nacre run --rm --runtime runc base:1 /etc/passwd
	assert_status 126
	on_terminal 'tty; exit 5' "$NACRE" run -it --rm --runtime runc base:1 sh -c "$shell"
	assert_status 5
	assert_output_has /dev/pts/0
	assert_output_has "[terminal as before]"
	assert_equal "$(nacre ps -aq)" ""
	id=$(nacre run -d --name rc --runtime runc base:1 sh -c 'trap "exit 3" TERM; while :; do sleep 0.1; done')
	run nacre exec -i rc sh -c 'cat; exit 4' <<<in
	assert_status 4
	assert_equal "$output" in
	on_terminal 'tty; exit 6' "$NACRE" exec -it rc sh -c "$shell"
	assert_status 6
	nacre stop rc
	assert_equal "$(nacre ps -a --json | jq -r '.[] | "\(.Name) \(.State) \(.ExitCode)"')" "rc exited 3"
	nacre start rc
	nacre exec rc true
	nacre rm -f rc
	run find /sys/fs/cgroup -maxdepth 4 -name "$id"
	assert_equal "$output" ""
	if is_root; then
		run nacre run --rm --runtime runc --memory 64m --pids-limit 20 base:1 sh -c \
			'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max \
				/sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null'
		assert_equal "$output" $'20\n67108864'
	fi
}

@test "exec -it, and run -t without -i" {
	nacre run -d --name bg base:1 sleep 100
	on_terminal 'tty; id -u; exit 4' "$NACRE" exec -it bg sh -c "$shell"
	assert_status 4
	assert_output_has /dev/pts/
	assert_output_has "[terminal as before]"
	run nacre run --rm -t base:1 sh -c 'test -t 1 && echo terminal' </dev/null
	assert_equal "$output" $'terminal\r'
}

@test "commit --live: it goes on, its processes with it, and starts again with all" {
	id=$(nacre run -d --name live base:1 sh -c 'trap "exit 0" TERM; exec 3>>/log; while echo x >&3; do sleep 0.1; done')
	wait_until nacre exec live test -s /log
	nacre exec live sh -c 'echo 1 >/one; mkdir /d; echo x >/d/x'
	nacre commit --live live app:1
	nacre exec live sh -c 'echo 2 >/two; echo y >>/d/x; mv /d /e'
	assert_equal "$(nacre cat app:1 /one)" 1
	! nacre cat app:1 /two 2>/dev/null || fail "what came later is in the image"
	have=$(nacre exec live wc -l /log)
	wait_until eval "[ \"\$(nacre exec live wc -l /log)\" != '$have' ]"
	nacre commit --live live app:2
	assert_equal "$(nacre cat app:2 /e/x)" $'x\ny'
	nacre exec live sh -c 'echo 3 >/three'
	nacre stop -t 1 live
	nacre start live
	assert_equal "$(nacre exec live cat /one /two /three /e/x)" $'1\n2\n3\nx\ny'
	assert_equal "$(nacre ps --json | jq -r '.[0].Image')" app:2
	nacre stop -t 1 live
	nacre commit live app:3
	assert_equal "$(find "$NACRE_STORE/containers/$id" -maxdepth 1 -name 'frozen.*')" ""
	assert_equal "$(nacre cat app:3 /three)" 3
}

@test "what is put into its /etc to be mounted on is in no commit, export or diff, whenever it is made" {
	local image id
	tar -C "$BATS_FILE_TMPDIR/base" --owner=0 --group=0 --exclude=./etc/host\* -cf "$BATS_TEST_TMPDIR/bare.tar" .
	nacre import "$BATS_TEST_TMPDIR/bare.tar" bare:1 >/dev/null
	assert_equal "$(nacre ls bare:1 /etc | grep -E '^(hosts|hostname|resolv.conf)$')" ""
	nacre run -d --name etc bare:1 sh -c 'test -s /etc/hosts && { [ -e /ready ] || touch /ready; } && exec sleep 100'
	wait_until nacre exec etc test -e /ready
	assert_equal "$(nacre diff etc)" "A /ready"
	nacre export -o "$BATS_TEST_TMPDIR/out.tar" etc
	! tar -tf "$BATS_TEST_TMPDIR/out.tar" | grep -E 'etc/(hosts|hostname|resolv.conf)' || fail "in the export"
	nacre commit -q etc etc:1
	nacre commit -q --live etc etc:2
	# Its driver has the first image until it ends.
	id=$(nacre ps -q)
	assert_refused "cannot remove bare:1: the image is used by container $id ('nacre umount' its mounts, and 'nacre rm'" \
		nacre rmi bare:1
	nacre exec etc touch /more
	nacre stop -t 0 etc
	assert_equal "$(nacre diff etc)" "A /more"
	nacre commit -q etc etc:5
	# A monitor that is killed tidies nothing up.
	nacre start etc
	kill -KILL "$(monitor_of "$id")"
	wait_until sh -c "'$NACRE' ps -a | grep 'Exited (137)'"
	assert_equal "$(nacre diff etc)" "A /more"
	nacre commit -q etc etc:6
	for image in etc:1 etc:2 etc:5 etc:6; do
		assert_equal "$(nacre diff bare:1 "$image" | grep -c etc/)" 0
	done
	# What somebody has written there is his.
	nacre mount --container etc "$MNT"
	echo mine >"$MNT/etc/hosts"
	nacre umount "$MNT"
	assert_equal "$(nacre diff etc | grep hosts)" "A /etc/hosts"
}
