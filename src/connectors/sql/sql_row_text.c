/* connectors/sql/sql_row_text.c: see sql_row_text.h. */
#include "connectors/sql/sql_row_text.h"

#include "base/text.h"
#include "formats/civil_time.h"

#include <inttypes.h>

enum { VALUE_BYTES_MAX = 64 };

static void put_bytes(struct wr_text *text, const char *bytes, size_t length) {
  wr_text_append(text, "'");
  for (size_t i = 0; i < length && i < VALUE_BYTES_MAX; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    wr_text_append(text, byte < 0x20 || byte == 0x7f ? "\\x%02x" : "%c", byte);
  }
  wr_text_append(text, length > VALUE_BYTES_MAX ? "...'" : "'");
}

static void put_value(struct wr_text *text, const struct wr_batch *batch, uint32_t field, uint32_t row) {
  const struct wr_column *column = &batch->columns[field];
  if (wr_column_is_null(column, row)) {
    wr_text_append(text, "NULL");
    return;
  }
  switch (batch->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN:
    wr_text_append(text, ((const uint8_t *)column->values)[row] != 0 ? "true" : "false");
    break;
  case WEIR_TYPE_INT:
    wr_text_append(text, "%" PRId32, ((const int32_t *)column->values)[row]);
    break;
  case WEIR_TYPE_BIGINT:
    wr_text_append(text, "%" PRId64, wr_column_bigints(column)[row]);
    break;
  case WEIR_TYPE_DOUBLE:
    wr_text_append(text, "%.17g", ((const double *)column->values)[row]);
    break;
  case WEIR_TYPE_TIMESTAMP: {
    char time[WR_TIMESTAMP_TEXT_BYTES];
    wr_timestamp_text(((const struct weir_timestamp *)column->values)[row], time);
    wr_text_append(text, "'%s'", time);
    break;
  }
  default: {
    const struct wr_view *view = &wr_column_views(column)[row];
    put_bytes(text, wr_view_bytes(batch, view), (size_t)view->length);
  }
  }
}

void wr_sql_row_text(const struct wr_batch *batch, uint32_t row, const uint32_t *fields, uint32_t count, char *buffer,
                     size_t size) {
  struct wr_text text = {.buffer = buffer, .size = size};
  uint32_t shown = count == 0 ? batch->schema->field_count : count;
  buffer[0] = 0;
  for (uint32_t i = 0; i < shown; i++) {
    uint32_t field = count == 0 ? i : fields[i];
    wr_text_append(&text, "%s%s = ", i == 0 ? "" : ", ", batch->schema->fields[field].name);
    put_value(&text, batch, field, row);
  }
}
