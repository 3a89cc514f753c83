/*
 * UTF-8, character by character: what strings of CEL and regular expressions
 * count in. Pure; any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Given for a byte that begins no valid character; one byte is skipped. */
#define UTF8_BAD UINT32_MAX

/* The character at *at, which moves behind it; *at < s.len. */
uint32_t utf8_next(struct str s, size_t *at);

/* Writes the character; returns its 1 to 4 bytes. c is a scalar value. */
size_t utf8_put(uint32_t c, char out[4]);

/* How many characters s has. */
size_t utf8_count(struct str s);

/* The byte where character number i begins (the length at the end and past
 * it). */
size_t utf8_offset(struct str s, size_t i);
