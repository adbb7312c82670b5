/* connectors/generator/generator.h: records made in process, for tests, demonstrations and measurements.
 *
 * Row i of split s is a pure function of (seed, s, i), so a restored job makes the same rows again. A split is a stream
 * of its own; all splits together make `row_count` rows, at `rows_per_second`.
 *
 * The schema decides what is made: field 0 is the key, BIGINT 0 to key_count - 1 or STRING "app0" to "app<key_count -
 * 1>"; field 1, if there is one, is the event time, TIMESTAMP or BIGINT in milliseconds, and watermarks follow it.
 */
#ifndef WR_CONNECTORS_GENERATOR_GENERATOR_H
#define WR_CONNECTORS_GENERATOR_GENERATOR_H

#include "connectors/connector_options.h"
#include "runtime/graph.h"

/* Names are those of Flink's datagen connector where it has them. */
enum wr_generator_option {
  WR_GENERATOR_ROW_COUNT,
  WR_GENERATOR_ROWS_PER_SECOND,
  WR_GENERATOR_KEY_COUNT,
  WR_GENERATOR_KEY_SKEW,
  WR_GENERATOR_SEED,
  WR_GENERATOR_SPLIT_COUNT,
  WR_GENERATOR_START_TIME,
  WR_GENERATOR_TIME_STEP,
  WR_GENERATOR_OPTION_COUNT
};
extern const struct wr_connector_option wr_generator_options[WR_GENERATOR_OPTION_COUNT];

/* Borrowed by the job, with all it points to. */
struct wr_generator_config {
  const struct weir_schema *schema;
  uint64_t seed;
  uint64_t key_count;       /* at least 1; at most 1,000,000,000 for STRING */
  bool is_skewed;           /* a few keys get most rows (the first thousandth nearly a fifth); else all as many */
  uint64_t row_count;       /* 0: endless */
  uint64_t rows_per_second; /* 0: as fast as it goes */
  uint32_t split_count;     /* on a fresh start; at least 1. Restored splits stay as many as they were */
  int64_t start_time_ms;    /* event time of row 0 of every split */
  uint64_t time_step_ns;    /* event time between two rows of a split */
};

/* A config of the values of wr_generator_options; its schema is left to the caller. */
void wr_generator_config_read(const struct wr_connector_value *values, struct wr_generator_config *out_config);
/* INVALID: a schema that cannot be made, no keys, no splits. `config` outlives the job. */
enum weir_code wr_generator_node(const struct wr_generator_config *config, const char *uid, uint32_t parallelism,
                                 struct wr_node *out_node, struct weir_error *error);

/* The key of row `row` of split `split`, 0 to key_count - 1: for models. */
uint64_t wr_generator_key(const struct wr_generator_config *config, uint32_t split, uint64_t row);
/* How many rows split `split` of `split_count` makes; UINT64_MAX: endless. */
uint64_t wr_generator_split_rows(const struct wr_generator_config *config, uint32_t split, uint32_t split_count);

#endif
