/* formats/json/json_text.h: the words of JSON, one byte after the other: numbers, escapes, and whole texts. Pure.
 *
 * The decoder (json_decoder.h) leaves the work per byte to SIMD where it can; this is what remains, and what it asks
 * after a record has turned out to be bad: where, and why.
 */
#ifndef WR_FORMATS_JSON_TEXT_H
#define WR_FORMATS_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WR_JSON_DEPTH_MAX = 64 };

static inline bool wr_json_is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Where the number that begins at `text` ends (a character that cannot continue it, or `end`); NULL: it is none. */
const char *wr_json_number_end(const char *text, const char *end);

/* The bytes between the quotes of a string, its escapes decoded. `out` has room for `length` bytes, or is NULL: then it
 * is only checked. Control characters and UTF-8 are not looked at. -1: a wrong escape, or half of a surrogate pair. */
int64_t wr_json_unescape(const char *text, size_t length, char *out);

/* What a scan of a whole text found. */
struct wr_json_scan {
  const char *reason; /* NULL: the text is one JSON value; else what is wrong, for a person */
  size_t position;    /* where that shows */
  bool is_object;     /* the value is an object */
};

/* Goes over a whole text byte by byte, up to the first fault. */
struct wr_json_scan wr_json_scan(const char *text, size_t length);

#endif
