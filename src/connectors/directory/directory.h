/* connectors/directory/directory.h: a folder that gets an epoch's rows as files, a two-phase sink.
 *
 * A file appears under its name when it is whole and durable, and is never touched again: anybody may take it away at
 * any time. Names are never used twice, by any run of any job, and sort in the order of the commits:
 *
 *   part-<uid>-<16 hex digits of the incarnation>-<checkpoint id, 10 digits>-<subtask, 4 digits>-<number, 4 digits>
 *                                                                                             .ndjson (or .csv)
 *
 * with the incarnation that has staged the file, and the checkpoint whose barrier has ended it.
 *
 * Where several jobs write into one folder, their sinks never meet. What is being made lies in PATH/.weir/, with a
 * marker for each sink; nobody else may touch that folder. Each subtask writes its own files there, with the final
 * bytes, while rows come (directory_stage.c); a commit only renames them (directory_target.c).
 *
 * Rows: +I and +U are written as the row's new value, -U is passed over, -D is an error that names the row: a file that
 * may be gone cannot take a row back. So a changelog that only adds and updates can be written; the newest line of a
 * key holds.
 *
 * A file is ended by every checkpoint; by a row with which it would get larger than sink.rolling-policy.file-size; and
 * by the first row that comes sink.rolling-policy.rollover-interval or more after the file's first one. However it was
 * ended, it is seen when its checkpoint is committed.
 *
 * The limit of bytes that may wait for their commit (checkpoint/commit.h) counts what lies in the job's folder, and so
 * not these files; the limit of epochs holds.
 *
 * The plain sink (operators/plain_sink.h) writes what it has at each tick, under final names from the first byte:
 *
 *   part-<uid>-<16 hex digits of the incarnation>-<start number, 10 digits>-<8 hex digits that tell its subtasks
 * apart>- <tick, 10 digits>-<number, 4 digits>.ndjson (or .csv)
 *
 * A kill can leave a file that ends within a row, and rows come again. Where a write fails, the same names are written
 * anew.
 */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_H

#include "connectors/connector_options.h"
#include "formats/csv/csv_encoder.h"
#include "formats/json/json_encoder.h"
#include "operators/plain_sink.h"
#include "operators/sink_nodes.h"

enum wr_directory_format { WR_DIRECTORY_JSON, WR_DIRECTORY_CSV };

/* Borrowed by the job, with all it points to. */
struct wr_directory_config {
  const char *path;
  const char *uid; /* of the sink */
  enum wr_directory_format format;
  uint64_t file_bytes; /* a file that would get larger is ended before */
  int64_t rollover_ms; /* a row that comes so long after a file's first is not put into it; 0: any is */
  struct wr_json_encoder_options json;
  struct wr_csv_encoder_options csv;
  bool csv_header;           /* each file begins with the names of the columns */
  int64_t flush_interval_ms; /* of a plain sink (directory_plain.c) */
  bool has_flush_interval;   /* it was given */
};

enum { WR_DIRECTORY_OPTION_COUNT = 11 };
extern const struct wr_connector_option wr_directory_options[WR_DIRECTORY_OPTION_COUNT];

/* The config of a sink `uid` on `path` by its settings; both are borrowed by the config. INVALID names the option. */
enum weir_code wr_directory_config_read(const char *path, const char *uid, const struct weir_schema *schema,
                                        const struct wr_connector_setting *settings, uint32_t setting_count,
                                        struct wr_directory_config *out_config, struct weir_error *error);

/* By a struct wr_directory_config. */
wr_new_target wr_directory_target_new;
wr_new_stage wr_directory_stage_new;
wr_new_plain_target wr_directory_plain_new;

#endif
