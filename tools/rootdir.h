/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TOOLS_ROOTDIR_H
#define NACRE_TOOLS_ROOTDIR_H

/*
 * Files below a folder that is a container's root, as a process in it would name
 * them: absolute symlinks and ".." stay in it.  What is there comes from strangers.
 */

/** rootdir_open() - @flags as open(2). Return: a descriptor, or -errno. */
int rootdir_open(int rootfd, const char *path, int flags);

/**
 * rootdir_find_program() - would execvp(3) in there find @name to run?
 * @cwd: the working directory
 * @path: what PATH is there
 *
 * Return: 0; -ENOENT; -EACCES: there is one that cannot be run.
 */
int rootdir_find_program(int rootfd, const char *cwd, const char *path, const char *name);

/** rootdir_path_of() - where an open file or folder is; a string to free(). NULL: errno says why. */
char *rootdir_path_of(int fd);

/** rootdir_make() - mkdir -p. Return: an O_PATH descriptor of the directory, or -errno. */
int rootdir_make(int rootfd, const char *path);

#endif
