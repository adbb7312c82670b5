/* connectors/source_rows.c: see source_rows.h. */
#include "connectors/source_rows.h"

#include "connectors/bad_records.h"

static const uint64_t BATCH_TIME_NS = 5ull * 1000 * 1000;

enum weir_code wr_source_rows_init(struct wr_source_rows *built, struct wr_operator_context *context,
                                   const struct wr_record_fields *fields, int64_t out_of_orderness_ms,
                                   uint64_t idle_timeout_ms, struct weir_error *error) {
  *built = (struct wr_source_rows){.context = context, .fields = *fields};
  wr_source_time_init(&built->time, fields->event_time_field, out_of_orderness_ms, idle_timeout_ms);
  wr_batch_builder_init(&built->rows, context->memory, fields->schema, false);
  wr_batch_builder_init(&built->dead_letters, context->memory, &wr_dead_letter_schema, false);
  built->places = wr_alloc(context->memory, WR_BATCH_ROWS_MAX * sizeof *built->places, WR_MEMORY_SOURCE);
  if (built->places == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  return wr_record_fields_decoder(&built->fields, context->memory, context->seams->calls, &built->decoder, error);
}

void wr_source_rows_deinit(struct wr_source_rows *built) {
  wr_free(built->context->memory, built->places);
  wr_batch_builder_deinit(&built->rows);
  wr_batch_builder_deinit(&built->dead_letters);
  wr_json_decoder_free(built->decoder);
}

bool wr_source_rows_any(const struct wr_source_rows *built) {
  return wr_batch_builder_rows(&built->rows) > 0 || wr_batch_builder_rows(&built->dead_letters) > 0;
}

enum weir_code wr_source_rows_flush(struct wr_source_rows *built, struct weir_error *error) {
  struct wr_output *output = built->context->output;
  WR_TRY(wr_output_emit(output, 0, wr_batch_builder_take(&built->rows), error));
  return wr_output_emit(output, 1, wr_batch_builder_take(&built->dead_letters), error);
}

enum weir_code wr_source_rows_flush_when_due(struct wr_source_rows *built, bool nothing_more, bool *made,
                                             uint64_t *wake_at_ns, struct weir_error *error) {
  if (!wr_source_rows_any(built)) return WEIR_OK;
  uint64_t due_ns = built->since_ns + BATCH_TIME_NS;
  if (nothing_more || built->context->now_ns >= due_ns || wr_batch_builder_is_full(&built->rows)) {
    *made = true;
    return wr_source_rows_flush(built, error);
  }
  if (*wake_at_ns > due_ns) *wake_at_ns = due_ns;
  return WEIR_OK;
}
