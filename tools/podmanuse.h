/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_PODMANUSE_H
#define NACRE_TOOLS_PODMANUSE_H

/* What podman has made of images that 'nacre serve-layers' shows it. */

/**
 * podman_user_of() - what this user's podman has that stands on the image with this highest layer (podmanindex_top())
 *
 * A layer that podman has itself, too, does not count.
 * Return: "container NAME", "image NAME" or "layer ID", to free(); NULL: nothing, or nothing that can be seen.
 */
char *podman_user_of(const char *top);

#endif
