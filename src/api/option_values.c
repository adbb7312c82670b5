/* api/option_values.c: see option_values.h. */
#include "api/option_values.h"

#include <string.h>

static const struct {
  const char *name;
  int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}};

static const int64_t duration_max_ms = 1000ll * 365 * 24 * 60 * 60 * 1000;

/* Reads digits up to `maximum`; NULL where there are none, or they say more. */
static const char *read_digits(const char *text, int64_t maximum, int64_t *out_number) {
  int64_t number = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (number > (maximum - (*at - '0')) / 10) return NULL;
    number = number * 10 + (*at - '0');
  }
  *out_number = number;
  return at == text ? NULL : at;
}

bool wr_parse_number(const char *text, int64_t maximum, int64_t *out_number) {
  int64_t number = 0;
  const char *end = read_digits(text, maximum, &number);
  if (end == NULL || *end != 0 || number == 0) return false;
  *out_number = number;
  return true;
}

bool wr_parse_duration(const char *text, int64_t *out_ms) {
  int64_t number = 0;
  const char *end = read_digits(text, duration_max_ms, &number);
  if (end == NULL || number == 0) return false;
  while (*end == ' ')
    end++;
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(end, units[i].name) != 0) continue;
    if (number > duration_max_ms / units[i].ms) return false;
    *out_ms = number * units[i].ms;
    return true;
  }
  return false;
}

bool wr_is_choice(const char *choices, const char *word) {
  size_t length = strlen(word);
  for (const char *at = choices; at != NULL && length != 0;) {
    const char *bar = strchr(at, '|');
    size_t here = bar == NULL ? strlen(at) : (size_t)(bar - at);
    if (here == length && memcmp(at, word, length) == 0) return true;
    at = bar == NULL ? NULL : bar + 1;
  }
  return false;
}
