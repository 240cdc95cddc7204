// SPDX-License-Identifier: Apache-2.0
#include "tools/commandopts.h"

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

const struct option_desc import_options[] = {
	{ 'm', "message", "TEXT", "what the image's history says of it" },
	{ 'c', "change", "LINE", "apply a Dockerfile instruction (CMD, ENV, ...); may be repeated" },
	{ 'q', "quiet", NULL, "show no progress" },
	OPTIONS_LIMITS,
	OPTIONS_END,
};

const struct option_desc load_options[] = {
	{ 'i', "input", "FILE", "the same as the operand", OPERAND_FILE },
	OPTION_PLATFORM,
	{ 'q', "quiet", NULL, "show no layers and no progress" },
	OPTIONS_LIMITS,
	OPTIONS_END,
};

const struct option_desc save_options[] = {
	{ 'o', "output", "FILE", "write there, instead of to standard output", OPERAND_FILE },
	{ 0, "format", "FORMAT", "docker-archive (the default), oci-archive, oci-dir", OPERAND_OTHER },
	{ 'z', "gzip", NULL, "OCI: compress the layers" },
	OPTIONS_END,
};

const struct option_desc export_options[] = {
	{ 'o', "output", "FILE", "write there, instead of to standard output", OPERAND_FILE },
	{ 0, "layer", "ID", "this layer alone, as it came in: its diff ID, or the first digits of it", OPERAND_OTHER },
	{ 'q', "quiet", NULL, "show no progress" },
	OPTIONS_END,
};

const struct option_desc pull_options[] = {
	OPTION_PLATFORM, { 'q', "quiet", NULL, "print only the image ID" },
	OPTION_JSON,	 OPTIONS_REGISTRY,
	OPTIONS_LIMITS,	 OPTIONS_END,
};

const struct option_desc push_options[] = {
	{ 'q', "quiet", NULL, "print only the manifest's digest" },
	OPTION_JSON,
	{ 0, "chunk-size", "BYTES", "send blobs in chunks of so much at once (64M of those over 256M)", OPERAND_OTHER },
	OPTIONS_REGISTRY,
	OPTIONS_END,
};

const struct option_desc search_options[] = {
	{ 0, "list-tags", NULL, "list the tags of this repository instead" },
	{ 'q', "quiet", NULL, "names only" },
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_REGISTRY,
	OPTIONS_END,
};

const struct option_desc images_options[] = {
	{ 'a', "all", NULL, "also images without a name that others are built on" },
	{ 'q', "quiet", NULL, "IDs only, each once" },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc inspect_options[] = {
	{ 'f', "format", "TEMPLATE", "print so of each, instead: '{{.Id}} {{.State.Status}}', '{{json .Config}}'",
	  OPERAND_OTHER },
	OPTIONS_END,
};

const struct option_desc history_options[] = {
	{ 'q', "quiet", NULL, "IDs only" }, OPTION_NO_TRUNC, OPTION_JSON, OPTION_FORMAT, OPTIONS_END,
};

const struct option_desc rmi_options[] = {
	{ 'f', "force", NULL, "by ID also with several names; one that is not there is no failure" },
	OPTIONS_END,
};

const struct option_desc mount_options[] = {
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

const struct option_desc umount_options[] = {
	{ 0, "rm", NULL, "remove the container too, and all that was changed in it" },
	OPTIONS_END,
};

const struct option_desc diff_options[] = {
	{ 0, "layer", "ID", "what this layer changed: its diff ID, or the first digits of it", OPERAND_OTHER },
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc commit_options[] = {
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

const struct option_desc run_options[] = {
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
	{ 'm', "memory", "SIZE", "how much memory it may have: 512m, 2g (root only)", OPERAND_OTHER },
	{ 0, "pids-limit", "N", "how many processes it may have (root only)", OPERAND_OTHER },
	{ 0, "runtime", "PROGRAM", "crun (the default), or runc", OPERAND_OTHER },
	OPTIONS_END,
};

const struct option_desc exec_options[] = {
	{ 'd', "detach", NULL, "do not wait for it" },
	OPTIONS_PROCESS,
	OPTIONS_END,
};

const struct option_desc start_options[] = {
	{ 'a', "attach", NULL, "in the foreground, as run without -d" },
	OPTIONS_END,
};

const struct option_desc stop_options[] = {
	{ 't', "time", "SECONDS", "before it is killed (10; -1: never)", OPERAND_OTHER },
	OPTIONS_END,
};

const struct option_desc kill_options[] = {
	{ 's', "signal", "SIGNAL", "send this, as HUP, SIGUSR1 or 15; not KILL", OPERAND_OTHER },
	OPTIONS_END,
};

const struct option_desc top_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc logs_options[] = {
	{ 'f', "follow", NULL, "go on until the container ends" },
	{ 'n', "tail", "LINES", "only the last so many lines", OPERAND_OTHER },
	{ 't', "timestamps", NULL, "when each line was written" },
	OPTIONS_END,
};

const struct option_desc ps_options[] = {
	{ 'a', "all", NULL, "also those that neither run nor are mounted" },
	{ 'q', "quiet", NULL, "IDs only" },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc rm_options[] = {
	{ 'f', "force", NULL, "kill or unmount it first; one that is not there is no failure" },
	OPTIONS_END,
};

const struct option_desc cp_options[] = {
	{ 'a', "archive", NULL, "of containers: keep owners too" },
	{ 'L', "follow-link", NULL, "of containers: where SRC is a symbolic link, copy what it leads to" },
	OPTIONS_END,
};

const struct option_desc ls_options[] = {
	{ 'l', "long", NULL, "mode, owner, size, time and the layer it comes from" },
	{ 'R', "recursive", NULL, "also what is in the folders below" },
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc which_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc layers_options[] = {
	{ 'q', "quiet", NULL, "diff IDs only" }, OPTION_NO_TRUNC, OPTION_JSON, OPTION_FORMAT, OPTIONS_END,
};

const struct option_desc layer_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc du_options[] = {
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTION_FORMAT,
	OPTIONS_END,
};

const struct option_desc serve_layers_options[] = {
	{ 'o', "options", "OPTIONS", "more options for the driver, see nacrefs(1)", OPERAND_OTHER },
	OPTIONS_END,
};

const struct option_desc setup_options[] = {
	{ 0, "images", "DIR", "let it have the images there as its own, see nacre-serve-layers(1)", OPERAND_DIR },
	{ 0, "layers", "DIR", "let it take layers from there as it pulls; for podman before 5.1", OPERAND_DIR },
	{ 'w', "write", NULL, "write the file and print its name", OPERAND_NONE },
	OPTIONS_END,
};

const struct option_desc verify_options[] = {
	{ 0, "repair", NULL, "then fetch what is damaged again from where it came from" },
	{ 0, "from", "FILE|DIR", "repair from this archive first, may be given several times", OPERAND_FILE },
	{ 'q', "quiet", NULL, "show no progress, and nothing when all is well" },
	OPTION_NO_TRUNC,
	OPTION_JSON,
	OPTIONS_REGISTRY,
	OPTIONS_END,
};

const struct option_desc json_options[] = {
	OPTION_JSON,
	OPTIONS_END,
};

const struct option_desc help_options[] = {
	{ 0, "json", NULL, "print the table of all commands as JSON" },
	OPTIONS_END,
};
