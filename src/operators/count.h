/* operators/count.h: rows per key of a keyed stream, as a changelog of (key fields..., BIGINT count).
 *
 * The changes of a key within one batch are folded: only its last count goes out, as +I where the key is new and +U
 * where it is not; -D where a changelog took back the last row. What takes back a row of a key that has none is passed
 * over.
 */
#ifndef WR_OPERATORS_COUNT_H
#define WR_OPERATORS_COUNT_H

#include "runtime/operator.h"

extern const struct weir_schema wr_count_value_schema; /* of its state "count": one BIGINT, "count" */

enum weir_code wr_count_new(struct wr_operator_context *context, struct wr_operator **out_operator,
                            struct weir_error *error);

#endif
