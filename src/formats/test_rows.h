/* formats/test_rows.h: a schema of every type and random rows of it, for the tests of encoders. One thread. */
#ifndef WR_FORMATS_TEST_ROWS_H
#define WR_FORMATS_TEST_ROWS_H

#include "base/random.h"
#include "data/batch_builder.h"

static const struct weir_schema test_rows_schema = {
    .fields = (const struct weir_field[]){{"flag", WEIR_TYPE_BOOLEAN, true},
                                          {"small", WEIR_TYPE_INT, true},
                                          {"big", WEIR_TYPE_BIGINT, true},
                                          {"a \"double\"", WEIR_TYPE_DOUBLE, true},
                                          {"h\xc3\xa9\n", WEIR_TYPE_STRING, true},
                                          {"b\\y", WEIR_TYPE_BYTES, true},
                                          {"when", WEIR_TYPE_TIMESTAMP, true}},
    .field_count = 7};

/* A UTF-8 text, often of characters that formats care for, sometimes longer than a chunk of theirs. */
static inline size_t test_rows_text(struct wr_random *random, char *out, size_t size) {
  static const char *const pieces[] = {
      "a",    "\"",          "\\",   ",", "\n",       "\r",           "\t",
      " ",    "\x7f",        "\x01", "'", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
      "null", "plain words "};
  size_t length = 0, count = wr_random_below(random, 20) == 0 ? 900 : wr_random_below(random, 12);
  for (size_t i = 0; i < count; i++) {
    const char *piece = pieces[wr_random_below(random, sizeof pieces / sizeof pieces[0])];
    if (length + strlen(piece) > size) break;
    memcpy(out + length, piece, strlen(piece));
    length += strlen(piece);
  }
  return length;
}

/* Sets the row's values; each is NULL at times. */
static inline void test_rows_set(struct wr_random *random, struct wr_batch_builder *builder) {
  char text[8192];
  uint64_t bits = wr_random_next(random);
  double number;
  memcpy(&number, &bits, sizeof number);
  WR_ASSERT(wr_batch_builder_begin(builder, NULL) == WEIR_OK);
  if (wr_random_below(random, 5) != 0) wr_batch_builder_set_boolean(builder, 0, bits % 2 != 0);
  if (wr_random_below(random, 5) != 0) wr_batch_builder_set_int(builder, 1, (int32_t)bits);
  if (wr_random_below(random, 5) != 0) wr_batch_builder_set_bigint(builder, 2, (int64_t)bits >> bits % 60);
  if (wr_random_below(random, 5) != 0)
    wr_batch_builder_set_double(builder, 3, number - number == 0 ? number : (double)(bits % 1000) / 8);
  if (wr_random_below(random, 5) != 0) {
    size_t length = test_rows_text(random, text, sizeof text);
    WR_ASSERT(wr_batch_builder_set_bytes(builder, 4, text, length, NULL) == WEIR_OK);
  }
  if (wr_random_below(random, 5) != 0) {
    size_t length = wr_random_below(random, 40);
    for (size_t i = 0; i < length; i++)
      text[i] = (char)wr_random_next(random);
    WR_ASSERT(wr_batch_builder_set_bytes(builder, 5, text, length, NULL) == WEIR_OK);
  }
  if (wr_random_below(random, 5) != 0) {
    struct weir_timestamp time = {.milliseconds = (int64_t)wr_random_below(random, 315537897599999) - 62135596800000,
                                  .nanoseconds = (int32_t)wr_random_below(random, 3) * 333333};
    wr_batch_builder_set_timestamp(builder, 6, time);
  }
  wr_batch_builder_end_row(builder, WEIR_INSERT);
}

static inline struct wr_batch *test_rows_batch(struct wr_memory *memory, struct wr_random *random, uint32_t count) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &test_rows_schema, false);
  for (uint32_t i = 0; i < count && !wr_batch_builder_is_full(&builder); i++)
    test_rows_set(random, &builder);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

/* Are two rows the same, NULLs and the bits of doubles included? */
static inline bool test_rows_equal(const struct wr_batch *a, uint32_t a_row, const struct wr_batch *b, uint32_t b_row) {
  for (uint32_t i = 0; i < a->schema->field_count; i++) {
    const struct wr_column *x = &a->columns[i], *y = &b->columns[i];
    if (wr_column_is_null(x, a_row) != wr_column_is_null(y, b_row)) return false;
    if (wr_column_is_null(x, a_row)) continue;
    enum weir_type type = a->schema->fields[i].type;
    if (type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES) {
      const struct wr_view *v = &wr_column_views(x)[a_row], *w = &wr_column_views(y)[b_row];
      if (v->length != w->length) return false;
      if (memcmp(wr_view_bytes(a, v), wr_view_bytes(b, w), (size_t)v->length) != 0) return false;
      continue;
    }
    uint32_t width = wr_type_width(type);
    if (memcmp((const char *)x->values + a_row * width, (const char *)y->values + b_row * width, width) != 0)
      return false;
  }
  return true;
}

#endif
