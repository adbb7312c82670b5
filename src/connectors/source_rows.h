/* connectors/source_rows.h: what a source reader builds: the rows of its records, the rows of bad ones, and when they
 * go on. One thread, the task's.
 *
 * A batch leaves when it is full, when its time is up, when there is nothing more to read, and before a barrier: at a
 * barrier the builders are empty, so that the splits' positions are those of what was emitted.
 */
#ifndef WR_CONNECTORS_SOURCE_ROWS_H
#define WR_CONNECTORS_SOURCE_ROWS_H

#include "connectors/record_fields.h"
#include "connectors/split_time.h"

struct wr_source_rows {
  struct wr_operator_context *context;
  struct wr_record_fields fields;
  struct wr_source_time time;
  struct wr_json_decoder *decoder;
  struct wr_batch_builder rows, dead_letters;
  uint64_t since_ns; /* when the first of what is in the builders came; the reader sets it */
  uint32_t *places;  /* per row of the batch that is being built: its position, behind that of the first of its run */
};

/* All are borrowed until deinit, which may follow a failure. */
enum weir_code wr_source_rows_init(struct wr_source_rows *built, struct wr_operator_context *context,
                                   const struct wr_record_fields *fields, int64_t out_of_orderness_ms,
                                   uint64_t idle_timeout_ms, struct weir_error *error);
void wr_source_rows_deinit(struct wr_source_rows *built);

bool wr_source_rows_any(const struct wr_source_rows *built);
/* Sends all that is built. */
enum weir_code wr_source_rows_flush(struct wr_source_rows *built, struct weir_error *error);
/* Sends what is built, if it is time; `nothing_more`: there is nothing to wait for. *made is set where something is
 * sent; else *wake_at_ns is lowered to when it has to go. */
enum weir_code wr_source_rows_flush_when_due(struct wr_source_rows *built, bool nothing_more, bool *made,
                                             uint64_t *wake_at_ns, struct weir_error *error);

#endif
