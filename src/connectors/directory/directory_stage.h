/* connectors/directory/directory_stage.h: an epoch's rows as staged files: encoded, rolled by size and time, written
 * and synced; and a plain sink's rows as files that have their final names at once. Blocks; only inside a call. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_STAGE_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_STAGE_H

#include "base/limits.h"
#include "connectors/directory/directory.h"
#include "connectors/directory/directory_marker.h"

struct wr_directory_stage {
  const struct wr_directory_config *config;
  const struct wr_target_context *context;
  const char *folder; /* PATH/.weir; PATH: final names at once */
  struct wr_json_encoder *json;
  struct wr_csv_encoder csv;
  struct wr_bytes row;   /* the one at hand, encoded */
  struct wr_bytes lines; /* of the file that is being written, not yet in it */
  struct wr_file *file;  /* NULL: none is open; one that is open has a row */
  uint64_t written_bytes;
};

/* All are borrowed until deinit, which may follow a failure. */
enum weir_code wr_directory_stage_init(struct wr_directory_stage *stage, const struct wr_directory_config *config,
                                       const struct wr_target_context *context, const char *folder,
                                       struct weir_error *error);
void wr_directory_stage_deinit(struct wr_directory_stage *stage);
/* Writes the epoch's files under the names of the manifest, whose part_count is set here, and makes them durable with
 * their names. Files of these names that stand there are left over from another try, and are made anew. */
enum weir_code wr_directory_stage_epoch(struct wr_directory_stage *stage, const struct wr_epoch *epoch,
                                        struct wr_directory_manifest *manifest, struct weir_error *error);
/* The same for the rows of these batches. */
enum weir_code wr_directory_stage_batches(struct wr_directory_stage *stage, struct wr_batch *const *batches,
                                          uint32_t count, struct wr_directory_manifest *manifest,
                                          struct weir_error *error);

enum { WR_DIRECTORY_PREFIX_BYTES = WR_UID_BYTES_MAX + 24 };
/* "part-<uid>-<incarnation>", with what every file of this sink and incarnation begins. */
void wr_directory_prefix(const char *uid, const uint8_t *incarnation, char out[WR_DIRECTORY_PREFIX_BYTES]);
/* NOT_FOUND: `path` is no folder. */
enum weir_code wr_directory_check_path(const struct wr_target_context *context, const char *path,
                                       struct wr_file_info *out_info, struct weir_error *error);
/* ".ndjson" or ".csv". */
const char *wr_directory_suffix(const struct wr_directory_config *config);
/* The paths of a file of the manifest, in rooms of WR_PATH_BYTES_MAX. LIMIT: they are too long. */
enum weir_code wr_directory_staged_path(const struct wr_directory_manifest *manifest, const char *folder,
                                        uint32_t number, char *out_path, struct weir_error *error);
enum weir_code wr_directory_final_path(const struct wr_directory_manifest *manifest, const char *path, uint32_t number,
                                       char *out_path, struct weir_error *error);

#endif
