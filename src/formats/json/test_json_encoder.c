/* formats/json/test_json_encoder.c: rows as JSON: a line of every type, NULLs, numbers that JSON has not, and random
 * rows there and back through the decoder. */
#include "formats/json/json_encoder.h"

#include "base/test.h"
#include "base/test_memory.h"
#include "formats/json/json_decoder.h"
#include "formats/test_rows.h"

#include <math.h>

struct fixture {
  struct test_memory memory;
  struct wr_json_encoder *encoder;
  struct wr_bytes out;
  struct wr_batch_builder builder;
  struct weir_error error;
};

static void fixture_init(struct fixture *f, bool ignore_null_fields) {
  const struct wr_json_encoder_options options = {.ignore_null_fields = ignore_null_fields};
  test_memory_init(&f->memory);
  WR_ASSERT(wr_json_encoder_new(&f->memory.memory, &test_rows_schema, &options, &f->encoder, &f->error) == WEIR_OK);
  wr_bytes_init(&f->out, &f->memory.memory, WR_MEMORY_SINK);
  wr_batch_builder_init(&f->builder, &f->memory.memory, &test_rows_schema, false);
  WR_ASSERT(wr_batch_builder_begin(&f->builder, NULL) == WEIR_OK);
}
static void fixture_deinit(struct fixture *f) {
  wr_json_encoder_free(f->encoder);
  wr_bytes_deinit(&f->out);
  wr_batch_builder_deinit(&f->builder);
  WR_ASSERT(f->memory.living_count == 0);
}

/* The row that was set in the builder. */
static const char *encode(struct fixture *f) {
  wr_batch_builder_end_row(&f->builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&f->builder);
  wr_bytes_clear(&f->out);
  wr_json_encode_row(f->encoder, batch, 0, &f->out);
  wr_bytes_put_u8(&f->out, 0);
  wr_batch_unref(batch);
  WR_ASSERT(!f->out.failed && wr_batch_builder_begin(&f->builder, NULL) == WEIR_OK);
  return (const char *)f->out.data;
}

TEST(types) {
  struct fixture f;
  fixture_init(&f, false);
  wr_batch_builder_set_boolean(&f.builder, 0, true);
  wr_batch_builder_set_int(&f.builder, 1, INT32_MIN);
  wr_batch_builder_set_bigint(&f.builder, 2, INT64_MIN);
  wr_batch_builder_set_double(&f.builder, 3, 1.25e10);
  CHECK_INT(wr_batch_builder_set_bytes(&f.builder, 4, "\"\\/\b\f\n\r\t\x01\x7f\xc3\xa9\0z", 14, NULL), WEIR_OK);
  CHECK_INT(wr_batch_builder_set_bytes(&f.builder, 5, "fooba", 5, NULL), WEIR_OK);
  wr_batch_builder_set_timestamp(&f.builder, 6, (struct weir_timestamp){1500, 0, 0});
  CHECK_STRING(encode(&f), "{\"flag\":true,\"small\":-2147483648,\"big\":-9223372036854775808,"
                           "\"a \\\"double\\\"\":1.25E10,\"h\xc3\xa9\\n\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f"
                           "\xc3\xa9\\u0000z\",\"b\\\\y\":\"Zm9vYmE=\",\"when\":\"1970-01-01 00:00:01.5\"}");
  fixture_deinit(&f);
}

TEST(nulls) {
  struct fixture f;
  fixture_init(&f, false);
  CHECK_STRING(encode(&f), "{\"flag\":null,\"small\":null,\"big\":null,\"a \\\"double\\\"\":null,"
                           "\"h\xc3\xa9\\n\":null,\"b\\\\y\":null,\"when\":null}");
  fixture_deinit(&f);
  fixture_init(&f, true);
  CHECK_STRING(encode(&f), "{}");
  wr_batch_builder_set_int(&f.builder, 1, 7);
  wr_batch_builder_set_bigint(&f.builder, 2, 8);
  CHECK_STRING(encode(&f), "{\"small\":7,\"big\":8}");
  fixture_deinit(&f);
}

TEST(numbers_that_json_has_not) {
  static const double values[] = {NAN, INFINITY, -INFINITY};
  static const char *const texts[] = {"{\"a \\\"double\\\"\":\"NaN\"}", "{\"a \\\"double\\\"\":\"Infinity\"}",
                                      "{\"a \\\"double\\\"\":\"-Infinity\"}"};
  struct fixture f;
  fixture_init(&f, true);
  for (int i = 0; i < 3; i++) {
    wr_batch_builder_set_double(&f.builder, 3, values[i]);
    CHECK_STRING(encode(&f), texts[i]);
  }
  fixture_deinit(&f);
}

/* Each byte alone, at each place of a run of eight, so that the fast look and the slow one agree. */
TEST(every_byte_at_every_place) {
  struct fixture f;
  fixture_init(&f, true);
  for (int n = 0; n < 0x80 * 26 * 26; n++) {
    const int byte = n % 0x80, length = n / 0x80 % 26 + 1, place = n / 0x80 / 26;
    if (place < length) {
      char text[26], expected[100];
      memset(text, 'x', sizeof text);
      text[place] = (char)byte;
      CHECK_INT(wr_batch_builder_set_bytes(&f.builder, 4, text, (size_t)length, NULL), WEIR_OK);
      const char *shorts = "\bb\tt\nn\ff\rr\"\"\\\\", *found = byte == 0 ? NULL : strchr(shorts, byte);
      char escape[8];
      if (found != NULL && ((found - shorts) % 2 == 0))
        snprintf(escape, sizeof escape, "\\%c", found[1]);
      else if (byte == '"' || byte == '\\')
        snprintf(escape, sizeof escape, "\\%c", byte);
      else
        snprintf(escape, sizeof escape, byte < 0x20 || byte == 0x7f ? "\\u%04x" : "%c", byte);
      snprintf(expected, sizeof expected, "{\"h\xc3\xa9\\n\":\"%.*s%s%.*s\"}", place, "xxxxxxxxxxxxxxxxxxxxxxxxx",
               escape, length - 1 - place, "xxxxxxxxxxxxxxxxxxxxxxxxx");
      CHECK_STRING(encode(&f), expected);
    }
  }
  fixture_deinit(&f);
}

/* What is not ASCII needs none, and rows of long strings take another way than short ones. */
TEST(long_and_other_strings) {
  struct fixture f;
  char text[4000], expected[3 * sizeof text];
  fixture_init(&f, true);
  for (size_t length = 0; length < sizeof text; length += 1 + length / 8) {
    size_t end = (size_t)snprintf(expected, sizeof expected, "{\"h\xc3\xa9\\n\":\"");
    for (size_t i = 0; i < length; i++) {
      text[i] = i % 3 == 1 ? '\xc3' : i % 3 == 2 ? '\xa9' : i % 2 == 0 ? '\n' : 'e';
      if (text[i] == '\n') expected[end++] = '\\';
      expected[end++] = text[i] == '\n' ? 'n' : text[i];
    }
    snprintf(expected + end, sizeof expected - end, "\"}");
    CHECK_INT(wr_batch_builder_set_bytes(&f.builder, 4, text, length, NULL), WEIR_OK);
    CHECK_STRING(encode(&f), expected);
  }
  fixture_deinit(&f);
}

TEST(there_and_back) {
  struct wr_random random = wr_random_of(test_seed());
  for (int n = 0; n < 300; n++) {
    struct fixture f;
    struct wr_json_decoder *decoder = NULL;
    struct wr_json_fault fault;
    fixture_init(&f, n % 2 == 0);
    CHECK_INT(wr_json_decoder_new(&f.memory.memory, NULL, &test_rows_schema, NULL, &decoder, &f.error), WEIR_OK);
    struct wr_batch *batch = test_rows_batch(&f.memory.memory, &random, 1 + (uint32_t)wr_random_below(&random, 30));
    for (uint32_t i = 0; i < batch->row_count; i++) {
      wr_json_encode_row(f.encoder, batch, i, &f.out);
      wr_bytes_put_u8(&f.out, '\n');
    }
    struct wr_json_lines lines = {.text = (const char *)f.out.data, .length = f.out.length, .ends = true};
    CHECK_INT(wr_json_decode_lines(decoder, &lines, &f.builder, &fault, &f.error), WEIR_OK);
    CHECK_INT(lines.length, 0);
    struct wr_batch *again = wr_batch_builder_take(&f.builder);
    CHECK_INT(again->row_count, batch->row_count);
    for (uint32_t i = 0; i < batch->row_count; i++)
      if (!test_rows_equal(batch, i, again, i)) TEST_FAIL("run %d: row %u came back as another", n, i);
    wr_batch_unref(again);
    wr_batch_unref(batch);
    wr_json_decoder_free(decoder);
    fixture_deinit(&f);
  }
}

TEST(no_memory) {
  struct wr_random random = wr_random_of(7);
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct test_memory memory;
    test_memory_init(&memory);
    struct wr_batch *batch = test_rows_batch(&memory.memory, &random, 5);
    struct wr_json_encoder *encoder = NULL;
    struct wr_bytes out;
    wr_bytes_init(&out, &memory.memory, WR_MEMORY_SINK);
    test_memory_fail_after(&memory, n, false);
    enum weir_code code =
        wr_json_encoder_new(&memory.memory, &test_rows_schema, &(struct wr_json_encoder_options){0}, &encoder, NULL);
    for (uint32_t i = 0; code == WEIR_OK && i < batch->row_count; i++)
      wr_json_encode_row(encoder, batch, i, &out);
    failed = memory.failures > 0;
    CHECK(code == WEIR_NO_MEMORY || out.failed == failed);
    CHECK((encoder == NULL) == (code != WEIR_OK));
    wr_json_encoder_free(encoder);
    wr_bytes_deinit(&out);
    wr_batch_unref(batch);
    CHECK_INT(memory.living_count, 0);
  }
}

TEST_MAIN(TEST_CASE(types), TEST_CASE(nulls), TEST_CASE(numbers_that_json_has_not),
          TEST_CASE(every_byte_at_every_place), TEST_CASE(long_and_other_strings), TEST_CASE(there_and_back),
          TEST_CASE(no_memory))
