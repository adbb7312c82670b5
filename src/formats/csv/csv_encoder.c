/* formats/csv/csv_encoder.c: see csv_encoder.h. */
#include "formats/csv/csv_encoder.h"

#include "formats/value_text.h"

enum weir_code wr_csv_encoder_init(struct wr_csv_encoder *encoder, const struct weir_schema *schema,
                                   const struct wr_csv_encoder_options *options, struct weir_error *error) {
  *encoder = (struct wr_csv_encoder){.schema = schema, .options = *options};
  char delimiter = options->field_delimiter, quote = options->quote_character;
  if (delimiter == 0 || delimiter == quote || strchr("\r\n", delimiter) != NULL ||
      (quote != 0 && strchr("\r\n", quote) != NULL))
    return WR_FAIL(error, WEIR_INVALID,
                   "the CSV delimiter and the quote are two different characters, and neither ends a line");
  const char needs_quotes[] = {delimiter, '\r', '\n', quote, 0};
  if (options->null_literal[strcspn(options->null_literal, needs_quotes)] != 0)
    return WR_FAIL(error, WEIR_INVALID, "the CSV null literal \"%.64s\" holds a delimiter, a quote or a line's end",
                   options->null_literal);
  return WEIR_OK;
}

/* ---- fields ---- */

static bool needs_quotes(const struct wr_csv_encoder *encoder, const char *text, size_t length) {
  const char *null = encoder->options.null_literal;
  if (length == strlen(null) && memcmp(text, null, length) == 0) return true;
  if (length == 0 || text[0] == ' ' || text[length - 1] == ' ') return true;
  for (size_t i = 0; i < length; i++) {
    char c = text[i];
    if (c == encoder->options.field_delimiter || c == '\n' || c == '\r') return true;
    if (c == encoder->options.quote_character && c != 0) return true;
  }
  return false;
}

static void put_quoted(struct wr_bytes *out, const char *text, size_t length, char quote) {
  wr_bytes_put_u8(out, (uint8_t)quote);
  for (size_t from = 0; from < length;) {
    const char *found = memchr(text + from, quote, length - from);
    size_t to = found == NULL ? length : (size_t)(found - text) + 1;
    wr_bytes_put(out, text + from, to - from);
    if (found != NULL) wr_bytes_put_u8(out, (uint8_t)quote);
    from = to;
  }
  wr_bytes_put_u8(out, (uint8_t)quote);
}

static enum weir_code put_text(const struct wr_csv_encoder *encoder, uint32_t field, const char *text, size_t length,
                               struct wr_bytes *out, struct weir_error *error) {
  if (!needs_quotes(encoder, text, length)) {
    wr_bytes_put(out, text, length);
    return WEIR_OK;
  }
  if (encoder->options.quote_character == 0)
    return WR_FAIL(error, WEIR_CONSTRAINT,
                   "field \"%s\" needs quotes in CSV, and they are switched off (csv.disable-quote-character): it is "
                   "empty, reads like a NULL, or holds a delimiter, a line's end or a blank at an end: \"%.*s\"",
                   encoder->schema->fields[field].name, (int)(length < 64 ? length : 64), text);
  put_quoted(out, text, length, encoder->options.quote_character);
  return WEIR_OK;
}

static enum weir_code put_view(const struct wr_csv_encoder *encoder, const struct wr_batch *batch, uint32_t field,
                               uint32_t row, struct wr_bytes *out, struct weir_error *error) {
  const struct wr_view *view = &wr_column_views(&batch->columns[field])[row];
  size_t length = (size_t)view->length;
  if (encoder->schema->fields[field].type == WEIR_TYPE_STRING)
    return put_text(encoder, field, wr_view_bytes(batch, view), length, out, error);
  size_t begin = out->length;
  uint8_t *room = wr_bytes_reserve(out, wr_base64_length(length));
  if (room == NULL) return WEIR_OK;
  out->length += wr_text_of_base64(wr_view_bytes(batch, view), length, (char *)room);
  if (!needs_quotes(encoder, (const char *)room, out->length - begin)) return WEIR_OK;
  /* Rare: no bytes at all, or a delimiter that is one of base64's characters. */
  char *copy = wr_copy_bytes(out->memory, room, out->length - begin, out->tag);
  if (copy == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a CSV field");
  size_t text_length = out->length - begin;
  out->length = begin;
  enum weir_code code = put_text(encoder, field, copy, text_length, out, error);
  wr_free(out->memory, copy);
  return code;
}

static enum weir_code put_field(const struct wr_csv_encoder *encoder, const struct wr_batch *batch, uint32_t field,
                                uint32_t row, struct wr_bytes *out, struct weir_error *error) {
  const struct wr_column *column = &batch->columns[field];
  const void *values = column->values;
  char text[WR_TIMESTAMP_TEXT_MAX];
  size_t length = 0;
  if (wr_column_is_null(column, row)) {
    wr_bytes_put(out, encoder->options.null_literal, strlen(encoder->options.null_literal));
    return WEIR_OK;
  }
  switch (encoder->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN: {
    bool value = ((const uint8_t *)values)[row] != 0;
    return put_text(encoder, field, value ? "true" : "false", value ? 4 : 5, out, error);
  }
  case WEIR_TYPE_INT:
    length = wr_text_of_bigint(((const int32_t *)values)[row], text);
    break;
  case WEIR_TYPE_BIGINT:
    length = wr_text_of_bigint(((const int64_t *)values)[row], text);
    break;
  case WEIR_TYPE_DOUBLE:
    length = wr_text_of_double(((const double *)values)[row], text);
    break;
  case WEIR_TYPE_TIMESTAMP:
    length = wr_text_of_timestamp(((const struct weir_timestamp *)values)[row], text);
    break;
  default:
    return put_view(encoder, batch, field, row, out, error);
  }
  return put_text(encoder, field, text, length, out, error);
}

enum weir_code wr_csv_encode_header(const struct wr_csv_encoder *encoder, struct wr_bytes *out,
                                    struct weir_error *error) {
  for (uint32_t i = 0; i < encoder->schema->field_count; i++) {
    const char *name = encoder->schema->fields[i].name;
    if (i > 0) wr_bytes_put_u8(out, (uint8_t)encoder->options.field_delimiter);
    WR_TRY(put_text(encoder, i, name, strlen(name), out, error));
  }
  wr_bytes_put_u8(out, '\n');
  return WEIR_OK;
}

enum weir_code wr_csv_encode_row(const struct wr_csv_encoder *encoder, const struct wr_batch *batch, uint32_t row,
                                 struct wr_bytes *out, struct weir_error *error) {
  for (uint32_t i = 0; i < encoder->schema->field_count; i++) {
    if (i > 0) wr_bytes_put_u8(out, (uint8_t)encoder->options.field_delimiter);
    WR_TRY(put_field(encoder, batch, i, row, out, error));
  }
  wr_bytes_put_u8(out, '\n');
  return WEIR_OK;
}
