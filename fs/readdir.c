/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Listings.  An entry's cookie is fixed when the name comes into the table and
 * grows with each new one, so that a listing under which names come and go
 * neither loses nor repeats one.
 */

#include "fs/served.h"

enum { COOKIE_DOT = 1, COOKIE_DOTDOT = 2 };

static bool emit_dots(struct fs *fs, struct dirnode *dir, uint64_t cookie, fs_dirent_fn fn, void *arg)
{
	struct fs_entry entry = { .st = { .st_mode = S_IFDIR, .st_ino = dir->node.ino } };

	if (cookie < COOKIE_DOT && !fn(".", &entry, COOKIE_DOT, arg))
		return false;
	if (cookie < COOKIE_DOTDOT) {
		SHARED(&fs->names_lock);

		if (dir->node.links)
			entry.st.st_ino = dir->node.links->dir->node.ino;
		return fn("..", &entry, COOKIE_DOTDOT, arg);
	}
	return true;
}

enum { UNKNOWN_INO = 0xffffffff }; /* as libfuse has it */

/*
 * Return: 1: given; 0: it did not fit; -errno.
 *
 * What has vanished from a lower, or cannot be read there, is listed by its name: the
 * error is for who asks for it, the other entries are for all.
 */
static int emit(struct fs *fs, struct link *link, bool plus, fs_dirent_fn fn, void *arg)
{
	struct fs_entry entry = { 0 };
	int r = node_resolve(fs, link, &entry.st);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		entry.st = (struct stat){ .st_mode = link->node->mode, .st_ino = UNKNOWN_INO };
		plus = false;
	}
	if (plus) {
		entry.node = link->node;
		node_get(fs, entry.node);
	}
	if (fn(link->name, &entry, link->cookie, arg))
		return 1;
	if (plus)
		fs_forget(fs, entry.node, 1);
	return 0;
}

int fs_readdir(struct fs *fs, struct node *node, uint64_t cookie, bool plus, fs_dirent_fn fn, void *arg)
{
	struct dirnode *dir = node_dir(node);
	struct table *table = &dir->table;
	struct node *kept = NULL;
	uint64_t asked = 0;
	int r;

	if (!node_is_dir(node))
		return -ENOTDIR;
	LOCKED(&dir->lock);
	r = dir_load_locked(fs, dir);
	if (r < 0 || !emit_dots(fs, dir, cookie, fn, arg))
		return r;
	for (uint32_t i = table_seek(table, cookie); i < table->used; i++) {
		struct link *link = table->slots[i];

		if (!link || !link->node)
			continue;
		if (link->cookie != asked && served_is(fs, link->node)) {
			asked = link->cookie;
			if (kept)
				fs_forget(fs, kept, 1);
			kept = served_await_locked(fs, dir, link->node);
			i = table_seek(table, asked - 1) - 1; /* it may have gone meanwhile */
			continue;
		}
		r = emit(fs, link, plus, fn, arg);
		if (r <= 0)
			break;
	}
	if (kept)
		fs_forget(fs, kept, 1);
	return r < 0 ? r : 0;
}

/* --- telling anew --- */

/*
 * The kernel may keep the listing of a folder and have to ask for the attributes of each of its files (listing.c). Then it is
 * dropped, and told anew when somebody lists the folder: attributes and all, in one answer.  Of who then opens the files
 * nothing is heard any more, and the next time would be as the first: so the next few listings are dropped as soon as they
 * are told, and more of them each time that this has proved right.
 */
enum {
	ASKED_MIN = 4,	 /* fewer questions cost less than a listing does, */
	ASKED_SHARE = 4, /* and so do those about fewer than one in so many entries */
	DROPS_FIRST = 3,
	DROPS_MAX = 64,
};

void fs_list_begin(struct node *dir)
{
	atomic_store(&node_dir(dir)->asked, 1);
}

bool fs_list_end(struct node *node)
{
	struct dirnode *dir = node_dir(node);
	LOCKED(&dir->lock);

	if (dir->drops == 0)
		return false;
	dir->drops--;
	atomic_store(&dir->asked, 0);
	return true;
}

/* Return: questions in a row about another one each; 0: it is about the same, or the kernel has no listing. */
static uint32_t count_question(struct dirnode *dir, const struct node *node)
{
	uint32_t mark = (uint32_t)((uintptr_t)node >> 4);

	if (atomic_load(&dir->asked) == 0 || atomic_exchange(&dir->asked_last, mark) == mark)
		return 0;
	/* Should it be dropped just now, it seems to be there for one time more. */
	return atomic_fetch_add(&dir->asked, 1);
}

static bool is_outworn(struct dirnode *dir, uint32_t asked)
{
	uint8_t next;
	LOCKED(&dir->lock);

	if (asked < (dir->table.count - dir->table.whiteouts) / ASKED_SHARE || atomic_exchange(&dir->asked, 0) == 0)
		return false;
	next = atomic_load(&dir->next_drops);
	dir->drops = next ? next : DROPS_FIRST;
	atomic_store(&dir->next_drops, dir->drops < DROPS_MAX / 2 ? dir->drops * 2 : DROPS_MAX);
	return true;
}

/* Who only walks asks about folders, because he lists them: those listings are of use. */
static bool counts(struct node *node)
{
	return !node_is_dir(node) || atomic_load(&node_dir(node)->next_drops) > 0;
}

struct node *fs_list_outworn(struct fs *fs, struct node *node)
{
	struct dirnode *dir = NULL;
	uint32_t asked = 0;

	pthread_rwlock_rdlock(&fs->names_lock);
	if (node->links && counts(node)) {
		dir = node->links->dir;
		asked = count_question(dir, node);
		if (asked >= ASKED_MIN)
			node_get_named(fs, &dir->node);
	}
	pthread_rwlock_unlock(&fs->names_lock);
	if (asked < ASKED_MIN)
		return NULL;
	if (is_outworn(dir, asked))
		return &dir->node;
	fs_forget(fs, &dir->node, 1);
	return NULL;
}

/* --- walking --- */

/* The first folder in @node behind @cookie that has been listed; a lookup is counted. */
static struct node *first_dir(struct fs *fs, struct node *node, uint64_t cookie)
{
	struct dirnode *dir = node_dir(node);
	const struct table *table = &dir->table;

	LOCKED(&dir->lock);
	if (!node_is(node, NODE_LOADED))
		return NULL;
	for (uint32_t i = table_seek(table, cookie); i < table->used; i++) {
		struct link *link = table->slots[i];

		if (!link || !link->node || !node_is_dir(link->node))
			continue;
		if (!node_is(link->node, NODE_RESOLVED))
			return NULL;
		node_get(fs, link->node);
		return link->node;
	}
	return NULL;
}

/* The folder that @node, which the kernel knows, is in, and its place there.  So that one has a table, and stays. */
static struct node *parent_of(struct fs *fs, struct node *node, uint64_t *ret_cookie)
{
	struct node *parent;
	SHARED(&fs->names_lock);

	if (!node->links)
		return NULL;
	parent = &node->links->dir->node;
	*ret_cookie = node->links->cookie;
	node_get_named(fs, parent);
	return parent;
}

struct node *fs_next_dir(struct fs *fs, struct node *node)
{
	struct node *next = first_dir(fs, node, 0);

	node_get(fs, node);
	while (!next && node) {
		uint64_t cookie = 0;
		struct node *parent = parent_of(fs, node, &cookie);

		fs_forget(fs, node, 1);
		node = parent;
		if (node)
			next = first_dir(fs, node, cookie);
	}
	if (node)
		fs_forget(fs, node, 1);
	return next;
}

void fs_remember(struct fs *fs, struct node *node)
{
	node_get(fs, node);
}
