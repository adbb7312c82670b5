/* api/option_values.h: texts of options: durations, numbers, words. Pure; any thread. */
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

#endif
