/* base/text_distance.c: see text_distance.h. The optimal string alignment distance, three lines of its table at a time.
 */
#include "base/text_distance.h"

#include <string.h>

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

bool wr_text_is_near(const char *wrong, uint32_t distance) {
  return (uint64_t)distance * 2 <= strlen(wrong) + 2;
}
