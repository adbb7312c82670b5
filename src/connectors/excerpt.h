/* connectors/excerpt.h: the start of a bad record, for a person: valid UTF-8 whatever the bytes were. Pure. */
#ifndef WR_CONNECTORS_EXCERPT_H
#define WR_CONNECTORS_EXCERPT_H

#include <stddef.h>

enum { WR_EXCERPT_SOURCE_BYTES = 256, WR_EXCERPT_BYTES = 3 * WR_EXCERPT_SOURCE_BYTES + 1 };

/* Fills `out` (WR_EXCERPT_BYTES) with at most `limit` (at most WR_EXCERPT_SOURCE_BYTES) bytes of `text`, cut between
 * two characters; bytes that are no UTF-8 become U+FFFD. Ends with a zero byte, which is not counted in the result. */
size_t wr_excerpt(const char *text, size_t length, size_t limit, char *out);

#endif
