/* connectors/directory/directory_stage.h: an epoch's rows as staged files: encoded, rolled by size, written and synced.
 * Blocks; only inside a call. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_STAGE_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_STAGE_H

#include "connectors/directory/directory.h"
#include "connectors/directory/directory_marker.h"

struct wr_directory_stage {
  const struct wr_directory_config *config;
  const struct wr_target_context *context;
  const char *folder; /* PATH/.weir */
  struct wr_json_encoder *json;
  struct wr_csv_encoder csv;
  struct wr_bytes lines; /* of the file that is being written, not yet in it */
  struct wr_file *file;  /* NULL: none is open */
  uint64_t written_bytes;
};

/* All are borrowed until deinit. */
enum weir_code wr_directory_stage_init(struct wr_directory_stage *stage, const struct wr_directory_config *config,
                                       const struct wr_target_context *context, const char *folder,
                                       struct weir_error *error);
void wr_directory_stage_deinit(struct wr_directory_stage *stage);
/* Writes the epoch's files under the names of the manifest, whose part_count is set here, and makes them durable with
 * their names. Files of these names that stand there are left over from another try, and are made anew. */
enum weir_code wr_directory_stage_epoch(struct wr_directory_stage *stage, const struct wr_epoch *epoch,
                                        struct wr_directory_manifest *manifest, struct weir_error *error);

/* The paths of a file of the manifest, in rooms of WR_PATH_BYTES_MAX. LIMIT: they are too long. */
enum weir_code wr_directory_staged_path(const struct wr_directory_manifest *manifest, const char *folder,
                                        uint32_t number, char *out_path, struct weir_error *error);
enum weir_code wr_directory_final_path(const struct wr_directory_manifest *manifest, const char *path, uint32_t number,
                                       char *out_path, struct weir_error *error);

#endif
