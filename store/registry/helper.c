/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry/auth.h"

#include "store/base/auto.h"
#include "store/base/buf.h"
#include "store/base/io.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

/*
 * docker's credential helpers: a program that gets a registry's address on its
 * standard input and answers {"ServerURL":, "Username":, "Secret":}.
 * Source: github.com/docker/docker-credential-helpers, README.
 */

enum { ANSWER_MAX_BYTES = 1024 * 1024 };

extern char **environ;

static bool name_is_sane(const char *name)
{
	return *name && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

/* @in and @out: its standard input and output, ours to close. */
static int start(const char *program, pid_t *ret_pid, int *ret_in, int *ret_out)
{
	char *argv[] = { (char *)program, (char *)"get", NULL };
	AUTO(closep) int in_read = -1;
	AUTO(closep) int in_write = -1;
	AUTO(closep) int out_read = -1;
	AUTO(closep) int out_write = -1;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t pipe_signal;
	int in[2], out[2], r;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	in_read = in[0];
	in_write = in[1];
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	out_read = out[0];
	out_write = out[1];
	r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	posix_spawn_file_actions_adddup2(&actions, in_read, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out_write, STDOUT_FILENO);
	/* We ignore SIGPIPE (registry.h), which a program would inherit. */
	posix_spawnattr_init(&attributes);
	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	r = posix_spawnp(ret_pid, program, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0)
		return -r;
	*ret_in = TAKE_FD(in_write);
	*ret_out = TAKE_FD(out_read);
	return 0;
}

static int converse(int in, int out, const char *key, struct buf *answer)
{
	char part[4096];
	ssize_t n = 0;
	/* It may not read at all: then there is nothing to be told. */
	int r = io_write_full(in, key, strlen(key));

	closep(&in);
	while ((r == 0 || r == -EPIPE) && (n = io_read_full(out, part, sizeof(part))) > 0) {
		buf_add(answer, part, (size_t)n);
		if (answer->len > ANSWER_MAX_BYTES)
			r = -EFBIG;
	}
	explicit_bzero(part, sizeof(part));
	closep(&out);
	if (n < 0)
		return (int)n;
	return r == -EPIPE ? 0 : r;
}

static int parse_answer(const char *program, const struct buf *answer, struct diag *diag, struct credentials *ret)
{
	json_t *json = json_loadb(buf_str(answer), answer->len, 0, NULL);
	const char *user = json_string_value(json_object_get(json, "Username"));
	const char *secret = json_string_value(json_object_get(json, "Secret"));
	int r = 0;

	if (!user || !secret) {
		r = diag_set(diag, -EIO, "%s: its answer is no JSON with Username and Secret", program);
	} else if (strcmp(user, "<token>") == 0) {
		ret->identity_token = strdup(secret);
		r = ret->identity_token ? 0 : -ENOMEM;
	} else {
		ret->user = strdup(user);
		ret->password = strdup(secret);
		r = ret->user && ret->password ? 0 : -ENOMEM;
	}
	json_decref(json);
	return r;
}

int credential_helper_get(const char *name, const char *key, struct diag *diag, struct credentials *ret)
{
	AUTO(buf_release) struct buf answer = { 0 };
	AUTO(freep) char *program = NULL;
	int in = -1, out = -1, status = 0, r;
	pid_t pid;

	if (!name_is_sane(name))
		return diag_set(diag, -EINVAL, "\"%s\" is not the name of a credential helper", name);
	if (asprintf(&program, "docker-credential-%s", name) < 0) {
		program = NULL;
		return -ENOMEM;
	}
	r = start(program, &pid, &in, &out);
	if (r < 0)
		return diag_set(diag, -EIO, "cannot run the credential helper %s: %s", program, strerror(-r));
	r = converse(in, out, key, &answer);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	buf_add(&answer, "", 0);
	if (r == 0)
		r = buf_error(&answer);
	if (r < 0)
		return diag_errno(diag, r, "cannot talk to the credential helper %s", program);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		r = parse_answer(program, &answer, diag, ret);
	else if (strstr(buf_str(&answer), "credentials not found"))
		r = -ENOENT;
	else
		r = diag_set(diag, -EIO, "the credential helper %s failed: %.200s", program, buf_str(&answer));
	if (answer.data)
		explicit_bzero(answer.data, answer.len);
	return r;
}
