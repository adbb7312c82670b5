/* base/option_values.h: texts of options: numbers, durations, sizes, words. Pure; any thread. */
#ifndef WR_BASE_OPTION_VALUES_H
#define WR_BASE_OPTION_VALUES_H

#include "base/error.h"

#include <stdint.h>

/* A whole number from `minimum` to `maximum`: digits, in front of them '-' where it is below 0. */
bool wr_parse_number(const char *text, int64_t minimum, int64_t maximum, int64_t *out_number);
/* "200ms", "1s", "5 min", "2h", "1d", "0s" in milliseconds. False: it is no duration, or longer than 1,000 years. */
bool wr_parse_duration(const char *text, int64_t *out_ms);
/* "4096", "64kb", "128 mb", "1g" in bytes; a kilobyte has 1,024 and the case does not matter, as in Flink. */
bool wr_parse_bytes(const char *text, int64_t *out_bytes);
/* The place of `word` in "a|b|c", from 0; -1: it is none of them. */
int32_t wr_find_choice(const char *choices, const char *word);

#endif
