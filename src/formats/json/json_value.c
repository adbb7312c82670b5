/* formats/json/json_value.c: see json_value.h. Pure; any thread. */
#include "formats/json/json_value.h"

#include "os/shims/simdjson_shim.h"

#include <math.h>

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool wr_json_to_bigint(const char *text, size_t length, int64_t *out_value) {
  bool negative = text[0] == '-';
  size_t i = negative;
  uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
  if (length - i > 19) return false; /* No leading zeros in JSON: 20 digits are too many. */
  for (; i < length; i++) {
    if (!is_digit(text[i])) return false;
    value = value * 10 + (uint64_t)(text[i] - '0');
  }
  if (value > limit) return false;
  *out_value = (int64_t)(negative ? 0 - value : value);
  return true;
}

/* Up to 15 digits and a power of ten up to 22 are exact doubles, so that one multiplication or division rounds right.
 */
static bool to_double_quickly(const char *text, size_t length, double *out_value) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  bool negative = text[0] == '-', fraction = false;
  int64_t digits = 0;
  size_t count = 0, places = 0;
  for (size_t i = negative; i < length; i++) {
    if (text[i] == '.') {
      fraction = true;
      continue;
    }
    if (!is_digit(text[i]) || ++count > 15) return false;
    digits = digits * 10 + (text[i] - '0');
    places += fraction;
  }
  double value = (double)digits / powers[places];
  *out_value = negative ? -value : value;
  return true;
}

bool wr_json_to_double(const char *text, size_t length, double *out_value) {
  if (to_double_quickly(text, length, out_value)) return true;
  *out_value = wr_simdjson_double(text, length);
  return isfinite(*out_value);
}

/* ---- timestamps ---- */

/* The value of `count` digits; -1: they are not. */
static int32_t number_of(const char *text, size_t count) {
  int32_t value = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_digit(text[i])) return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

static int32_t days_in_month(int32_t year, int32_t month) {
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is a year's last. */
static int64_t days_since_1970(int32_t year, int32_t month, int32_t day) {
  int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
  int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
  return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

/* The fraction behind the seconds, as nanoseconds; -1: there is none, or it is wrong. */
static int32_t fraction_of(const char *text, size_t length) {
  if (length < 2 || length > 10 || text[0] != '.') return -1;
  int32_t value = number_of(text + 1, length - 1);
  for (size_t i = length - 1; i < 9 && value > 0; i++)
    value *= 10;
  return value;
}

bool wr_json_to_timestamp(const char *text, size_t length, struct weir_timestamp *out_value) {
  if (length < 19) return false;
  if (text[length - 1] == 'Z') length--;
  if (length < 19 || text[4] != '-' || text[7] != '-' || (text[10] != ' ' && text[10] != 'T') || text[13] != ':' ||
      text[16] != ':')
    return false;
  int32_t year = number_of(text, 4), month = number_of(text + 5, 2), day = number_of(text + 8, 2);
  int32_t hour = number_of(text + 11, 2), minute = number_of(text + 14, 2), second = number_of(text + 17, 2);
  int32_t fraction = length == 19 ? 0 : fraction_of(text + 19, length - 19);
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 || fraction < 0) return false;
  int64_t seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  *out_value =
      (struct weir_timestamp){.milliseconds = seconds * 1000 + fraction / 1000000, .nanoseconds = fraction % 1000000};
  return true;
}

/* ---- base64 ---- */

static int32_t sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool wr_json_to_bytes(const char *text, size_t length, char *out, size_t *out_length) {
  *out_length = 0;
  if (length % 4 != 0) return false;
  for (size_t i = 0; i < length; i += 4) {
    size_t padding = 0;
    if (i + 4 == length) padding = text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    int32_t group = 0;
    for (size_t j = 0; j < 4; j++) {
      int32_t bits = j >= 4 - padding ? 0 : sextet(text[i + j]);
      if (bits < 0) return false;
      group = group << 6 | bits;
    }
    if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0)) return false;
    for (size_t j = 0; j < 3 - padding; j++)
      out[(*out_length)++] = (char)(group >> (16 - 8 * j));
  }
  return true;
}
