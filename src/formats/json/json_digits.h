/* formats/json/json_digits.h: digits eight at a time, in the words of a register. Pure; any thread.
 *
 * The digits of a short number are moved to the end of eight bytes, zeros before them, so that nothing depends on how
 * many there are. What is no plain whole number of at most 16 digits is refused, and read the long way.
 */
#ifndef WR_FORMATS_JSON_DIGITS_H
#define WR_FORMATS_JSON_DIGITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WR_JSON_EIGHT = 8 };

/* The first `count` (1 to 8) of the eight bytes at `text`, behind zeros. */
static inline uint64_t wr_json_digits_behind_zeros(const char *text, size_t count) {
  const uint64_t zeros = 0x3030303030303030u;
  uint64_t eight;
  memcpy(&eight, text, sizeof eight);
  return eight << 8 * (WR_JSON_EIGHT - count) | zeros >> 4 * count >> 4 * count;
}

static inline bool wr_json_digits_all(uint64_t eight) {
  const uint64_t high = 0xf0f0f0f0f0f0f0f0u, six = 0x0606060606060606u;
  return ((eight & high) | ((eight + six) & high) >> 4) == 0x3333333333333333u;
}

/* The number that eight digits are, of which the first is the lowest byte. */
static inline uint64_t wr_json_digits_value(uint64_t eight) {
  eight = (eight & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
  eight = (eight & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
  return (eight & 0x0000ffff0000ffffu) * 42949672960001u >> 32;
}

/* Is it a whole number without a sign, as JSON has them: 1 to 16 digits, the first not 0 unless it is alone? `room`
 * bytes can be read at `text`. No may be wrong. */
static inline bool wr_json_is_whole(const char *text, size_t length, size_t room) {
  if (length - 1 >= 2 * WR_JSON_EIGHT || room < WR_JSON_EIGHT || (*text == '0' && length > 1)) return false;
  if (length <= WR_JSON_EIGHT) return wr_json_digits_all(wr_json_digits_behind_zeros(text, length));
  return wr_json_digits_all(wr_json_digits_behind_zeros(text, WR_JSON_EIGHT)) &&
         wr_json_digits_all(wr_json_digits_behind_zeros(text + length - WR_JSON_EIGHT, WR_JSON_EIGHT));
}

/* The number of 1 to 16 digits. `room` as above, at least WR_JSON_EIGHT. */
static inline uint64_t wr_json_whole_value(const char *text, size_t length) {
  if (length <= WR_JSON_EIGHT) return wr_json_digits_value(wr_json_digits_behind_zeros(text, length));
  uint64_t high = wr_json_digits_value(wr_json_digits_behind_zeros(text, length - WR_JSON_EIGHT));
  return high * 100000000 +
         wr_json_digits_value(wr_json_digits_behind_zeros(text + length - WR_JSON_EIGHT, WR_JSON_EIGHT));
}

#endif
