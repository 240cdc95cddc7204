/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STORE_LIBCURL_H
#define NACRE_STORE_LIBCURL_H

/* libcurl, loaded when it is needed (store/base/library.h): all of <curl/curl.h> that store/ calls. */

#include "store/base/library.h"

#include <curl/curl.h>

/** libcurl_load() - before the first of its functions; see library_load(). */
int libcurl_load(struct diag *diag);

#ifdef LAZY_LIBRARIES

#define LIBCURL_FUNCTIONS(F)        \
	F(curl_easy_cleanup)        \
	F(curl_easy_getinfo)        \
	F(curl_easy_header)         \
	F(curl_easy_init)           \
	F(curl_easy_pause)          \
	F(curl_easy_setopt)         \
	F(curl_easy_strerror)       \
	F(curl_free)                \
	F(curl_global_init)         \
	F(curl_multi_add_handle)    \
	F(curl_multi_cleanup)       \
	F(curl_multi_info_read)     \
	F(curl_multi_init)          \
	F(curl_multi_perform)       \
	F(curl_multi_poll)          \
	F(curl_multi_remove_handle) \
	F(curl_slist_append)        \
	F(curl_slist_free_all)      \
	F(curl_url)                 \
	F(curl_url_cleanup)         \
	F(curl_url_get)             \
	F(curl_url_set)             \
	F(curl_version_info)

struct libcurl_functions {
#define MEMBER(name) typeof(name) *name;
	LIBCURL_FUNCTIONS(MEMBER)
#undef MEMBER
};
extern struct libcurl_functions libcurl_functions;

#define curl_easy_cleanup libcurl_functions.curl_easy_cleanup
#undef curl_easy_getinfo
#define curl_easy_getinfo libcurl_functions.curl_easy_getinfo
#define curl_easy_header  libcurl_functions.curl_easy_header
#define curl_easy_init	  libcurl_functions.curl_easy_init
#define curl_easy_pause	  libcurl_functions.curl_easy_pause
#undef curl_easy_setopt
#define curl_easy_setopt	 libcurl_functions.curl_easy_setopt
#define curl_easy_strerror	 libcurl_functions.curl_easy_strerror
#define curl_free		 libcurl_functions.curl_free
#define curl_global_init	 libcurl_functions.curl_global_init
#define curl_multi_add_handle	 libcurl_functions.curl_multi_add_handle
#define curl_multi_cleanup	 libcurl_functions.curl_multi_cleanup
#define curl_multi_info_read	 libcurl_functions.curl_multi_info_read
#define curl_multi_init		 libcurl_functions.curl_multi_init
#define curl_multi_perform	 libcurl_functions.curl_multi_perform
#define curl_multi_poll		 libcurl_functions.curl_multi_poll
#define curl_multi_remove_handle libcurl_functions.curl_multi_remove_handle
#define curl_slist_append	 libcurl_functions.curl_slist_append
#define curl_slist_free_all	 libcurl_functions.curl_slist_free_all
#define curl_url		 libcurl_functions.curl_url
#define curl_url_cleanup	 libcurl_functions.curl_url_cleanup
#define curl_url_get		 libcurl_functions.curl_url_get
#define curl_url_set		 libcurl_functions.curl_url_set
#define curl_version_info	 libcurl_functions.curl_version_info

#endif

#endif
