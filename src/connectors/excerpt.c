/* connectors/excerpt.c: see excerpt.h. The rules of UTF-8 are those of RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
#include "connectors/excerpt.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character that begins at `text`; 0: none does. */
static size_t character_length(const uint8_t *text, size_t length) {
  uint8_t first = text[0];
  if (first < 0x80) return 1;
  size_t count = first >= 0xc2 && first <= 0xdf ? 2 : first >= 0xe0 && first <= 0xef ? 3 : 0;
  if (first >= 0xf0 && first <= 0xf4) count = 4;
  if (count == 0 || count > length) return 0;
  for (size_t i = 1; i < count; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  uint8_t second = text[1];
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
  if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
  return count;
}

size_t wr_excerpt(const char *text, size_t length, size_t limit, char *out) {
  const uint8_t *bytes = (const uint8_t *)text;
  size_t used = 0;
  if (limit > WR_EXCERPT_SOURCE_BYTES) limit = WR_EXCERPT_SOURCE_BYTES;
  for (size_t i = 0; i < length && i < limit;) {
    size_t count = character_length(bytes + i, length - i);
    if (count > limit - i) break;
    if (count == 0) {
      memcpy(out + used, "\xef\xbf\xbd", 3);
      used += 3;
      i++;
      continue;
    }
    memcpy(out + used, text + i, count);
    used += count;
    i += count;
  }
  out[used] = 0;
  return used;
}
