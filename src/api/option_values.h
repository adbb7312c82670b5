/* api/option_values.h: texts of options: durations, numbers, words, and the nearest word to a wrong one. Pure; any
 * thread. */
#ifndef WR_API_OPTION_VALUES_H
#define WR_API_OPTION_VALUES_H

#include "base/error.h"

#include <stdint.h>

/* "200ms", "1s", "5 min", "2h", "1d" in milliseconds. False: it is no duration above 0, or longer than 1,000 years. */
bool wr_parse_duration(const char *text, int64_t *out_ms);
/* A whole number from 1 to `maximum`, digits only. */
bool wr_parse_number(const char *text, int64_t maximum, int64_t *out_number);
/* Is `word` one of "a|b|c"? */
bool wr_is_choice(const char *choices, const char *word);
/* How many letters must be put in, taken out, changed, or swapped with the next, to make one text of the other. Texts
 * over 63 bytes are as far apart as they are long. */
uint32_t wr_text_distance(const char *a, const char *b);

#endif
