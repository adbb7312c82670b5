/* data/batch.h: the columnar batch, the unit in which records move.
 *
 * Layout. A batch has one column per field of its schema. A column is an array of values (widths in weir/types.h) and,
 * where it has NULLs, validity bits (bit i of word i/64 set: row i is not NULL; a NULL's value is all zero bytes).
 * STRING and BYTES values are views of 16 bytes as in Arrow's binary view: up to 12 bytes lie in the view itself,
 * longer ones in one of the batch's heaps, named by index and offset, never by pointer. BOOLEAN is one byte a row
 * (Arrow: one bit; the Arrow export converts).
 *
 *   view, length <= 12:  0 int32 length | 4 the bytes, zero padded to 12
 *   view, length >  12:  0 int32 length | 4 first 4 bytes | 8 uint32 heap | 12 uint32 offset
 *
 * Life. A batch is built by one thread (batch_builder.h), is immutable once it is sent, is counted (ref/unref, any
 * thread) and frees itself with its last reference. Heaps are counted too, so several batches can share one. A
 * selection vector lists the rows that still count, in order, where some were dropped; without one all rows count.
 */
#ifndef WR_DATA_BATCH_H
#define WR_DATA_BATCH_H

#include "base/error.h"
#include "base/memory.h"
#include "weir/types.h"

#include <stdatomic.h>
#include <string.h>

enum { WR_VIEW_INLINE_MAX = 12 };

struct wr_view {
  int32_t length;
  union {
    char bytes[12];
    struct {
      char prefix[4];
      uint32_t heap;
      uint32_t offset;
    };
  };
};
_Static_assert(sizeof(struct wr_view) == 16, "a view is 16 bytes");
_Static_assert(sizeof(struct weir_timestamp) == 16, "a timestamp is 16 bytes");

/* Bytes that views point into. Filled before it is shared, then immutable. */
struct wr_heap {
  struct wr_memory *memory;
  _Atomic uint32_t references;
  uint32_t used_bytes;
  uint32_t capacity_bytes;
  char data[];
};
struct wr_heap *wr_heap_new(struct wr_memory *memory, size_t capacity_bytes); /* NULL: no memory; one reference */
struct wr_heap *wr_heap_ref(struct wr_heap *heap);
void wr_heap_unref(struct wr_heap *heap); /* NULL is fine */

struct wr_column {
  void *values;
  uint64_t *validity; /* NULL: no row is NULL */
};

struct wr_batch {
  struct wr_memory *memory;
  const struct weir_schema *schema; /* borrowed from the job graph, which outlives its batches */
  _Atomic uint32_t references;
  uint32_t row_count;      /* rows in the columns, at most WR_BATCH_ROWS_MAX */
  uint32_t selected_count; /* rows that count; == row_count without a selection */
  uint32_t heap_count;
  uint16_t *selection;       /* NULL: all rows; else selected_count ascending row numbers; a block of its own */
  uint8_t *row_kinds;        /* NULL: every row is +I; else enum weir_row_kind by row number */
  struct wr_heap **heaps;    /* counted */
  size_t bytes;              /* memory it holds, shared heaps in full; what channels count */
  struct wr_column *columns; /* schema->field_count of them */
};

/* A batch of no rows yet with room for `capacity_rows` in every column, all zero bytes; a nullable column has validity
 * bits, all clear. One block of memory. For whoever fills columns itself; others use batch_builder.h. NULL: no memory.
 */
struct wr_batch *wr_batch_new(struct wr_memory *memory, const struct weir_schema *schema, uint32_t capacity_rows,
                              bool has_row_kinds);
/* Appends a heap, takes the reference over, counts its bytes; false: no memory, the reference stays the caller's. */
bool wr_batch_add_heap(struct wr_batch *batch, struct wr_heap *heap);
struct wr_batch *wr_batch_ref(struct wr_batch *batch);
void wr_batch_unref(struct wr_batch *batch); /* NULL is fine */

static inline uint32_t wr_batch_row(const struct wr_batch *batch, uint32_t selected_index) {
  return batch->selection == NULL ? selected_index : batch->selection[selected_index];
}
static inline bool wr_column_is_null(const struct wr_column *column, uint32_t row) {
  return column->validity != NULL && (column->validity[row / 64] >> (row % 64) & 1) == 0;
}
static inline const int64_t *wr_column_bigints(const struct wr_column *column) {
  return column->values;
}
static inline const struct wr_view *wr_column_views(const struct wr_column *column) {
  return column->values;
}
/* The bytes of a view of this batch; not zero-terminated, valid while the batch is held and `view` stays in place. */
static inline const char *wr_view_bytes(const struct wr_batch *batch, const struct wr_view *view) {
  if (view->length <= WR_VIEW_INLINE_MAX) return view->bytes;
  return batch->heaps[view->heap]->data + view->offset;
}
static inline enum weir_row_kind wr_batch_row_kind(const struct wr_batch *batch, uint32_t row) {
  return batch->row_kinds == NULL ? WEIR_INSERT : (enum weir_row_kind)batch->row_kinds[row];
}

uint32_t wr_type_width(enum weir_type type);
const char *wr_type_text(enum weir_type type);
/* A deep copy of a schema, names included, in one block (release with wr_free); NULL: no memory. */
struct weir_schema *wr_schema_copy(struct wr_memory *memory, const struct weir_schema *schema);
bool wr_schema_equal(const struct weir_schema *a, const struct weir_schema *b);
/* INVALID with a sentence when a schema breaks the limits or names a field twice. */
enum weir_code wr_schema_check(const struct weir_schema *schema, struct weir_error *error);

#endif
