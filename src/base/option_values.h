/* base/option_values.h: texts of options: numbers, durations, sizes, words, and the nearest word to a wrong one. Pure;
 * any thread. */
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
/* How many letters must be put in, taken out, changed, or swapped with the next, to make one text of the other. Texts
 * over 63 bytes are as far apart as they are long. */
uint32_t wr_text_distance(const char *a, const char *b);
/* Is something at this distance from `word` near enough to be what was meant? */
static inline bool wr_is_near(uint32_t distance, size_t word_length) {
  return distance * 2 <= word_length + 2;
}

#endif
