/* formats/value_text.c: see value_text.h. */
#include "formats/value_text.h"

#include "formats/civil_time.h"
#include "os/shims/double_shim.h"

#include <math.h>
#include <string.h>

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                 "8081828384858687888990919293949596979899";

/* Writes `count` digits of `value`, with zeros in front. */
static char *put_digits(char *out, uint64_t value, unsigned count) {
  unsigned i = count;
  for (; i >= 2; i -= 2) {
    memcpy(out + i - 2, &two_digits[2 * (value % 100)], 2);
    value /= 100;
  }
  if (i == 1) out[0] = (char)('0' + value % 10);
  return out + count;
}

static unsigned digit_count(uint64_t value) {
  unsigned count = 1;
  for (; value >= 10000; value /= 10000)
    count += 4;
  return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Eight digits, zeros in front, the first in the lowest byte, as numbers from 0 to 9; below 100,000,000. They are split
 * side by side: in halves of four digits, in quarters of two, in single ones. */
static inline uint64_t eight_digits(uint64_t value) {
  const uint64_t halves = value / 10000 | value % 10000 << 32;
  const uint64_t hundreds = (halves * 10486 >> 20) & 0x0000007f0000007fu;
  const uint64_t quarters = hundreds | (halves - hundreds * 100) << 16;
  const uint64_t tens = (quarters * 103 >> 10) & 0x000f000f000f000fu;
  return tens | (quarters - tens * 10) << 8;
}

/* Writes the digits of `value`, below 100,000,000, without zeros in front, and up to eight bytes. */
static char *put_short_whole(char *out, uint64_t value) {
  const uint64_t digits = eight_digits(value);
  const int zeros = __builtin_ctzll(digits | (uint64_t)1 << 56) / 8; /* the last digit always stands */
  const uint64_t text = (digits | 0x3030303030303030u) >> 8 * zeros;
  memcpy(out, &text, sizeof text);
  return out + 8 - zeros;
}

static char *put_eight(char *out, uint64_t value) {
  const uint64_t text = eight_digits(value) | 0x3030303030303030u;
  memcpy(out, &text, sizeof text);
  return out + sizeof text;
}

size_t wr_text_of_bigint(int64_t value, char out[WR_BIGINT_TEXT_MAX]) {
  const uint64_t eight = 100000000;
  char *at = out;
  uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  if (value < 0) *at++ = '-';
  if (size < eight) return (size_t)(put_short_whole(at, size) - out);
  if (size < eight * eight) return (size_t)(put_eight(put_short_whole(at, size / eight), size % eight) - out);
  at = put_short_whole(at, size / eight / eight);
  return (size_t)(put_eight(put_eight(at, size / eight % eight), size % eight) - out);
}

/* ---- doubles ---- */

static size_t copy_word(const char *word, char *out) {
  size_t length = strlen(word);
  memcpy(out, word, length);
  return length;
}

/* Without an exponent, for powers -3 to 6. */
static char *put_plain(char *at, const char *digits, int count, int power) {
  if (power < 0) {
    *at++ = '0';
    *at++ = '.';
    for (int i = power + 1; i < 0; i++)
      *at++ = '0';
    memcpy(at, digits, (size_t)count);
    return at + count;
  }
  for (int i = 0; i <= power; i++)
    *at++ = i < count ? digits[i] : '0';
  *at++ = '.';
  if (count <= power + 1) *at++ = '0';
  for (int i = power + 1; i < count; i++)
    *at++ = digits[i];
  return at;
}

static char *put_with_exponent(char *at, const char *digits, int count, int power) {
  *at++ = digits[0];
  *at++ = '.';
  if (count == 1) *at++ = '0';
  memcpy(at, digits + 1, (size_t)count - 1);
  at += count - 1;
  *at++ = 'E';
  if (power < 0) *at++ = '-';
  uint64_t size = (uint64_t)(power < 0 ? -power : power);
  return put_digits(at, size, digit_count(size));
}

size_t wr_text_of_double(double value, char out[WR_DOUBLE_TEXT_MAX]) {
  if (!isfinite(value)) return copy_word(isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity", out);
  char text[WR_DOUBLE_DIGITS_BYTES], digits[WR_DOUBLE_DIGITS_BYTES];
  size_t length = wr_double_digits(value, text), i = 0;
  char *at = out;
  if (text[0] == '-') {
    *at++ = '-';
    i++;
  }
  int count = 0, power = 0;
  for (; text[i] != 'e'; i++)
    if (text[i] != '.') digits[count++] = text[i];
  bool is_small = text[++i] == '-';
  while (++i < length)
    power = power * 10 + (text[i] - '0');
  if (is_small) power = -power;
  bool is_plain = value == 0 || (power >= -3 && power < 7);
  return (size_t)((is_plain ? put_plain : put_with_exponent)(at, digits, count, power) - out);
}

/* ---- times ---- */

size_t wr_text_of_timestamp(struct weir_timestamp value, char out[WR_TIMESTAMP_TEXT_MAX]) {
  struct wr_civil_time civil = wr_civil_time_of(value);
  char *at = out;
  uint64_t year = civil.year < 0 ? 0 - (uint64_t)civil.year : (uint64_t)civil.year;
  if (civil.year < 0) *at++ = '-';
  at = put_digits(at, year, year > 9999 ? digit_count(year) : 4);
  const unsigned parts[] = {civil.month, civil.day, civil.hour, civil.minute, civil.second};
  for (unsigned i = 0; i < 5; i++) {
    *at++ = "-- ::"[i];
    at = put_digits(at, parts[i], 2);
  }
  if (civil.nanosecond == 0) return (size_t)(at - out);
  *at++ = '.';
  at = put_digits(at, civil.nanosecond, 9);
  while (at[-1] == '0')
    at--;
  return (size_t)(at - out);
}

/* ---- base64 ---- */

size_t wr_text_of_base64(const void *bytes, size_t length, char *out) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const uint8_t *from = bytes;
  char *at = out;
  for (size_t i = 0; i < length; i += 3) {
    size_t left = length - i;
    uint32_t group =
        (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) | (left > 2 ? from[i + 2] : 0);
    *at++ = letters[group >> 18];
    *at++ = letters[group >> 12 & 63];
    *at++ = left > 1 ? letters[group >> 6 & 63] : '=';
    *at++ = left > 2 ? letters[group & 63] : '=';
  }
  return (size_t)(at - out);
}
