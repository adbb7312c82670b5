/* connectors/bad_records.h: records that a source could not read: what is said of them, and the rows that go to the
 * dead-letter sink. One thread, the task's.
 */
#ifndef WR_CONNECTORS_BAD_RECORDS_H
#define WR_CONNECTORS_BAD_RECORDS_H

#include "connectors/excerpt.h"
#include "formats/json/json_decoder.h"
#include "runtime/operator.h"

/* The schema of a source's port 1: source, partition, position, byte_position, error, record. */
extern const struct weir_schema wr_dead_letter_schema;
enum {
  WR_DEAD_LETTER_SOURCE,
  WR_DEAD_LETTER_PARTITION,
  WR_DEAD_LETTER_POSITION,
  WR_DEAD_LETTER_BYTE_POSITION,
  WR_DEAD_LETTER_ERROR,
  WR_DEAD_LETTER_RECORD
};

struct wr_bad_record {
  int64_t position;      /* of the record in its partition */
  int64_t byte_position; /* of its first byte, where the partition is a file; else of the fault in the record */
  char sentence[256];    /* what is wrong */
  char start[WR_EXCERPT_BYTES];
};

/* Fills the sentence: "not JSON: ..." */
void wr_bad_record_describe(struct wr_bad_record *bad, const struct wr_json_fault *fault);
/* Fills `out` (WR_EXCERPT_BYTES) with so much of the record's start as an error message has room for. */
void wr_bad_record_excerpt(const struct wr_bad_record *bad, char *out);
/* Adds it as a row to `builder`, which is emitted before, on port 1, where it is full; counts it as skipped. */
enum weir_code wr_bad_record_put(struct wr_batch_builder *builder, const struct wr_operator_context *context,
                                 const char *partition, const struct wr_bad_record *bad, struct weir_error *error);

#endif
