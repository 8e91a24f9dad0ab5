/*
 * Is this text UTF-8? Strict as Python's decoder: no overlong form, no surrogate, no more than
 * U+10FFFF. What passes here can always be turned into a str later.
 */
#ifndef MULTICONNECT_UTF8_H
#define MULTICONNECT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool mc_utf8_is_valid(const uint8_t *text, size_t size);

#endif
