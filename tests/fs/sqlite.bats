#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Databases that lie in a lower and are copied up by their first write, written by several processes that are killed in
# between: what other union file systems lost data to.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# A table of accounts whose sum no transaction changes, and larger rows beside it.
databases() {
	python3 - <<-'END'
		import sqlite3
		for mode in "wal", "delete", "truncate":
		    db = sqlite3.connect(mode + ".db")
		    db.execute("PRAGMA journal_mode=" + mode)
		    db.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, amount INTEGER, filler BLOB)")
		    db.executemany("INSERT INTO account VALUES(?, 100, zeroblob(900))", [(i,) for i in range(300)])
		    db.execute("CREATE TABLE done(process INTEGER PRIMARY KEY, count INTEGER)")
		    db.commit()
		    db.close()
	END
	printf 'longer than what comes after it, by far\n' >shrinks
	printf 'short' >grows
	chmod 644 -- *
}

setup_file() { make_lowers databases; }
setup() { setup_store; }
teardown() {
	[ -z "${WRITER:-}" ] || kill "$WRITER" 2>/dev/null || true
	unmount_all
}
teardown_file() { lowers_unchanged; }

rounds() { if [ -n "$NACRE_SANITIZER" ]; then echo 8; else echo 40; fi; }

# In each process: transactions that move amounts, until it is killed or has done as many as it shall.
writers() {
	in_python "$MNT" "$(rounds)" <<-'END'
		import sqlite3

		rounds = int(sys.argv[1])

		def opened(name, mapped):
		    db = sqlite3.connect(name, timeout=600, isolation_level=None)
		    db.execute("PRAGMA mmap_size=%d" % (mapped and 1 << 24))
		    db.execute("PRAGMA synchronous=NORMAL")
		    db.execute("PRAGMA wal_autocheckpoint=20")
		    return db

		def write_rows(name, number, count, report):
		    r = random.Random(number)
		    db = opened(name, number % 2 == 0)
		    for i in range(count):
		        a, b, amount = r.randrange(300), r.randrange(300), r.randrange(50)
		        db.execute("BEGIN IMMEDIATE")
		        db.execute("UPDATE account SET amount = amount - ?, filler = randomblob(?) WHERE id = ?",
		                   (amount, r.choice([10, 900, 3000]), a))
		        db.execute("UPDATE account SET amount = amount + ? WHERE id = ?", (amount, b))
		        db.execute("INSERT INTO done VALUES(?, 1) ON CONFLICT(process) DO UPDATE SET count = count + 1",
		                   (number,))
		        db.execute("COMMIT")
		        os.write(report, b"x")  # what was reported done must be there, whoever is killed

		def start(name, number, count):
		    seen, report = os.pipe()
		    pid = os.fork()
		    if pid == 0:
		        try:
		            os.close(seen)
		            write_rows(name, number, count, report)
		            os._exit(0)
		        except BaseException as e:
		            print(name, number, e, file=sys.stderr)
		            os._exit(1)
		    os.close(report)
		    return pid, seen

		def whole(name, what):
		    db = opened(name, False)
		    eq(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], what)
		    eq(db.execute("SELECT count(*), sum(amount) FROM account").fetchone(), (300, 30000), what)
		    return dict(db.execute("SELECT * FROM done"))

		for name in "wal.db", "delete.db", "truncate.db":
		    running = {number: start(name, number, rounds) for number in range(3)}
		    endless = {number: start(name, number, 10**9) for number in (10, 11)}
		    counts = {}
		    for number, (pid, seen) in endless.items():
		        # Killed somewhere in the middle: after some transactions, not after some time.
		        reported = 0
		        while reported < 5 + number:
		            reported += len(os.read(seen, 5 + number - reported))
		        os.kill(pid, signal.SIGKILL)
		        os.waitpid(pid, 0)
		        while True:
		            more = os.read(seen, 4096)
		            reported += len(more)
		            if not more:
		                break
		        counts[number] = reported
		    for number, (pid, seen) in running.items():
		        eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, "%s, process %d" % (name, number))
		    done = whole(name, name)
		    for number in running:
		        eq(done[number], rounds, name)
		    for number, count in counts.items():
		        # It may have been killed between its commit and its report.
		        assert done[number] in (count, count + 1), (name, number, count, done[number])
	END
}

@test "several processes write one database, some are killed, and nothing is lost" {
	while fresh_mount; do
		writers
		sum=$(cd "$MNT" && sha256sum -- *.db)
		remount
		assert_equal "$(cd "$MNT" && sha256sum -- *.db)" "$sum"
		in_python <<-'END'
			import sqlite3
			for name in "wal.db", "delete.db", "truncate.db":
			    db = sqlite3.connect(name)
			    eq(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)], name)
			    eq(db.execute("SELECT count(*), sum(amount) FROM account").fetchone(), (300, 30000), name)
		END
	done
}

@test "a reader that opened the database in the lower sees what is written after the copy-up" {
	while fresh_mount; do
		in_python <<-'END'
			import sqlite3
			for name in "wal.db", "delete.db", "truncate.db":
			    reader = sqlite3.connect(name)
			    reader.execute("PRAGMA mmap_size=16777216")
			    reader.execute("SELECT sum(length(filler)) FROM account").fetchone()
			    raw = open(name, "rb")
			    mapped = mmap.mmap(raw.fileno(), 0, prot=mmap.PROT_READ)
			    writer = sqlite3.connect(name)
			    writer.execute("PRAGMA mmap_size=16777216")
			    for i in range(20):
			        writer.execute("UPDATE account SET amount = ?, filler = randomblob(900)", (i,))
			        writer.commit()
			        eq(reader.execute("SELECT sum(amount) FROM account").fetchone(), (300 * i,), name)
			    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
			    size = min(len(mapped), os.fstat(raw.fileno()).st_size)
			    assert mapped[:size] == os.pread(raw.fileno(), size, 0) == read(name)[:size], name
		END
	done
}

@test "a file overwritten by shorter and longer content, and read through a second mount of the upper meanwhile" {
	local second=$BATS_TEST_TMPDIR/second
	mkdir -p "$second"
	KINDS="dirs"
	while fresh_mount; do
		in_python <<-'END'
			for name in "shrinks", "grows":
			    held = os.open(name, os.O_RDONLY)
			    for content in b"x", b"y" * 100000, b"", b"z" * 5000, b"end":
			        write(name, content)
			        eq(read(name), content)
			        eq(os.pread(held, 1 << 20, 0), content)
		END
		sync "$MNT/shrinks" "$MNT/grows" "$MNT/wal.db"
		nacrefs -o "lowerdir=$UPPER:$LOWERS" "$second"
		for name in shrinks grows wal.db; do
			cmp "$MNT/$name" "$second/$name"
		done
		unmount "$second"
		writers &
		WRITER=$!
		# A mount made at any moment shows whole files: each was copied up before it got its name.
		while kill -0 "$WRITER" 2>/dev/null; do
			nacrefs -o "lowerdir=$UPPER:$LOWERS" "$second"
			assert_equal "$(cat "$second/shrinks" "$second/grows")" endend
			for name in wal.db delete.db truncate.db; do
				assert_equal "$(head -c 15 "$second/$name")" "SQLite format 3"
			done
			unmount "$second"
		done
		wait "$WRITER"
		remount
		assert_equal "$(cat "$MNT/shrinks" "$MNT/grows")" endend
	done
}
