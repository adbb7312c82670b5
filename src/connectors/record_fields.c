/* connectors/record_fields.c: see record_fields.h. */
#include "connectors/record_fields.h"

#include "base/limits.h"

/* A field with a part to play must be of one of two types. */
static enum weir_code check_field(const struct weir_schema *schema, int32_t field, enum weir_type type,
                                  enum weir_type other_type, const char *part, const char *what,
                                  struct weir_error *error) {
  if (field < 0) return WEIR_OK;
  if ((uint32_t)field >= schema->field_count)
    return WR_FAIL(error, WEIR_INVALID, "the %s of %s is field %d; there are %u", part, what, field,
                   schema->field_count);
  enum weir_type found = schema->fields[field].type;
  if (found == type || found == other_type) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "field \"%s\" cannot be the %s of %s: it is %s, not %s",
                 schema->fields[field].name, part, what, wr_type_text(found), wr_type_text(type));
}

enum weir_code wr_record_fields_check(const struct wr_record_fields *fields, const char *what,
                                      struct weir_error *error) {
  const struct weir_schema *schema = fields->schema;
  int32_t partition = fields->partition_field, position = fields->position_field;
  WR_TRY(check_field(schema, partition, WEIR_TYPE_STRING, WEIR_TYPE_STRING, "partition", what, error));
  WR_TRY(check_field(schema, position, WEIR_TYPE_BIGINT, WEIR_TYPE_BIGINT, "position", what, error));
  WR_TRY(
      check_field(schema, fields->event_time_field, WEIR_TYPE_TIMESTAMP, WEIR_TYPE_BIGINT, "event time", what, error));
  bool same = partition >= 0 && partition == position;
  uint32_t places = (partition >= 0 ? 1u : 0u) + (position >= 0 ? 1u : 0u);
  if (!same && places < schema->field_count) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "%s needs at least one field that comes from the record", what);
}

enum weir_code wr_record_fields_decoder(const struct wr_record_fields *fields, struct wr_memory *memory,
                                        struct wr_calls *calls, struct wr_json_decoder **out_decoder,
                                        struct weir_error *error) {
  struct weir_field wanted[WR_FIELDS_MAX];
  uint32_t columns[WR_FIELDS_MAX], count = 0;
  for (uint32_t i = 0; i < fields->schema->field_count; i++) {
    if ((int32_t)i == fields->partition_field || (int32_t)i == fields->position_field) continue;
    wanted[count] = fields->schema->fields[i];
    columns[count++] = i;
  }
  const struct weir_schema schema = {.fields = wanted, .field_count = count};
  return wr_json_decoder_new(memory, calls, &schema, columns, out_decoder, error);
}

enum weir_code wr_record_fields_name(const struct wr_record_fields *fields, struct wr_batch_builder *builder,
                                     const char *name, struct wr_view *out_view, struct weir_error *error) {
  if (fields->partition_field < 0) return WEIR_OK;
  uint32_t field = (uint32_t)fields->partition_field;
  WR_TRY(wr_batch_builder_begin(builder, error));
  WR_TRY(wr_batch_builder_set_bytes(builder, field, name, strlen(name), error));
  *out_view = wr_column_views(&builder->batch->columns[field])[builder->batch->row_count];
  return WEIR_OK;
}

static void mark_valid(struct wr_column *column, uint32_t first, uint32_t count) {
  for (uint32_t row = first; column->validity != NULL && row < first + count; row++)
    column->validity[row / 64] |= 1ull << (row % 64);
}

void wr_record_fields_fill(const struct wr_record_fields *fields, struct wr_batch_builder *builder,
                           const struct wr_view *name, int64_t base, const uint32_t *behind_base, uint32_t first,
                           uint32_t count) {
  struct wr_column *columns = builder->batch->columns;
  if (fields->partition_field >= 0) {
    struct wr_view *views = columns[fields->partition_field].values;
    for (uint32_t row = first; row < first + count; row++)
      views[row] = *name;
    mark_valid(&columns[fields->partition_field], first, count);
  }
  if (fields->position_field >= 0) {
    int64_t *positions = columns[fields->position_field].values;
    for (uint32_t row = first; row < first + count; row++)
      positions[row] = base + behind_base[row];
    mark_valid(&columns[fields->position_field], first, count);
  }
}
