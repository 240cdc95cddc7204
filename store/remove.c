/* SPDX-License-Identifier: Apache-2.0 */
#include "store/image.h"

#include "store/gc.h"
#include "store/lease.h"
#include "store/leaseask.h"
#include "store/reference.h"
#include "store/store_priv.h"

#include <string.h>
#include <sys/file.h>
#include <time.h>

/* ---- who uses an image ---- */

struct user {
	const struct image_info *image;
	struct diag *diag;
	bool browsing;	 /* nobody else: it is worth to wait */
	bool *held;	 /* owned: of each layer, is it leased by itself? */
	char *held_what; /* owned: what the last of those leases says */
};

enum {
	BROWSER_TRIES = 40,
	HOLDER_TRIES = 10, /* who gives a layer up when he is asked */
	TRY_WAIT_NS = 100 * 1000 * 1000,
};

static void user_release(struct user *user)
{
	free(user->held);
	free(user->held_what);
}

static int layers_leased_by(const struct lease_view *lease, struct user *user)
{
	for (size_t i = 0; i < user->image->layer_count; i++) {
		for (size_t j = 0; j < lease->layer_count; j++) {
			if (user->image->layers[i].value != lease->layers[j].value)
				continue;
			user->held[i] = true;
			free(user->held_what);
			user->held_what = strdup(lease->what);
			if (!user->held_what)
				return -ENOMEM;
		}
	}
	return 0;
}

/* An image of which a layer is free is not in use: its other layers are, in another image. */
static bool is_held(const struct user *user)
{
	for (size_t i = 0; i < user->image->layer_count; i++) {
		if (!user->held[i])
			return false;
	}
	return user->image->layer_count > 0;
}

static int leased_by(const struct lease_view *lease, void *arg)
{
	struct user *user = arg;

	if (lease->image.value == 0)
		return layers_leased_by(lease, user);
	if (lease->image.value != user->image->id.value)
		return 0;
	if (strcmp(lease->what, LEASE_BROWSING) == 0) {
		user->browsing = true; /* there may be another, which stays */
		return 0;
	}
	return diag_set(user->diag, -EBUSY, "the image is %s", lease->what);
}

static int contained_by(struct db *db, const struct user *user)
{
	AUTO(db_resetp) sqlite3_stmt *stmt = NULL;
	const char *name;
	int r = db_stmt(db, "SELECT id, name FROM container WHERE image = ? LIMIT 1", &stmt);

	if (r < 0)
		return r;
	db_bind_int(stmt, 1, user->image->id.value);
	r = db_step(stmt);
	if (r <= 0)
		return r;
	name = (const char *)sqlite3_column_text(stmt, 1);
	return diag_set(user->diag, -EBUSY, "the image is used by container %s%s%s%s", sqlite3_column_text(stmt, 0),
			name ? " (" : "", name ? name : "", name ? ")" : "");
}

/* Return: 0; -EBUSY with the user in @diag; -EAGAIN: only such as will soon have gone, if there is still time for that. */
static int check_unused(struct store *store, struct db *db, const struct image_info *image, int tries,
			struct diag *diag)
{
	AUTO(user_release) struct user user = { .image = image, .diag = diag };
	int r = contained_by(db, &user);

	user.held = calloc(image->layer_count + 1, sizeof(*user.held));
	if (!user.held)
		return -ENOMEM;
	if (r == 0)
		r = lease_each(store, false, leased_by, &user);
	if (r < 0)
		return r;
	if (is_held(&user)) {
		if (tries < HOLDER_TRIES && (tries > 0 || lease_ask(store, image->id) == 0))
			return -EAGAIN;
		return diag_set(diag, -EBUSY, "the image is %s", user.held_what);
	}
	if (!user.browsing)
		return 0;
	return tries < BROWSER_TRIES ? -EAGAIN : diag_set(diag, -EBUSY, "%s", LEASE_BROWSING);
}

/* ---- rows ---- */

static int run_for(struct db *db, const char *sql, struct image_id image, const char *tag)
{
	sqlite3_stmt *stmt;
	int r = db_stmt(db, sql, &stmt);

	if (r < 0)
		return r;
	if (tag)
		db_bind_text(stmt, 1, tag);
	else
		db_bind_int(stmt, 1, image.value);
	return db_run(stmt);
}

static int delete_image(struct db *db, struct image_id image)
{
	int r = run_for(db, "DELETE FROM tag WHERE image = ?", image, NULL);

	if (r == 0)
		r = run_for(db, "DELETE FROM image_layer WHERE image = ?", image, NULL);
	if (r == 0)
		r = run_for(db, "DELETE FROM manifest WHERE image = ?", image, NULL);
	if (r == 0)
		r = run_for(db, "DELETE FROM image WHERE id = ?", image, NULL);
	return r;
}

/* What is decided inside of the transaction and told after it. */
struct removal {
	enum reference_kind kind;
	char *tag;		/* owned: the tag that was named; NULL: by ID */
	struct image_info info; /* as it was before */
	bool tags, image;	/* all its tags go, the image itself goes */
	int tries;		/* before this one */
};

static void removal_release(struct removal *rm)
{
	free(rm->tag);
	image_info_release(&rm->info);
}

static int decide(struct store *store, struct db *db, const char *ref, bool force, struct removal *rm,
		  struct diag *diag)
{
	int r;

	if (rm->kind == REFERENCE_NAME && rm->info.tag_count > 1)
		return 0; /* this one tag goes, the image keeps others */
	if (rm->kind == REFERENCE_ID && rm->info.tag_count > 1 && !force)
		return diag_set(diag, -ENOTUNIQ, "%s has several tags: name one of them, or use force", ref);
	r = check_unused(store, db, &rm->info, rm->tries, force ? NULL : diag);
	rm->tags = rm->kind == REFERENCE_ID;
	rm->image = r == 0;
	return r == -EBUSY && force ? 0 : r;
}

static int remove_rows(struct store *store, const char *ref, bool force, struct removal *rm, struct diag *diag)
{
	AUTO(txn_abortp) struct txn *txn = NULL;
	struct image_id image;
	struct diag why = { 0 };
	int r = txn_begin(store, &txn);

	if (r == 0)
		r = reference_find(txn_db(txn), ref, diag, &image, &rm->kind, &rm->tag);
	if (r < 0)
		return r;
	r = image_info_rest(store, image, &why, &rm->info);
	/* A name of nothing: it can only go. */
	if (r == -ENOENT && rm->kind == REFERENCE_NAME)
		r = 0;
	else if (r < 0)
		diag_set(diag, r, "%s", diag_text(&why, r));
	else if (r == 0)
		r = decide(store, txn_db(txn), ref, force, rm, diag);
	if (r < 0)
		return r;
	if (rm->image)
		r = delete_image(txn_db(txn), image);
	else if (rm->tags)
		r = run_for(txn_db(txn), "DELETE FROM tag WHERE image = ?", image, NULL);
	else
		r = run_for(txn_db(txn), "DELETE FROM tag WHERE name = ?", image, rm->tag);
	return r < 0 ? r : txn_commit(TAKE(txn));
}

static void tell(const struct removal *rm, image_removed_fn fn, void *arg)
{
	char id[DIGEST_TEXT_BYTES];

	if (rm->kind == REFERENCE_NAME)
		fn("untagged", rm->tag, arg);
	else if (rm->tags || rm->image)
		for (size_t i = 0; i < rm->info.tag_count; i++)
			fn("untagged", rm->info.tags[i], arg);
	if (rm->image)
		fn("deleted", digest_format(&rm->info.digest, id), arg);
}

static int remove_when_free(struct store *store, const char *ref, bool force, struct removal *rm, struct diag *diag)
{
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN; tries++) {
		removal_release(rm);
		*rm = (struct removal){ .tries = tries };
		r = remove_rows(store, ref, force, rm, diag);
		if (r == -EAGAIN)
			nanosleep(&(struct timespec){ .tv_nsec = TRY_WAIT_NS }, NULL);
	}
	return r;
}

int image_remove(struct store *store, const char *ref, bool force, image_removed_fn fn, void *arg, struct diag *diag)
{
	AUTO(removal_release) struct removal rm = { 0 };
	struct gc_result gc = { 0 };
	AUTO(closep) int lock = -1;
	int r = remove_when_free(store, ref, force, &rm, diag);

	if (r < 0)
		return diag_errno(diag, r, "%s cannot be removed", ref);
	if (fn)
		tell(&rm, fn, arg);
	if (!rm.image)
		return 0;
	/* A writer may be about to use these layers again: then they are left to the next gc. */
	r = store_lock(store, LOCK_EX | LOCK_NB, &lock);
	if (r == -EBUSY)
		return 0;
	return r == 0 ? gc_collect(store, fn, arg, diag, &gc) : r;
}
