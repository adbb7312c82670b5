/* formats/value_text.h: values as text, as Flink's formats and its casts to STRING write them. Pure; any thread.
 *
 *   INT, BIGINT  digits
 *   DOUBLE       the shortest digits that read back as the same number, laid out as Java's Double.toString does: 1.0,
 *                0.001, 1.0E10, -0.0, NaN, Infinity, -Infinity
 *   TIMESTAMP    'YYYY-MM-DD HH:MM:SS[.f]', 1 to 9 digits of f where it is not 0
 *   BYTES        base64 (RFC 4648 section 4, padded)
 *
 * Each function writes into room that the caller has, puts no zero behind it, and returns the length.
 */
#ifndef WR_FORMATS_VALUE_TEXT_H
#define WR_FORMATS_VALUE_TEXT_H

#include "weir/types.h"

#include <stddef.h>

enum { WR_BIGINT_TEXT_MAX = 20, WR_DOUBLE_TEXT_MAX = 32, WR_TIMESTAMP_TEXT_MAX = 40 };

size_t wr_text_of_bigint(int64_t value, char out[WR_BIGINT_TEXT_MAX]);
size_t wr_text_of_double(double value, char out[WR_DOUBLE_TEXT_MAX]);
size_t wr_text_of_timestamp(struct weir_timestamp value, char out[WR_TIMESTAMP_TEXT_MAX]);
/* How long the base64 of so many bytes is. */
static inline size_t wr_base64_length(size_t length) {
  return (length + 2) / 3 * 4;
}
size_t wr_text_of_base64(const void *bytes, size_t length, char *out);

#endif
