/* base/text_distance.h: how far one word is from another, to name the nearest one to a wrong one. Pure; any thread. */
#ifndef WR_BASE_TEXT_DISTANCE_H
#define WR_BASE_TEXT_DISTANCE_H

#include <stdbool.h>
#include <stdint.h>

/* How many letters must be put in, taken out, changed, or swapped with the next, to make one text of the other. Texts
 * over 63 bytes are as far apart as they are long. */
uint32_t wr_text_distance(const char *a, const char *b);
/* Is a word at this distance worth a "did you mean"? */
bool wr_text_is_near(const char *wrong, uint32_t distance);

#endif
