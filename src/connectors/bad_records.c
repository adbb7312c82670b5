/* connectors/bad_records.c: see bad_records.h. */
#include "connectors/bad_records.h"

#include <stdio.h>
#include <string.h>

enum { ERROR_EXCERPT_BYTES = 100 };

const struct weir_schema wr_dead_letter_schema = {
    .fields = (const struct weir_field[]){[WR_DEAD_LETTER_SOURCE] = {"source", WEIR_TYPE_STRING, false},
                                          [WR_DEAD_LETTER_PARTITION] = {"partition", WEIR_TYPE_STRING, false},
                                          [WR_DEAD_LETTER_POSITION] = {"position", WEIR_TYPE_BIGINT, false},
                                          [WR_DEAD_LETTER_BYTE_POSITION] = {"byte_position", WEIR_TYPE_BIGINT, false},
                                          [WR_DEAD_LETTER_ERROR] = {"error", WEIR_TYPE_STRING, false},
                                          [WR_DEAD_LETTER_RECORD] = {"record", WEIR_TYPE_STRING, false}},
    .field_count = 6};

void wr_bad_record_describe(struct wr_bad_record *bad, const struct wr_json_fault *fault) {
  static const char *const kinds[] = {[WR_JSON_NOT_JSON] = "not JSON",
                                      [WR_JSON_NOT_OBJECT] = "not a JSON object",
                                      [WR_JSON_FIELD_MISSING] = "a field is missing",
                                      [WR_JSON_FIELD_TYPE] = "a field is of another type",
                                      [WR_JSON_TOO_LONG] = "too long"};
  snprintf(bad->sentence, sizeof bad->sentence, "%s: %s", kinds[fault->kind], fault->sentence);
}

void wr_bad_record_excerpt(const struct wr_bad_record *bad, char *out) {
  wr_excerpt(bad->start, strlen(bad->start), ERROR_EXCERPT_BYTES, out);
}

enum weir_code wr_bad_record_put(struct wr_batch_builder *builder, const struct wr_operator_context *context,
                                 const char *partition, const struct wr_bad_record *bad, struct weir_error *error) {
  const char *texts[] = {context->uid, partition, bad->sentence, bad->start};
  const uint32_t fields[] = {WR_DEAD_LETTER_SOURCE, WR_DEAD_LETTER_PARTITION, WR_DEAD_LETTER_ERROR,
                             WR_DEAD_LETTER_RECORD};
  if (wr_batch_builder_is_full(builder))
    WR_TRY(wr_output_emit(context->output, 1, wr_batch_builder_take(builder), error));
  WR_TRY(wr_batch_builder_begin(builder, error));
  for (unsigned i = 0; i < 4; i++)
    WR_TRY(wr_batch_builder_set_bytes(builder, fields[i], texts[i], strlen(texts[i]), error));
  wr_batch_builder_set_bigint(builder, WR_DEAD_LETTER_POSITION, bad->position);
  wr_batch_builder_set_bigint(builder, WR_DEAD_LETTER_BYTE_POSITION, bad->byte_position);
  wr_batch_builder_end_row(builder, WEIR_INSERT);
  atomic_fetch_add_explicit(&context->metrics->records_skipped, 1, memory_order_relaxed);
  return WEIR_OK;
}
