/* connectors/record_fields.h: the fields of a source's records: which come out of the JSON object, and which say where
 * the record was. One thread, the task's; the check is pure.
 */
#ifndef WR_CONNECTORS_RECORD_FIELDS_H
#define WR_CONNECTORS_RECORD_FIELDS_H

#include "formats/json/json_decoder.h"

/* A field that is below zero is not there. */
struct wr_record_fields {
  const struct weir_schema *schema; /* borrowed */
  int32_t partition_field;          /* STRING: gets the partition's name */
  int32_t position_field;           /* BIGINT: gets the record's position in it */
  int32_t event_time_field;         /* BIGINT (milliseconds) or TIMESTAMP */
};

/* INVALID: a field of the wrong type, or none left for the record. `what` names the source: "a files source". */
enum weir_code wr_record_fields_check(const struct wr_record_fields *fields, const char *what,
                                      struct weir_error *error);
/* The decoder for the fields that come out of the record. */
enum weir_code wr_record_fields_decoder(const struct wr_record_fields *fields, struct wr_memory *memory,
                                        struct wr_calls *calls, struct wr_json_decoder **out_decoder,
                                        struct weir_error *error);

/* The partition's name as a value of the batch that is being built: long names lie in its heap once per call. Without a
 * partition field nothing is done. */
enum weir_code wr_record_fields_name(const struct wr_record_fields *fields, struct wr_batch_builder *builder,
                                     const char *name, struct wr_view *out_view, struct weir_error *error);
/* Fills the columns that say where a record was, in the new rows [first, first + count): the position is `base` and the
 * row's entry of `behind_base`, which is by row number. */
void wr_record_fields_fill(const struct wr_record_fields *fields, struct wr_batch_builder *builder,
                           const struct wr_view *name, int64_t base, const uint32_t *behind_base, uint32_t first,
                           uint32_t count);

#endif
