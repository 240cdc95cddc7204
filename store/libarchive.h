/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LIBARCHIVE_H
#define NACRE_STORE_LIBARCHIVE_H

/* libarchive, loaded when it is needed (store/base/library.h): all of <archive.h> that store/ calls. */

#include "store/base/library.h"

#include <archive.h>
#include <archive_entry.h>

/** libarchive_load() - before the first of its functions; see library_load(). */
int libarchive_load(struct diag *diag);

#ifdef LAZY_LIBRARIES

#define LIBARCHIVE_FUNCTIONS(F)              \
	F(archive_entry_acl_next)            \
	F(archive_entry_acl_reset)           \
	F(archive_entry_acl_types)           \
	F(archive_entry_filetype)            \
	F(archive_entry_gid)                 \
	F(archive_entry_hardlink)            \
	F(archive_entry_mode)                \
	F(archive_entry_mtime)               \
	F(archive_entry_mtime_nsec)          \
	F(archive_entry_pathname)            \
	F(archive_entry_rdevmajor)           \
	F(archive_entry_rdevminor)           \
	F(archive_entry_size)                \
	F(archive_entry_symlink)             \
	F(archive_entry_uid)                 \
	F(archive_entry_xattr_next)          \
	F(archive_entry_xattr_reset)         \
	F(archive_errno)                     \
	F(archive_error_string)              \
	F(archive_filter_bytes)              \
	F(archive_format)                    \
	F(archive_read_data)                 \
	F(archive_read_data_block)           \
	F(archive_read_data_skip)            \
	F(archive_read_free)                 \
	F(archive_read_header_position)      \
	F(archive_read_new)                  \
	F(archive_read_next_header)          \
	F(archive_read_open)                 \
	F(archive_read_open_fd)              \
	F(archive_read_support_filter_bzip2) \
	F(archive_read_support_filter_gzip)  \
	F(archive_read_support_filter_lz4)   \
	F(archive_read_support_filter_lzma)  \
	F(archive_read_support_filter_xz)    \
	F(archive_read_support_filter_zstd)  \
	F(archive_read_support_format_empty) \
	F(archive_read_support_format_raw)   \
	F(archive_read_support_format_tar)   \
	F(archive_set_error)

struct libarchive_functions {
#define MEMBER(name) typeof(name) *name;
	LIBARCHIVE_FUNCTIONS(MEMBER)
#undef MEMBER
};
extern struct libarchive_functions libarchive_functions;

#define archive_entry_acl_next		  libarchive_functions.archive_entry_acl_next
#define archive_entry_acl_reset		  libarchive_functions.archive_entry_acl_reset
#define archive_entry_acl_types		  libarchive_functions.archive_entry_acl_types
#define archive_entry_filetype		  libarchive_functions.archive_entry_filetype
#define archive_entry_gid		  libarchive_functions.archive_entry_gid
#define archive_entry_hardlink		  libarchive_functions.archive_entry_hardlink
#define archive_entry_mode		  libarchive_functions.archive_entry_mode
#define archive_entry_mtime		  libarchive_functions.archive_entry_mtime
#define archive_entry_mtime_nsec	  libarchive_functions.archive_entry_mtime_nsec
#define archive_entry_pathname		  libarchive_functions.archive_entry_pathname
#define archive_entry_rdevmajor		  libarchive_functions.archive_entry_rdevmajor
#define archive_entry_rdevminor		  libarchive_functions.archive_entry_rdevminor
#define archive_entry_size		  libarchive_functions.archive_entry_size
#define archive_entry_symlink		  libarchive_functions.archive_entry_symlink
#define archive_entry_uid		  libarchive_functions.archive_entry_uid
#define archive_entry_xattr_next	  libarchive_functions.archive_entry_xattr_next
#define archive_entry_xattr_reset	  libarchive_functions.archive_entry_xattr_reset
#define archive_errno			  libarchive_functions.archive_errno
#define archive_error_string		  libarchive_functions.archive_error_string
#define archive_filter_bytes		  libarchive_functions.archive_filter_bytes
#define archive_format			  libarchive_functions.archive_format
#define archive_read_data		  libarchive_functions.archive_read_data
#define archive_read_data_block		  libarchive_functions.archive_read_data_block
#define archive_read_data_skip		  libarchive_functions.archive_read_data_skip
#define archive_read_free		  libarchive_functions.archive_read_free
#define archive_read_header_position	  libarchive_functions.archive_read_header_position
#define archive_read_new		  libarchive_functions.archive_read_new
#define archive_read_next_header	  libarchive_functions.archive_read_next_header
#define archive_read_open		  libarchive_functions.archive_read_open
#define archive_read_open_fd		  libarchive_functions.archive_read_open_fd
#define archive_read_support_filter_bzip2 libarchive_functions.archive_read_support_filter_bzip2
#define archive_read_support_filter_gzip  libarchive_functions.archive_read_support_filter_gzip
#define archive_read_support_filter_lz4	  libarchive_functions.archive_read_support_filter_lz4
#define archive_read_support_filter_lzma  libarchive_functions.archive_read_support_filter_lzma
#define archive_read_support_filter_xz	  libarchive_functions.archive_read_support_filter_xz
#define archive_read_support_filter_zstd  libarchive_functions.archive_read_support_filter_zstd
#define archive_read_support_format_empty libarchive_functions.archive_read_support_format_empty
#define archive_read_support_format_raw	  libarchive_functions.archive_read_support_format_raw
#define archive_read_support_format_tar	  libarchive_functions.archive_read_support_format_tar
#define archive_set_error		  libarchive_functions.archive_set_error

#endif

#endif
