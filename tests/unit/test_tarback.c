/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

/*
 * Archives of every writer at hand come back byte for byte. The tree has what makes writers differ: long
 * names and targets, hard links, holes, odd bytes, large and empty files.
 */
static const char make_tree[] =
	"mkdir -p src/a/b && cd src && echo hi >a/b/f && ln a/b/f a/hard && ln -s b/f a/sym && mkfifo a/fifo &&"
	" l=$(printf 'd%.0s' $(seq 150)) && mkdir -p $l/$l && echo long >$l/$l/$(printf 'l%.0s' $(seq 200)) &&"
	" ln -s $l/$l longlink && ln $l/$l/* longhard && : >empty && echo x >\"n$(printf '\\377\\376')on\" &&"
	" echo y >\"cafe$(printf '\\314\\201')\" && truncate -s 3M sparse &&"
	" printf x | dd of=sparse bs=1 seek=1500000 conv=notrunc status=none && truncate -s 1M hole &&"
	" head -c 9500000 /dev/urandom >big && head -c 300000 big >mid && cp big big2 && head -c 511 mid >m511 &&"
	" head -c 512 mid >m512 && head -c 513 mid >m513 && touch -d '1960-02-03 04:05:06.123456789' sparse";

static void run(const char *command)
{
	assert_int_equal(setenv("COMMAND", command, 1), 0);
	if (system("bash -ec \"$COMMAND\"") != 0)
		fail_msg("%s", command);
}

static int tree_setup(void **state)
{
	int r = scratch_setup(state);

	if (r == 0)
		run(make_tree);
	return r;
}

static void check_archive(struct store *store, const char *path)
{
	AUTO(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct ingest_options options = { .name = path, .blob_bytes = -1 };
	struct ingest_result result;
	struct diag diag = { 0 };
	struct writer *writer;

	assert_true(fd >= 0);
	assert_int_equal(writer_open(store, &diag, &writer), 0);
	if (ingest_tar(writer, byte_source_fd(&fd), &options, &diag, &result) < 0)
		fail_msg("%s", diag.text);
	writer_close(writer);
	assert_comes_back(store, &result);
	if (find(store, result.layer, "sparse").found) {
		struct found f = must_find(store, result.layer, "sparse");
		struct content_place place;
		char byte;

		assert_int_equal(f.entry.size, 3 << 20);
		assert_int_equal(content_open(store, f.entry.content, &place), 0);
		assert_int_equal(place.bytes, 3 << 20);
		assert_int_equal(io_pread_full(place.fd, &byte, 1, (off_t)place.offset + 1500000), 1);
		assert_int_equal(byte, 'x');
		if (place.owned)
			close(place.fd);
	}
}

static void check(const char *const commands[], size_t count)
{
	AUTO(store_closep) struct store *store = test_store();

	for (size_t i = 0; i < count; i++) {
		run(commands[i]);
		check_archive(store, "t.tar");
	}
	assert_consistent(store);
}

static void gnu_tar_comes_back(void **state)
{
	static const char *const commands[] = {
		"tar -C src --format=gnu -cf t.tar .",
		"tar -C src --format=gnu -S -cf t.tar .",
		"tar -C src --format=ustar -cf t.tar a empty big mid m511 m512 m513",
		"tar -C src --format=v7 --exclude=fifo -cf t.tar a empty mid m511 m512 m513",
		"tar -C src --format=pax -cf t.tar .",
		"tar -C src --format=pax -S --sparse-version=0.0 -cf t.tar .",
		"tar -C src --format=pax -S --sparse-version=0.1 -cf t.tar .",
		"tar -C src --format=pax -S --sparse-version=1.0 -cf t.tar .",
		"tar -C src --format=gnu -V label -cf t.tar a",
		"tar -C src -b 200 -cf t.tar a",
		"tar -C src -cf t.tar a mid && tar -C src -rf t.tar a/b/f mid m511",
		"tar -C src -cf t.tar a && head -c 50000 /dev/zero >>t.tar",
		"tar -C src -cf t.tar a && echo trailer >>t.tar",
		"head -c 1024 /dev/zero >t.tar",
	};

	check(commands, ARRAY_SIZE(commands));
}

static void bsdtar_comes_back(void **state)
{
	static const char *const commands[] = {
		"bsdtar -C src --format=pax -cf t.tar .",
		"bsdtar -C src --format=gnutar -cf t.tar .",
		"bsdtar -C src --format=ustar -cf t.tar a big empty mid",
		"bsdtar -C src --format=pax --read-sparse -cf t.tar sparse hole",
	};

	check(commands, ARRAY_SIZE(commands));
}

static void compressed_archives_give_the_same_layer(void **state)
{
	static const char *const commands[] = {
		"tar -C src -cf plain.tar . && cp plain.tar t.tar",
		"gzip -c plain.tar >t.tar",
		"(head -c 100000 plain.tar | gzip -c; tail -c +100001 plain.tar | gzip -c) >t.tar",
		"xz -0 -c plain.tar >t.tar",
		"bzip2 -1 -c plain.tar >t.tar",
		"zstd -q -c plain.tar >t.tar",
	};
	AUTO(store_closep) struct store *store = test_store();

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		run(commands[i]);
		check_archive(store, "t.tar");
	}
	assert_int_equal(query(store, "SELECT count(*) FROM layer"), 1);
}

static void damaged_compression_is_refused(void **state)
{
	static const char *const tools[] = { "gzip", "xz", "bzip2", "zstd -q" };
	static const char *const damages[] = {
		"head -c 200000 good >t.tar",
		"cp good t.tar && echo garbage >>t.tar",
		"cp good t.tar && flipped=yes",
		"cp good t.tar && truncate -s -1 t.tar",
	};
	AUTO(store_closep) struct store *store = test_store();

	run("tar -C src -cf plain.tar mid m511");
	for (size_t i = 0; i < ARRAY_SIZE(tools) * ARRAY_SIZE(damages); i++) {
		const char *tool = tools[i / ARRAY_SIZE(damages)];
		AUTO(freep) char *command = NULL;
		AUTO(freep) char *bytes = NULL;
		struct buf tar = { 0 };

		assert_true(asprintf(&command, "%s -c plain.tar >good", tool) > 0);
		run(command);
		run(damages[i % ARRAY_SIZE(damages)]);
		assert_int_equal(io_read_file(AT_FDCWD, "t.tar", 1 << 24, &bytes, &tar.len), 0);
		if (strstr(damages[i % ARRAY_SIZE(damages)], "flipped"))
			bytes[250000] ^= 4;
		print_message("# %s, %s\n", tool, damages[i % ARRAY_SIZE(damages)]);
		tar.data = bytes;
		assert_refused(store, &tar, "");
	}
}

static int stop_early(void *arg, const void *bytes, size_t len)
{
	return -EPIPE;
}

static void the_readers_error_is_passed_on(void **state)
{
	AUTO(store_closep) struct store *store = test_store();
	AUTO(buf_release) struct buf tar = { 0 };
	struct ingest_result result;

	tar_file(&tar, "f", "1");
	tar_end(&tar);
	result = ingest(store, tar.data, tar.len);
	assert_int_equal(layer_write_tar(store, result.layer, stop_early, NULL, NULL), -EPIPE);
	assert_int_equal(layer_write_tar(store, (struct layer_id){ 99 }, stop_early, NULL, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gnu_tar_comes_back),
		cmocka_unit_test(bsdtar_comes_back),
		cmocka_unit_test(compressed_archives_give_the_same_layer),
		cmocka_unit_test(damaged_compression_is_refused),
		cmocka_unit_test(the_readers_error_is_passed_on),
	};

	return cmocka_run_group_tests_name("tarback", tests, tree_setup, scratch_teardown);
}
