/* Tests of formats/json: the grammar as a table, values of every type, faults and their places, lines and gathered
 * records against single records, and random texts against a validator of its own (below), which shares nothing with
 * the code under test. */
#include "base/limits.h"
#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "formats/json/json_decoder.h"
#include "formats/json/json_text.h"

/* ---- a validator by recursive descent ---- */

struct validator {
  const char *at, *end;
  uint32_t depth;
};

static void v_space(struct validator *v) {
  while (v->at < v->end && memchr(" \t\r\n", *v->at, 4) != NULL)
    v->at++;
}

static bool v_char(struct validator *v, const char *set) {
  if (v->at == v->end || *v->at == 0 || strchr(set, *v->at) == NULL) return false;
  v->at++;
  return true;
}

static bool v_digits(struct validator *v) {
  const char *start = v->at;
  while (v_char(v, "0123456789")) {
  }
  return v->at != start;
}

static bool v_number(struct validator *v) {
  v_char(v, "-");
  if (!v_char(v, "0") && !(v_char(v, "123456789") && (v_digits(v), true))) return false;
  if (v_char(v, ".") && !v_digits(v)) return false;
  if (v_char(v, "eE")) {
    v_char(v, "+-");
    return v_digits(v);
  }
  return true;
}

static bool v_hex4(struct validator *v, unsigned *out) {
  char digits[5] = "";
  for (int i = 0; i < 4; i++) {
    digits[i] = v->at < v->end ? *v->at : 0;
    if (!v_char(v, "0123456789abcdefABCDEF")) return false;
  }
  *out = (unsigned)strtoul(digits, NULL, 16);
  return true;
}

static bool v_escape(struct validator *v) {
  unsigned high = 0, low = 0;
  if (v_char(v, "\"\\/bfnrt")) return true;
  if (!v_char(v, "u") || !v_hex4(v, &high)) return false;
  if (high < 0xd800 || high > 0xdfff) return true;
  return high < 0xdc00 && v_char(v, "\\") && v_char(v, "u") && v_hex4(v, &low) && low >= 0xdc00 && low <= 0xdfff;
}

/* One code point of two bytes or more, by decoding it and looking at its value. */
static bool v_utf8(struct validator *v) {
  unsigned char first = (unsigned char)*v->at++;
  int more = first >= 0xf0 && first < 0xf8   ? 3
             : first >= 0xe0 && first < 0xf0 ? 2
             : first >= 0xc0 && first < 0xe0 ? 1
                                             : 0;
  if (more == 0 || v->end - v->at < more) return false;
  uint32_t point = first & (0x3fu >> more);
  for (int i = 0; i < more; i++, v->at++) {
    if (((unsigned char)*v->at & 0xc0) != 0x80) return false;
    point = point << 6 | ((unsigned char)*v->at & 0x3f);
  }
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  return point >= least[more] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
}

static bool v_string(struct validator *v) {
  if (!v_char(v, "\"")) return false;
  while (v->at < v->end) {
    if (*v->at == '"') return v->at++, true;
    if ((unsigned char)*v->at < 0x20) return false;
    if (*v->at == '\\') {
      v->at++;
      if (!v_escape(v)) return false;
    } else if ((unsigned char)*v->at < 0x80) {
      v->at++;
    } else if (!v_utf8(v)) {
      return false;
    }
  }
  return false;
}

static bool v_value(struct validator *v);

static bool v_members(struct validator *v, bool is_array) {
  const char *close = is_array ? "]" : "}";
  v_space(v);
  if (v_char(v, close)) return true;
  do {
    v_space(v);
    if (!is_array && !v_string(v)) return false;
    v_space(v);
    if (!is_array && !v_char(v, ":")) return false;
    if (!v_value(v)) return false;
    v_space(v);
  } while (v_char(v, ","));
  return v_char(v, close);
}

static bool v_value(struct validator *v) {
  v_space(v);
  if (v->at == v->end) return false;
  if (*v->at == '{' || *v->at == '[') {
    if (++v->depth > 64) return false;
    bool good = v_members(v, *v->at++ == '[');
    v->depth--;
    return good;
  }
  if (*v->at == '"') return v_string(v);
  static const char *const words[] = {"true", "false", "null"};
  for (int i = 0; i < 3; i++) {
    size_t length = strlen(words[i]);
    if ((size_t)(v->end - v->at) >= length && memcmp(v->at, words[i], length) == 0) return v->at += length, true;
  }
  return v_number(v);
}

static bool is_json(const char *text, size_t length) {
  struct validator v = {.at = text, .end = text + length};
  if (!v_value(&v)) return false;
  v_space(&v);
  return v.at == v.end;
}

static bool is_json_object(const char *text, size_t length) {
  struct validator v = {.at = text, .end = text + length};
  v_space(&v);
  return v.at < v.end && *v.at == '{' && is_json(text, length);
}

/* ---- a decoder to test ---- */

static struct test_memory memory;
static struct wr_json_decoder *decoder;
static struct wr_batch_builder builder;
static struct wr_json_fault fault;
static struct weir_error error;

static void open_decoder(const struct weir_schema *schema) {
  test_memory_init(&memory);
  wr_batch_builder_init(&builder, &memory.memory, schema, false);
  CHECK_INT(wr_json_decoder_new(&memory.memory, NULL, schema, NULL, &decoder, &error), WEIR_OK);
}

static void close_decoder(void) {
  wr_json_decoder_free(decoder);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

/* Decodes a copy of the record of exactly its length, so that an over-read is seen. */
static enum weir_code decode(const char *text, size_t length) {
  char *exact = malloc(length + (length == 0));
  memcpy(exact, text, length);
  enum weir_code code = wr_json_decode(decoder, exact, length, &builder, &fault, &error);
  free(exact);
  return code;
}

static enum weir_code decode_string(const char *text) {
  return decode(text, strlen(text));
}

static const struct weir_field nullable_fields[] = {{"a", WEIR_TYPE_STRING, true}, {"b", WEIR_TYPE_BIGINT, true}};
static const struct weir_schema nullable = {nullable_fields, 2};

/* A text in the making; what has no room is left out. */
struct text {
  char bytes[4000];
  size_t length;
};

static void put(struct text *text, const char *bytes) {
  size_t length = strlen(bytes);
  if (text->length + length > sizeof text->bytes) return;
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

/* ---- grammar ---- */

TEST(valid_records) {
  static const char *const records[] = {
      "{}",
      " \t\r{ } ",
      "{\"a\":null}",
      "{\"x\":[]}",
      "{\"x\":[[],{},[{}]]}",
      "{\"x\":[1,-0,0.5,-1.5e-7,1E+2,0e0]}",
      "{\"x\":true,\"y\":false,\"z\":null}",
      "{\"\":0}",
      "{\"x\":\"\"}",
      "{\"x\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"}",
      "{\"x\":\"\\ud83d\\ude00\"}",
      "{\"x\":\"\\u0000\"}",
      "{\"x\":\"\x7f\"}",
      "{\"x\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}",
      "{\"x\":\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"}",
      "{\"x\":123456789012345678901234567890}",
      "{\"x\":1e400}",
      "{\"x\":1e-400}",
      "{\"x\":[\"{\",\"]\",\",\",\":\"]}",
      "{\"x\":\"a\\\\\"}",
      "{\"x\" : [ 1 , 2 ] , \"y\" : { } }",
      "{\"a\":\"1\",\"a\":\"2\"}",
      "{\"x\":{\"a\":7,\"b\":\"no\"}}",
      "{\"\\u0061\":\"x\"}",
      "{\"x\":\"\\\\u\"}",
      "{\"x\":\"\xef\xbf\xbf\"}",
  };
  open_decoder(&nullable);
  for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
    enum weir_code code = decode_string(records[i]);
    if (code != WEIR_OK) TEST_FAIL("%s: code %d, %s", records[i], (int)code, fault.sentence);
    if (!is_json_object(records[i], strlen(records[i]))) TEST_FAIL("the validator refuses %s", records[i]);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  close_decoder();
}

/* What breaks the grammar, where, and what is said about it. */
static const struct invalid {
  const char *text;
  int position;
  const char *sentence; /* its beginning */
} invalid[] = {
    {"", 0, "the record is empty"},
    {" \t\r", 3, "the record is empty"},
    {"{", 1, "expected a name"},
    {"}", 0, "expected a value"},
    {"{\"x\"}", 4, "expected ':'"},
    {"{\"x\":}", 5, "expected a value"},
    {"{\"x\":1", 6, "expected ',' or '}'"},
    {"{\"x\":1,}", 7, "expected a name"},
    {"{,}", 1, "expected a name"},
    {"{\"x\":1}}", 7, "something follows"},
    {"{\"x\":1} {}", 8, "something follows"},
    {"{\"x\":1},", 7, "something follows"},
    {"{\"x\":1} x", 8, "something follows"},
    {"{\"x\":[1,]}", 8, "expected a value"},
    {"{\"x\":[1}", 7, "expected ',' or ']'"},
    {"{\"x\":{]}", 6, "expected a name"},
    {"{\"x\":[1 2]}", 8, "expected ',' or ']'"},
    {"{\"x\":1 \"y\":2}", 7, "expected ',' or '}'"},
    {"{\"x\" 1}", 5, "expected ':'"},
    {"{\"x\"::1}", 5, "expected a value"},
    {"{x:1}", 1, "expected a name"},
    {"{'x':1}", 1, "expected a name"},
    {"{1:1}", 1, "expected a name"},
    {"{\"x\":01}", 6, "expected ','"},
    {"{\"x\":-}", 5, "a wrong number"},
    {"{\"x\":+1}", 5, "expected a value"},
    {"{\"x\":1.}", 5, "a wrong number"},
    {"{\"x\":.5}", 5, "expected a value"},
    {"{\"x\":1e}", 5, "a wrong number"},
    {"{\"x\":1e+}", 5, "a wrong number"},
    {"{\"x\":0x1}", 6, "expected ','"},
    {"{\"x\":1a}", 6, "expected ','"},
    {"{\"x\":1\"y\"}", 6, "expected ','"},
    {"{\"x\":NaN}", 5, "expected a value"},
    {"{\"x\":-Infinity}", 5, "a wrong number"},
    {"{\"x\":True}", 5, "expected a value"},
    {"{\"x\":tru}", 5, "expected a value"},
    {"{\"x\":truee}", 9, "expected ','"},
    {"{\"x\":nul", 5, "expected a value"},
    {"{\"x\":\"abc}", 10, "a string is not closed"},
    {"{\"x\":\"abc\\\"}", 12, "a string is not closed"},
    {"{\"x\":\"a\tb\"}", 7, "a control character"},
    {"{\"x\":\"a\nb\"}", 7, "a control character"},
    {"{\"x\":\"\\x\"}", 6, "a wrong escape"},
    {"{\"x\":\"\\\"}", 9, "a string is not closed"},
    {"{\"x\":\"ab\\u12\"}", 8, "a wrong escape"},
    {"{\"x\":\"\\u12g4\"}", 6, "a wrong escape"},
    {"{\"x\":\"\\ud800\"}", 6, "a wrong escape"},
    {"{\"x\":\"\\udc00\"}", 6, "a wrong escape"},
    {"{\"x\":\"\\ud800\\u0041\"}", 6, "a wrong escape"},
    {"{\"x\":\"\\ud800x\"}", 6, "a wrong escape"},
    {"{\"\\q\":1}", 2, "a wrong escape"},
    {"{\"x\":\"\x80\"}", 6, "the bytes are not UTF-8"},
    {"{\"x\":\"\xc0\x80\"}", 6, "the bytes are not UTF-8"},
    {"{\"x\":\"\xc3\"}", 6, "the bytes are not UTF-8"},
    {"{\"x\":\"\xe0\x80\x80\"}", 6, "the bytes are not UTF-8"},
    {"{\"x\":\"\xed\xa0\x80\"}", 6, "the bytes are not UTF-8"},
    {"{\"x\":\"\xf4\x90\x80\x80\"}", 6, "the bytes are not UTF-8"},
    {"{\"x\":\"\xf8\x88\x80\x80\x80\"}", 6, "the bytes are not UTF-8"},
    {"{\"\xff\":1}", 2, "the bytes are not UTF-8"},
    {"{\"x\":\xc3\xa9}", 5, "expected a value"},
    {"\xef\xbb\xbf{}", 0, "expected a value"},
    {"{\"x\":1}\x01", 7, "something follows"},
    {"{\"x\":/**/1}", 5, "expected a value"},
    {"{\"x\":1}//", 7, "something follows"},
    {"{\"x\":\"a\"\"b\"}", 8, "expected ','"},
    {"{\"x\":\"a\"b}", 8, "expected ','"},
    {"{\"x\":\f1}", 5, "expected a value"},
    {"{\"x\":1\\}", 6, "expected ','"},
    {"[1,", 3, "the record ends where a value is expected"},
    {"nul", 0, "expected a value"},
};

TEST(invalid_records) {
  open_decoder(&nullable);
  for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
    const char *text = invalid[i].text;
    CHECK(!is_json(text, strlen(text)));
    enum weir_code code = decode_string(text);
    if (code != WEIR_BAD_RECORD || fault.kind != WR_JSON_NOT_JSON || fault.position != (uint32_t)invalid[i].position ||
        strncmp(fault.sentence, invalid[i].sentence, strlen(invalid[i].sentence)) != 0 ||
        fault.record_bytes != strlen(text) || fault.field != NULL)
      TEST_FAIL("%s: code %d, kind %d, at %u: %s", text, (int)code, (int)fault.kind, fault.position, fault.sentence);
  }
  CHECK_INT(decode("{\"x\":1}\0", 8), WEIR_BAD_RECORD); /* a zero byte is no white space */
  CHECK_INT(fault.position, 7);
  CHECK_INT(wr_batch_builder_rows(&builder), 0);
  close_decoder();
}

TEST(other_values_are_no_records) {
  static const char *const records[] = {"1", "\"a\"", "[]", "[{}]", "null", " true", "-0.5e1"};
  open_decoder(&nullable);
  for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
    CHECK_INT(decode_string(records[i]), WEIR_BAD_RECORD);
    CHECK_INT(fault.kind, WR_JSON_NOT_OBJECT);
    CHECK_STRING(fault.sentence, "it is not an object");
  }
  close_decoder();
}

/* The record is one level; 63 more are fine, in objects, in arrays, and in both by turns. */
TEST(depth) {
  open_decoder(&nullable);
  for (int levels = 62; levels <= 66; levels++) {
    for (int kind = 0; kind < 3; kind++) {
      struct text text = {.length = 0};
      put(&text, "{\"x\":");
      for (int i = 0; i < levels - 1; i++)
        put(&text, kind == 0 || (kind == 2 && i % 2 != 0) ? "[" : "{\"x\":");
      put(&text, "1");
      for (int i = levels - 2; i >= 0; i--)
        put(&text, kind == 0 || (kind == 2 && i % 2 != 0) ? "]" : "}");
      put(&text, "}");
      enum weir_code code = decode(text.bytes, text.length);
      CHECK_INT(code, levels <= 64 ? WEIR_OK : WEIR_BAD_RECORD);
      CHECK_INT(is_json(text.bytes, text.length), levels <= 64);
      if (code != WEIR_OK) CHECK_STRING(fault.sentence, "nested deeper than 64 levels");
    }
  }
  close_decoder();
}

/* ---- values ---- */

static const struct weir_field typed_fields[] = {
    {"flag", WEIR_TYPE_BOOLEAN, true}, {"small", WEIR_TYPE_INT, true},   {"big", WEIR_TYPE_BIGINT, true},
    {"real", WEIR_TYPE_DOUBLE, true},  {"text", WEIR_TYPE_STRING, true}, {"raw", WEIR_TYPE_BYTES, true},
    {"at", WEIR_TYPE_TIMESTAMP, true},
};
static const struct weir_schema typed = {typed_fields, 7};

/* A row of the schema `typed`, as a text like "big=1 text=ab "; without the NULLs. */
static const char *text_of_row(const struct wr_batch *batch, uint32_t row, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < 7; i++) {
    const struct wr_column *column = &batch->columns[i];
    if (wr_column_is_null(column, row)) continue;
    char *out = text + used;
    size_t room = size - used;
    const struct wr_view *view = &wr_column_views(column)[typed_fields[i].type >= WEIR_TYPE_STRING ? row : 0];
    const struct weir_timestamp *time = (const void *)view;
    int length = snprintf(out, room, "%s=", typed_fields[i].name);
    out += length;
    room -= (size_t)length;
    used += (size_t)length;
    switch (typed_fields[i].type) {
    case WEIR_TYPE_BOOLEAN:
      length = snprintf(out, room, "%d ", ((const uint8_t *)column->values)[row]);
      break;
    case WEIR_TYPE_INT:
      length = snprintf(out, room, "%d ", ((const int32_t *)column->values)[row]);
      break;
    case WEIR_TYPE_BIGINT:
      length = snprintf(out, room, "%" PRId64 " ", wr_column_bigints(column)[row]);
      break;
    case WEIR_TYPE_DOUBLE:
      length = snprintf(out, room, "%.17g ", ((const double *)column->values)[row]);
      break;
    case WEIR_TYPE_TIMESTAMP:
      length = snprintf(out, room, "%" PRId64 "/%d ", time->milliseconds, time->nanoseconds);
      break;
    default:
      length = snprintf(out, room, "%.*s ", view->length, wr_view_bytes(batch, view));
      break;
    }
    used += (size_t)length;
  }
  return text;
}

/* The last row of the builder. */
static const char *row_text(void) {
  static char text[400];
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  text_of_row(batch, batch->row_count - 1, text, sizeof text);
  wr_batch_unref(batch);
  return text;
}

TEST(values) {
  static const char *const cases[][2] = {
      {"{}", ""},
      {"{\"text\":\"ab\",\"big\":1}", "big=1 text=ab "},
      {"{\"text\":\"ab\" ,\"big\":17\t, \"small\" : 1 }", "small=1 big=17 text=ab "},
      {"{\"text\":\"ab\",\"text\":\"cd\"}", "text=cd "},
      {"{\"text\":\"ab\",\"text\":null}", ""},
      {"{\"text\":1,\"text\":\"the last wins\"}", "text=the last wins "},
      {"{\"te\\u0078t\":\"escaped name\",\"tex\":1,\"textt\":2}", "text=escaped name "},
      {"{\"x\":{\"text\":\"inner\"},\"y\":[{\"big\":3}]}", ""},
      {"{\"text\":\"\\u00e9\\n\\\\\\ud83d\\ude00/\\/\"}", "text=\xc3\xa9\n\\\xf0\x9f\x98\x80// "},
      {"{\"text\":\"a string that is longer than a view\\t!\"}", "text=a string that is longer than a view\t! "},
      {"{\"flag\":true}", "flag=1 "},
      {"{\"flag\":false }", "flag=0 "},
      {"{\"small\":-2147483648}", "small=-2147483648 "},
      {"{\"small\":2147483647}", "small=2147483647 "},
      {"{\"big\":-9223372036854775808}", "big=-9223372036854775808 "},
      {"{\"big\":9223372036854775807}", "big=9223372036854775807 "},
      {"{\"big\":-0}", "big=0 "},
      {"{\"real\":-0}", "real=-0 "},
      {"{\"real\":0.1}", "real=0.10000000000000001 "},
      {"{\"real\":1e23}", "real=9.9999999999999992e+22 "},
      {"{\"real\":123456789012345678901234567890}", "real=1.2345678901234568e+29 "},
      {"{\"real\":2.2250738585072011e-308}", "real=2.2250738585072009e-308 "},
      {"{\"real\":9007199254740993}", "real=9007199254740992 "},
      {"{\"real\":-1.5}", "real=-1.5 "},
      {"{\"real\":999999999999999.9}", "real=999999999999999.88 "},
      {"{\"real\":1e-400}", "real=0 "},
      {"{\"raw\":\"\"}", "raw= "},
      {"{\"raw\":\"d2Vpcg==\"}", "raw=weir "},
      {"{\"raw\":\"d2VpcnM=\"}", "raw=weirs "},
      {"{\"raw\":\"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ\\u003d\"}", "raw=hello world hello world "},
      {"{\"at\":\"1970-01-01 00:00:00\"}", "at=0/0 "},
      {"{\"at\":\"2024-02-29T12:34:56.789012345Z\"}", "at=1709210096789/12345 "},
      {"{\"at\":\"1969-12-31 23:59:59.999999999\"}", "at=-1/999999 "},
      {"{\"at\":\"0001-01-01 00:00:00\"}", "at=-62135596800000/0 "},
      {"{\"at\":\"9999-12-31 23:59:59.9\"}", "at=253402300799900/0 "},
  };
  open_decoder(&typed);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    enum weir_code code = decode_string(cases[i][0]);
    if (code != WEIR_OK) TEST_FAIL("%s: code %d, %s", cases[i][0], (int)code, fault.sentence);
    CHECK_STRING(row_text(), cases[i][1]);
  }
  CHECK_INT(decode_string("{\"text\":\"a\\u0000b\"}"), WEIR_OK);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK(wr_column_views(&batch->columns[4])[0].length == 3 &&
        memcmp(wr_column_views(&batch->columns[4])[0].bytes, "a\0b", 3) == 0);
  wr_batch_unref(batch);
  close_decoder();
}

TEST(wrong_types) {
  static const struct {
    const char *text;
    int position;
    const char *sentence;
  } cases[] = {
      {"{\"flag\":1}", 8, "field \"flag\" is not true or false, as a BOOLEAN is"},
      {"{\"flag\":\"true\"}", 8, "field \"flag\" is not true or false, as a BOOLEAN is"},
      {"{\"small\":2147483648}", 9, "field \"small\" is not a whole number in the range of an INT"},
      {"{\"small\":-2147483649}", 9, "field \"small\" is not a whole number in the range of an INT"},
      {"{\"big\":9223372036854775808}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"big\":-9223372036854775809}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"big\":18446744073709551616}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"big\":100000000000000000000}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"big\":1.0}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"big\":1e3}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"big\":\"1\"}", 7, "field \"big\" is not a whole number in the range of a BIGINT"},
      {"{\"real\":1e400}", 8, "field \"real\" is not a number in the range of a DOUBLE"},
      {"{\"real\":true}", 8, "field \"real\" is not a number in the range of a DOUBLE"},
      {"{\"text\":7}", 8, "field \"text\" is not a string"},
      {"{\"text\":{\"a\":\"b\"}}", 8, "field \"text\" is not a string"},
      {"{\"text\":[]}", 8, "field \"text\" is not a string"},
      {"{\"text\":\"x\",\"text\":7}", 19, "field \"text\" is not a string"},
      {"{\"raw\":\"d2Vpcg=\"}", 7, "field \"raw\" is not a string in base64, as BYTES are"},
      {"{\"raw\":\"d2=pcg==\"}", 7, "field \"raw\" is not a string in base64, as BYTES are"},
      {"{\"raw\":\"d2Vpch==\"}", 7, "field \"raw\" is not a string in base64, as BYTES are"},
      {"{\"raw\":\"====\"}", 7, "field \"raw\" is not a string in base64, as BYTES are"},
      {"{\"at\":0}", 6, "field \"at\" is not a TIMESTAMP, a string like \"2024-02-29 12:34:56.789\""},
      {"{\"at\":\"2023-02-29 00:00:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"1900-02-29 00:00:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"0000-01-01 00:00:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-13-01 00:00:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01 24:00:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01 00:00:60\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01 00:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01 00:00:00.\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01 00:00:00.1234567890\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01 00:00:0x\"}", 6, "field \"at\" is not a TIMESTAMP"},
      {"{\"at\":\"2024-01-01T00:00:00+01:00\"}", 6, "field \"at\" is not a TIMESTAMP"},
  };
  open_decoder(&typed);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    enum weir_code code = decode_string(cases[i].text);
    if (code != WEIR_BAD_RECORD || fault.kind != WR_JSON_FIELD_TYPE || fault.position != (uint32_t)cases[i].position ||
        strncmp(fault.sentence, cases[i].sentence, strlen(cases[i].sentence)) != 0)
      TEST_FAIL("%s: code %d, kind %d, at %u: %s", cases[i].text, (int)code, (int)fault.kind, fault.position,
                fault.sentence);
  }
  /* What a bad record had set is gone. */
  CHECK_INT(decode_string("{\"flag\":true,\"text\":\"gone\",\"at\":1}"), WEIR_BAD_RECORD);
  CHECK_INT(decode_string("{\"big\":5}"), WEIR_OK);
  CHECK_STRING(row_text(), "big=5 ");
  close_decoder();
}

/* The nearest double, as strtod has it (in the C locale, which is that of this program). */
TEST(random_doubles) {
  static const struct weir_field field = {"x", WEIR_TYPE_DOUBLE, false};
  static const struct weir_schema schema = {&field, 1};
  struct wr_random random = wr_random_of(test_seed());
  open_decoder(&schema);
  for (int round = 0; round < 100000; round++) {
    char number[64], text[100];
    double value = 0;
    uint64_t bits = wr_random_next(&random);
    switch (wr_random_below(&random, 4)) {
    case 0:
      memcpy(&value, &bits, sizeof value);
      if (!(value - value == 0)) continue; /* infinite, or not a number */
      snprintf(number, sizeof number, "%.*e", (int)wr_random_below(&random, 20), value);
      break;
    case 1:
      snprintf(number, sizeof number, "%" PRIu64 ".%" PRIu64, bits >> 32, bits & 0xffffff);
      break;
    case 2:
      snprintf(number, sizeof number, "-%" PRIu64 "e-%d", bits, (int)wr_random_below(&random, 340));
      break;
    default:
      snprintf(number, sizeof number, "0.00%" PRIu64, bits >> wr_random_below(&random, 64));
      break;
    }
    int length = snprintf(text, sizeof text, "{\"x\":%s}", number);
    double expected = strtod(number, NULL), got = 0;
    enum weir_code code = decode(text, (size_t)length);
    CHECK_INT(code, expected - expected == 0 ? WEIR_OK : WEIR_BAD_RECORD);
    if (code != WEIR_OK) continue;
    memcpy(&got, builder.batch->columns[0].values, sizeof got);
    if (memcmp(&got, &expected, sizeof got) != 0) TEST_FAIL("%s became %.17g, expected %.17g", number, got, expected);
  }
  close_decoder();
}

TEST(missing_fields) {
  static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}, {"n", WEIR_TYPE_BIGINT, true}};
  static const struct weir_schema schema = {fields, 2};
  open_decoder(&schema);
  CHECK_INT(decode_string("{\"n\":1} "), WEIR_BAD_RECORD);
  CHECK_INT(fault.kind, WR_JSON_FIELD_MISSING);
  CHECK_INT(fault.position, 8);
  CHECK_STRING(fault.field, "app_id");
  CHECK_STRING(fault.sentence, "field \"app_id\" is missing");
  CHECK_INT(decode_string("{\"n\":1,\"app_id\":null}"), WEIR_BAD_RECORD);
  CHECK_INT(fault.kind, WR_JSON_FIELD_MISSING);
  CHECK_INT(fault.position, 16);
  CHECK_STRING(fault.sentence, "field \"app_id\" is null");
  CHECK_INT(decode_string("{\"app_id\":\"\"}"), WEIR_OK);
  CHECK_INT(decode_string("{\"App_id\":\"\"}"), WEIR_BAD_RECORD);
  close_decoder();
}

TEST(many_fields_and_a_map) {
  enum { COUNT = 300 };
  static struct weir_field fields[COUNT], columns[COUNT + 1];
  static char names[COUNT][12];
  static uint32_t map[COUNT];
  for (uint32_t i = 0; i < COUNT; i++) {
    snprintf(names[i], sizeof names[i], "f%u", i);
    map[i] = COUNT - i;
    fields[i] = columns[map[i]] = (struct weir_field){names[i], WEIR_TYPE_BIGINT, i % 2 == 0};
  }
  columns[0] = (struct weir_field){"position", WEIR_TYPE_BIGINT, false};
  struct weir_schema schema = {fields, COUNT}, row_schema = {columns, COUNT + 1};
  test_memory_init(&memory);
  wr_batch_builder_init(&builder, &memory.memory, &row_schema, false);
  CHECK_INT(wr_json_decoder_new(&memory.memory, NULL, &schema, map, &decoder, &error), WEIR_OK);
  static char text[20 * COUNT];
  size_t length = 1;
  text[0] = '{';
  for (uint32_t i = COUNT; i-- > 0;)
    length += (size_t)snprintf(text + length, sizeof text - length, "\"f%u\":%u,", i, i * 3);
  text[length - 1] = '}';
  CHECK_INT(decode(text, length), WEIR_OK);
  wr_batch_builder_set_bigint(&builder, 0, 99);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK_INT(wr_column_bigints(&batch->columns[0])[0], 99);
  for (uint32_t i = 0; i < COUNT; i++)
    CHECK_INT(wr_column_bigints(&batch->columns[map[i]])[0], i * 3);
  wr_batch_unref(batch);
  close_decoder();
}

TEST(length_limit) {
  open_decoder(&nullable);
  size_t room = WR_RECORD_BYTES_MAX + 2;
  char *text = malloc(room);
  memset(text, 'x', room);
  memcpy(text, "{\"a\":\"", 6);
  memcpy(text + WR_RECORD_BYTES_MAX - 2, "\"}\n", 3);
  struct wr_json_lines lines = {.text = text, .length = WR_RECORD_BYTES_MAX + 1};
  CHECK_INT(wr_json_decode_lines(decoder, &lines, &builder, &fault, &error), WEIR_OK);
  CHECK_INT(lines.line_count, 1);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK_INT(wr_column_views(&batch->columns[0])[0].length, WR_RECORD_BYTES_MAX - 8);
  wr_batch_unref(batch);
  text[WR_RECORD_BYTES_MAX] = ' ';
  text[WR_RECORD_BYTES_MAX + 1] = '\n';
  lines = (struct wr_json_lines){.text = text, .length = room};
  CHECK_INT(wr_json_decode_lines(decoder, &lines, &builder, &fault, &error), WEIR_BAD_RECORD);
  CHECK_INT(fault.kind, WR_JSON_TOO_LONG);
  CHECK_INT(fault.record_bytes, WR_RECORD_BYTES_MAX + 1);
  CHECK_INT(lines.line_count, 0);
  CHECK(wr_json_skip_line(&lines) && lines.length == 0 && lines.line_count == 1);
  free(text);
  close_decoder();
}

/* ---- random texts ---- */

static const char *pick(struct wr_random *random, const char *const *choices, size_t count) {
  return choices[wr_random_below(random, count)];
}
#define PICK(...)                                                                                                      \
  pick(random, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void put_space(struct wr_random *random, struct text *text) {
  if (wr_random_one_in(random, 4)) put(text, PICK(" ", "  ", "\t", "\r", " \t "));
}

static void put_string(struct wr_random *random, struct text *text) {
  put(text, "\"");
  for (uint64_t i = wr_random_below(random, 6); i > 0; i--)
    put(text, PICK("a", "b", "some plain text ", "\\\"", "\\\\", "\\n", "\\u00e9", "\\ud83d\\ude00", "\xc3\xa9",
                   "\xe2\x82\xac", "\xf0\x9f\x98\x80", "{", "}", "[", ":", ",", " ", "1", "\\/"));
  put(text, "\"");
}

static void put_value(struct wr_random *random, struct text *text, int depth) {
  uint64_t kind = wr_random_below(random, depth > 4 ? 6 : 10);
  if (kind < 3) {
    put_string(random, text);
  } else if (kind < 5) {
    put(text,
        PICK("0", "-0", "1", "-17", "3.25", "1e5", "-2E-3", "12345678901234567890123", "1e999", "9223372036854775807"));
  } else if (kind == 5) {
    put(text, PICK("true", "false", "null"));
  } else {
    bool is_array = kind < 8;
    put(text, is_array ? "[" : "{");
    put_space(random, text);
    uint64_t count = wr_random_below(random, 4);
    for (uint64_t i = 0; i < count; i++) {
      if (i != 0) put(text, ",");
      put_space(random, text);
      if (!is_array) put_string(random, text);
      put_space(random, text);
      if (!is_array) put(text, ":");
      put_space(random, text);
      put_value(random, text, depth + 1);
      put_space(random, text);
    }
    put(text, is_array ? "]" : "}");
  }
}

static void put_record(struct wr_random *random, struct text *text) {
  put_space(random, text);
  put(text, "{");
  for (uint64_t i = wr_random_below(random, 5); i > 0; i--) {
    put_space(random, text);
    if (wr_random_one_in(random, 3))
      put(text, PICK("\"a\"", "\"b\"", "\"\\u0061\"", "\"c\""));
    else
      put_string(random, text);
    put(text, ":");
    put_value(random, text, 1);
    if (i > 1) put(text, ",");
  }
  put(text, "}");
  put_space(random, text);
}

/* Spoils a text here and there, with bytes that matter to JSON and to UTF-8; never with a newline. */
static void spoil(struct wr_random *random, char *bytes, size_t *length) {
  static const char matters[] = "{}[]:,\"\"\\\\ \t0123456789-+.eEtrufalsn\x01\x7f\x80\xbf\xc3\xe2\xed\xf0\xf4\xff/'\0u";
  for (uint64_t i = 1 + wr_random_below(random, 3); i > 0 && *length > 0; i--) {
    size_t at = wr_random_below(random, *length);
    char byte = matters[wr_random_below(random, sizeof matters - 1)];
    switch (wr_random_below(random, 4)) {
    case 0:
      bytes[at] = byte;
      break;
    case 1:
      *length = at;
      break;
    case 2:
      memmove(bytes + at, bytes + at + 1, *length - at - 1);
      --*length;
      break;
    default:
      if (*length == sizeof((struct text *)0)->bytes) break;
      memmove(bytes + at + 1, bytes + at, *length - at);
      bytes[at] = byte;
      ++*length;
      break;
    }
  }
}

TEST(random_records_against_the_validator) {
  struct wr_random random = wr_random_of(test_seed());
  uint32_t sound = 0, broken = 0;
  open_decoder(&nullable);
  for (int round = 0; round < 100000; round++) {
    struct text text = {.length = 0};
    put_record(&random, &text);
    if (!is_json_object(text.bytes, text.length)) TEST_FAIL("a wrong generator: %.*s", (int)text.length, text.bytes);
    if (!wr_random_one_in(&random, 4)) spoil(&random, text.bytes, &text.length);
    bool is_sound = is_json_object(text.bytes, text.length);
    enum weir_code code = decode(text.bytes, text.length);
    bool is_taken = code == WEIR_OK || (code == WEIR_BAD_RECORD && fault.kind == WR_JSON_FIELD_TYPE);
    if ((code != WEIR_OK && code != WEIR_BAD_RECORD) || is_taken != is_sound ||
        (!is_taken && fault.position > text.length))
      TEST_FAIL("code %d, sound %d: %.*s", (int)code, is_sound, (int)text.length, text.bytes);
    if (!is_sound && is_json(text.bytes, text.length)) CHECK_INT(fault.kind, WR_JSON_NOT_OBJECT);
    *(is_sound ? &sound : &broken) += 1;
  }
  CHECK(sound > 20000 && broken > 20000);
  close_decoder();
}

/* ---- lines ---- */

enum { LINES_ROOM = 200000 };

/* Random lines: records, bad ones, white space; the last one perhaps without its newline. */
static size_t make_lines(struct wr_random *random, char *out) {
  size_t length = 0;
  uint64_t bad_one_in = wr_random_one_in(random, 2) ? 3 : 500;
  while (length < LINES_ROOM - 5000 && !wr_random_one_in(random, 1500)) {
    struct text text = {.length = 0};
    if (!wr_random_one_in(random, 10)) put_record(random, &text);
    if (wr_random_one_in(random, bad_one_in)) spoil(random, text.bytes, &text.length);
    if (wr_random_one_in(random, 10)) put(&text, "\r");
    memcpy(out + length, text.bytes, text.length);
    length += text.length;
    out[length++] = '\n';
  }
  return length == 0 || wr_random_one_in(random, 2) ? length : length - 1;
}

static bool rows_equal(const struct wr_batch *a, uint32_t row_a, const struct wr_batch *b, uint32_t row_b) {
  const struct wr_view *x = &wr_column_views(&a->columns[0])[row_a], *y = &wr_column_views(&b->columns[0])[row_b];
  return wr_column_is_null(&a->columns[0], row_a) == wr_column_is_null(&b->columns[0], row_b) &&
         wr_column_is_null(&a->columns[1], row_a) == wr_column_is_null(&b->columns[1], row_b) &&
         wr_column_bigints(&a->columns[1])[row_a] == wr_column_bigints(&b->columns[1])[row_b] &&
         x->length == y->length && memcmp(wr_view_bytes(a, x), wr_view_bytes(b, y), (size_t)x->length) == 0;
}

static bool is_blank(const char *text, size_t length) {
  struct validator v = {.at = text, .end = text + length};
  v_space(&v);
  return v.at == v.end;
}

/* Takes all lines of a text and compares each row, each fault and each count with single records. */
static void compare_lines(struct wr_random *random, const char *text, size_t length) {
  struct wr_json_lines lines = {.text = text, .length = length, .ends = true};
  static uint32_t row_lines[WR_BATCH_ROWS_MAX];
  lines.row_lines = row_lines;
  const char *expected = text, *end = text + length;
  uint32_t line = 0;
  struct wr_batch_builder singly;
  wr_batch_builder_init(&singly, &memory.memory, &nullable, false);
  while (lines.length != 0) {
    enum weir_code code = wr_json_decode_lines(decoder, &lines, &builder, &fault, &error);
    struct wr_json_fault lines_fault = fault;
    CHECK(code == WEIR_OK || code == WEIR_BAD_RECORD);
    struct wr_batch *batch = NULL;
    if (code == WEIR_OK || wr_random_one_in(random, 2)) batch = wr_batch_builder_take(&builder);
    for (uint32_t row = 0; batch != NULL && row < batch->row_count;) {
      const char *newline = memchr(expected, '\n', (size_t)(end - expected));
      size_t record = (size_t)((newline == NULL ? end : newline) - expected);
      if (!is_blank(expected, record) &&
          wr_json_decode(decoder, expected, record, &singly, &fault, &error) == WEIR_OK) {
        wr_batch_builder_end_row(&singly, WEIR_INSERT);
        struct wr_batch *one = wr_batch_builder_take(&singly);
        CHECK(rows_equal(batch, row, one, 0));
        CHECK_INT(row_lines[row], line);
        wr_batch_unref(one);
        row++;
      }
      expected += record + (newline != NULL);
      line++;
    }
    wr_batch_unref(batch);
    if (code != WEIR_BAD_RECORD) continue;
    CHECK_INT(wr_json_decode(decoder, lines.text, lines_fault.record_bytes, &singly, &fault, &error), WEIR_BAD_RECORD);
    CHECK(fault.kind == lines_fault.kind && fault.position == lines_fault.position);
    CHECK_STRING(fault.sentence, lines_fault.sentence);
    CHECK(lines.length == lines_fault.record_bytes || lines.text[lines_fault.record_bytes] == '\n');
    CHECK(wr_json_skip_line(&lines));
  }
  wr_batch_unref(wr_batch_builder_take(&builder));
  uint32_t newlines = length != 0 && end[-1] != '\n';
  for (size_t i = 0; i < length; i++)
    newlines += text[i] == '\n';
  CHECK_INT(lines.line_count, newlines);
  wr_batch_builder_deinit(&singly);
}

TEST(random_lines_against_single_records) {
  struct wr_random random = wr_random_of(test_seed());
  open_decoder(&nullable);
  char *room = malloc(LINES_ROOM);
  for (int round = 0; round < 60; round++) {
    size_t length = make_lines(&random, room);
    char *exact = malloc(length + (length == 0));
    memcpy(exact, room, length);
    compare_lines(&random, exact, length);
    free(exact);
    CHECK_PASSED();
  }
  free(room);
  close_decoder();
}

TEST(lines_wait_for_their_end) {
  open_decoder(&nullable);
  static const char text[] = "{\"b\":1}\n \r\n\n{\"b\":2}\n{\"b\":3}";
  uint32_t row_lines[10];
  struct wr_json_lines lines = {.text = text, .length = sizeof text - 1, .line_count = 100, .row_lines = row_lines};
  CHECK_INT(wr_json_decode_lines(decoder, &lines, &builder, &fault, &error), WEIR_OK);
  CHECK_INT(wr_batch_builder_rows(&builder), 2);
  CHECK_INT(lines.line_count, 104);
  CHECK_INT(row_lines[0], 100);
  CHECK_INT(row_lines[1], 103);
  CHECK_INT(lines.length, 7);
  CHECK(!wr_json_skip_line(&lines));
  lines.ends = true;
  CHECK_INT(wr_json_decode_lines(decoder, &lines, &builder, &fault, &error), WEIR_OK);
  CHECK_INT(wr_batch_builder_rows(&builder), 3);
  CHECK_INT(lines.length, 0);
  CHECK_INT(row_lines[2], 104);
  close_decoder();
}

TEST(a_full_builder_stops) {
  open_decoder(&nullable);
  enum { COUNT = 10000 };
  char *text = malloc(COUNT * 16);
  size_t length = 0;
  for (int i = 0; i < COUNT; i++)
    length += (size_t)snprintf(text + length, 16, "{\"b\":%d}\n", i);
  struct wr_json_lines lines = {.text = text, .length = length};
  int64_t next = 0;
  while (lines.length != 0) {
    CHECK_INT(wr_json_decode_lines(decoder, &lines, &builder, &fault, &error), WEIR_OK);
    struct wr_batch *batch = wr_batch_builder_take(&builder);
    CHECK(batch->row_count == WR_BATCH_ROWS_MAX || lines.length == 0);
    for (uint32_t i = 0; i < batch->row_count; i++)
      CHECK_INT(wr_column_bigints(&batch->columns[1])[i], next++);
    wr_batch_unref(batch);
  }
  CHECK_INT(next, COUNT);
  free(text);
  close_decoder();
}

/* ---- records that are gathered ---- */

enum { RECORDS = 400, LARGE_BYTES = 40000 };
struct record {
  char *bytes; /* exactly its length */
  size_t length;
};

/* Sound or spoiled, with newlines between its tokens and elsewhere, empty, of white space, or large. */
static struct record make_record(struct wr_random *random, uint64_t bad_one_in) {
  static char room[LARGE_BYTES + 5000];
  struct text text = {.length = 0};
  if (!wr_random_one_in(random, 20)) put_record(random, &text);
  if (wr_random_one_in(random, bad_one_in)) spoil(random, text.bytes, &text.length);
  for (uint64_t i = wr_random_one_in(random, 3) ? wr_random_below(random, 4) : 0; i > 0 && text.length > 0; i--) {
    char *at = &text.bytes[wr_random_below(random, text.length)];
    if (*at == ' ' || wr_random_one_in(random, 3 * bad_one_in)) *at = '\n';
  }
  size_t length = text.length;
  memcpy(room, text.bytes, length);
  if (wr_random_one_in(random, 40)) {
    size_t more = wr_random_below(random, LARGE_BYTES);
    memset(room + length, '\n', more);
    length += more;
  }
  struct record record = {.bytes = malloc(length + (length == 0)), .length = length};
  memcpy(record.bytes, room, length);
  return record;
}

/* Decodes what was gathered of `records`, perhaps not all, and compares each row and each fault with single records. */
static void compare_gathered(struct wr_random *random, const struct record *records, struct wr_json_decoder *single,
                             struct wr_batch_builder *singly, uint32_t *out_done) {
  uint32_t count = wr_json_gathered(decoder), done = 0;
  uint32_t wanted = wr_random_one_in(random, 3) ? (uint32_t)wr_random_below(random, count) + 1 : count;
  for (; done < wanted; done++) {
    const struct record *record = &records[done];
    struct wr_json_fault single_fault;
    enum weir_code code = wr_json_decode_gathered(decoder, &builder, &fault, &error);
    enum weir_code expected = wr_json_decode(single, record->bytes, record->length, singly, &single_fault, &error);
    CHECK_INT(code, expected);
    CHECK_INT(wr_json_gathered(decoder), count - done - 1);
    if (expected == WEIR_OK && code == WEIR_OK) {
      wr_batch_builder_end_row(&builder, WEIR_INSERT);
      wr_batch_builder_end_row(singly, WEIR_INSERT);
      struct wr_batch *a = wr_batch_builder_take(&builder), *b = wr_batch_builder_take(singly);
      CHECK(rows_equal(a, 0, b, 0));
      wr_batch_unref(a);
      wr_batch_unref(b);
    } else {
      CHECK(fault.kind == single_fault.kind && fault.position == single_fault.position &&
            fault.record_bytes == single_fault.record_bytes && fault.record_bytes == record->length);
      CHECK_STRING(fault.sentence, single_fault.sentence);
    }
    if (test_failed) TEST_FAIL("the record was %.*s", (int)record->length, record->bytes);
    if (test_failed) break;
  }
  wr_json_forget_gathered(decoder);
  CHECK_INT(wr_json_gathered(decoder), 0);
  *out_done = done;
}

TEST(random_gathered_records_against_single_records) {
  struct wr_random random = wr_random_of(test_seed());
  struct wr_json_decoder *single = NULL;
  struct wr_batch_builder singly;
  struct record records[RECORDS];
  uint32_t most = 0, large = 0;
  open_decoder(&nullable);
  wr_batch_builder_init(&singly, &memory.memory, &nullable, false);
  CHECK_INT(wr_json_decoder_new(&memory.memory, NULL, &nullable, NULL, &single, &error), WEIR_OK);
  for (int round = 0; round < 100; round++) {
    uint64_t bad_one_in = wr_random_one_in(&random, 2) ? 3 : 500;
    for (int i = 0; i < RECORDS; i++)
      records[i] = make_record(&random, bad_one_in);
    for (uint32_t at = 0; at < RECORDS;) {
      uint32_t count = 0;
      while (at + count < RECORDS && wr_json_gather(decoder, records[at + count].bytes, records[at + count].length))
        count++;
      CHECK_INT(wr_json_gathered(decoder), count);
      CHECK(count > 0 || records[at].length > 30000); /* it does not fit into an empty window */
      if (count > most) most = count;
      large += count == 0;
      if (count == 0)
        count = 1;
      else
        compare_gathered(&random, &records[at], single, &singly, &count);
      CHECK_PASSED();
      at += count;
    }
    for (int i = 0; i < RECORDS; i++)
      free(records[i].bytes);
  }
  CHECK(most > 100 && large > 0);
  wr_json_decoder_free(single);
  wr_batch_builder_deinit(&singly);
  close_decoder();
}

/* What one record leaves open is not closed by the next one, and its newlines end nothing. */
TEST(gathered_records_are_their_own) {
  static const char *const records[][2] = {
      {"{\"a\":\"x\",", "\"b\":1}"},
      {"{\"a\":\"x", "y\"}"},
      {"{\"a\":\"x\\", "\"}"},
      {"{\"a\":\"\xc3", "\xa9\"}"},
      {"{\"b\":1", "2}"},
      {"{\"b\":", "1}"},
      {"{}{", "}"},
      {"", "{}"},
      {"{\n\"b\"\n:\n1\n}\n", "{\"b\":2}"},
      {"{\"a\":\"x\ny\"}", "{}"},
      {"\"a\"", "{\"a\":\"\"}"},
      {"{\"b\":\"1\"}", "{}"},
  };
  static const enum weir_code codes[][2] = {
      {WEIR_BAD_RECORD, WEIR_BAD_RECORD}, {WEIR_BAD_RECORD, WEIR_BAD_RECORD}, {WEIR_BAD_RECORD, WEIR_BAD_RECORD},
      {WEIR_BAD_RECORD, WEIR_BAD_RECORD}, {WEIR_BAD_RECORD, WEIR_BAD_RECORD}, {WEIR_BAD_RECORD, WEIR_BAD_RECORD},
      {WEIR_BAD_RECORD, WEIR_BAD_RECORD}, {WEIR_BAD_RECORD, WEIR_OK},         {WEIR_OK, WEIR_OK},
      {WEIR_BAD_RECORD, WEIR_OK},         {WEIR_BAD_RECORD, WEIR_OK},         {WEIR_BAD_RECORD, WEIR_OK},
  };
  open_decoder(&nullable);
  for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
    for (int k = 0; k < 2; k++)
      CHECK(wr_json_gather(decoder, records[i][k], strlen(records[i][k])));
    for (int k = 0; k < 2; k++) {
      enum weir_code code = wr_json_decode_gathered(decoder, &builder, &fault, &error);
      if (code != codes[i][k]) TEST_FAIL("record %d of pair %zu: code %d", k, i, (int)code);
      if (code == WEIR_OK) wr_batch_builder_end_row(&builder, WEIR_INSERT);
    }
  }
  close_decoder();
}

/* ---- records of a shape ---- */

/* Records of one source mostly look alike, and the decoder makes use of that. Here they look alike, but for small
 * differences, and a decoder that has seen many is compared with one that has seen none. */
enum { SHAPE_MEMBERS = 8, SHAPED_RECORDS = 60, SHAPED_ROOM = 64 * 1024 };

struct shape {
  const char *names[SHAPE_MEMBERS];
  const char *comma, *colon;
  uint32_t count;
};

static const char *pick_name(struct wr_random *random) {
  return PICK("flag", "small", "big", "real", "text", "raw", "at", "fla", "bigg", "t\\u0065xt", "x", "",
              "a name of thirty-eight bytes and a few", "a name that is longer than all that is remembered of one");
}

static struct shape make_shape(struct wr_random *random) {
  struct shape shape = {.count = (uint32_t)wr_random_below(random, SHAPE_MEMBERS + 1)};
  shape.comma = PICK(",", ",", ", ", " , ");
  shape.colon = PICK(":", ":", ": ", " :\t");
  for (uint32_t i = 0; i < SHAPE_MEMBERS; i++)
    shape.names[i] = pick_name(random);
  return shape;
}

/* Mostly what the field takes. */
static void put_shaped_value(struct wr_random *random, const char *name, struct text *text) {
  char number[32];
  uint64_t bits = wr_random_next(random) >> wr_random_below(random, 64);
  if (wr_random_one_in(random, 12)) {
    put_value(random, text, 1);
  } else if (strcmp(name, "flag") == 0) {
    put(text, PICK("true", "false"));
  } else if (strcmp(name, "at") == 0) {
    put(text, PICK("\"2024-02-29 12:34:56\"", "\"2026-01-02 03:04:05.678\"", "\"1969-12-31T23:59:59.123456789Z\""));
  } else if (strcmp(name, "raw") == 0) {
    put(text, PICK("\"\"", "\"d2Vpcg==\"", "\"d2VpcnM=\"", "\"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=\""));
  } else if (strcmp(name, "small") == 0 || strcmp(name, "big") == 0 || strcmp(name, "real") == 0) {
    put(text, PICK("", "", "", "-", "0"));
    snprintf(number, sizeof number, "%" PRIu64, strcmp(name, "small") == 0 ? bits >> 33 : bits);
    put(text, number);
    if (strcmp(name, "real") == 0) put(text, PICK("", ".0", ".5", ".125", "e1"));
  } else {
    put(text, "\"");
    for (uint64_t i = wr_random_below(random, 16); i > 0; i--)
      put(text, PICK("a", "b", "1", " ", "/"));
    if (wr_random_one_in(random, 8)) put(text, PICK("\\n", "\\\"", "\xc3\xa9", "a long piece of text"));
    put(text, "\"");
  }
}

static void put_shaped(struct wr_random *random, const struct shape *given, struct text *text) {
  struct shape shape = *given;
  if (wr_random_one_in(random, 10)) shape.count = (uint32_t)wr_random_below(random, SHAPE_MEMBERS + 1);
  if (wr_random_one_in(random, 10)) shape.names[wr_random_below(random, SHAPE_MEMBERS)] = pick_name(random);
  if (wr_random_one_in(random, 20)) shape.comma = PICK(",", ", ", ",  ", "");
  if (wr_random_one_in(random, 20)) shape.colon = PICK(":", ": ", ":  ", "");
  put(text, wr_random_one_in(random, 20) ? " {" : "{");
  for (uint32_t i = 0; i < shape.count; i++) {
    if (i != 0) put(text, shape.comma);
    put(text, "\"");
    put(text, shape.names[i]);
    put(text, "\"");
    put(text, shape.colon);
    put_shaped_value(random, shape.names[i], text);
  }
  put(text, wr_random_one_in(random, 20) ? " }\r" : "}");
}

/* What a decoder says of a record: its row as a text, or its fault. */
struct said {
  enum weir_code code;
  struct wr_json_fault fault;
  char row[SHAPED_ROOM];
};

/* Decoded by a decoder that has seen no other record, from a copy with nothing behind it. */
static void say_freshly(const char *record, size_t length, struct said *out) {
  struct wr_json_decoder *fresh = NULL;
  struct wr_batch_builder one;
  char *exact = malloc(length + (length == 0));
  memcpy(exact, record, length);
  wr_batch_builder_init(&one, &memory.memory, &typed, false);
  CHECK_INT(wr_json_decoder_new(&memory.memory, NULL, &typed, NULL, &fresh, &error), WEIR_OK);
  out->code = wr_json_decode(fresh, exact, length, &one, &out->fault, &error);
  if (out->code == WEIR_OK) {
    wr_batch_builder_end_row(&one, WEIR_INSERT);
    struct wr_batch *batch = wr_batch_builder_take(&one);
    text_of_row(batch, 0, out->row, sizeof out->row);
    wr_batch_unref(batch);
  } else { /* the field's name lives as long as the decoder */
    out->fault.field = NULL;
  }
  wr_json_decoder_free(fresh);
  wr_batch_builder_deinit(&one);
  free(exact);
}

static bool faults_equal(const struct wr_json_fault *a, const struct wr_json_fault *b) {
  return a->kind == b->kind && a->position == b->position && a->record_bytes == b->record_bytes &&
         strcmp(a->sentence, b->sentence) == 0;
}

/* One way of decoding a record, by the decoder that has seen all before it. */
static void compare_one(const char *way, enum weir_code code, const struct said *expected, const char *record,
                        size_t length) {
  static char row[SHAPED_ROOM];
  if (code == WEIR_OK) {
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
    struct wr_batch *batch = wr_batch_builder_take(&builder);
    text_of_row(batch, batch->row_count - 1, row, sizeof row);
    wr_batch_unref(batch);
  }
  if (code != expected->code ||
      (code == WEIR_OK ? strcmp(row, expected->row) != 0 : !faults_equal(&fault, &expected->fault)))
    TEST_FAIL("%s: code %d, a fresh decoder %d; %s, not %s; the record: %.*s", way, (int)code, (int)expected->code,
              code == WEIR_OK ? row : fault.sentence,
              expected->code == WEIR_OK ? expected->row : expected->fault.sentence, (int)length, record);
}

/* A backslash anywhere in a record closes the short ways through all of its values: says the same of the record with a
 * member more that has some. */
static void compare_with_escapes(const struct text *record, const struct said *expected) {
  static const char member[] = "\"\\\\\":0";
  static struct said said;
  const char *bytes = record->bytes;
  char room[sizeof record->bytes + sizeof member];
  size_t begin = 0, next;
  while (begin < record->length && memchr(" \t\r", bytes[begin], 3) != NULL)
    begin++;
  if (begin == record->length || bytes[begin] != '{') return;
  for (next = ++begin; next < record->length && memchr(" \t\r", bytes[next], 3) != NULL;)
    next++;
  size_t length = begin;
  memcpy(room, bytes, begin);
  memcpy(room + length, member, sizeof member - 1);
  length += sizeof member - 1;
  if (next < record->length && bytes[next] != '}') room[length++] = ',';
  memcpy(room + length, bytes + begin, record->length - begin);
  length += record->length - begin;
  say_freshly(room, length, &said);
  if (said.code != expected->code ||
      (said.code == WEIR_OK ? strcmp(said.row, expected->row) != 0 : said.fault.kind != expected->fault.kind))
    TEST_FAIL("with an escape: code %d, without %d: %.*s", (int)said.code, (int)expected->code, (int)length, room);
}

/* Records that were gathered, and the same as lines. */
static void compare_shaped(const struct text *records, uint32_t count) {
  static struct said expected[SHAPED_RECORDS];
  static char text[SHAPED_RECORDS * sizeof records->bytes], row[SHAPED_ROOM];
  size_t length = 0;
  for (uint32_t i = 0; i < count; i++) {
    say_freshly(records[i].bytes, records[i].length, &expected[i]);
    compare_with_escapes(&records[i], &expected[i]);
    CHECK(wr_json_gather(decoder, records[i].bytes, records[i].length));
    memcpy(text + length, records[i].bytes, records[i].length);
    length += records[i].length;
    text[length++] = '\n';
  }
  for (uint32_t i = 0; i < count && !test_failed; i++)
    compare_one("gathered", wr_json_decode_gathered(decoder, &builder, &fault, &error), &expected[i], records[i].bytes,
                records[i].length);
  wr_json_forget_gathered(decoder);
  char *exact = malloc(length + (length == 0));
  memcpy(exact, text, length);
  struct wr_json_lines lines = {.text = exact, .length = length};
  for (uint32_t i = 0; i < count && !test_failed;) {
    enum weir_code code = wr_json_decode_lines(decoder, &lines, &builder, &fault, &error);
    struct wr_batch *batch = wr_batch_builder_take(&builder);
    for (uint32_t k = 0; batch != NULL && k < batch->row_count && !test_failed; k++, i++)
      if (expected[i].code != WEIR_OK || strcmp(text_of_row(batch, k, row, sizeof row), expected[i].row) != 0)
        TEST_FAIL("a line became %s, not %s: %.*s", row,
                  expected[i].code == WEIR_OK ? expected[i].row : expected[i].fault.sentence, (int)records[i].length,
                  records[i].bytes);
    wr_batch_unref(batch);
    if (code == WEIR_OK || test_failed) break;
    compare_one("a line", code, &expected[i], records[i].bytes, records[i].length);
    CHECK(wr_json_skip_line(&lines));
    i++;
  }
  CHECK_INT(lines.length, 0);
  free(exact);
}

TEST(random_shapes_against_fresh_decoders) {
  struct wr_random random = wr_random_of(test_seed());
  static struct text records[SHAPED_RECORDS];
  open_decoder(&typed);
  for (int round = 0; round < 150; round++) {
    struct shape shape = make_shape(&random);
    uint64_t bad_one_in = wr_random_one_in(&random, 2) ? 8 : 200;
    uint32_t count = 0;
    for (size_t bytes = 0; count < SHAPED_RECORDS && bytes < 20000; count++) {
      do {
        records[count].length = 0;
        put_shaped(&random, &shape, &records[count]);
        if (wr_random_one_in(&random, bad_one_in)) spoil(&random, records[count].bytes, &records[count].length);
      } while (is_blank(records[count].bytes, records[count].length));
      bytes += records[count].length;
    }
    compare_shaped(records, count);
    CHECK_PASSED();
  }
  close_decoder();
}

/* ---- memory ---- */

static enum weir_code run_once(void) {
  static const char text[] =
      "{\"\\u0061\":\"an escaped name, a long \\n string with an escape\"}\n{\"a\":\"x\"}\n{\"b\":}\n";
  wr_batch_builder_init(&builder, &memory.memory, &nullable, false);
  WR_TRY(wr_json_decoder_new(&memory.memory, NULL, &nullable, NULL, &decoder, &error));
  struct wr_json_lines lines = {.text = text, .length = sizeof text - 1};
  enum weir_code code = wr_json_decode_lines(decoder, &lines, &builder, &fault, &error);
  wr_json_decoder_free(decoder);
  wr_batch_builder_deinit(&builder);
  return code;
}

TEST(every_allocation_fails) {
  for (int for_ever = 0; for_ever < 2; for_ever++) {
    for (uint64_t n = 1;; n++) {
      test_memory_init(&memory);
      test_memory_fail_after(&memory, n, for_ever != 0);
      enum weir_code code = run_once();
      CHECK_INT(code, memory.failures != 0 ? WEIR_NO_MEMORY : WEIR_BAD_RECORD);
      CHECK_INT(memory.living_count, 0);
      if (memory.failures == 0) {
        CHECK(n > 8);
        break;
      }
      CHECK_INT(error.code, WEIR_NO_MEMORY);
    }
  }
}

/* What simdjson holds is adopted and disowned, so that an engine can be dropped without it. */
struct test_calls {
  struct wr_calls calls;
  void *handle;
  void (*release)(void *handle);
};
static void test_adopt(struct wr_calls *calls, void *handle, void (*release)(void *handle)) {
  ((struct test_calls *)calls)->handle = handle;
  ((struct test_calls *)calls)->release = release;
}
static void test_disown(struct wr_calls *calls, void *handle) {
  if (((struct test_calls *)calls)->handle == handle) ((struct test_calls *)calls)->handle = NULL;
}

TEST(dropped_as_a_whole) {
  struct test_calls calls = {.calls = {.adopt = test_adopt, .disown = test_disown}};
  test_memory_init(&memory);
  CHECK_INT(wr_json_decoder_new(&memory.memory, &calls.calls, &nullable, NULL, &decoder, &error), WEIR_OK);
  CHECK(calls.handle != NULL);
  wr_json_decoder_free(decoder);
  CHECK(calls.handle == NULL);
  CHECK_INT(wr_json_decoder_new(&memory.memory, &calls.calls, &nullable, NULL, &decoder, &error), WEIR_OK);
  test_memory_drop_all(&memory);
  calls.release(calls.handle);
  CHECK_INT(memory.living_count, 0);
}

TEST_MAIN(TEST_CASE(valid_records), TEST_CASE(invalid_records), TEST_CASE(other_values_are_no_records),
          TEST_CASE(depth), TEST_CASE(values), TEST_CASE(wrong_types), TEST_CASE(random_doubles),
          TEST_CASE(missing_fields), TEST_CASE(many_fields_and_a_map), TEST_CASE(length_limit),
          TEST_CASE(random_records_against_the_validator), TEST_CASE(random_lines_against_single_records),
          TEST_CASE(lines_wait_for_their_end), TEST_CASE(a_full_builder_stops),
          TEST_CASE(random_gathered_records_against_single_records), TEST_CASE(gathered_records_are_their_own),
          TEST_CASE(random_shapes_against_fresh_decoders), TEST_CASE(every_allocation_fails),
          TEST_CASE(dropped_as_a_whole))
