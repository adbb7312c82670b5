/* weir/batch.h: reading a batch, the columnar unit in which records move.
 *
 * A batch has rows and columns. Some of its rows may have been dropped; what is left is numbered 0 to
 * weir_batch_row_count() - 1, and every function below takes such a number as `row`. A batch is a view: it is valid as
 * long as whoever handed it out says (in an operator: until the callback returns), and cannot be changed. A field is
 * named by its number in the schema, from 0; asking for a field as another type than it has is a programmer's error and
 * stops the program with a sentence. Any thread.
 *
 * ```c
 * int64_t sum = 0;
 * for (uint32_t row = 0; row < weir_batch_row_count(batch); row++)
 *   if (!weir_batch_is_null(batch, 0, row)) sum += weir_batch_bigint(batch, 0, row);
 * ```
 */
#ifndef WEIR_BATCH_H
#define WEIR_BATCH_H

#include "weir/types.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_batch;

/* Rows that count, 0 to 4,096. */
uint32_t weir_batch_row_count(const struct weir_batch *batch);
/* The schema; as long as the batch. */
const struct weir_schema *weir_batch_schema(const struct weir_batch *batch);
/* What a row of a changelog says; WEIR_INSERT for every row of a stream that is none. */
enum weir_row_kind weir_batch_row_kind(const struct weir_batch *batch, uint32_t row);

bool weir_batch_is_null(const struct weir_batch *batch, uint32_t field, uint32_t row);
/* A NULL reads as zero, false, or no bytes. */
bool weir_batch_boolean(const struct weir_batch *batch, uint32_t field, uint32_t row);
int32_t weir_batch_int(const struct weir_batch *batch, uint32_t field, uint32_t row);
int64_t weir_batch_bigint(const struct weir_batch *batch, uint32_t field, uint32_t row);
double weir_batch_double(const struct weir_batch *batch, uint32_t field, uint32_t row);
struct weir_timestamp weir_batch_timestamp(const struct weir_batch *batch, uint32_t field, uint32_t row);
/* A STRING or BYTES: a pointer into the batch, no zero behind it; *out_length bytes. */
const char *weir_batch_bytes(const struct weir_batch *batch, uint32_t field, uint32_t row, size_t *out_length);

/* For loops that must be fast: the values of a whole column, of a type with a fixed width (weir/types.h), and where
 * each row lies in it. `row` is at values[rows[row]]; *out_rows is NULL where that is values[row].
 *
 * ```c
 * const uint16_t *rows;
 * const int64_t *prices = weir_batch_column(batch, 2, WEIR_TYPE_BIGINT, &rows);
 * int64_t total = 0;
 * for (uint32_t row = 0; row < weir_batch_row_count(batch); row++)
 *   total += prices[rows == NULL ? row : rows[row]];
 * ```
 */
const void *weir_batch_column(const struct weir_batch *batch, uint32_t field, enum weir_type type,
                              const uint16_t **out_rows);

#ifdef __cplusplus
}
#endif

#endif
