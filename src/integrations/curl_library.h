/*
 * libcurl, loaded when the first partner system is called: it brings some
 * thirty libraries along, for which an engine without partners has no use. Any
 * thread.
 */
#pragma once

#include <curl/curl.h>

#define CURL_LIBRARY(F)                                                        \
    F(curl_easy_cleanup)                                                       \
    F(curl_easy_getinfo)                                                       \
    F(curl_easy_init)                                                          \
    F(curl_easy_setopt)                                                        \
    F(curl_easy_strerror)                                                      \
    F(curl_free)                                                               \
    F(curl_getdate)                                                            \
    F(curl_global_init)                                                        \
    F(curl_multi_add_handle)                                                   \
    F(curl_multi_cleanup)                                                      \
    F(curl_multi_info_read)                                                    \
    F(curl_multi_init)                                                         \
    F(curl_multi_perform)                                                      \
    F(curl_multi_poll)                                                         \
    F(curl_multi_remove_handle)                                                \
    F(curl_multi_setopt)                                                       \
    F(curl_slist_append)                                                       \
    F(curl_slist_free_all)                                                     \
    F(curl_url)                                                                \
    F(curl_url_cleanup)                                                        \
    F(curl_url_get)                                                            \
    F(curl_url_set)

/* Its functions by their own names; call them as (l->curl_easy_init)(), since
 * some names are macros as well. */
struct curl_library {
#define CURL_LIBRARY_MEMBER(name) __typeof__(name) *name;
    CURL_LIBRARY(CURL_LIBRARY_MEMBER)
#undef CURL_LIBRARY_MEMBER
};

/* Loads it if that has not been done. Ends the process, with the reason, when
 * it is not there: an installation without it is incomplete. */
const struct curl_library *curl_library(void);
