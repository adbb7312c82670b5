/* connectors/directory/directory.h: a folder that gets an epoch's rows as files, a two-phase sink.
 *
 * A file appears under its name when it is whole and durable, and is never touched again: anybody may take it away at
 * any time. Names are never used twice, by any run of any job, and sort in the order of the commits:
 *
 *   part-<uid>-<16 hex digits of the incarnation>-<checkpoint id, 10 digits>-<number, 4 digits>.ndjson (or .csv)
 *
 * Where several jobs write into one folder, their sinks never meet. What is being made lies in PATH/.weir/, with a
 * marker for each sink; nobody else may touch that folder.
 *
 * Rows: +I and +U are written as the row's new value, -U is passed over, -D is an error that names the row: a file that
 * may be gone cannot take a row back. So a changelog that only adds and updates can be written; the newest line of a
 * key holds.
 *
 * A file is ended when it has reached sink.rolling-policy.file-size, and by every checkpoint.
 */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_H

#include "connectors/connector_options.h"
#include "formats/csv/csv_encoder.h"
#include "formats/json/json_encoder.h"
#include "operators/sink_nodes.h"

enum wr_directory_format { WR_DIRECTORY_JSON, WR_DIRECTORY_CSV };

/* Borrowed by the job, with all it points to. */
struct wr_directory_config {
  const char *path;
  enum wr_directory_format format;
  uint64_t file_bytes; /* a file that has reached so many is ended */
  struct wr_json_encoder_options json;
  struct wr_csv_encoder_options csv;
  bool csv_header; /* each file begins with the names of the columns */
};

enum { WR_DIRECTORY_OPTION_COUNT = 10 };
extern const struct wr_connector_option wr_directory_options[WR_DIRECTORY_OPTION_COUNT];

/* The config of a sink `uid` on `path` by its settings; both are borrowed by the config. INVALID names the option. */
enum weir_code wr_directory_config_read(const char *path, const char *uid, const struct weir_schema *schema,
                                        const struct wr_connector_setting *settings, uint32_t setting_count,
                                        struct wr_directory_config *out_config, struct weir_error *error);

enum weir_code wr_directory_target_new(const struct wr_directory_config *config,
                                       const struct wr_target_context *context, struct wr_target **out_target,
                                       struct weir_error *error);
/* The sink's two nodes: as wr_sink_add with this target. `sink` is filled here; it and `config` outlive the job. */
enum weir_code wr_directory_sink_add(struct wr_graph *graph, const char *uid, const struct weir_schema *schema,
                                     uint32_t parallelism, const struct wr_directory_config *config,
                                     struct wr_sink_config *sink, uint32_t *out_writer, struct weir_error *error);

#endif
