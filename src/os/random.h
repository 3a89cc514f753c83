/*
 * Random bytes from the kernel. Any thread.
 */
#pragma once

#include <stddef.h>

/* Fills buf; never fails and never gives less. Blocks only before the kernel
 * has gathered its first entropy. */
void os_random(void *buf, size_t len);
