/* bench/sink_rows.h: the rows of the seen job over page views, as a plain client holds them, and as texts. Header only.
 *
 * The records lie in two files, and a row is (file, number of the record in it, app). A plain client has the rows in
 * memory; the job reads the files. What a client needs for the wire it makes as it goes, by the cheapest code there is.
 */
#ifndef BENCH_SINK_ROWS_H
#define BENCH_SINK_ROWS_H

#include "bench/views.h"

enum { SINK_FILES = 2, SINK_ROW_BYTES_MAX = 128 };

struct sink_row {
  uint32_t file, number, app;
};
struct sink_rows {
  struct sink_row *rows;
  uint32_t count;
};

/* Writes the files into the folder `folder`/views; the rows are the caller's, to be freed. */
static inline struct sink_rows sink_rows_make(const char *folder, uint32_t count) {
  struct sink_rows made = {.rows = malloc(count * sizeof *made.rows)};
  if (made.rows == NULL) bench_fail("no memory for the rows");
  for (uint32_t file = 0; file < SINK_FILES; file++) {
    char path[300], line[VIEW_BYTES_MAX];
    snprintf(path, sizeof path, "%s/views/views-%" PRIu32 ".ndjson", folder, file);
    FILE *out = fopen(path, "w");
    if (out == NULL) bench_fail("the input cannot be written");
    struct wr_random random = wr_random_of(file + 1);
    for (uint32_t i = 0; i < count / SINK_FILES; i++) {
      size_t length = view_put(line, &random, (int)i);
      if (fwrite(line, 1, length, out) != length) bench_fail("the input cannot be written");
      static const char before[] = "\"app_id\":\"app";
      const char *app = strstr(line, before) + sizeof before - 1;
      made.rows[made.count++] = (struct sink_row){.file = file, .number = i, .app = (uint32_t)strtoul(app, NULL, 10)};
    }
    if (fclose(out) != 0) bench_fail("the input cannot be written");
  }
  return made;
}

static inline char *sink_put(char *at, const char *text) {
  size_t length = strlen(text);
  memcpy(at, text, length);
  return at + length;
}
static inline char *sink_put_number(char *at, uint32_t number) {
  char digits[10];
  int count = 0;
  do
    digits[count++] = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  while (count > 0)
    *at++ = digits[--count];
  return at;
}

/* The row's values with these texts before, between and after them. */
static inline char *sink_put_row(char *at, const struct sink_row *row, const char *before_file,
                                 const char *before_number, const char *before_app, const char *end) {
  at = sink_put(sink_put(at, before_file), "views-");
  at = sink_put(sink_put_number(at, row->file), ".ndjson");
  at = sink_put_number(sink_put(at, before_number), row->number);
  at = sink_put(sink_put(at, before_app), "app");
  return sink_put(sink_put_number(at, row->app), end);
}

/* The JSON object that a sink makes of it. */
static inline char *sink_put_json(char *at, const struct sink_row *row) {
  return sink_put_row(at, row, "{\"partition\":\"", "\",\"position\":", ",\"app_id\":\"", "\"}");
}

#endif
