/* data/batch.c: the life of batches and heaps, and schemas; see batch.h.
 *
 * One block of memory holds a batch: struct, column table, then per column its values and (nullable columns) its
 * validity bits, then the row kinds, each part at a multiple of 16 bytes. Apart from it are only the table of heaps,
 * which grows at powers of two, the heaps, and a selection vector where somebody put one in. Any thread may ref and
 * unref.
 */
#include "data/batch.h"

#include "base/limits.h"

#include <string.h>

enum { HEAP_TABLE_MIN = 4 };

static const struct {
  const char *text;
  uint32_t width;
} type_table[] = {
#define TYPE_ROW(name, width) {#name, width},
    WEIR_TYPES(TYPE_ROW)
#undef TYPE_ROW
};

uint32_t wr_type_width(enum weir_type type) {
  return type_table[type].width;
}

const char *wr_type_text(enum weir_type type) {
  return type_table[type].text;
}

struct wr_heap *wr_heap_new(struct wr_memory *memory, size_t capacity_bytes) {
  if (capacity_bytes > UINT32_MAX) return NULL;
  struct wr_heap *heap = wr_alloc(memory, sizeof *heap + capacity_bytes, WR_MEMORY_BATCH);
  if (heap == NULL) return NULL;
  heap->memory = memory;
  atomic_init(&heap->references, 1);
  heap->used_bytes = 0;
  heap->capacity_bytes = (uint32_t)capacity_bytes;
  return heap;
}

/* Takes a reference: relaxed is enough, for whoever takes one holds one. */
static void count_up(_Atomic uint32_t *references) {
  uint32_t before = atomic_fetch_add_explicit(references, 1, memory_order_relaxed);
  WR_ASSERT(before != 0 && before != UINT32_MAX);
}

/* True for the last one, which then sees all that the others did before they let go. */
static bool count_down(_Atomic uint32_t *references) {
  uint32_t before = atomic_fetch_sub_explicit(references, 1, memory_order_acq_rel);
  WR_ASSERT(before != 0);
  return before == 1;
}

struct wr_heap *wr_heap_ref(struct wr_heap *heap) {
  count_up(&heap->references);
  return heap;
}

void wr_heap_unref(struct wr_heap *heap) {
  if (heap != NULL && count_down(&heap->references)) wr_free(heap->memory, heap);
}

static size_t align16(size_t bytes) {
  return (bytes + 15) & ~(size_t)15;
}

static size_t batch_block_bytes(const struct weir_schema *schema, uint32_t capacity_rows, bool has_row_kinds) {
  size_t bytes = align16(sizeof(struct wr_batch)) + align16(schema->field_count * sizeof(struct wr_column));
  for (uint32_t i = 0; i < schema->field_count; i++) {
    bytes += align16((size_t)capacity_rows * wr_type_width(schema->fields[i].type));
    if (schema->fields[i].nullable) bytes += align16((capacity_rows + 63) / 64 * sizeof(uint64_t));
  }
  return bytes + (has_row_kinds ? align16(capacity_rows) : 0);
}

struct wr_batch *wr_batch_new(struct wr_memory *memory, const struct weir_schema *schema, uint32_t capacity_rows,
                              bool has_row_kinds) {
  size_t bytes = batch_block_bytes(schema, capacity_rows, has_row_kinds);
  struct wr_batch *batch = wr_alloc_zeroed(memory, 1, bytes, WR_MEMORY_BATCH);
  if (batch == NULL) return NULL;
  batch->memory = memory;
  batch->schema = schema;
  atomic_init(&batch->references, 1);
  batch->bytes = bytes;
  char *next = (char *)batch + align16(sizeof *batch);
  batch->columns = (struct wr_column *)(void *)next;
  next += align16(schema->field_count * sizeof(struct wr_column));
  for (uint32_t i = 0; i < schema->field_count; i++) {
    batch->columns[i].values = next;
    next += align16((size_t)capacity_rows * wr_type_width(schema->fields[i].type));
    if (!schema->fields[i].nullable) continue;
    batch->columns[i].validity = (uint64_t *)(void *)next;
    next += align16((capacity_rows + 63) / 64 * sizeof(uint64_t));
  }
  if (has_row_kinds) batch->row_kinds = (uint8_t *)next;
  return batch;
}

bool wr_batch_add_heap(struct wr_batch *batch, struct wr_heap *heap) {
  uint32_t count = batch->heap_count;
  bool table_is_full = count == 0 || (count >= HEAP_TABLE_MIN && (count & (count - 1)) == 0);
  if (table_is_full) {
    size_t capacity = count == 0 ? HEAP_TABLE_MIN : (size_t)count * 2;
    struct wr_heap **heaps =
        wr_resize(batch->memory, batch->heaps, capacity * sizeof(struct wr_heap *), WR_MEMORY_BATCH);
    if (heaps == NULL) return false;
    batch->heaps = heaps;
  }
  batch->heaps[batch->heap_count++] = heap;
  batch->bytes += sizeof *heap + heap->capacity_bytes;
  return true;
}

struct wr_batch *wr_batch_ref(struct wr_batch *batch) {
  count_up(&batch->references);
  return batch;
}

void wr_batch_unref(struct wr_batch *batch) {
  if (batch == NULL || !count_down(&batch->references)) return;
  for (uint32_t i = 0; i < batch->heap_count; i++)
    wr_heap_unref(batch->heaps[i]);
  wr_free(batch->memory, batch->heaps);
  wr_free(batch->memory, batch->selection);
  wr_free(batch->memory, batch);
}

struct weir_schema *wr_schema_copy(struct wr_memory *memory, const struct weir_schema *schema) {
  size_t bytes = sizeof *schema + schema->field_count * sizeof(struct weir_field);
  for (uint32_t i = 0; i < schema->field_count; i++)
    bytes += strlen(schema->fields[i].name) + 1;
  struct weir_schema *copy = wr_alloc(memory, bytes, WR_MEMORY_ENGINE);
  if (copy == NULL) return NULL;
  struct weir_field *fields = (struct weir_field *)(void *)(copy + 1);
  char *name = (char *)(fields + schema->field_count);
  for (uint32_t i = 0; i < schema->field_count; i++) {
    size_t length = strlen(schema->fields[i].name) + 1;
    fields[i] = schema->fields[i];
    fields[i].name = memcpy(name, schema->fields[i].name, length);
    name += length;
  }
  *copy = (struct weir_schema){.fields = fields, .field_count = schema->field_count};
  return copy;
}

bool wr_schema_equal(const struct weir_schema *a, const struct weir_schema *b) {
  if (a == b) return true;
  if (a->field_count != b->field_count) return false;
  for (uint32_t i = 0; i < a->field_count; i++) {
    const struct weir_field *x = &a->fields[i], *y = &b->fields[i];
    if (x->type != y->type || x->nullable != y->nullable || strcmp(x->name, y->name) != 0) return false;
  }
  return true;
}

enum weir_code wr_schema_check(const struct weir_schema *schema, struct weir_error *error) {
  if (schema->field_count == 0 || schema->field_count > WR_FIELDS_MAX)
    return WR_FAIL(error, WEIR_INVALID, "a schema has 1 to %d fields; this one has %u", WR_FIELDS_MAX,
                   schema->field_count);
  for (uint32_t i = 0; i < schema->field_count; i++) {
    const struct weir_field *field = &schema->fields[i];
    if (field->name == NULL || field->name[0] == 0)
      return WR_FAIL(error, WEIR_INVALID, "field %u of the schema has no name", i);
    if (strlen(field->name) > WR_NAME_BYTES_MAX)
      return WR_FAIL(error, WEIR_INVALID, "the name of field %u (\"%.32s...\") is longer than %d bytes", i, field->name,
                     WR_NAME_BYTES_MAX);
    if ((unsigned)field->type >= WEIR_TYPE_COUNT)
      return WR_FAIL(error, WEIR_INVALID, "field \"%s\" has an unknown type (%u)", field->name, (unsigned)field->type);
    for (uint32_t j = 0; j < i; j++)
      if (strcmp(schema->fields[j].name, field->name) == 0)
        return WR_FAIL(error, WEIR_INVALID, "the schema has two fields named \"%s\" (%u and %u)", field->name, j, i);
  }
  return WEIR_OK;
}
