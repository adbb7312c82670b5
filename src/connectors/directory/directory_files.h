/* connectors/directory/directory_files.h: rows as files, in two halves: lines, which a task makes of batches and which
 * say where a file ends; and the output, which writes them in calls. The stage of the exactly-once sink and the plain
 * sink are both made of them. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_FILES_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_FILES_H

#include "base/limits.h"
#include "connectors/directory/directory.h"

/* ---- lines: pure ---- */

/* What is to be written next. */
struct wr_directory_text {
  struct wr_bytes bytes;
  struct wr_bytes cuts; /* uint64_t each: where in `bytes` a file ends, ascending */
};
void wr_directory_text_init(struct wr_directory_text *text, struct wr_memory *memory);
void wr_directory_text_deinit(struct wr_directory_text *text);

struct wr_directory_lines {
  const struct wr_directory_config *config;
  struct wr_json_encoder *json;
  struct wr_csv_encoder csv;
  struct wr_directory_text text; /* taken away by its owner, who may leave another, empty one */
  uint64_t file_bytes;           /* of the file at hand; 0: none is begun */
  uint64_t file_begin_ns;        /* when its first row came */
};
/* All are borrowed until deinit, which may follow a failure. */
enum weir_code wr_directory_lines_init(struct wr_directory_lines *lines, const struct wr_directory_config *config,
                                       const struct weir_schema *schema, struct wr_memory *memory,
                                       struct weir_error *error);
void wr_directory_lines_deinit(struct wr_directory_lines *lines);
/* Appends the batch's rows. A file at hand that is older than config->rollover_ms at `now_ns` is ended before.
 * CONSTRAINT: a row was deleted, or cannot be written in this format. */
enum weir_code wr_directory_lines_put(struct wr_directory_lines *lines, const struct wr_batch *batch, uint64_t now_ns,
                                      struct weir_error *error);
/* Without any text, and at the beginning of a file. */
void wr_directory_lines_clear(struct wr_directory_lines *lines);

/* ---- output: inside calls ---- */

struct wr_directory_output {
  struct wr_files *files;
  const char *folder; /* where the files lie */
  const char *suffix;
  char base[WR_PATH_BYTES_MAX]; /* the files are base-0000suffix, base-0001suffix ... */
  struct wr_file *file;         /* NULL: none is open */
  uint64_t written_bytes;       /* of it */
  size_t position, next_cut;    /* how far the present text is written */
  uint32_t file_count;          /* ended */
  uint64_t bytes;               /* written, into all of them */
  bool may_go_on;               /* NO_SPACE: the same text may be given again; nothing is lost */
};
/* Writes the text, ends files where it says so and syncs each that is ended. With `ends` the last file is ended too,
 * and all are durable with their names. A file of such a name that stands there is left over from another try. */
enum weir_code wr_directory_output_write(struct wr_directory_output *output, const struct wr_directory_text *text,
                                         bool ends, struct weir_error *error);
/* Closes what is open after a failure. */
void wr_directory_output_abandon(struct wr_directory_output *output);

/* NOT_FOUND: `path` is no folder. */
enum weir_code wr_directory_check_path(struct wr_files *files, const char *path, struct wr_file_info *out_info,
                                       struct weir_error *error);

#endif
