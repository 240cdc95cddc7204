/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/internal.h"

/*
 * Lowers come to a mount in use, and leave it, as with AUFS.
 *
 * It is for the mount's life: nothing on disk says so.  Therefore no copy in the upper
 * comes to depend on a layer that was added or is about to leave: neither metacopies nor
 * redirects lead there (layer_is_passing()).
 *
 * The tree changes at one go with the gate closed (restack.c).  The kernel cannot be told
 * then, because it may hold a folder's lock while it waits at the gate, and telling it of
 * a name waits for that lock.  But a file that is opened by an old name after the change
 * would be the hidden one, and what is written to it would be lost.  So for a layer that
 * is to come:
 *
 *   announce  the change is planned; from now on names are answered for once (fs->names_pass)
 *   tell      the kernel drops the names of the plan: who opens one of them asks for it
 *   add       the tree changes; what is asked for now is the new one
 *   settle    the kernel drops them again, and the attributes and listings of folders
 *
 * Whoever has walked to a name before the change may still move it afterwards: where it
 * went is noted (stack_note_move()) and told of as well, until there is nothing left to
 * tell.
 *
 * Opens are not heard of.  So for a layer that is to go the kernel is first told to
 * forget its names; what it still knows a moment later is in use: open, mapped, a
 * working directory, watched, or mounted on.
 *
 * The struct layer of one that has gone stays: files that were removed from it and are
 * still open come from there.
 */

#include "fs/detached.h"
#include "fs/mountedon.h"
#include "fs/xattrscan.h"
#include "store/base/auto.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
	FORGET_TRIES = 100,
	FORGET_PAUSE_NS = 10 * 1000 * 1000,
};

/* --- what the kernel is told --- */

int stales_add(struct stales *stales, const struct node *dir, const char *name, bool listing)
{
	struct stale stale = { .dir = dir, .listing = listing };

	if (stales->count == stales->room) {
		size_t room = stales->room ? stales->room * 2 : 16;
		struct stale *more = realloc(stales->list, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		stales->list = more;
		stales->room = room;
	}
	if (name && !(stale.name = strdup(name)))
		return -ENOMEM;
	stales->list[stales->count++] = stale;
	return 0;
}

void stales_release(struct stales *stales)
{
	for (size_t i = 0; i < stales->count; i++)
		free(stales->list[i].name);
	free(stales->list);
	*stales = (struct stales){ 0 };
}

static void tell_all(const struct stales *stales, const struct stack_change *change)
{
	for (size_t i = 0; i < stales->count; i++)
		change->tell(&stales->list[i], change->arg);
}

static void tell_names(const struct stales *stales, const struct stack_change *change)
{
	for (size_t i = 0; i < stales->count; i++) {
		if (stales->list[i].name)
			change->tell(&stales->list[i], change->arg);
	}
}

int stack_note_move(struct fs *fs, const struct node *dir, const char *name)
{
	if (!atomic_load(&fs->settling))
		return 0;
	LOCKED(&fs->moved_lock);
	return stales_add(&fs->moved, dir, name, false);
}

/* Return: was there something? If not, no more is noted. */
static bool take_moved(struct fs *fs, struct stales *ret)
{
	LOCKED(&fs->moved_lock);

	*ret = fs->moved;
	fs->moved = (struct stales){ 0 };
	if (ret->count == 0)
		atomic_store(&fs->settling, false);
	return ret->count > 0;
}

static void settle(struct fs *fs, const struct stales *stales, const struct stack_change *change)
{
	struct stales moved;

	tell_all(stales, change);
	while (take_moved(fs, &moved)) {
		tell_all(&moved, change);
		stales_release(&moved);
	}
}

bool fs_names_last(const struct fs *fs)
{
	return !atomic_load(&fs->names_pass);
}

/* --- which --- */

static int root_stat(struct fs *fs, struct layer *layer, struct stat *st)
{
	struct fd_ref ref;
	int r = layer->ops->dir_fd(layer, layer->root, &ref);

	if (r < 0)
		return r;
	r = fstat(ref.fd, st) < 0 ? -errno : 0;
	fd_put(fs->fds, &ref);
	return r;
}

static bool is_same_folder(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The layer of the stack that @what is; NULL: none. @st: of the folder, if it is one. */
static struct layer *find_layer(struct fs *fs, const char *what, const struct stat *st)
{
	struct stat root;

	for (uint32_t i = fs->layer_first; i < fs->layer_end; i++) {
		struct layer *layer = fs->layers[i];

		if (layer->removed || layer->was_upper)
			continue;
		if (strcmp(layer->name, what) == 0)
			return layer;
		if (st && !layer->is_store && root_stat(fs, layer, &root) == 0 && is_same_folder(&root, st))
			return layer;
	}
	return NULL;
}

static size_t count_layers(const struct fs *fs)
{
	size_t count = 0;

	for (uint32_t i = fs->layer_first; i < fs->layer_end; i++)
		count += !fs->layers[i]->removed;
	return count;
}

int fs_stack_list(struct fs *fs, size_t from, char *text, size_t room)
{
	size_t used = 0, seen = 0;
	int lines = 0;
	LOCKED(&fs->stack_lock);

	text[0] = '\0';
	for (uint32_t i = fs->layer_first; i < fs->layer_end; i++) {
		const struct layer *layer = fs->layers[i];
		int n;

		if (layer->removed || seen++ < from)
			continue;
		n = snprintf(text + used, room - used, "%s %s\n",
			     layer->added	? "added"
			     : layer->was_upper ? "upper"
						: "lower",
			     layer->name);
		if (n < 0 || (size_t)n >= room - used) {
			text[used] = '\0';
			return lines > 0 ? lines : -EOVERFLOW;
		}
		used += (size_t)n;
		lines++;
	}
	return lines;
}

/* --- adding --- */

struct adding {
	struct fs *fs;
	struct layer *layer; /* owned until it is in the stack */
	struct mounted_on mounted;
	struct stales stales;
	char *used; /* owned */
};

static int open_store_layer(struct fs *fs, const char *what, struct diag *diag, struct layer **ret)
{
	char diff_text[DIGEST_TEXT_BYTES], image_text[DIGEST_TEXT_BYTES];
	struct digest diff, image;
	struct layer_id id;
	int r;

	if (!fs->store)
		return diag_set(diag, -EOPNOTSUPP, "it is a mount of folders: only a folder can be added to it");
	if (sscanf(what, "%71s %71s", diff_text, image_text) != 2 || digest_parse(diff_text, &diff) < 0 ||
	    digest_parse(image_text, &image) < 0)
		return -EINVAL;
	r = layer_find(fs->store, &diff, &id);
	if (r < 0)
		return diag_errno(diag, r, "the mount's store has no layer %s", diff_text);
	r = layer_store_open(fs->store, id, diag, ret);
	if (r < 0)
		return r;
	struct image_id image_id;
	r = image_find(fs->store, image_text, diag, &image_id);
	if (r == 0)
		r = fs_lease(fs->options, fs->store, image_id, diag, &(*ret)->lease);
	return r;
}

static bool is_within(const char *path, const char *folder)
{
	AUTO(freep) char *full = folder ? realpath(folder, NULL) : NULL;

	return full && path_is_within(path, full);
}

static int open_folder(struct fs *fs, const char *path, struct diag *diag, struct layer **ret)
{
	AUTO(mounts_freep) struct mounts *mounts = mounts_read();
	struct stat mount, st;
	int r;

	if (is_within(path, fs->options->upper) || is_within(path, fs->options->work))
		return diag_set(diag, -EINVAL, "%s is in the mount's own upperdir or workdir", path);
	r = layer_dir_open(path, mounts, fs->fds, diag, ret);
	if (r < 0)
		return r;
	r = root_stat(fs, *ret, &st);
	if (r == 0 && fs->options->mountpoint && stat(fs->options->mountpoint, &mount) == 0 &&
	    mount.st_dev == st.st_dev)
		return diag_set(diag, -ELOOP, "%s is in the mount itself", path);
	return r;
}

static int open_layer(struct fs *fs, const char *what, struct diag *diag, struct layer **ret)
{
	struct stat st;
	bool is_folder = what[0] == '/';
	int r = is_folder ? open_folder(fs, what, diag, ret) : open_store_layer(fs, what, diag, ret);

	if (r < 0)
		return r;
	if (is_folder && root_stat(fs, *ret, &st) < 0)
		return -EIO;
	if (find_layer(fs, (*ret)->name, is_folder ? &st : NULL))
		return diag_set(diag, -EEXIST, "it is one of its layers already");
	if ((*ret)->has_xattrs && !fs->options->noxattrs && (!fs->any_xattrs || !xattr_scan_give_up(fs->xattr_scan)))
		return diag_set(
			diag, -EOPNOTSUPP,
			"its files may have xattrs, and the kernel was told that this read-only mount has none: "
			"mount it with --rw");
	return 0;
}

/* The tree with the layer on top; without it again if that fails, or if it was only to be planned. */
static int stack_on_top(struct adding *a, unsigned how)
{
	struct fs *fs = a->fs;
	bool any_xattrs = fs->any_xattrs;
	int r;

	fs->layers[--fs->layer_first] = a->layer;
	fs->any_xattrs |= a->layer->has_xattrs;
	if (a->layer->is_served)
		fs->any_served = true;
	r = restack(fs, how | RESTACK_MAY_HIDE, &a->mounted, &a->stales, &a->used);
	if (r == 0 && !(how & RESTACK_PLAN))
		return 0;
	fs->any_xattrs = any_xattrs;
	fs->layers[fs->layer_first++] = NULL;
	return r;
}

/* Whoever asks from now on is told of names for once only, and who asked before has his answer. */
static int announce_closed(void *arg)
{
	struct adding *a = arg;
	int r = stack_on_top(a, RESTACK_PLAN);

	if (r == 0)
		atomic_store(&a->fs->names_pass, true);
	return r;
}

static int add_closed(void *arg)
{
	struct adding *a = arg;
	int r = stack_on_top(a, 0);

	if (r < 0)
		return r;
	a->layer = NULL;
	atomic_store(&a->fs->settling, true);
	return 0;
}

static int add_layer(struct adding *a, struct stack_change *change)
{
	struct fs *fs = a->fs;
	uint64_t announce_ns = 0;
	int r = gate_closed(&fs->gate, announce_closed, a, &announce_ns);

	if (r == 0) {
		tell_names(&a->stales, change);
		stales_release(&a->stales);
		r = gate_closed(&fs->gate, add_closed, a, &change->pause_ns);
	}
	if (r == 0)
		settle(fs, &a->stales, change);
	atomic_store(&fs->names_pass, false);
	if (change->pause_ns < announce_ns)
		change->pause_ns = announce_ns;
	return r;
}

static int check_kind(const struct fs *fs, struct diag *diag)
{
	if (fs->options->whiteouts != FS_WHITEOUTS_HIDE)
		return diag_set(diag, -EOPNOTSUPP, "it shows whiteouts, so it is no tree for use");
	return 0;
}

int fs_stack_add(struct fs *fs, const char *what, struct stack_change *change, struct diag *diag)
{
	struct adding a = { .fs = fs };
	int r;
	LOCKED(&fs->stack_lock);

	r = check_kind(fs, diag);
	if (r == 0 && fs->layer_first == 0)
		r = diag_set(diag, -EMFILE, "that was done too often; unmount it and mount it again");
	if (r == 0)
		r = open_layer(fs, what, diag, &a.layer);
	if (r == 0) {
		a.layer->added = true;
		r = mounted_on_read(fs->options->mountpoint, &a.mounted);
	}
	if (r == 0)
		r = add_layer(&a, change);
	if (a.used)
		r = diag_set(diag, -EBUSY, "it would change /%s, on which something is mounted", a.used);
	free(a.used);
	stales_release(&a.stales);
	mounted_on_release(&a.mounted);
	layer_free(a.layer);
	return r;
}

/* --- removing --- */

struct removing {
	struct fs *fs;
	struct layer *layer;
	uint16_t index;
	bool leaving;
	struct mounted_on mounted;
	size_t known; /* nodes of the layer that the kernel knows */
	struct stales stales;
	char *used; /* owned */
};

static int leave_closed(void *arg)
{
	struct removing *m = arg;

	m->layer->leaving = m->leaving;
	return 0;
}

static bool is_of_layer(const struct removing *m, struct node *node)
{
	struct fs *fs = m->fs;
	struct dirnode *dir = node_dir(node);

	if (node_in_upper(fs, node))
		return false;
	if (!node_is_dir(node))
		return node_layer_index(fs, node) == m->index;
	if (dir_enter_former_locked(fs, dir) < 0)
		return true; /* out of memory: as if it were in use */
	for (uint32_t i = 0; i < dir->part_count; i++) {
		if (dir->parts[i].layer != m->index)
			return false;
	}
	return true;
}

/* What is mounted on a name goes when the kernel is told to forget the name. */
static int note_name(struct removing *m, const struct dirnode *dir, const struct link *link)
{
	AUTO(freep) char *path = m->mounted.count > 0 ? stack_path(link->node) : NULL;

	if (path && mounted_on_has(&m->mounted, path)) {
		m->used = TAKE(path);
		return -ETXTBSY;
	}
	return m->mounted.count > 0 && !path ? -ENOMEM : stales_add(&m->stales, &dir->node, link->name, false);
}

/* Those that the kernel knows, in @dir's table and below. @tell: and their names. */
static int count_known(struct removing *m, const struct dirnode *dir, bool tell)
{
	const struct table *table = &dir->table;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < table->used; i++) {
		struct link *link = table->slots[i];
		struct node *node = link ? link->node : NULL;

		if (!node)
			continue;
		if (atomic_load(&node->nlookup) > 0 && is_of_layer(m, node)) {
			m->known++;
			if (tell)
				r = note_name(m, dir, link);
		}
		if (r == 0 && node_is_dir(node))
			r = count_known(m, node_dir(node), tell);
	}
	return r;
}

static int names_closed(void *arg)
{
	struct removing *m = arg;

	return count_known(m, m->fs->root, true);
}

static int count_closed(void *arg)
{
	struct removing *m = arg;

	m->known = 0;
	return count_known(m, m->fs->root, false);
}

/* Then what the kernel still knows is in use; remove_closed() sees. */
static int forget_names(struct removing *m, const struct stack_change *change)
{
	uint64_t pause_ns;
	int r = gate_closed(&m->fs->gate, names_closed, m, &pause_ns);

	if (r == 0)
		tell_all(&m->stales, change);
	stales_release(&m->stales);
	for (int tries = 0; r == 0 && m->known > 0 && tries < FORGET_TRIES; tries++) {
		nanosleep(&(struct timespec){ .tv_nsec = FORGET_PAUSE_NS }, NULL);
		change->let_go(change->arg);
		r = gate_closed(&m->fs->gate, count_closed, m, &pause_ns);
	}
	return r;
}

static int remove_closed(void *arg)
{
	struct removing *m = arg;
	int r;

	m->layer->removed = true;
	r = restack(m->fs, 0, &m->mounted, &m->stales, &m->used);
	if (r < 0) {
		m->layer->removed = false;
		return r;
	}
	m->layer->leaving = false;
	m->layer->ops->retire(m->layer);
	atomic_store(&m->fs->settling, true);
	return 0;
}

static int remove_layer(struct removing *m, struct stack_change *change, struct diag *diag)
{
	struct fs *fs = m->fs;
	uint64_t pause_ns;
	int r;

	(void)xattr_scan_give_up(fs->xattr_scan); /* what is known of it goes on to be true */
	m->leaving = true;
	r = gate_closed(&fs->gate, leave_closed, m, &pause_ns);
	if (r == 0 && !m->layer->added)
		r = stack_leaning(fs, m->layer, diag);
	if (r == 0)
		r = mounted_on_read(fs->options->mountpoint, &m->mounted);
	if (r == 0)
		r = forget_names(m, change);
	if (r == 0)
		r = gate_closed(&fs->gate, remove_closed, m, &change->pause_ns);
	if (r == 0) {
		settle(fs, &m->stales, change);
		return 0;
	}
	m->leaving = false;
	(void)gate_closed(&fs->gate, leave_closed, m, &pause_ns); /* else copies are whole that need not be */
	return r;
}

static int find_to_remove(struct removing *m, const char *what, struct diag *diag)
{
	struct fs *fs = m->fs;
	struct stat st;
	bool is_folder = what[0] == '/' && stat(what, &st) == 0;

	m->layer = find_layer(fs, what, is_folder ? &st : NULL);
	if (!m->layer)
		return diag_set(diag, -ENOENT, "it is none of its layers");
	if (count_layers(fs) == 1)
		return diag_set(diag, -EINVAL, "it is the only layer");
	m->index = (uint16_t)fs->layer_first;
	while (fs->layers[m->index] != m->layer)
		m->index++;
	return 0;
}

int fs_stack_remove(struct fs *fs, const char *what, struct stack_change *change, struct diag *diag)
{
	struct removing m = { .fs = fs };
	int r;
	LOCKED(&fs->stack_lock);

	r = check_kind(fs, diag);
	if (r == 0)
		r = find_to_remove(&m, what, diag);
	if (r == 0)
		r = remove_layer(&m, change, diag);
	change->used = TAKE(m.used);
	mounted_on_release(&m.mounted);
	stales_release(&m.stales);
	return r;
}
