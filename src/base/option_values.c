/* api/option_values.c: see option_values.h. */
#include "base/option_values.h"

#include <string.h>

struct unit {
  const char *name;
  int64_t factor;
};
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 60 * 60 * 1000}, {"d", 24 * 60 * 60 * 1000}};
static const struct unit byte_units[] = {{"", 1},          {"b", 1},          {"bytes", 1},
                                         {"k", 1ll << 10}, {"kb", 1ll << 10}, {"kibibytes", 1ll << 10},
                                         {"m", 1ll << 20}, {"mb", 1ll << 20}, {"mebibytes", 1ll << 20},
                                         {"g", 1ll << 30}, {"gb", 1ll << 30}, {"gibibytes", 1ll << 30},
                                         {"t", 1ll << 40}, {"tb", 1ll << 40}, {"tebibytes", 1ll << 40}};

static const int64_t duration_max_ms = 1000ll * 365 * 24 * 60 * 60 * 1000;

/* Reads digits up to `maximum`; NULL where there are none, or they say more. */
static const char *read_digits(const char *text, uint64_t maximum, uint64_t *out_number) {
  uint64_t number = 0;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++) {
    uint64_t digit = (uint64_t)(*at - '0');
    if (digit > maximum || number > (maximum - digit) / 10) return NULL;
    number = number * 10 + digit;
  }
  *out_number = number;
  return at == text ? NULL : at;
}

bool wr_parse_number(const char *text, int64_t minimum, int64_t maximum, int64_t *out_number) {
  bool is_negative = text[0] == '-';
  uint64_t size = 0;
  const char *end = read_digits(text + is_negative, (uint64_t)INT64_MAX + is_negative, &size);
  if (end == NULL || *end != 0) return false;
  int64_t number = (int64_t)(is_negative ? 0 - size : size);
  if (number < minimum || number > maximum) return false;
  *out_number = number;
  return true;
}

static bool is_word(const char *text, const char *small) {
  for (; *text != 0 && *small != 0; text++, small++)
    if ((*text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text) != *small) return false;
  return *text == *small;
}

/* A number and its unit. */
static bool parse_with_unit(const char *text, const struct unit *units, size_t unit_count, bool any_case,
                            int64_t maximum, int64_t *out_number) {
  uint64_t number = 0;
  const char *end = read_digits(text, (uint64_t)maximum, &number);
  if (end == NULL) return false;
  while (*end == ' ')
    end++;
  for (size_t i = 0; i < unit_count; i++) {
    if (any_case ? !is_word(end, units[i].name) : strcmp(end, units[i].name) != 0) continue;
    if ((int64_t)number > maximum / units[i].factor) return false;
    *out_number = (int64_t)number * units[i].factor;
    return true;
  }
  return false;
}

bool wr_parse_duration(const char *text, int64_t *out_ms) {
  return parse_with_unit(text, duration_units, sizeof duration_units / sizeof duration_units[0], false, duration_max_ms,
                         out_ms);
}

bool wr_parse_bytes(const char *text, int64_t *out_bytes) {
  return parse_with_unit(text, byte_units, sizeof byte_units / sizeof byte_units[0], true, INT64_MAX, out_bytes);
}

int32_t wr_find_choice(const char *choices, const char *word) {
  size_t length = strlen(word);
  int32_t index = 0;
  for (const char *at = choices; at != NULL && length != 0; index++) {
    const char *bar = strchr(at, '|');
    size_t here = bar == NULL ? strlen(at) : (size_t)(bar - at);
    if (here == length && memcmp(at, word, length) == 0) return index;
    at = bar == NULL ? NULL : bar + 1;
  }
  return -1;
}
