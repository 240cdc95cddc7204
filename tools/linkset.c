// SPDX-License-Identifier: Apache-2.0
#include "tools/linkset.h"

#include "store/base/auto.h"
#include "tools/ui.h"

#include <fcntl.h>
#include <string.h>

struct linkset_name {
	struct linkset_key key;
	int dirfd; /* owned */
	char *name;
	struct linkset_name *next;
};

void linkset_release(struct linkset *set)
{
	for (struct linkset_name *l = set->first, *next; l; l = next) {
		next = l->next;
		close(l->dirfd);
		free(l->name);
		free(l);
	}
	set->first = NULL;
}

void linkset_add(struct linkset *set, struct linkset_key key, int dirfd, const char *name)
{
	int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	struct linkset_name *l;

	if (fd < 0)
		return; /* its other names become files of their own */
	l = ui_need(malloc(sizeof(*l)));
	*l = (struct linkset_name){ key, fd, ui_need(strdup(name)), set->first };
	set->first = l;
}

bool linkset_link(const struct linkset *set, struct linkset_key key, int dirfd, const char *name)
{
	const struct linkset_name *l = set->first;

	while (l && (l->key.no != key.no || l->key.space != key.space))
		l = l->next;
	return l && linkat(l->dirfd, l->name, dirfd, name, 0) == 0;
}
