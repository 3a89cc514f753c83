#include "integrations/curl_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define CURL_LIBRARY_FILE "libcurl.so.4"

static struct curl_library library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* POSIX lets a data pointer of dlsym be a function's. */
static void find(void *handle, const char *name, void *to)
{
    void *at = dlsym(handle, name);
    if (at == NULL) {
        (void)fprintf(stderr, "<3>" CURL_LIBRARY_FILE " has no %s\n", name);
    }
    ASSERT(at != NULL);
    memcpy(to, &at, sizeof(at));
}

static void load(void)
{
    void *handle = dlopen(CURL_LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        (void)fprintf(stderr, "<3>partner systems need libcurl: %s\n",
                      dlerror());
    }
    ASSERT(handle != NULL);
#define CURL_LIBRARY_FIND(name) find(handle, #name, (void *)&library.name);
    CURL_LIBRARY(CURL_LIBRARY_FIND)
    ASSERT((library.curl_global_init)(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

const struct curl_library *curl_library(void)
{
    ASSERT(pthread_once(&once, load) == 0);
    return &library;
}
