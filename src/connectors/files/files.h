/* connectors/files/files.h: a folder of growing partition files as a source.
 *
 * Every file in the folder whose name ends in `suffix` is a partition, one JSON record a line; files may grow, new ones
 * may come. A record's place is its file's name and its number in it, from 0, every line counted, bad and blank ones
 * too; a line of white space is passed over. A last line without newline is a record only in a bounded run, and only
 * where its file ends there.
 *
 * Bounded: each file is read up to the size it had at the first bounded look; a record that begins before belongs to it
 * whole. Known files must stay: one that vanished, shrank, was renamed or replaced is a permanent error; a copy with
 * the same beginning, and the same bytes before the position, is the same file.
 *
 * Port 0 has the records. With WR_FILES_SKIP port 1 has the bad ones (wr_dead_letter_schema).
 */
#ifndef WR_CONNECTORS_FILES_FILES_H
#define WR_CONNECTORS_FILES_FILES_H

#include "connectors/connector_options.h"
#include "runtime/graph.h"

/* Names are those of Flink's filesystem connector where it has them. */
enum wr_files_option {
  WR_FILES_PATH,
  WR_FILES_FORMAT,
  WR_FILES_MONITOR_INTERVAL,
  WR_FILES_IDLE_TIMEOUT,
  WR_FILES_OPTION_COUNT
};
extern const struct wr_connector_option wr_files_options[WR_FILES_OPTION_COUNT];

enum wr_files_on_error {
  WR_FILES_FAIL, /* a bad record ends the job */
  WR_FILES_SKIP  /* it goes to port 1, counted, and the next one is read */
};

enum { WR_FILES_NO_FIELD = -1, WR_FILES_SCAN_INTERVAL_MS = 1000, WR_FILES_POLL_INTERVAL_MS = 100 };

/* Borrowed by the job, with all it points to. Set the three fields to WR_FILES_NO_FIELD where there is none. */
struct wr_files_config {
  const char *folder;
  const char *suffix;               /* ".ndjson" */
  const struct weir_schema *schema; /* of the records; fields are found in the JSON object by name */
  int32_t partition_field;          /* STRING: gets the file's name instead */
  int32_t position_field;           /* BIGINT: gets the record's number instead */
  enum wr_files_on_error on_error;
  int32_t event_time_field;    /* BIGINT (milliseconds) or TIMESTAMP: makes watermarks */
  int64_t out_of_orderness_ms; /* how much later than a younger record an older one may come */
  uint64_t idle_timeout_ms;    /* a file that gives nothing for so long does not hold the watermark back; 0: never */
  uint64_t scan_interval_ms;   /* between two looks for new files; 0: the default */
  uint64_t poll_interval_ms;   /* between two looks for growth, at most; 0: the default */
};

/* The part of a config that the values of wr_files_options say; texts are borrowed. */
void wr_files_config_read(const struct wr_connector_value *values, struct wr_files_config *out_config);
/* The node for the graph. INVALID: a field of the wrong type, no folder. `config` outlives the job. */
enum weir_code wr_files_source_node(const struct wr_files_config *config, const char *uid, uint32_t parallelism,
                                    struct wr_node *out_node, struct weir_error *error);

enum weir_code wr_files_enumerator_new(const struct wr_files_config *config,
                                       const struct wr_enumerator_context *context, const struct wr_split *restored,
                                       uint32_t restored_count, struct wr_enumerator **out_enumerator,
                                       struct weir_error *error);
enum weir_code wr_files_reader_new(const struct wr_files_config *config, struct wr_operator_context *context,
                                   struct wr_operator **out_operator, struct weir_error *error);

#endif
