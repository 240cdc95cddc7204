// SPDX-License-Identifier: Apache-2.0
#include "tools/cli.h"

#include <string.h>

/* The options that several commands share, said in the same words everywhere. */
#define OPTION_JSON                                            \
	{                                                      \
		0, "json", NULL, "print JSON, exact and whole" \
	}
#define OPTION_FORMAT                                                                                        \
	{                                                                                                    \
		0, "format", "TEMPLATE", "print each row so: '{{.Repository}}:{{.Tag}}', json, 'table ...'", \
			OPERAND_OTHER                                                                        \
	}
#define OPTION_NO_TRUNC                                             \
	{                                                           \
		0, "no-trunc", NULL, "do not shorten IDs and texts" \
	}
#define OPTION_PLATFORM                                                                                  \
	{                                                                                                \
		0, "platform", "OS/ARCH", "of an image for several, take this platform's", OPERAND_OTHER \
	}
#define OPTIONS_REGISTRY                                                                    \
	{ 0, "authfile", "FILE", "credentials, instead of the usual files", OPERAND_FILE }, \
		{ 0, "cacert", "FILE", "trust these CA certificates too", OPERAND_FILE },   \
		{ 0, "cert-dir", "DIR", "certificates, instead of certs.d", OPERAND_DIR },  \
		{ 0, "insecure", NULL, "allow plain HTTP and unknown certificates" },       \
	{                                                                                   \
		0, "retry", "N", "try again so often (4)", OPERAND_OTHER                    \
	}
#define OPTIONS_LIMITS                                                                                          \
	{ 0, "max-size", "BYTES", "refuse a layer that unpacks to more (1T; 0: no limit)", OPERAND_OTHER },     \
		{ 0, "max-entries", "N", "refuse a layer of more entries (10000000)", OPERAND_OTHER },          \
	{                                                                                                       \
		0, "max-ratio", "N", "refuse what unpacks to over N times its size and 1G (200)", OPERAND_OTHER \
	}
#define OPTIONS_END \
	{           \
		0   \
	}

const struct option_desc global_options[] = {
	{ 0, "store", "DIR", "the store; else $NACRE_STORE, else the user's own", OPERAND_DIR },
	{ 'h', "help", NULL, "show this help" },
	{ 'v', "version", NULL, "show the version" },
	OPTIONS_END,
};

static const struct option_desc import_options[] = {
	{ 'm', "message", "TEXT", "what the image's history says of it" },
	{ 'q', "quiet", NULL, "show no progress" },
	OPTIONS_LIMITS,
	OPTIONS_END,
};

static const struct option_desc load_options[] = {
	{ 'i', "input", "FILE", "the same as the operand", OPERAND_FILE },
	OPTION_PLATFORM,
	{ 'q', "quiet", NULL, "show no layers and no progress" },
	OPTIONS_LIMITS,
	OPTIONS_END,
};

static const struct option_desc save_options[] = {
	{ 'o', "output", "FILE", "write there, instead of to standard output", OPERAND_FILE },
	{ 0, "format", "FORMAT", "docker-archive (the default), oci-archive, oci-dir", OPERAND_OTHER },
	{ 'z', "gzip", NULL, "OCI: compress the layers" },
	OPTIONS_END,
};

static const struct option_desc export_options[] = {
	{ 'o', "output", "FILE", "write there, instead of to standard output", OPERAND_FILE },
	{ 0, "layer", "ID", "this layer alone, as it came in: its diff ID, or the first digits of it", OPERAND_OTHER },
	{ 'q', "quiet", NULL, "show no progress" },
	OPTIONS_END,
};

static const struct option_desc pull_options[] = {
	OPTION_PLATFORM, { 'q', "quiet", NULL, "print only the image ID" },
	OPTION_JSON,	 OPTIONS_REGISTRY,
	OPTIONS_LIMITS,	 OPTIONS_END,
};

static const struct option_desc push_options[] = {
	{ 'q', "quiet", NULL, "print only the manifest's digest" },
	OPTION_JSON,
	{ 0, "chunk-size", "BYTES", "send blobs in chunks of so much at once (64M of those over 256M)", OPERAND_OTHER },
	OPTIONS_REGISTRY,
	OPTIONS_END,
};

static const struct option_desc search_options[] = {
	{ 0, "list-tags", NULL, "list the tags of this repository instead" },
	{ 'q', "quiet", NULL, "names only" },
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_REGISTRY,
	OPTIONS_END,
};

static const struct option_desc images_options[] = {
	{ 'a', "all", NULL, "also images without a name that others are built on" },
	{ 'q', "quiet", NULL, "IDs only, each once" },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc inspect_options[] = {
	{ 'f', "format", "TEMPLATE", "print so of each, instead: '{{.Id}} {{.State.Status}}', '{{json .Config}}'",
	  OPERAND_OTHER },
	OPTIONS_END,
};

static const struct option_desc history_options[] = {
	{ 'q', "quiet", NULL, "IDs only" }, OPTION_NO_TRUNC, OPTION_JSON, OPTION_FORMAT, OPTIONS_END,
};

static const struct option_desc rmi_options[] = {
	{ 'f', "force", NULL, "by ID also with several names; one that is not there is no failure" },
	OPTIONS_END,
};

static const struct option_desc mount_options[] = {
	{ 'w', "rw", NULL, "writable: make a container for the changes and print its ID" },
	{ 0, "name", "NAME", "with --rw: what the new container is called", OPERAND_OTHER },
	{ 0, "container", "ID", "mount this container again, instead of an image", OPERAND_CONTAINER },
	{ 0, "layer", "ID", "show this layer alone: its diff ID, or the first digits of it", OPERAND_OTHER },
	{ 0, "layers", NULL, "show a folder for each layer of the image, and merged/" },
	{ 0, "all", NULL, "show a folder for each image and each layer of the store" },
	{ 0, "whiteouts", "FORM", "of one layer: hide (the default), mark (.wh.NAME files), device (0:0)",
	  OPERAND_OTHER },
	{ 'o', "options", "OPTIONS", "more options for the driver, see nacrefs(1)", OPERAND_OTHER },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc umount_options[] = {
	{ 0, "rm", NULL, "remove the container too, and all that was changed in it" },
	OPTIONS_END,
};

static const struct option_desc diff_options[] = {
	{ 0, "layer", "ID", "what this layer changed: its diff ID, or the first digits of it", OPERAND_OTHER },
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc commit_options[] = {
	{ 'm', "message", "TEXT", "what the history says of the new layer" },
	{ 'a', "author", "TEXT", "who made it: \"Name <mail@example.org>\"" },
	{ 0, "live", NULL, "the container goes on with the new image and an empty upper, while it is in use" },
	{ 'c', "change", "LINE", "apply a Dockerfile instruction (CMD, ENV, ...); may be repeated" },
	{ 0, "squash", NULL, "one layer of all there is, instead of one more" },
	{ 'q', "quiet", NULL, "show no progress" },
	OPTIONS_END,
};

#define OPTIONS_PROCESS                                                                                          \
	{ 'i', "interactive", NULL, "read standard input" }, { 't', "tty", NULL, "with a terminal of its own" }, \
		{ 'e', "env", "NAME=VALUE", "set a variable; may be repeated", OPERAND_OTHER },                  \
		{ 0, "env-file", "FILE", "variables, one a line; may be repeated", OPERAND_FILE },               \
		{ 'w', "workdir", "DIR", "the working directory in the container", OPERAND_OTHER },              \
	{                                                                                                        \
		'u', "user", "USER", "who it runs as: USER[:GROUP], names or numbers", OPERAND_OTHER             \
	}

static const struct option_desc run_options[] = {
	{ 'd', "detach", NULL, "leave it running in the background and print its ID" },
	OPTIONS_PROCESS,
	{ 0, "rm", NULL, "remove the container when it has ended" },
	{ 0, "name", "NAME", "what the container is called", OPERAND_OTHER },
	{ 'v', "volume", "SRC:DST", "show a folder of this machine in it; SRC:DST:ro: only to be read; may be repeated",
	  OPERAND_DIR },
	{ 0, "entrypoint", "PROG", "run this in place of the image's Entrypoint and Cmd", OPERAND_OTHER },
	{ 0, "hostname", "NAME", "its host name; else its ID", OPERAND_OTHER },
	{ 0, "read-only", NULL, "its root cannot be written to" },
	{ 0, "network", "NETWORK", "host (the default): this machine's; none: only itself", OPERAND_OTHER },
	{ 0, "memory", "SIZE", "how much memory it may have: 512m, 2g (root only)", OPERAND_OTHER },
	{ 0, "pids-limit", "N", "how many processes it may have (root only)", OPERAND_OTHER },
	{ 0, "runtime", "PROGRAM", "crun (the default), or runc", OPERAND_OTHER },
	OPTIONS_END,
};

static const struct option_desc exec_options[] = {
	{ 'd', "detach", NULL, "do not wait for it" },
	OPTIONS_PROCESS,
	OPTIONS_END,
};

static const struct option_desc start_options[] = {
	{ 'a', "attach", NULL, "in the foreground, as run without -d" },
	OPTIONS_END,
};

static const struct option_desc stop_options[] = {
	{ 't', "time", "SECONDS", "before it is killed (10; -1: never)", OPERAND_OTHER },
	OPTIONS_END,
};

static const struct option_desc logs_options[] = {
	{ 'f', "follow", NULL, "go on until the container ends" },
	{ 'n', "tail", "LINES", "only the last so many lines", OPERAND_OTHER },
	{ 't', "timestamps", NULL, "when each line was written" },
	OPTIONS_END,
};

static const struct option_desc ps_options[] = {
	{ 'a', "all", NULL, "also those that neither run nor are mounted" },
	{ 'q', "quiet", NULL, "IDs only" },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc rm_options[] = {
	{ 'f', "force", NULL, "kill or unmount it first; one that is not there is no failure" },
	OPTIONS_END,
};

static const struct option_desc cp_options[] = {
	{ 'a', "archive", NULL, "of containers: keep owners too" },
	{ 'L', "follow-link", NULL, "of containers: where SRC is a symbolic link, copy what it leads to" },
	OPTIONS_END,
};

static const struct option_desc ls_options[] = {
	{ 'l', "long", NULL, "mode, owner, size, time and the layer it comes from" },
	{ 'R', "recursive", NULL, "also what is in the folders below" },
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc which_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc layers_options[] = {
	{ 'q', "quiet", NULL, "diff IDs only" }, OPTION_NO_TRUNC, OPTION_JSON, OPTION_FORMAT, OPTIONS_END,
};

static const struct option_desc layer_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc du_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

static const struct option_desc serve_layers_options[] = {
	{ 'o', "options", "OPTIONS", "more options for the driver, see nacrefs(1)", OPERAND_OTHER },
	OPTIONS_END,
};

static const struct option_desc setup_options[] = {
	{ 0, "layers", "DIR", "also let it take layers from there, see nacre-serve-layers(1)", OPERAND_DIR },
	{ 'w', "write", NULL, "write the file and print its name", OPERAND_NONE },
	OPTIONS_END,
};

static const struct option_desc verify_options[] = {
	{ 0, "repair", NULL, "then fetch what is damaged again from where it came from" },
	{ 'q', "quiet", NULL, "show no progress, and nothing when all is well" },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTIONS_REGISTRY,
	OPTIONS_END,
};

static const struct option_desc json_options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

static const struct option_desc help_options[] = {
	{ 0, "json", NULL, "print the table of all commands as JSON" },
	OPTIONS_END,
};

const struct command commands[] = {
	{ "import",
	  "[-q] [-m TEXT] [OPTIONS] FILE|- [NAME[:TAG]]",
	  "make an image from a root file system's tar archive",
	  GROUP_IMAGES,
	  import_options,
	  1,
	  2,
	  { OPERAND_FILE, OPERAND_IMAGE },
	  cmd_import },
	{ "load",
	  "[-q] [--platform OS/ARCH] [OPTIONS] [-i] FILE|DIR|-",
	  "load images from an OCI layout or a docker archive",
	  GROUP_IMAGES,
	  load_options,
	  0,
	  1,
	  { OPERAND_FILE },
	  cmd_load },
	{ "save",
	  "[-o FILE] [--format FORMAT] [-z] IMAGE...",
	  "write images to an archive or an OCI layout",
	  GROUP_IMAGES,
	  save_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_IMAGE },
	  cmd_save },
	{ "pull",
	  "[-q] [--json] [--platform OS/ARCH] [OPTIONS] [HOST/]REPO[:TAG|@DIGEST]",
	  "fetch an image from a registry",
	  GROUP_IMAGES,
	  pull_options,
	  1,
	  1,
	  { OPERAND_IMAGE },
	  cmd_pull },
	{ "push",
	  "[-q] [--json] [OPTIONS] IMAGE [[HOST/]REPO[:TAG]]",
	  "send an image to a registry",
	  GROUP_IMAGES,
	  push_options,
	  1,
	  2,
	  { OPERAND_IMAGE, OPERAND_IMAGE },
	  cmd_push },
	{ "search",
	  "[-q] [--json|--format TEMPLATE] [OPTIONS] [HOST/]TERM | --list-tags [-q] [--json] [OPTIONS] [HOST/]REPO",
	  "find images here, or in a registry",
	  GROUP_IMAGES,
	  search_options,
	  1,
	  1,
	  { OPERAND_IMAGE },
	  cmd_search },
	{ "images",
	  "[-a] [-q] [--no-trunc] [--json|--format TEMPLATE] [NAME[:TAG]]",
	  "list the images",
	  GROUP_IMAGES,
	  images_options,
	  0,
	  1,
	  { OPERAND_IMAGE },
	  cmd_images },
	{ "inspect",
	  "[-f TEMPLATE] REF...",
	  "show all about images and containers, as JSON",
	  GROUP_IMAGES,
	  inspect_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_IMAGE },
	  cmd_inspect },
	{ "history",
	  "[-q] [--no-trunc] [--json|--format TEMPLATE] IMAGE",
	  "show how an image was made, newest step first",
	  GROUP_IMAGES,
	  history_options,
	  1,
	  1,
	  { OPERAND_IMAGE },
	  cmd_history },
	{ "tag",
	  "IMAGE NAME[:TAG]",
	  "give an image one more name",
	  GROUP_IMAGES,
	  NULL,
	  2,
	  2,
	  { OPERAND_IMAGE, OPERAND_IMAGE },
	  cmd_tag },
	{ "rmi",
	  "[-f] IMAGE...",
	  "remove names of images, and images without one",
	  GROUP_IMAGES,
	  rmi_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_IMAGE },
	  cmd_rmi },

	{ "mount",
	  "[--rw] [--name NAME] [-o OPTIONS] IMAGE[@N] DIR | [-o OPTIONS] --container ID DIR | [-o OPTIONS] --layer ID [--whiteouts FORM] DIR | [-o OPTIONS] --layers [--whiteouts FORM] IMAGE DIR | [-o OPTIONS] --all [--whiteouts FORM] DIR | [--no-trunc] [--json|--format TEMPLATE]",
	  "show an image as a folder, read-only or writable, or list the mounts",
	  GROUP_CONTAINERS,
	  mount_options,
	  0,
	  2,
	  { OPERAND_IMAGE, OPERAND_DIR },
	  cmd_mount },
	{ "umount",
	  "[--rm] DIR|CONTAINER...",
	  "end mounts",
	  GROUP_CONTAINERS,
	  umount_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_MOUNT },
	  cmd_umount },
	{ "diff",
	  "[--json|--format TEMPLATE] DIR|CONTAINER | [--json|--format TEMPLATE] IMAGE[@N] IMAGE[@N] | [--json|--format TEMPLATE] --layer ID",
	  "list what was added, changed and deleted",
	  GROUP_CONTAINERS,
	  diff_options,
	  0,
	  2,
	  { OPERAND_MOUNT, OPERAND_IMAGE },
	  cmd_diff },
	{ "export",
	  "[-q] [-o FILE] IMAGE[@N]|CONTAINER|DIR | [-q] [-o FILE] --layer ID",
	  "write all files of an image or a container to a tar archive",
	  GROUP_CONTAINERS,
	  export_options,
	  0,
	  1,
	  { OPERAND_IMAGE },
	  cmd_export },
	{ "commit",
	  "[-q] [--live] [-m TEXT] [-a TEXT] [-c LINE]... [--squash] DIR|CONTAINER [NAME[:TAG]]",
	  "make an image of what was changed",
	  GROUP_CONTAINERS,
	  commit_options,
	  1,
	  2,
	  { OPERAND_MOUNT, OPERAND_IMAGE },
	  cmd_commit },
	{ "run",
	  "[-it] [-d] [--rm] [OPTIONS] IMAGE [COMMAND [ARG...]]",
	  "start a program in a new container",
	  GROUP_CONTAINERS,
	  run_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_IMAGE, OPERAND_OTHER },
	  cmd_run,
	  .options_first = true },
	{ "exec",
	  "[-it] [-d] [OPTIONS] CONTAINER COMMAND [ARG...]",
	  "start one more program in a container that runs",
	  GROUP_CONTAINERS,
	  exec_options,
	  2,
	  OPERANDS_ANY,
	  { OPERAND_CONTAINER, OPERAND_OTHER },
	  cmd_exec,
	  .options_first = true },
	{ "start",
	  "[-a] CONTAINER...",
	  "start containers again that have ended",
	  GROUP_CONTAINERS,
	  start_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_CONTAINER },
	  cmd_start },
	{ "stop",
	  "[-t SECONDS] CONTAINER...",
	  "end containers that run",
	  GROUP_CONTAINERS,
	  stop_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_CONTAINER },
	  cmd_stop },
	{ "logs",
	  "[-f] [-n LINES] [-t] CONTAINER",
	  "show what a container has written",
	  GROUP_CONTAINERS,
	  logs_options,
	  1,
	  1,
	  { OPERAND_CONTAINER },
	  cmd_logs },
	{ "ps",
	  "[-a] [-q] [--no-trunc] [--json|--format TEMPLATE]",
	  "list the writable containers",
	  GROUP_CONTAINERS,
	  ps_options,
	  0,
	  0,
	  { OPERAND_NONE },
	  cmd_ps },
	{ "rm",
	  "[-f] CONTAINER...",
	  "remove containers, and all that was changed in them",
	  GROUP_CONTAINERS,
	  rm_options,
	  1,
	  OPERANDS_ANY,
	  { OPERAND_CONTAINER },
	  cmd_rm },

	{ "layer",
	  "add DIR|CONTAINER LAYER|FOLDER | remove DIR|CONTAINER LAYER|FOLDER | ls [--no-trunc] [--json|--format TEMPLATE] DIR|CONTAINER",
	  "stack a layer on a mount in use, or take one off",
	  GROUP_LAYERS,
	  layer_options,
	  2,
	  3,
	  { OPERAND_LAYER_VERB, OPERAND_MOUNT, OPERAND_DIR },
	  cmd_layer },
	{ "layers",
	  "[-q] [--no-trunc] [--json|--format TEMPLATE] IMAGE",
	  "list the layers of an image, and what each changes and wastes",
	  GROUP_LAYERS,
	  layers_options,
	  1,
	  1,
	  { OPERAND_IMAGE },
	  cmd_layers },
	{ "browse",
	  "IMAGE[@N]",
	  "look around in an image's layers and files, on the whole terminal",
	  GROUP_LAYERS,
	  NULL,
	  1,
	  1,
	  { OPERAND_IMAGE },
	  cmd_browse },
	{ "ls",
	  "[-l] [-R] [--json|--format TEMPLATE] IMAGE[@N] [PATH]",
	  "list files of an image without a mount",
	  GROUP_LAYERS,
	  ls_options,
	  1,
	  2,
	  { OPERAND_IMAGE, OPERAND_OTHER },
	  cmd_ls },
	{ "cat",
	  "IMAGE[@N] PATH...",
	  "print files of an image without a mount",
	  GROUP_LAYERS,
	  NULL,
	  2,
	  OPERANDS_ANY,
	  { OPERAND_IMAGE, OPERAND_OTHER },
	  cmd_cat },
	{ "cp",
	  "[-a] [-L] CONTAINER:PATH DEST | [-a] [-L] SRC CONTAINER:PATH | IMAGE[@N] PATH DEST",
	  "copy files out of a container or an image, or into a container",
	  GROUP_LAYERS,
	  cp_options,
	  2,
	  3,
	  { OPERAND_COPY, OPERAND_COPY, OPERAND_FILE },
	  cmd_cp },
	{ "which",
	  "[--no-trunc] [--json|--format TEMPLATE] IMAGE[@N] PATH",
	  "tell which layers have a file, hide it or take it away",
	  GROUP_LAYERS,
	  which_options,
	  2,
	  2,
	  { OPERAND_IMAGE, OPERAND_OTHER },
	  cmd_which },

	{ "gc",
	  "[--json]",
	  "give back the space of what nothing uses any more",
	  GROUP_STORE,
	  json_options,
	  0,
	  0,
	  { OPERAND_NONE },
	  cmd_gc },
	{ "du",
	  "[--no-trunc] [--json|--format TEMPLATE]",
	  "show what images and layers cost, alone and shared",
	  GROUP_STORE,
	  du_options,
	  0,
	  0,
	  { OPERAND_NONE },
	  cmd_du },
	{ "verify",
	  "[-q] [--no-trunc] [--json] [--repair] [OPTIONS] [IMAGE...]",
	  "read everything again, and say what is damaged",
	  GROUP_STORE,
	  verify_options,
	  0,
	  OPERANDS_ANY,
	  { OPERAND_IMAGE },
	  cmd_verify },
	{ "info",
	  "[--json]",
	  "show the store, the driver and the system",
	  GROUP_STORE,
	  json_options,
	  0,
	  0,
	  { OPERAND_NONE },
	  cmd_info },
	{ "serve-layers",
	  "[-o OPTIONS] DIR",
	  "show all layers for podman and CRI-O to use",
	  GROUP_STORE,
	  serve_layers_options,
	  1,
	  1,
	  { OPERAND_DIR },
	  cmd_serve_layers },
	{ "setup",
	  "[-w] [--layers DIR] podman",
	  "let podman mount with nacrefs",
	  GROUP_STORE,
	  setup_options,
	  1,
	  1,
	  { OPERAND_OTHER },
	  cmd_setup },
	{ "version", "[--json]", "show the version", GROUP_STORE, json_options, 0, 0, { OPERAND_NONE }, cmd_version },
	{ "help",
	  "[--json] [COMMAND]",
	  "show how a command is called",
	  GROUP_STORE,
	  help_options,
	  0,
	  1,
	  { OPERAND_COMMAND },
	  cmd_help },
	{ "completion",
	  "bash|zsh|fish",
	  "print the completion script of a shell",
	  GROUP_STORE,
	  NULL,
	  1,
	  1,
	  { OPERAND_SHELL },
	  cmd_completion },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}
