/* state/layout.c: where the fields of a row lie, from its schemas. Pure.
 *
 * The layout is part of the format of snapshots (row format 1): key, then the value's fields in order, each at the next
 * multiple of its alignment (BOOLEAN 1, INT 4, all others 8), then one byte per nullable field (1: NULL), then zeros up
 * to a multiple of 8. The key takes 8 bytes (one BIGINT without NULL) or is a bytes reference of 16.
 */
#include "state/internal.h"

static uint32_t alignment_of(enum weir_type type) {
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
    return 1;
  case WEIR_TYPE_INT:
    return 4;
  default:
    return 8;
  }
}

static uint32_t align_up(uint32_t offset, uint32_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

static bool is_bytes(enum weir_type type) {
  return type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
}

static enum weir_code check_schemas(const struct weir_schema *key, const struct weir_schema *value,
                                    struct weir_error *error) {
  enum weir_code code = wr_schema_check(key, error);
  if (code != WEIR_OK && error != NULL) wr_error_prefix(error, "the key");
  if (code != WEIR_OK || value->field_count == 0) return code; /* a value may have no field at all */
  code = wr_schema_check(value, error);
  if (code != WEIR_OK && error != NULL) wr_error_prefix(error, "the value");
  return code;
}

/* One block for all arrays: offsets, null offsets, blob offsets (key and fields), gaps (before each field, and last).
 */
static bool allocate_arrays(struct row_layout *layout, struct wr_memory *memory, uint32_t fields) {
  layout->block_bytes = (size_t)(fields * 3 + 1) * sizeof(uint32_t) + (size_t)(fields + 1) * sizeof(struct row_gap);
  layout->field_offsets = wr_alloc(memory, layout->block_bytes, WR_MEMORY_STATE);
  if (layout->field_offsets == NULL) return false;
  layout->null_offsets = layout->field_offsets + fields;
  layout->blob_offsets = layout->null_offsets + fields;
  layout->gaps = (struct row_gap *)(void *)(layout->blob_offsets + fields + 1);
  return true;
}

static void add_gap(struct row_layout *layout, uint32_t from, uint32_t to) {
  if (from != to) layout->gaps[layout->gap_count++] = (struct row_gap){.offset = from, .length = to - from};
}

enum weir_code wr_layout_init(struct row_layout *layout, struct wr_memory *memory, const struct weir_schema *key,
                              const struct weir_schema *value, struct weir_error *error) {
  memset(layout, 0, sizeof *layout);
  WR_TRY(check_schemas(key, value, error));
  if (!allocate_arrays(layout, memory, value->field_count))
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the layout of %u fields", value->field_count);
  layout->is_bigint = key->field_count == 1 && key->fields[0].type == WEIR_TYPE_BIGINT && !key->fields[0].nullable;
  layout->has_null_key = key->field_count == 1 && key->fields[0].nullable;
  layout->value_offset = layout->is_bigint ? 8 : (uint32_t)sizeof(union bytes_reference);
  layout->field_count = value->field_count;
  if (!layout->is_bigint) layout->blob_offsets[layout->blob_count++] = 0;
  uint32_t end = 0, alignment = 1;
  for (uint32_t i = 0; i < value->field_count; i++) {
    enum weir_type type = value->fields[i].type;
    uint32_t offset = align_up(end, alignment_of(type));
    add_gap(layout, layout->value_offset + end, layout->value_offset + offset);
    if (alignment < alignment_of(type)) alignment = alignment_of(type);
    layout->field_offsets[i] = offset;
    if (is_bytes(type)) layout->blob_offsets[layout->blob_count++] = layout->value_offset + offset;
    end = offset + wr_type_width(type);
  }
  for (uint32_t i = 0; i < value->field_count; i++)
    layout->null_offsets[i] = value->fields[i].nullable ? end++ : UINT32_MAX;
  layout->value_size = align_up(end, alignment);
  layout->row_size = align_up(layout->value_offset + end, 8);
  add_gap(layout, layout->value_offset + end, layout->row_size);
  return WEIR_OK;
}

void wr_layout_deinit(struct row_layout *layout, struct wr_memory *memory) {
  wr_free(memory, layout->field_offsets);
  layout->field_offsets = NULL;
}

void wr_layout_put_schema(struct wr_bytes *out, const struct weir_schema *schema) {
  for (uint32_t i = 0; i < schema->field_count; i++) {
    const struct weir_field *field = &schema->fields[i];
    const char *type = wr_type_text(field->type), *after = field->nullable ? "" : " NOT NULL";
    if (i != 0) wr_bytes_put(out, ", ", 2);
    wr_bytes_put(out, field->name, strlen(field->name));
    wr_bytes_put_u8(out, ' ');
    wr_bytes_put(out, type, strlen(type));
    wr_bytes_put(out, after, strlen(after));
  }
}
