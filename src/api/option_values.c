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

enum { DISTANCE_BYTES = 64 };

static uint32_t least(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

uint32_t wr_text_distance(const char *a, const char *b) {
  size_t a_length = strlen(a), b_length = strlen(b);
  if (a_length >= DISTANCE_BYTES || b_length >= DISTANCE_BYTES)
    return (uint32_t)(a_length > b_length ? a_length : b_length);
  uint32_t rows[3][DISTANCE_BYTES]; /* of the table of distances between beginnings, the last three lines */
  for (uint32_t j = 0; j <= b_length; j++)
    rows[0][j] = j;
  for (uint32_t i = 1; i <= a_length; i++) {
    uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (uint32_t j = 1; j <= b_length; j++) {
      uint32_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = least(change, least(above[j], row[j - 1]) + 1);
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = least(row[j], two_above[j - 2] + 1);
    }
  }
  return rows[a_length % 3][b_length];
}
