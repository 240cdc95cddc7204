/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_PROCESS_H
#define NACRE_TOOLS_PROCESS_H

#include <stdbool.h>

/** process_find() - the file of a program, found in PATH where its name has no '/'; to be freed; NULL: there is none. */
char *process_find(const char *program);
bool process_can_run(const char *program);

/**
 * process_run() - run a program, found in PATH, and wait for it
 * @ret_said: what it wrote on stderr; a string to free(), never NULL afterwards
 *
 * stdin and stdout are /dev/null.  stderr is a file and not a pipe: a daemon
 * that is left behind with it open keeps nobody waiting.
 * Return: its exit status; 128 + N if signal N ended it; -errno if it did not start.
 */
int process_run(char *const *argv, char **ret_said);

/** process_ask() - the same, for what it writes on stdout; stderr is /dev/null */
int process_ask(char *const *argv, char **ret_said);

#endif
