/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

/*
 * A change of the stack that runs out of memory anywhere leaves everything as it was; and an upper that becomes a lower
 * is not gone through for it.
 */

#include "fs/internal.h"
#include "fs/live.h"

#include "store/base/buf.h"

#include <limits.h>

/* --- memory that ends: the linker puts these before the C library's (meson.build) --- */

static unsigned fail_at; /* the so many-th allocation from now on; 0: none */
static unsigned allocations;

static bool fails_now(void)
{
	allocations++;
	return fail_at > 0 && --fail_at == 0;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t each);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t each);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t bytes)
{
	return fails_now() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t each)
{
	return fails_now() ? NULL : __real_calloc(count, each);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails_now() ? NULL : __real_realloc(old, bytes);
}

char *__wrap_strdup(const char *text)
{
	return fails_now() ? NULL : __real_strdup(text);
}

/* --- a tree --- */

static int fresh(void **state)
{
	static const char *const folders[] = { "low1",	   "low2",     "up",	       "work",	    "extra",
					       "low1/dir", "low2/dir", "low2/dir/sub", "extra/dir", "extra/new" };
	static const char *const left[] = { "store", "former", "former1", "former2", "former3" };

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		if (io_remove_tree(AT_FDCWD, left[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (i < 5 && io_remove_tree(AT_FDCWD, folders[i]) < 0)
			return -1;
		if (mkdir(folders[i], 0755) < 0)
			return -1;
	}
	write_text("low1/dir/one", "1");
	write_text("low2/dir/two", "22");
	write_text("low2/dir/three", "333");
	write_text("low2/dir/sub/deep", "deep");
	write_text("low2/several", "names");
	write_text("extra/dir/two", "another two");
	write_text("extra/dir/.wh.sub", "");
	write_text("extra/new/file", "new");
	write_text("extra/several", "one name");
	return link("low2/several", "low2/dir/several");
}

struct tree {
	struct fs_options options;
	struct fs *fs;
	char *lowers[2];
};

static struct tree *tree_new(void)
{
	static char low1[] = "low1", low2[] = "low2", up[] = "up", work[] = "work";
	struct tree *t = calloc(1, sizeof(*t));

	t->lowers[0] = low1;
	t->lowers[1] = low2;
	t->options = (struct fs_options){
		.lowers = t->lowers, .lower_count = 2, .upper = up, .work = work, .squash_uid = -1, .squash_gid = -1
	};
	assert_int_equal(fs_new(&t->options, NULL, &t->fs), 0);
	return t;
}

static void tree_free(struct tree *t)
{
	fs_free(t->fs);
	free(t);
}

static bool add_name(const char *name, const struct fs_entry *entry, uint64_t cookie, void *arg)
{
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		buf_addf(arg, "%s\n", name);
	return true;
}

/* All names with their types, sizes and layers, without an order. */
static void dump(struct fs *fs, struct node *dir, const char *path, struct buf *ret)
{
	struct buf names = { 0 };
	char *save = NULL;

	assert_int_equal(fs_readdir(fs, dir, 0, false, add_name, &names), 0);
	for (char *name = strtok_r((char *)(uintptr_t)buf_str(&names), "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save)) {
		char below[256], layer[64] = "";
		struct fs_entry entry;

		snprintf(below, sizeof(below), "%s/%s", path, name);
		assert_int_equal(fs_lookup(fs, dir, name, &entry), 0);
		assert_non_null(entry.node);
		fs_getxattr(fs, entry.node, "user.nacre.layer", layer, sizeof(layer) - 1);
		buf_addf(ret, "%s %o %lld %s\n", below, entry.st.st_mode & S_IFMT,
			 S_ISREG(entry.st.st_mode) ? (long long)entry.st.st_size : 0LL,
			 strrchr(layer, '/') ? strrchr(layer, '/') : layer);
		if (S_ISDIR(entry.st.st_mode))
			dump(fs, entry.node, below, ret);
		fs_forget(fs, entry.node, 1);
	}
	buf_release(&names);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A name that has come back is at the end of a listing. */
static char *shown(struct tree *t)
{
	struct buf text = { 0 }, sorted = { 0 };
	char *lines[64], *save = NULL;
	size_t count = 0;

	dump(t->fs, fs_root(t->fs), "", &text);
	for (char *line = strtok_r((char *)(uintptr_t)buf_str(&text), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		assert_in_range(count, 0, ARRAY_SIZE(lines) - 1);
		lines[count++] = line;
	}
	qsort(lines, count, sizeof(lines[0]), by_text);
	for (size_t i = 0; i < count; i++)
		buf_addf(&sorted, "%s\n", lines[i]);
	buf_release(&text);
	return buf_take(&sorted);
}

static struct node *look(struct tree *t, struct node *dir, const char *name)
{
	struct fs_entry entry;

	assert_int_equal(fs_lookup(t->fs, dir, name, &entry), 0);
	return entry.node;
}

static void let_go(void *arg)
{
}

static void count_told(const struct stale *stale, void *arg)
{
	++*(unsigned *)arg;
}

typedef int (*change_fn)(struct fs *fs, const char *what, struct stack_change *change, struct diag *diag);

/* Each allocation fails once; where it does without, it is undone. Return: how often it failed before it was done. */
static unsigned until_done(struct tree *t, change_fn fn, change_fn undo)
{
	char *before = shown(t), path[PATH_MAX];
	unsigned failures = 0, told = 0;
	bool memory_ended = true;

	assert_non_null(realpath("extra", path));
	for (unsigned try = 1; memory_ended; try++) {
		struct stack_change change = { .tell = count_told, .let_go = let_go, .arg = &told };
		struct diag diag = { 0 };
		char *after;
		int r;

		assert_in_range(try, 1, 10000);
		told = 0;
		fail_at = try;
		r = fn(t->fs, path, &change, &diag);
		memory_ended = fail_at == 0;
		fail_at = 0;
		assert_null(change.used);
		if (r == 0 && !memory_ended)
			break;
		failures += r < 0;
		if (r == 0)
			assert_int_equal(undo(t->fs, path, &change, &diag), 0);
		after = shown(t);
		assert_string_equal(before, after);
		free(after);
	}
	assert_true(told > 0);
	free(before);
	return failures;
}

static void memory_that_ends_anywhere_leaves_all_as_it_was(void **state)
{
	struct tree *t = tree_new();
	struct node *dir = look(t, fs_root(t->fs), "dir"), *sub = look(t, dir, "sub"), *deep = look(t, sub, "deep");
	struct node *two = look(t, dir, "two");
	char *before = shown(t), *after, text[8] = "";

	assert_true(until_done(t, fs_stack_add, fs_stack_remove) > 20);
	after = shown(t);
	assert_non_null(strstr(after, "/new/file 100000 3 /extra"));
	assert_non_null(strstr(after, "/dir/two 100000 11 /extra"));
	assert_null(strstr(after, "/dir/sub"));
	free(after);
	/* What shows no more goes on for who has it. */
	assert_true(node_is(deep, NODE_UNLINKED));
	assert_int_equal(fs_read(t->fs, deep, text, sizeof(text), 0), 4);
	assert_string_equal(text, "deep");
	assert_int_equal(fs_read(t->fs, two, text, sizeof(text), 0), 2);
	fs_forget(t->fs, deep, 1);
	fs_forget(t->fs, sub, 1);
	fs_forget(t->fs, two, 1);
	assert_true(until_done(t, fs_stack_remove, fs_stack_add) > 20);
	after = shown(t);
	assert_string_equal(before, after);
	free(after);
	free(before);
	fs_forget(t->fs, dir, 1);
	tree_free(t);
}

static void what_is_known_of_a_layer_keeps_it(void **state)
{
	struct stack_change change = { .tell = count_told, .let_go = let_go, .arg = &(unsigned){ 0 } };
	struct tree *t = tree_new();
	struct diag diag = { 0 };
	char path[PATH_MAX], *before, *after;
	struct node *new, *file;

	assert_non_null(realpath("extra", path));
	assert_int_equal(fs_stack_add(t->fs, path, &change, &diag), 0);
	new = look(t, fs_root(t->fs), "new");
	file = look(t, new, "file");
	before = shown(t);
	assert_int_equal(fs_stack_remove(t->fs, path, &change, &diag), -ETXTBSY);
	assert_string_equal(change.used, "new/file");
	free(change.used);
	after = shown(t);
	assert_string_equal(before, after);
	fs_forget(t->fs, file, 1);
	fs_forget(t->fs, new, 1);
	assert_int_equal(fs_stack_remove(t->fs, path, &change, &diag), 0);
	assert_null(change.used);
	free(before);
	free(after);
	tree_free(t);
}

/* --- the upper becomes a lower --- */

static const struct fs_cred cred = { 0 };

/* As who asks for it has it ready: an empty folder in the upper's place, and a folder for its index. */
static void put_aside(const char *aside)
{
	char name[48];
	struct stat st;

	assert_int_equal(rename("up", aside), 0);
	assert_int_equal(mkdir("up", 0755), 0);
	assert_int_equal(stat("up", &st), 0);
	snprintf(name, sizeof(name), "work/links-%llx", (unsigned long long)st.st_ino);
	assert_int_equal(mkdir(name, 0755), 0);
}

static struct tree *tree_with_store(void)
{
	struct tree *t = tree_new();

	assert_int_equal(store_open("store", STORE_WRITE, NULL, &t->fs->store), 0);
	return t;
}

static uint64_t add_bytes(uint64_t sum, const void *data, size_t bytes)
{
	for (const unsigned char *at = data; bytes > 0; bytes--)
		sum = (sum ^ *at++) * 0x100000001b3u;
	return sum;
}

/* Of all that stands in memory below @dir. */
static uint64_t sum_below(const struct dirnode *dir, uint64_t sum)
{
	for (uint32_t i = 0; i < dir->table.used; i++) {
		const struct link *link = dir->table.slots[i];
		const struct node *node = link ? link->node : NULL;

		if (link)
			sum = add_bytes(sum, link, sizeof(*link) + link->name_len);
		if (node)
			sum = add_bytes(sum, node, node_is_dir(node) ? sizeof(*dir) : sizeof(*node));
		if (node && node_is_dir(node))
			sum = sum_below((const struct dirnode *)node, sum);
	}
	return sum;
}

/* Return: how many allocations it took. */
static unsigned switch_many(struct tree *t, unsigned folders, unsigned files)
{
	struct fs_entry folder, file, other;
	uint64_t before, pause_ns;
	char name[32];

	for (unsigned i = 0; i < folders; i++) {
		snprintf(name, sizeof(name), "folder%u", i);
		assert_int_equal(fs_mkdir(t->fs, fs_root(t->fs), name, 0755, &cred, &folder), 0);
		for (unsigned j = 0; j < files; j++) {
			snprintf(name, sizeof(name), "file%u", j);
			assert_int_equal(fs_mknod(t->fs, folder.node, name, S_IFREG | 0644, 0, &cred, &file), 0);
			snprintf(name, sizeof(name), "other%u", j);
			assert_int_equal(fs_link(t->fs, file.node, folder.node, name, &other), 0);
		}
	}
	put_aside("former");
	before = sum_below(t->fs->root, 0);
	allocations = 0;
	assert_int_equal(fs_switch_upper(t->fs, &pause_ns), 0);
	folders = allocations;
	assert_int_equal(sum_below(t->fs->root, 0), before);
	assert_false(node_in_upper(t->fs, file.node));
	assert_true(node_was_upper(t->fs, file.node));
	assert_int_equal(fs_write(t->fs, file.node, "late", 4, 0, 0), 0);
	assert_true(node_in_upper(t->fs, file.node));
	assert_int_equal(file.node->back.nlink, 2);
	return folders;
}

static void a_switch_of_uppers_changes_nothing_that_is_in_memory_of_it(void **state)
{
	struct tree *t = tree_with_store();
	unsigned few = switch_many(t, 1, 3), many;

	tree_free(t);
	assert_int_equal(fresh(state), 0);
	t = tree_with_store();
	many = switch_many(t, 30, 60);
	tree_free(t);
	assert_int_equal(few, many);
}

static void switch_until_done(struct tree *t, const char *aside)
{
	char *before = shown(t), *after;
	uint64_t pause_ns;
	int r = -ENOMEM;

	put_aside(aside);
	for (unsigned try = 1; r < 0; try++) {
		fail_at = try;
		r = fs_switch_upper(t->fs, &pause_ns);
		fail_at = 0;
		assert_true(r == 0 || r == -ENOMEM);
		after = shown(t);
		assert_string_equal(before, after);
		free(after);
	}
	free(before);
}

static void what_an_upper_held_and_hid_is_a_lowers_after_it(void **state)
{
	struct tree *t = tree_with_store();
	struct node *root = fs_root(t->fs), *dir = look(t, root, "dir"), *one = look(t, dir, "one"), *gone;
	struct fs_entry entry, sub;
	char text[8] = "";

	assert_int_equal(fs_mkdir(t->fs, root, "made", 0755, &cred, &entry), 0);
	assert_int_equal(fs_mkdir(t->fs, entry.node, "sub", 0755, &cred, &sub), 0);
	assert_int_equal(fs_unlink(t->fs, dir, "two"), 0);
	assert_int_equal(fs_write(t->fs, one, "A", 1, 0, 0), 0);
	assert_int_equal(fs_mknod(t->fs, sub.node, "gone", S_IFREG | 0644, 0, &cred, &entry), 0);
	gone = entry.node;
	assert_int_equal(fs_unlink(t->fs, sub.node, "gone"), 0);
	switch_until_done(t, "former1");
	assert_true(node_in_upper(t->fs, gone)); /* it is in no layer */
	assert_int_equal(fs_write(t->fs, gone, "g", 1, 0, 0), 0);
	/* The place of what was hidden is free: what comes there is in the upper alone. */
	assert_int_equal(fs_mknod(t->fs, dir, "two", S_IFREG | 0644, 0, &cred, &entry), 0);
	assert_int_equal(access("up/dir/two", F_OK), 0);
	assert_int_equal(fs_unlink(t->fs, dir, "two"), 0);
	assert_int_not_equal(access("up/dir/two", F_OK), 0);
	/* Two uppers later a folder that nobody has touched since is found where it was, and may move. */
	switch_until_done(t, "former2");
	assert_int_equal(fs_mknod(t->fs, sub.node, "late", S_IFREG | 0644, 0, &cred, &entry), 0);
	assert_int_equal(fs_read(t->fs, one, text, sizeof(text), 0), 1);
	assert_string_equal(text, "A");
	assert_int_equal(fs_unlink(t->fs, dir, "one"), 0);
	assert_int_equal(fs_write(t->fs, one, "B", 1, 0, 0), 0);
	assert_int_equal(fs_read(t->fs, one, text, sizeof(text), 0), 1);
	assert_string_equal(text, "B");
	switch_until_done(t, "former3");
	assert_true(node_in_upper(t->fs, one));
	assert_int_equal(fs_read(t->fs, one, text, sizeof(text), 0), 1);
	assert_string_equal(text, "B");
	assert_int_equal(access("former1/dir/one", F_OK), 0); /* a former upper is never written to */
	tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory_that_ends_anywhere_leaves_all_as_it_was, fresh),
		cmocka_unit_test_setup(what_is_known_of_a_layer_keeps_it, fresh),
		cmocka_unit_test_setup(a_switch_of_uppers_changes_nothing_that_is_in_memory_of_it, fresh),
		cmocka_unit_test_setup(what_an_upper_held_and_hid_is_a_lowers_after_it, fresh),
	};

	return cmocka_run_group_tests_name("restack", tests, scratch_setup, scratch_teardown);
}
