/* state/inspect.h: stored keyed state as text, without the job that wrote it: its schemas are in the bytes. Blocks, and
 * takes as much memory as the state; inside a call or on a plain thread. */
#ifndef WR_STATE_INSPECT_H
#define WR_STATE_INSPECT_H

#include "state/state.h"

/* Gives out the rows of a chain, at most `rows_max`, in the order of state, namespace and row id: key as
 * "app_id=app1", value as "count=50000, last=NULL". The strings hold until `row` returns. */
enum weir_code wr_inspect_rows(struct wr_store *store, const struct wr_backend_chain *chain, uint64_t rows_max,
                               void (*row)(void *argument, const char *state, int64_t name_space, const char *key,
                                           const char *value),
                               void *argument, struct weir_error *error);

#endif
