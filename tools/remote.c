// SPDX-License-Identifier: Apache-2.0
#include "tools/remote.h"

#include "tools/ui.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { RETRIES_MAX = 100 };

static int read_retries(const struct args *args, unsigned *ret)
{
	const char *text = args_get(args, "retry");
	char *end;
	long n;

	*ret = REGISTRY_RETRIES;
	if (!text)
		return DONE;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 0 || n > RETRIES_MAX)
		return args_misused(args->command, "--retry needs a number from 0 to %d, not '%s'", RETRIES_MAX, text);
	*ret = (unsigned)n;
	return DONE;
}

int remote_options(const struct args *args, struct registry_options *ret)
{
	*ret = (struct registry_options){
		.authfile = args_get(args, "authfile"),
		.cacert = args_get(args, "cacert"),
		.cert_dir = args_get(args, "cert-dir"),
		.insecure = args_has(args, "insecure"),
	};
	/* A connection that breaks is an error like others (store/registry.h). */
	signal(SIGPIPE, SIG_IGN);
	return read_retries(args, &ret->retries);
}

const char *remote_hint(int err)
{
	switch (err) {
	case -EACCES:
		return "'podman login', 'skopeo login' or 'docker login' keeps credentials where nacre finds them";
	case -ENOKEY:
		return "--cacert FILE names the CA of a private registry";
	case -EPROTO:
		return "--insecure allows a registry without HTTPS";
	default:
		return NULL;
	}
}

static void on_begin(size_t no, const char *digest, uint64_t bytes, void *arg)
{
	struct remote_view *view = arg;

	bars_begin(view->bars, no, digest, bytes);
}

static void on_progress(size_t no, uint64_t bytes, void *arg)
{
	struct remote_view *view = arg;

	bars_progress(view->bars, no, bytes);
}

static void on_end(size_t no, enum transfer_result result, void *arg)
{
	struct remote_view *view = arg;

	bars_end(view->bars, no, view->words[result]);
}

struct transfer_events remote_events(struct remote_view *view)
{
	return (struct transfer_events){ on_begin, on_progress, on_end, view };
}
