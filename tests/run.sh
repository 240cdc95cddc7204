#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Install what the tests need, build the release and the sanitizer set-ups, and run every test in each: the unit tests,
# and the bats suites as root and as a plain user.  Counts what really ran and ends with "N passed, N failed".
#
# usage: tests/run.sh [FILTER...]
#   FILTER  part of a name, as in unit, unit/layer, fs/, cli/import: run only what matches one of them
# environment:
#   NACRE_BUILDS   the builds to run: "release address thread" unless told
#   NACRE_JOBS     bats files at a time: one more than there are processors unless told, as each waits now and then
#   NACRE_MODES    of tests/fs, run every suite in each of these ways to mount, and in no other; of the release build, "cached"
#                  as root and user, "passthrough", "uring" and "writethrough" as root: all that run.sh does by itself is all of
#                  it cached and a part as passthrough and uring
#   NACRE_SETUP=0  install nothing
#   NACRE_FUZZ_SECONDS  how long each libFuzzer target runs, with the address build: 30 unless told
#   NACRE_CRASH_POINTS  at how many calls each operation is killed by cli/crash.user.bats: 5 unless told, 0 for all
set -euo pipefail

top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$top"

filters=("$@")
builds=${NACRE_BUILDS:-release address thread}
modes=${NACRE_MODES:-}
jobs=${NACRE_JOBS:-$(($(nproc) + 1))}
user=${NACRE_TEST_USER:-nacre-test}
file_timeout=600
# Run once more, as root, with names and attributes that the kernel keeps for no time and beside a loop that makes it
# forget inodes: what holds only as long as the kernel remembers must not pass.  Last, since all of the machine forgets.
pressed='fs/basic.bats fs/meta.bats fs/model.bats fs/names.bats fs/rename.bats fs/write.bats'
# And once more, as root and with directory lowers, with io=passthrough: what opens, reads, writes and copies up.  And with
# io_uring, where the kernel has it: what it changes is how requests come, and on which threads; some in the thread build too.
passed_through='fs/basic.bats fs/errors.root.bats fs/faults.bats fs/faults.root.bats fs/flags.bats fs/flags.root.bats
	fs/holes.bats fs/layers.root.bats fs/limits.bats fs/locks.bats fs/loop.root.bats fs/lowers.bats fs/meta.bats
	fs/metacopy.bats fs/metacopy.root.bats fs/model.bats fs/privbits.root.bats fs/programs.bats
	fs/size.bats fs/sqlite.bats fs/stats.bats fs/stats.root.bats fs/torture.bats fs/vanish.bats fs/write.bats'
ringed='fs/basic.bats fs/errors.root.bats fs/faults.bats fs/faults.root.bats fs/flags.bats fs/flags.root.bats fs/holes.bats
	fs/limits.bats fs/locks.bats fs/loop.root.bats fs/model.bats fs/size.bats fs/sqlite.bats fs/stats.bats
	fs/stats.root.bats fs/torture.bats fs/vanish.bats fs/write.bats'
ringed_threads='fs/holes.bats fs/locks.bats fs/loop.root.bats fs/torture.bats fs/vanish.bats'
# Layers that come and go while it is mounted: io=passthrough refuses that, fs/passthrough.root.bats has the refusal.
not_passed_through='fs/restack.bats'
# Of the suites on the tree those that do one thing after the other: for ThreadSanitizer there is more in the others.
one_by_one='fs/acl.bats fs/badinput.bats fs/badinput.root.bats fs/context.root.bats fs/inodes.bats fs/interop.root.bats
	fs/lowers.bats fs/meta.bats fs/meta.root.bats fs/nested.bats fs/oddlowers.root.bats fs/options.bats
	fs/privbits.root.bats fs/rename.bats fs/whiteouts.bats'
# Suites of commands that others test one by one: in the release build only.
retold='cli/completion.bats cli/docker.bats cli/help.bats cli/walk.bats'
# Commands with threads of their own, or with a driver that is more than a mount: for ThreadSanitizer.
threaded='cli/commit.bats cli/container.bats cli/forest.bats cli/import.bats cli/live.bats cli/live.root.bats cli/load.bats
	cli/mount.bats cli/pull.bats cli/push.bats cli/removal.bats cli/run.bats cli/save.bats cli/serve-layers.bats
	cli/together.bats cli/verify.bats'
# Containers get a mount namespace to themselves, as a booted machine has it: shared, but without copies of the mounts of
# other tests, whose drivers could not leave as long as there are any.  For podman, since crun refuses a mixture of both
# kinds of control groups, it is without the newer kind where there are older ones.
shared_namespace='mount --make-rshared / && {
	sed -n "s/^\([^ ]* \)\{4\}\([^ ]*\) .* - fuse\.nacrefs .*/\2/p" /proc/self/mountinfo | xargs -r -n 1 umount -l
	true
} 2>/dev/null'
own_namespace=$shared_namespace' && { umount /sys/fs/cgroup/unified 2>/dev/null || true; } && exec "$@"'
shared_namespace+=' && exec "$@"'
passed=0 failed=0 skipped=0
failures=()

# shellcheck source=tests/lib/uring.bash
. tests/lib/uring.bash
# shellcheck source=tests/lib/passthrough.bash
. tests/lib/passthrough.bash

say() { printf '%s\n' "$*"; }

fail() {
	failed=$((failed + 1))
	failures+=("$*")
	say "FAILED $*"
}

matches() {
	local filter
	[ ${#filters[@]} -gt 0 ] || return 0
	for filter in "${filters[@]}"; do
		[[ $1 != *"$filter"* && $filter != "$1"* ]] || return 0
	done
	return 1
}

finish() {
	local name
	if [ ${#failures[@]} -gt 0 ]; then
		say ""
		say "failed:"
		for name in "${failures[@]}"; do
			say "  $name"
		done
		say "full output: $logs"
	fi
	say ""
	if [ "$skipped" -gt 0 ]; then
		say "$passed passed, $failed failed, $skipped skipped"
	else
		say "$passed passed, $failed failed"
	fi
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

# ---- what this run started: it is found by the run's own folder ------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/nacre-tests.XXXXXX")
work=$(cd "$work" && pwd -P)
chmod 755 "$work"
logs=$top/build/test-logs

mounts_below() {
	awk -v prefix="$1/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo |
		sed 's/\\040/ /g; s/\\011/\t/g; s/\\134/\\/g' | tac
}

# Processes whose program, working folder or environment is below $1.
processes_below() {
	local process pid
	for process in /proc/[0-9]*; do
		pid=${process#/proc/}
		if [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ]; then
			continue
		fi
		if [[ $(readlink "$process/exe" 2>/dev/null) == "$1"/* || $(readlink "$process/cwd" 2>/dev/null) == "$1"/* ]] ||
			tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qF -- "=$1/"; then
			# Its own pipeline, and what has ended meanwhile, do not count.
			[ ! -e "$process/exe" ] || printf '%s\n' "$pid"
		fi
	done 2>/dev/null
}

describe_process() {
	printf '%s (%s)' "$1" "$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | cut -c 1-160)"
}

clear_below() {
	local point pid
	while IFS= read -r point; do
		umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null ||
			umount -l "$point" 2>/dev/null || fusermount3 -uz "$point" 2>/dev/null || true
	done < <(mounts_below "$1")
	for pid in $(processes_below "$1"); do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

cleanup() {
	local status=$?
	trap - EXIT
	# What still runs may make new mounts: end it first.
	# shellcheck disable=SC2046
	kill $(jobs -p) 2>/dev/null || true
	uring_off
	clear_below "$work"
	[ -n "$(mounts_below "$work")" ] || rm -rf -- "$work"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- building -------------------------------------------------------------------------------------------------------

build_dir() {
	case $1 in
	release) echo build ;;
	address) echo build-asan ;;
	thread) echo build-tsan ;;
	*) say "tests/run.sh: no build is called $1: release, address, thread" >&2; exit 2 ;;
	esac
}

build() {
	local name=$1 dir
	dir=$(build_dir "$name")
	local -a options=(-Dtests=true)
	case $name in
	# ISA-L is assembly, which a sanitizer cannot see; zlib, which is used without it, is tried here.
	address) options+=('-Db_sanitize=address,undefined' -Disal=disabled) ;;
	thread) options+=(-Db_sanitize=thread) ;;
	esac
	if [ -e "$dir/build.ninja" ]; then
		meson configure "$dir" "${options[@]}" >"$logs/build-$name.log" 2>&1 || return
		# What meson.build asks of a subproject counts only when the folder is made.  Not all folders have it.
		meson configure "$dir" -Dfuse3:enable-custom-io=true >>"$logs/build-$name.log" 2>&1 || true
	else
		meson setup "$dir" "${options[@]}" >"$logs/build-$name.log" 2>&1 || return
	fi
	ninja -C "$dir" >>"$logs/build-$name.log" 2>&1
}

# The suites run on a copy that the plain user can read wherever the clone is, and that no test can change for the next.
stage() {
	local name=$1 dir program
	dir=$(build_dir "$name")
	for program in tools/nacre fs/nacrefs tests/fault/libnacre_fault.so tests/bench/nacre-bench; do
		[ -x "$dir/$program" ] || continue
		mkdir -p "$work/stage/$dir/${program%/*}"
		cp "$dir/$program" "$work/stage/$dir/$program"
	done
}

# ---- running --------------------------------------------------------------------------------------------------------

# ThreadSanitizer of this compiler's age cannot live with much address randomisation.
prefix_for() {
	[ "$1" != thread ] || printf '%s\n' setarch "$(uname -m)" -R
}

sanitizer_environment() {
	local reports=$1
	printf '%s\n' \
		"ASAN_OPTIONS=log_path=$reports/asan:detect_stack_use_after_return=1:abort_on_error=0:exitcode=99" \
		"UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1:halt_on_error=1:exitcode=99" \
		"LSAN_OPTIONS=log_path=$reports/lsan:exitcode=99" \
		"TSAN_OPTIONS=log_path=$reports/tsan:suppressions=$work/stage/tests/lib/tsan.supp:halt_on_error=0:exitcode=99"
}

run_unit() {
	local name=$1 dir start=$SECONDS out counts bad line
	dir=$(build_dir "$name")
	local -a prefix wanted=() tests
	mapfile -t prefix < <(prefix_for "$name")
	mapfile -t tests < <(meson test -C "$dir" --list 2>/dev/null | sed -n 's/^.* \/ //p; t; /^[A-Za-z0-9_-]*$/p')
	for line in "${tests[@]}"; do
		! matches "unit/$line" || wanted+=("$line")
	done
	if [ ${#wanted[@]} = 0 ]; then
		return
	fi
	mkdir -p "$logs/unit-$name"
	rm -f "$dir/meson-logs/testlog.json"
	CMOCKA_MESSAGE_OUTPUT=TAP TMPDIR=$work/tmp \
		UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
		TSAN_OPTIONS=suppressions=$top/tests/lib/tsan.supp timeout --kill-after=10 900 "${prefix[@]}" \
		meson test -C "$dir" --no-rebuild "${wanted[@]}" >"$logs/unit-$name/meson.log" 2>&1 || true
	if [ ! -s "$dir/meson-logs/testlog.json" ]; then
		fail "unit tests, $name build: meson test ran nothing; see $logs/unit-$name/meson.log"
		return
	fi
	out=$(python3 tests/lib/count_unit.py "$dir/meson-logs/testlog.json" "$logs/unit-$name")
	counts=${out%%$'\n'*}
	local -a n
	read -ra n <<<"$counts"
	passed=$((passed + n[0])) skipped=$((skipped + n[2]))
	say "unit ($name): ${n[0]} passed, ${n[1]} failed, $((SECONDS - start)) s"
	if [ "${n[1]}" -gt 0 ]; then
		while IFS= read -r line; do
			fail "unit ($name) $line"
		done < <(tail -n +2 <<<"$out")
		tail -n 40 "$logs/unit-$name"/unit-*.log 2>/dev/null | sed 's/^/    /' || true
	fi
}

# Each libFuzzer target for some seconds, from the same seed each time: build by clang, with ASan and UBSan.
fuzz_one() {
	local target=$1 log=$logs/fuzz-$1.log memory
	if ! tests/fuzz/seeds.sh "$target" "$work/fuzz/$target" >"$log" 2>&1; then
		return
	fi
	memory=$(mktemp -d "/dev/shm/nacre-fuzz.XXXXXX")
	mkdir -p "$logs/fuzz-found"
	NACRE_FUZZ_DIR=$memory UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 timeout --kill-after=10 600 \
		"build-fuzz/tests/fuzz/fuzz_$target" -seed=1 "-max_total_time=${NACRE_FUZZ_SECONDS:-30}" -timeout=60 \
		-max_len=20000 -rss_limit_mb=3072 "-artifact_prefix=$logs/fuzz-found/$target-" "$work/fuzz/$target" \
		>"$log" 2>&1 && grep -q '^Done [1-9]' "$log" && : >"$work/fuzz/$target.passed"
	rm -rf -- "$memory"
}

run_fuzz() {
	local target start=$SECONDS
	local -a wanted=()
	for target in framing layer manifest names rows whiteouts; do
		! matches "fuzz/$target" || wanted+=("$target")
	done
	[ ${#wanted[@]} -gt 0 ] || return 0
	if ! command -v clang >/dev/null; then
		say "fuzz: there is no clang here, so nothing was fuzzed"
		return 0
	fi
	if ! { [ -e build-fuzz/build.ninja ] ||
		CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined; } >"$logs/build-fuzz.log" 2>&1 ||
		! ninja -C build-fuzz "${wanted[@]/#/tests/fuzz/fuzz_}" >>"$logs/build-fuzz.log" 2>&1; then
		fail "build (fuzz)"
		tail -n 40 "$logs/build-fuzz.log" | sed 's/^/    /'
		return 0
	fi
	say "build (fuzz): done, $((SECONDS - start)) s"
	start=$SECONDS
	mkdir -p "$work/fuzz"
	for target in "${wanted[@]}"; do
		while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do
			wait -n || true
		done
		fuzz_one "$target" &
	done
	wait
	for target in "${wanted[@]}"; do
		if [ -e "$work/fuzz/$target.passed" ]; then
			passed=$((passed + 1))
			say "fuzz/$target: $(grep '^Done' "$logs/fuzz-$target.log")"
		else
			fail "fuzz/$target: see $logs/fuzz-$target.log; its input is in $logs/fuzz-found"
			tail -n 40 "$logs/fuzz-$target.log" 2>/dev/null | sed 's/^/    /' || true
		fi
	done
	say "fuzz: ${#wanted[@]} targets, $((SECONDS - start)) s"
}

forget_always() {
	while :; do
		echo 2 >/proc/sys/vm/drop_caches
		sleep 0.05
	done
}

# Run one bats file as one identity (root, user, pressure, passthrough, uring, writethrough) in one build; what it said is left in $work/results/JOB.*
run_bats() {
	local job=$1 file=$2 identity=$3 name=$4 dir home reports tmp pid forgetting='' status=0 start=$SECONDS
	dir=$(build_dir "$name")
	home=$work/$job
	tmp=$home/tmp
	reports=$home/reports
	mkdir -p "$tmp" "$reports" "$home/home"
	local -a command sanitizers prefix tags=()
	mapfile -t sanitizers < <(sanitizer_environment "$reports")
	mapfile -t prefix < <(prefix_for "$name")
	[ "$name" = release ] || tags=(--filter-tags '!slow')
	! is_rest "$name" "$identity" "$file" || tags=(--filter-tags slow)
	command=(env -u XDG_RUNTIME_DIR -u XDG_DATA_HOME -u NACRE_STORE -u NACREFS
		"TMPDIR=$tmp" "HOME=$home/home" "NACRE_TOP=$work/stage" "NACRE_BUILD=$work/stage/$dir"
		"NACRE_SANITIZER=${name#release}" "NACRE_TEST_USER=$user" "NACRE_TEST_CACHE=$work/cache"
		"${sanitizers[@]}")
	if [ "$identity" = pressure ]; then
		command+=(NACRE_MOUNT_OPTIONS=timeout=0 NACRE_KINDS=dirs)
		forget_always &
		forgetting=$!
	elif [ "$identity" = passthrough ]; then
		command+=(NACRE_MOUNT_OPTIONS=io=passthrough)
	elif [ "$identity" = uring ]; then
		command+=(NACRE_MOUNT_OPTIONS=io_uring)
	elif [ "$identity" = writethrough ]; then
		command+=(NACRE_MOUNT_OPTIONS=writeback=0)
	fi
	if [[ $identity == @(passthrough|uring) && -z $modes ]]; then
		command+=(NACRE_KINDS=dirs)
	fi
	if [[ $file == podman/* && $(id -u) = 0 ]]; then
		command+=(unshare --mount --propagation=private sh -c "$own_namespace" sh env)
	elif [[ $file == cli/run.* && $(id -u) = 0 ]]; then
		command+=(unshare --mount --propagation=private sh -c "$shared_namespace" sh env)
	fi
	if [ "$identity" = user ] && [ "$(id -u)" = 0 ]; then
		chown -R "$user": "$home"
		command+=("USER=$user" "LOGNAME=$user" setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")"
			--init-groups --inh-caps=-all)
	elif [ "$(id -u)" = 0 ]; then
		# Programs that a test starts as the plain user report here too.
		chmod 1777 "$reports"
	fi
	command+=("${prefix[@]}" timeout --kill-after=10 "$file_timeout"
		bats --tap "${tags[@]}" "$work/stage/tests/$file")
	(cd "$home" && exec "${command[@]}") >"$work/results/$job.tap" 2>&1 </dev/null || status=$?
	[ -z "$forgetting" ] || kill "$forgetting"
	# A hung test leaves what its teardown would have removed.
	mounts_below "$home" >"$work/results/$job.mounts"
	# What is ending anyway gets a moment to do so.
	for _ in 1 2 3 4 5 6; do
		processes_below "$home" >"$work/results/$job.processes"
		[ -s "$work/results/$job.processes" ] || break
		sleep 0.5
	done
	while read -r pid; do
		describe_process "$pid"
		printf '\n'
	done <"$work/results/$job.processes" >"$work/results/$job.left"
	clear_below "$home"
	find "$reports" -type f -size +0 -exec cat {} + >"$work/results/$job.reports" 2>/dev/null
	find "$reports" -type f -size +0 2>/dev/null | wc -l >"$work/results/$job.report-count"
	printf '%s %s\n' "$status" "$((SECONDS - start))" >"$work/results/$job.status"
	rm -rf -- "$home" 2>/dev/null || true
}

count_bats() {
	local job=$1 label=$2 line plan='' seen=0 ok=0 bad=0 skips=0 status seconds reports
	local tap=$work/results/$job.tap
	read -r status seconds <"$work/results/$job.status"
	while IFS= read -r line; do
		case $line in
		1..*) plan=${line#1..} ;;
		'ok '*' # skip'*)
			seen=$((seen + 1))
			if [[ ${line##* # skip} == *kernel* ]]; then
				skips=$((skips + 1))
			else
				bad=$((bad + 1))
				fail "$label: skipped without naming a kernel feature: ${line#ok }"
			fi
			;;
		'ok '*)
			seen=$((seen + 1))
			ok=$((ok + 1))
			;;
		'not ok '*)
			seen=$((seen + 1))
			bad=$((bad + 1))
			fail "$label: ${line#not ok }"
			;;
		esac
	done <"$tap"
	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		bad=$((bad + 1))
		fail "$label: not done after $file_timeout s"
	elif [ -z "$plan" ] || [ "$seen" -lt "$plan" ]; then
		bad=$((bad + 1))
		fail "$label: ran $seen of ${plan:-unknown} tests, exit status $status"
	elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
		bad=$((bad + 1))
		fail "$label: exit status $status"
	fi
	reports=$(<"$work/results/$job.report-count")
	if [ "$reports" -gt 0 ]; then
		bad=$((bad + 1))
		fail "$label: $reports sanitizer reports"
	fi
	if [ -s "$work/results/$job.mounts" ]; then
		bad=$((bad + 1))
		fail "$label: left mounts: $(tr '\n' ' ' <"$work/results/$job.mounts")"
	fi
	if [ -s "$work/results/$job.left" ]; then
		bad=$((bad + 1))
		fail "$label: left processes: $(tr '\n' ' ' <"$work/results/$job.left")"
	fi
	passed=$((passed + ok)) skipped=$((skipped + skips))
	say "$label: $ok passed, $bad failed, $seconds s"
	if [ "$bad" -gt 0 ]; then
		grep -v '^ok ' "$tap" | head -n 150 | sed 's/^/    /'
		head -n 100 "$work/results/$job.reports" | sed 's/^/    /'
	fi
	cp "$tap" "$logs/${job#*-}.tap"
	[ ! -s "$work/results/$job.reports" ] || cp "$work/results/$job.reports" "$logs/${job#*-}.sanitizer"
}

make_user() {
	id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
	# User namespaces of the tests need ranges to map; useradd gives them only where login.defs says so.
	grep -qs "^$user:" /etc/subuid || usermod --add-subuids 300000-365535 "$user"
	grep -qs "^$user:" /etc/subgid || usermod --add-subgids 300000-365535 "$user"
}

# is_one_of FILE LIST
is_one_of() {
	local file
	for file in $2; do
		[ "$file" != "$1" ] || return 0
	done
	return 1
}

# runs_by_ring BUILD FILE
runs_by_ring() {
	local -A files=([release]=$ringed [thread]=$ringed_threads)
	is_one_of "$2" "${files[$1]:-}"
}

# suits BUILD FILE: is there something in it for that build? Whoever names files gets them in all but podman's, which are
# slow and after what other programs see of the driver.
suits() {
	case $1:$2 in
	release:*) ;;
	*:podman/*) false ;;
	thread:fs/*) [ ${#filters[@]} -gt 0 ] || ! is_one_of "$2" "$one_by_one" ;;
	thread:cli/*) [ ${#filters[@]} -gt 0 ] || is_one_of "$2" "$threaded" ;;
	address:cli/*) [ ${#filters[@]} -gt 0 ] || ! is_one_of "$2" "$retold" ;;
	esac
}

# is_rest BUILD IDENTITY FILE: does the plain user run it in the address build, so that only what is slow is left for this one?
is_rest() {
	[[ $1:$2 == release:user && $3 != *.user.bats && " ${good[*]} " == *" address "* ]] && suits address "$3"
}

# runs_as BUILD IDENTITY FILE: of those that this user can be.  Each identity once: root in the release build, the plain
# user, for whom the driver does more with its memory, in the address build, or in the release build what that one leaves out.
runs_as() {
	suits "$1" "$3" || return
	case $1:$2:$3 in
	*.root.bats) [ "$2" = root ] ;;
	*.user.bats) [ "$2" = user ] ;;
	release:user:*) ! is_rest "$@" || grep -q '^# bats test_tags=.*slow' "tests/$3" ;;
	release:*) ;;
	address:*) [ "$2" = user ] ;;
	*) [ "$2" = "${identities[0]}" ] ;;
	esac
}

# queue_modes FILE: in main's queue, for each of $modes.
queue_modes() {
	local mode identity
	[[ " ${good[*]} " == *" release "* && $1 == fs/* ]] || return 0
	for mode in $modes; do
		case $mode in
		cached)
			for identity in "${identities[@]}"; do
				[[ $1 == *.root.bats && $identity = user || $1 == *.user.bats && $identity = root ]] ||
					queue+=("release $identity $1")
			done
			;;
		*)
			[[ ${identities[0]} == root && $1 != *.user.bats ]] || continue
			[ "$mode" != passthrough ] || ! is_one_of "$1" "$not_passed_through" || continue
			queue+=("release $mode $1")
			;;
		esac
	done
}

# leave_out IDENTITY: from main's queue.
leave_out() {
	local job
	local -a others=()
	for job in "${queue[@]}"; do
		[[ $job == *" $1 "* ]] || others+=("$job")
	done
	queue=("${others[@]}")
}

main() {
	local name file identity mode job count label
	for mode in $modes; do
		case $mode in
		cached | passthrough | uring | writethrough) ;;
		*) say "tests/run.sh: no mode is called $mode: cached, passthrough, uring, writethrough" >&2; exit 2 ;;
		esac
	done
	if [ "${NACRE_SETUP:-1}" != 0 ]; then
		tools/setup.sh --build --tests
	fi
	rm -rf -- "$logs"
	mkdir -p "$logs" "$work/tmp" "$work/results" "$work/stage" "$work/cache"
	# What is dear to make, for the tests of both identities.
	chmod 1777 "$work/cache"
	local -a good=()
	for name in $builds; do
		build_dir "$name" >/dev/null
		local start=$SECONDS
		if build "$name"; then
			say "build ($name): done, $((SECONDS - start)) s"
			good+=("$name")
		else
			fail "build ($name)"
			tail -n 60 "$logs/build-$name.log" | sed 's/^/    /'
		fi
	done

	tar -c --exclude='./build*' --exclude=./.git --exclude='./tools/subprojects/*/*' . |
		tar -x --no-same-owner -C "$work/stage"
	for name in "${good[@]}"; do
		stage "$name"
	done
	chmod -R a+rX "$work/stage"

	if [ -z "$modes" ]; then
		for name in "${good[@]}"; do
			run_unit "$name"
		done
		[[ " $builds " != *" address "* ]] || run_fuzz
	fi

	local -a identities queue=() last=()
	if [ "$(id -u)" = 0 ]; then
		make_user
		identities=(root user)
	else
		identities=(user)
	fi
	local suite=(tests/fs/*.bats tests/cli/*.bats tests/podman/*.bats)
	if [ -n "$modes" ]; then
		for file in tests/fs/*.bats; do
			! matches "${file#tests/}" || queue_modes "${file#tests/}"
		done
		suite=()
	fi
	for name in "${good[@]}"; do
		for file in "${suite[@]}"; do
			[ -e "$file" ] || continue
			file=${file#tests/}
			matches "$file" || continue
			for identity in "${identities[@]}"; do
				! runs_as "$name" "$identity" "$file" || queue+=("$name $identity $file")
			done
			if [ "$name" = release ] && [ "${identities[0]}" = root ] && is_one_of "$file" "$pressed"; then
				last+=("$name pressure $file")
			fi
			if [ "$name" = release ] && [ "${identities[0]}" = root ] && is_one_of "$file" "$passed_through"; then
				queue+=("$name passthrough $file")
			fi
			if [ "${identities[0]}" = root ] && runs_by_ring "$name" "$file"; then
				queue+=("$name uring $file")
			fi
		done
	done
	queue+=("${last[@]}")
	if [[ " ${queue[*]} " == *" uring "* ]] && ! uring_on; then
		say "io_uring: this kernel has it not for FUSE, or lets nobody switch it on: nothing is run with it"
		leave_out uring
	fi
	if [[ " ${queue[*]} " == *" passthrough "* ]] &&
		! kernel_passes_through "$work/stage/build/fs/nacrefs" "$work/passthrough"; then
		say "io=passthrough: this kernel has no passthrough for FUSE: nothing is run with it"
		leave_out passthrough
	fi
	count=${#queue[@]}
	local -A running=()
	local next=0 pid
	while [ "$next" -lt "$count" ] || [ ${#running[@]} -gt 0 ]; do
		if [ "$next" -lt "$count" ] && [ ${#running[@]} -lt "$jobs" ]; then
			read -r name identity file <<<"${queue[next]}"
			job=$(printf '%04d-%s-%s-%s' "$next" "${file//\//_}" "$identity" "$name")
			run_bats "$job" "$file" "$identity" "$name" 8<&- &
			running[$!]="$job $file ($identity, $name)"
			next=$((next + 1))
			continue
		fi
		pid=
		wait -n -p pid "${!running[@]}" || true
		[ -n "$pid" ] || continue
		label=${running[$pid]}
		unset "running[$pid]"
		job=${label%% *}
		label=${label#* }
		if [ -e "$work/results/$job.status" ]; then
			count_bats "$job" "$label"
		else
			fail "$label: the runner itself failed"
		fi
	done

	# Daemons of the unit tests, or of a test that hid them from the check of its own file.
	local left
	uring_off
	left=$(mounts_below "$work")
	[ -z "$left" ] || fail "mounts left at the end: $left"
	for pid in $(processes_below "$work"); do
		fail "process left at the end: $(describe_process "$pid")"
	done
	finish
}

main
