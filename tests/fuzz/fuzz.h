/*
 * The one function that every fuzz target defines: libFuzzer calls it with
 * generated inputs, replay.c with the files of the target's corpus. It aborts
 * when something is wrong. One thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
