/* formats/json/json_encoder.c: see json_encoder.h.
 *
 * What stands before a field's value, its comma, name and colon, is made once. A row first reserves what all of it can
 * take at most, and is written without a look at the room, in steps of 8 or 16 bytes that may write past their end.
 * Strings that are longer than a view reserve for themselves, and again for what may follow them.
 */
#include "formats/json/json_encoder.h"

#include "formats/value_text.h"

struct field {
  enum weir_type type;
  uint32_t prefix_at, prefix_length; /* `,"name":` among the encoder's prefixes */
};

struct wr_json_encoder {
  struct wr_memory *memory;
  bool ignore_null_fields;
  struct wr_bytes prefixes;
  size_t fixed_bytes; /* the most that a row takes without its longer strings, and STEP_BYTES */
  uint32_t field_count;
  struct field fields[];
};

/* ---- strings ---- */

enum { HEX = 'u', CHUNK_BYTES = 1024, ESCAPE_BYTES_MAX = 6, STEP_BYTES = 16 };

/* What stands behind the backslash of an escape; HEX: four digits follow; 0: the byte stands for itself. */
static const uint8_t escapes[256] = {
    HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, 'b', 't', 'n', HEX, 'f', 'r', HEX,         HEX,           HEX,         HEX,
    HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, HEX, ['"'] = '"', ['\\'] = '\\', [0x7f] = HEX};

static uint8_t *put_byte(uint8_t *at, uint8_t byte) {
  uint8_t escape = escapes[byte];
  if (escape == 0) {
    *at = byte;
    return at + 1;
  }
  *at++ = '\\';
  *at++ = escape;
  if (escape != HEX) return at;
  static const char digits[] = "0123456789abcdef";
  *at++ = '0';
  *at++ = '0';
  *at++ = (uint8_t)digits[byte >> 4];
  *at++ = (uint8_t)digits[byte & 15];
  return at;
}

/* Does one of eight bytes need an escape? Bytes from 0x80 on never do; the answer may be yes where none does. */
static bool may_need_escape(uint64_t eight) {
  const uint64_t ones = 0x0101010101010101u, tops = ones * 0x80;
  uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\'), del = eight ^ (ones * 0x7f);
  uint64_t found = (eight - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones);
  return (found & ~eight & tops) != 0;
}

/* Writes text[from, to) of a string. At least the eight bytes before `to` are of the string, if it has as many, and
 * what was made of those before `from` lies before `at`. */
static uint8_t *put_escaped(uint8_t *at, const char *text, size_t from, size_t to) {
  uint64_t eight;
  while (to - from >= sizeof eight) {
    memcpy(&eight, text + from, sizeof eight);
    if (may_need_escape(eight)) {
      at = put_byte(at, (uint8_t)text[from++]);
      continue;
    }
    memcpy(at, &eight, sizeof eight);
    at += sizeof eight;
    from += sizeof eight;
  }
  if (from < to && to >= sizeof eight) {
    memcpy(&eight, text + to - sizeof eight, sizeof eight);
    if (!may_need_escape(eight)) { /* then those that are written already stand as they are */
      memcpy(at - (sizeof eight - (to - from)), &eight, sizeof eight);
      return at + (to - from);
    }
  }
  while (from < to)
    at = put_byte(at, (uint8_t)text[from++]);
  return at;
}

/* The text of a view that holds it itself, all of whose bytes can be read. Its length is hard to foresee, so nothing
 * branches on it: for the question what lies behind the text is made blank, by a mask that is read from `keep` at the
 * right distance, and all bytes are written. */
static uint8_t *put_inline(uint8_t *at, const struct wr_view *view) {
  static const uint8_t keep[WR_VIEW_INLINE_MAX + STEP_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                                0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const uint64_t blanks = 0x2020202020202020u;
  const size_t length = (size_t)view->length;
  uint64_t first, masks[2];
  uint32_t last;
  memcpy(&first, view->bytes, sizeof first);
  memcpy(&last, view->bytes + sizeof first, sizeof last);
  memcpy(masks, keep + WR_VIEW_INLINE_MAX - length, sizeof masks);
  if (may_need_escape((first & masks[0]) | (blanks & ~masks[0])) ||
      may_need_escape((last & masks[1]) | (blanks & ~masks[1])))
    return put_escaped(at, view->bytes, 0, length);
  memcpy(at, &first, sizeof first);
  memcpy(at + sizeof first, &last, sizeof last);
  return at + length;
}

void wr_json_put_string(struct wr_bytes *out, const char *text, size_t length) {
  wr_bytes_put_u8(out, '"');
  for (size_t from = 0; from < length;) {
    size_t to = length - from < CHUNK_BYTES ? length : from + CHUNK_BYTES;
    uint8_t *begin = wr_bytes_reserve(out, (to - from) * ESCAPE_BYTES_MAX);
    if (begin == NULL) return;
    out->length += (size_t)(put_escaped(begin, text, from, to) - begin);
    from = to;
  }
  wr_bytes_put_u8(out, '"');
}

static void put_base64(struct wr_bytes *out, const char *bytes, size_t length) {
  uint8_t *at = wr_bytes_reserve(out, wr_base64_length(length) + 2);
  if (at == NULL) return;
  *at++ = '"';
  at += wr_text_of_base64(bytes, length, (char *)at);
  *at = '"';
  out->length += wr_base64_length(length) + 2;
}

/* ---- life ---- */

static size_t width_max(enum weir_type type) {
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
    return sizeof "false";
  case WEIR_TYPE_DOUBLE:
    return WR_DOUBLE_TEXT_MAX + 2;
  case WEIR_TYPE_TIMESTAMP:
    return WR_TIMESTAMP_TEXT_MAX + 2;
  case WEIR_TYPE_STRING:
  case WEIR_TYPE_BYTES:
    return WR_VIEW_INLINE_MAX * ESCAPE_BYTES_MAX + 2;
  default:
    return WR_BIGINT_TEXT_MAX;
  }
}

enum weir_code wr_json_encoder_new(struct wr_memory *memory, const struct weir_schema *schema,
                                   const struct wr_json_encoder_options *options, struct wr_json_encoder **out_encoder,
                                   struct weir_error *error) {
  *out_encoder = NULL;
  struct wr_json_encoder *encoder =
      wr_alloc_zeroed(memory, 1, sizeof *encoder + schema->field_count * sizeof encoder->fields[0], WR_MEMORY_SINK);
  if (encoder == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a JSON encoder");
  encoder->memory = memory;
  encoder->ignore_null_fields = options->ignore_null_fields;
  encoder->field_count = schema->field_count;
  encoder->fixed_bytes = 2 + STEP_BYTES;
  wr_bytes_init(&encoder->prefixes, memory, WR_MEMORY_SINK);
  for (uint32_t i = 0; i < schema->field_count; i++) {
    struct field *field = &encoder->fields[i];
    *field = (struct field){.type = schema->fields[i].type, .prefix_at = (uint32_t)encoder->prefixes.length};
    wr_bytes_put_u8(&encoder->prefixes, ',');
    wr_json_put_string(&encoder->prefixes, schema->fields[i].name, strlen(schema->fields[i].name));
    wr_bytes_put_u8(&encoder->prefixes, ':');
    field->prefix_length = (uint32_t)encoder->prefixes.length - field->prefix_at;
    encoder->fixed_bytes += field->prefix_length + width_max(field->type);
  }
  if (wr_bytes_reserve(&encoder->prefixes, STEP_BYTES) != NULL) /* can be read past their end */
    memset(encoder->prefixes.data + encoder->prefixes.length, 0, STEP_BYTES);
  enum weir_code code = wr_bytes_check(&encoder->prefixes, error);
  if (code != WEIR_OK) {
    wr_json_encoder_free(encoder);
    return code;
  }
  *out_encoder = encoder;
  return WEIR_OK;
}

void wr_json_encoder_free(struct wr_json_encoder *encoder) {
  if (encoder == NULL) return;
  wr_bytes_deinit(&encoder->prefixes);
  wr_free(encoder->memory, encoder);
}

/* ---- rows ---- */

static char *put_word(char *at, const char *word) {
  size_t length = strlen(word);
  memcpy(at, word, length);
  return at + length;
}

static char *put_double(char *at, double value) {
  bool is_number = value - value == 0; /* not of NaN and the infinities */
  if (!is_number) *at++ = '"';
  at += wr_text_of_double(value, at);
  if (!is_number) *at++ = '"';
  return at;
}

static char *put_timestamp(char *at, struct weir_timestamp value) {
  *at++ = '"';
  at += wr_text_of_timestamp(value, at);
  *at++ = '"';
  return at;
}

static char *put_prefix(const struct wr_json_encoder *encoder, const struct field *field, char *at) {
  const uint8_t *prefix = encoder->prefixes.data + field->prefix_at;
  memcpy(at, prefix, STEP_BYTES);
  for (uint32_t done = STEP_BYTES; done < field->prefix_length; done += STEP_BYTES)
    memcpy(at + done, prefix + done, STEP_BYTES);
  return at + field->prefix_length;
}

/* A value of fixed width, which is not NULL. */
static char *put_fixed(enum weir_type type, const void *values, uint32_t row, char *at) {
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
    return put_word(at, ((const uint8_t *)values)[row] != 0 ? "true" : "false");
  case WEIR_TYPE_INT:
    return at + wr_text_of_bigint(((const int32_t *)values)[row], at);
  case WEIR_TYPE_BIGINT:
    return at + wr_text_of_bigint(((const int64_t *)values)[row], at);
  case WEIR_TYPE_DOUBLE:
    return put_double(at, ((const double *)values)[row]);
  default:
    return put_timestamp(at, ((const struct weir_timestamp *)values)[row]);
  }
}

/* A string or bytes that lie in their view. */
static char *put_short(enum weir_type type, const struct wr_view *view, char *at) {
  *at++ = '"';
  if (type == WEIR_TYPE_STRING)
    at = (char *)put_inline((uint8_t *)at, view);
  else
    at += wr_text_of_base64(view->bytes, (size_t)view->length, at);
  *at++ = '"';
  return at;
}

/* A longer one reserves for itself, and for what the row may still need. */
static char *put_long(const struct wr_json_encoder *encoder, enum weir_type type, const char *bytes, size_t length,
                      struct wr_bytes *out, char *at) {
  out->length = (size_t)((uint8_t *)at - out->data);
  if (type != WEIR_TYPE_STRING)
    put_base64(out, bytes, length);
  else if (length > CHUNK_BYTES)
    wr_json_put_string(out, bytes, length);
  else if ((at = (char *)wr_bytes_reserve(out, length * ESCAPE_BYTES_MAX + 2 + encoder->fixed_bytes)) != NULL) {
    *at++ = '"';
    at = (char *)put_escaped((uint8_t *)at, bytes, 0, length);
    *at++ = '"';
    return at;
  }
  return (char *)wr_bytes_reserve(out, encoder->fixed_bytes);
}

static bool is_view(enum weir_type type) {
  return type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
}

static inline char *put_view(const struct wr_json_encoder *encoder, enum weir_type type, const struct wr_batch *batch,
                             const struct wr_view *view, struct wr_bytes *out, char *at) {
  if (view->length <= WR_VIEW_INLINE_MAX) return put_short(type, view, at);
  return put_long(encoder, type, wr_view_bytes(batch, view), (size_t)view->length, out, at);
}

void wr_json_encode_row(const struct wr_json_encoder *encoder, const struct wr_batch *batch, uint32_t row,
                        struct wr_bytes *out) {
  char *at = (char *)wr_bytes_reserve(out, encoder->fixed_bytes);
  bool is_first = true;
  for (uint32_t i = 0; i < encoder->field_count && at != NULL; i++) {
    const struct field *field = &encoder->fields[i];
    const struct wr_column *column = &batch->columns[i];
    bool is_null = wr_column_is_null(column, row);
    if (is_null && encoder->ignore_null_fields) continue;
    char *begin = at;
    at = put_prefix(encoder, field, at);
    if (is_first) *begin = '{';
    is_first = false;
    if (is_null)
      at = put_word(at, "null");
    else if (is_view(field->type))
      at = put_view(encoder, field->type, batch, &wr_column_views(column)[row], out, at);
    else
      at = put_fixed(field->type, column->values, row, at);
  }
  if (at == NULL) return;
  if (is_first) *at++ = '{';
  *at++ = '}';
  out->length = (size_t)((uint8_t *)at - out->data);
}
