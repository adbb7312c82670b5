/* formats/json/json_value.h: the text of one JSON value as a value of a field's type. Pure; any thread.
 *
 * Numbers are valid JSON numbers, strings are the bytes between the quotes with their escapes decoded; both were
 * validated before. False: the value is not of the type, or out of its range.
 */
#ifndef WR_FORMATS_JSON_VALUE_H
#define WR_FORMATS_JSON_VALUE_H

#include "weir/types.h"

#include <stddef.h>

bool wr_json_to_bigint(const char *text, size_t length, int64_t *out_value);
bool wr_json_to_double(const char *text, size_t length, double *out_value);
bool wr_json_to_timestamp(const char *text, size_t length, struct weir_timestamp *out_value);
/* Base64 into `out`, which has room for `length` bytes and may be `text`. */
bool wr_json_to_bytes(const char *text, size_t length, char *out, size_t *out_length);

#endif
