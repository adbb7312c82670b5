/* operators/key_columns.h: the key fields of a keyed operator: from its input into its output, and back from canonical
 * bytes. Pure; any thread.
 */
#ifndef WR_OPERATORS_KEY_COLUMNS_H
#define WR_OPERATORS_KEY_COLUMNS_H

#include "data/batch_builder.h"
#include "data/key.h"

/* Copies `rows[0..count)` (row numbers, not selected indexes) of one column into rows 0..count of a column of `target`,
 * a new batch (wr_batch_new) of the same type there. Long strings are copied into a heap of the target. */
enum weir_code wr_column_gather(struct wr_batch *target, uint32_t target_field, const struct wr_batch *source,
                                uint32_t source_field, const uint16_t *rows, uint32_t count, struct weir_error *error);

/* The schema of the key fields of `input`, in the key's order, names included, then `more` (may be NULL). One block
 * (release with wr_free); NULL: no memory. */
struct weir_schema *wr_key_schema(struct wr_memory *memory, const struct weir_schema *input,
                                  const struct wr_key_fields *key, const struct weir_schema *more);

/* Sets the first `count` fields of the builder's current row to what a key's canonical bytes say. CORRUPT when they are
 * no such key. */
enum weir_code wr_key_to_row(struct wr_batch_builder *builder, uint32_t count, const struct wr_key *key,
                             struct weir_error *error);

#endif
