/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_TRUST_H
#define NACRE_STORE_TRUST_H

#include "store/registry.h"
#include "store/registry/libcurl.h"

/**
 * trust_apply() - whose certificates a connection believes, and which one it shows
 * @host: with its port, as URLs have it after url_origin()
 *
 * The system's CAs; those of --cacert; those of the first certs.d/HOST[:PORT] that there is
 * (containers-certs.d(5)): *.crt are CAs, X.cert with X.key is what we show.
 * Return: 0; -ENOENT, -EINVAL: a file that was asked for.
 */
int trust_apply(CURL *easy, const struct registry_options *options, const char *host, struct diag *diag);

#endif
