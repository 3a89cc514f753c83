/*
 * Functions that this project does not use: they are unbounded, locale- or
 * time-zone-dependent, or not thread-safe. Forced in front of every file
 * (meson.build), behind the system headers that declare them. alloca and
 * variable-length arrays are refused by warnings instead.
 */
#pragma once

#include <ctype.h>  /* locale-dependent: nothing here is used */
#include <stdio.h>  /* sprintf, vsprintf, popen, gets */
#include <stdlib.h> /* atoi, rand, system */
#include <string.h> /* strcpy, strcat, strncpy, strtok */
#include <time.h>   /* gmtime, localtime, ctime */

/* With clang, glibc's fortified headers make macros of these. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf
#pragma GCC poison strtok atoi atol atoll atof rand srand system popen
#pragma GCC poison gmtime localtime ctime asctime mktemp tmpnam
