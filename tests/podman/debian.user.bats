# SPDX-License-Identifier: Apache-2.0
# A plain user's Debian container in which people work: packages, git, make, databases.

load ../lib/common
load ../lib/debian
load ../lib/podman

# apps:1 has the packages in a layer of its own; $BATS_FILE_TMPDIR/said is what installing them said.
setup_file() {
	setup_podman
	debian_cached "$BATS_FILE_TMPDIR/debian.tar"
	podman import -q "$BATS_FILE_TMPDIR/debian.tar" debian:1 >/dev/null
	debian_debs
	podman run --name ctr -e DEBIAN_FRONTEND=noninteractive -v "$DEBS:/debs:ro" debian:1 sh -ec 'cd /
		apt-get -q -y --no-install-recommends install /debs/gcc/*.deb
		echo packages: $(dpkg-query -W | wc -l)
		dpkg --audit
		echo changed: $(dpkg -V | wc -l)' >"$BATS_FILE_TMPDIR/said" 2>&1 || fail "$(tail -n 30 "$BATS_FILE_TMPDIR/said")"
	podman commit -q ctr apps:1 >/dev/null
	podman rm ctr >/dev/null
}
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# in_apps COMMANDS: a new container of apps:1 that is gone afterwards; the first that fails ends it.
in_apps() { podman run --rm -w /root apps:1 sh -ec "$1"; }

# bats test_tags=slow
@test "apt-get install: every file as it was packed, in the container and in the image made of it" {
	grep -qx 'changed: 0' "$BATS_FILE_TMPDIR/said"
	[ "$(sed -n 's/^packages: //p' "$BATS_FILE_TMPDIR/said")" -gt 150 ]
	run in_apps 'dpkg -V; dpkg --audit'
	assert_status 0
	assert_equal "$output" ''
	# Among them what another ID than root owns.
	assert_equal "$(in_apps 'stat -c "%U:%G %a" /var/lib/postgresql /var/cache/apt/archives/partial')" \
		$'postgres:postgres 755\n_apt:root 700'
}

# bats test_tags=slow
@test "git and make: a repository, its clones, and a build on two processors" {
	# shellcheck disable=SC2016
	run in_apps 'git config --global user.email nobody@example.org
		git config --global user.name nobody
		git init -q first; cd first
		for i in $(seq 100); do
			mkdir -p dir$((i % 10))
			printf "int f%d(void) { return %d; }\n" $i $i >dir$((i % 10))/f$i.c
			calls="$calls s += f$i();"; names="$names int f$i(void);"
		done
		echo "$names int main(void) { int s = 0; $calls return s != 5050; }" >main.c
		printf "%s\n" "objects := \$(patsubst %.c,%.o,\$(wildcard */*.c) main.c)" "sum: \$(objects)" "	\$(CC) -o \$@ \$^" >Makefile
		printf "*.o\nsum\n" >.gitignore
		git add -A; git commit -q -m first; git tag one
		git mv dir1 moved; git commit -q -m second; git gc -q --prune=now
		cd ..; git clone -q first linked; git clone -q --no-local first copied
		for clone in linked copied; do
			cd $clone
			git fsck --full --strict; git status --porcelain
			make -s -j 2; ./sum; make -q
			touch moved/f1.c; ! make -q; make -s; ./sum
			git checkout -q one; git status --porcelain; test -e dir1/f1.c; git clean -q -f -d -x
			cd ..
		done
		diff -r --exclude=.git linked copied'
	assert_status 0
	[[ $output != *'??'* && $output != *error* && $output != *warning* ]] || fail "$output"
}

# bats test_tags=slow
@test "PostgreSQL: initdb and pgbench, and what was committed is there after it was killed" {
	# shellcheck disable=SC2016
	run podman run --rm -u postgres -w /tmp apps:1 sh -ec 'PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
		export PGDATA=/var/lib/postgresql/data PGHOST=/tmp
		sound() { psql -At -c "select (select count(*) from pgbench_accounts), (select sum(abalance) from pgbench_accounts) =
			(select sum(delta) from pgbench_history), (select count(*) >= 400 from pgbench_history)" postgres; }
		up() { pg_ctl -w -l /tmp/log -o "-k /tmp -c listen_addresses=" start; }
		{ initdb -k -A trust; up; pgbench -q -i -s 1 postgres; pgbench -c 4 -j 2 -t 100 postgres; } >/tmp/out 2>&1 || cat /tmp/out /tmp/log
		sound
		kill -KILL $(head -n 1 $PGDATA/postmaster.pid)
		while pgrep -x postgres; do sleep 0.1; done 2>/dev/null
		sleep 1; up >/dev/null 2>&1 || { sleep 3; up >/dev/null; }
		sound
		pg_ctl -w -m fast stop >/dev/null
		pg_checksums --check | grep "^Bad"'
	assert_status 0
	assert_equal "$(grep '|' <<<"$output")" $'100000|t|t\n100000|t|t'
	assert_output_has 'Bad checksums:  0'
}

# bats test_tags=slow
@test "SQLite: four writers at once, with each kind of journal" {
	# shellcheck disable=SC2016
	run in_apps 'for mode in delete truncate persist wal; do
			sqlite3 $mode "pragma journal_mode=$mode; create table t (a integer primary key, b text)"
			for writer in 1 2 3 4; do
				for i in $(seq 10); do echo "insert into t (b) values (\"$writer $i\");"; done |
					sqlite3 -cmd ".timeout 60000" $mode &
			done
			wait
			sqlite3 $mode "select count(*), count(distinct b) from t; pragma integrity_check"
		done'
	assert_status 0
	assert_equal "$output" "$(for mode in delete truncate persist wal; do printf '%s\n40|40\nok\n' "$mode"; done)"
}
