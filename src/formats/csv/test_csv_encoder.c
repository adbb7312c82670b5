/* formats/csv/test_csv_encoder.c: rows as CSV: vectors, refusals, and random rows read back by a reader of RFC 4180
 * that shares nothing with the code under test. */
#include "formats/csv/csv_encoder.h"

#include "base/test.h"
#include "base/test_memory.h"
#include "formats/test_rows.h"

static const struct wr_csv_encoder_options defaults = {
    .field_delimiter = ',', .quote_character = '"', .null_literal = ""};

static const struct weir_schema two_schema = {
    .fields = (const struct weir_field[]){{"a,b", WEIR_TYPE_STRING, true}, {"n", WEIR_TYPE_BIGINT, true}},
    .field_count = 2};

/* A header, then one row of this text (NULL: NULL) and number; the result is static. */
static const char *encode(const struct wr_csv_encoder_options *options, const char *text, int64_t number,
                          enum weir_code *out_code, struct weir_error *error) {
  static char result[1024];
  struct test_memory memory;
  struct wr_csv_encoder encoder;
  struct wr_batch_builder builder;
  struct wr_bytes out;
  test_memory_init(&memory);
  wr_bytes_init(&out, &memory.memory, WR_MEMORY_SINK);
  wr_batch_builder_init(&builder, &memory.memory, &two_schema, false);
  WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
  if (text != NULL) WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, text, strlen(text), NULL) == WEIR_OK);
  wr_batch_builder_set_bigint(&builder, 1, number);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  *out_code = wr_csv_encoder_init(&encoder, &two_schema, options, error);
  if (*out_code == WEIR_OK) *out_code = wr_csv_encode_row(&encoder, batch, 0, &out, error);
  snprintf(result, sizeof result, "%.*s", (int)out.length, (const char *)out.data);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  wr_bytes_deinit(&out);
  WR_ASSERT(memory.living_count == 0);
  return result;
}

TEST(rows) {
  static const struct {
    const char *text, *line;
  } cases[] = {{"plain", "plain,7\n"},
               {"", "\"\",7\n"},
               {NULL, ",7\n"},
               {"a,b", "\"a,b\",7\n"},
               {"say \"a\"", "\"say \"\"a\"\"\",7\n"},
               {"\"", "\"\"\"\",7\n"},
               {"two\nlines", "\"two\nlines\",7\n"},
               {"\r", "\"\r\",7\n"},
               {" a", "\" a\",7\n"},
               {"a b", "a b,7\n"},
               {"h\xc3\xa9;'", "h\xc3\xa9;',7\n"}};
  enum weir_code code;
  struct weir_error error;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    CHECK_STRING(encode(&defaults, cases[i].text, 7, &code, &error), cases[i].line);
    CHECK_INT(code, WEIR_OK);
  }
}

TEST(options) {
  static const struct wr_csv_encoder_options other = {
      .field_delimiter = ';', .quote_character = '\'', .null_literal = "n/a"};
  static const struct wr_csv_encoder_options minus = {
      .field_delimiter = '-', .quote_character = '"', .null_literal = ""};
  enum weir_code code;
  struct weir_error error;
  CHECK_STRING(encode(&other, "a,\"b", 7, &code, &error), "a,\"b;7\n");
  CHECK_STRING(encode(&other, "a;'b", 7, &code, &error), "'a;''b';7\n");
  CHECK_STRING(encode(&other, NULL, 7, &code, &error), "n/a;7\n");
  CHECK_STRING(encode(&other, "n/a", 7, &code, &error), "'n/a';7\n");
  CHECK_STRING(encode(&minus, "a", -7, &code, &error), "a-\"-7\"\n");
}

TEST(refusals) {
  static const struct wr_csv_encoder_options no_quotes = {
      .field_delimiter = ',', .quote_character = 0, .null_literal = ""};
  static const struct wr_csv_encoder_options bad[] = {{',', ',', ""},  {'\n', '"', ""},   {0, '"', ""},
                                                      {',', '\r', ""}, {',', '"', "a,b"}, {',', '"', "\""}};
  enum weir_code code;
  struct weir_error error;
  CHECK_STRING(encode(&no_quotes, "plain \"words\"", 7, &code, &error), "plain \"words\",7\n");
  CHECK_INT(code, WEIR_OK);
  encode(&no_quotes, "a,b", 7, &code, &error);
  CHECK_INT(code, WEIR_CONSTRAINT);
  CHECK(strstr(error.message, "field \"a,b\" needs quotes in CSV, and they are switched off") != NULL);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    encode(&bad[i], "a", 7, &code, &error);
    CHECK_INT(code, WEIR_INVALID);
  }
}

TEST(header) {
  struct test_memory memory;
  struct wr_csv_encoder encoder;
  struct wr_bytes out;
  test_memory_init(&memory);
  wr_bytes_init(&out, &memory.memory, WR_MEMORY_SINK);
  CHECK_INT(wr_csv_encoder_init(&encoder, &two_schema, &defaults, NULL), WEIR_OK);
  CHECK_INT(wr_csv_encode_header(&encoder, &out, NULL), WEIR_OK);
  wr_bytes_put_u8(&out, 0);
  CHECK_STRING((const char *)out.data, "\"a,b\",n\n");
  wr_bytes_deinit(&out);
}

/* ---- there and back ---- */

/* Reads one field; *out_quoted, and its text. Gives what stands behind it. */
static const char *read_field(const char *at, const char *end, char *text, size_t *length, bool *quoted) {
  *length = 0;
  *quoted = at != end && *at == '"';
  if (*quoted) at++;
  for (; at != end; at++) {
    if (*quoted && *at == '"') {
      if (at + 1 == end || at[1] != '"') return at + 1;
      at++;
    } else if (!*quoted && (*at == ',' || *at == '\n')) {
      return at;
    }
    text[(*length)++] = *at;
  }
  return at;
}

TEST(there_and_back) {
  struct wr_random random = wr_random_of(test_seed());
  for (int n = 0; n < 300; n++) {
    struct test_memory memory;
    struct wr_csv_encoder encoder;
    struct wr_bytes out;
    test_memory_init(&memory);
    wr_bytes_init(&out, &memory.memory, WR_MEMORY_SINK);
    CHECK_INT(wr_csv_encoder_init(&encoder, &test_rows_schema, &defaults, NULL), WEIR_OK);
    struct wr_batch *batch = test_rows_batch(&memory.memory, &random, 10);
    for (uint32_t i = 0; i < batch->row_count; i++)
      CHECK_INT(wr_csv_encode_row(&encoder, batch, i, &out, NULL), WEIR_OK);
    const char *at = (const char *)out.data, *end = at + out.length;
    for (uint32_t i = 0; i < batch->row_count; i++)
      for (uint32_t f = 0; f < 7; f++) {
        char text[16384];
        size_t length;
        bool quoted;
        at = read_field(at, end, text, &length, &quoted);
        CHECK(at != end && *at == (f == 6 ? '\n' : ','));
        at++;
        bool is_null = wr_column_is_null(&batch->columns[f], i);
        CHECK_INT(length == 0 && !quoted, is_null);
        if (is_null) continue;
        text[length] = 0;
        const void *values = batch->columns[f].values;
        if (f == 0) CHECK_STRING(text, ((const uint8_t *)values)[i] != 0 ? "true" : "false");
        if (f == 1) CHECK_INT(strtoll(text, NULL, 10), ((const int32_t *)values)[i]);
        if (f == 2) CHECK_INT(strtoll(text, NULL, 10), ((const int64_t *)values)[i]);
        if (f == 3) CHECK(strtod(text, NULL) == ((const double *)values)[i]);
        if (f != 4) continue;
        const struct wr_view *view = &((const struct wr_view *)values)[i];
        CHECK_INT(length, view->length);
        CHECK(memcmp(text, wr_view_bytes(batch, view), length) == 0);
      }
    CHECK(at == end);
    wr_batch_unref(batch);
    wr_bytes_deinit(&out);
    CHECK_INT(memory.living_count, 0);
  }
}

TEST_MAIN(TEST_CASE(rows), TEST_CASE(options), TEST_CASE(refusals), TEST_CASE(header), TEST_CASE(there_and_back))
