/* connectors/files/file_scan.h: one look at the source's folder: judges the known files, then finds new ones.
 *
 * Blocks; inside a call. Between two scans the enumerator owns everything here. One thread at a time.
 */
#ifndef WR_CONNECTORS_FILES_FILE_SCAN_H
#define WR_CONNECTORS_FILES_FILE_SCAN_H

#include "connectors/files/file_split.h"
#include "connectors/files/files.h"

/* A file that is a split of the job. */
struct wr_known_file {
  struct wr_file_split split; /* as handed out; device, inode and head are kept up to date */
  uint64_t size_seen;         /* at the last scan */
};

struct wr_file_scan {
  struct wr_seams *seams;
  struct wr_memory *memory;
  const struct wr_files_config *config;
  const char *uid;
  bool bounded;
  bool stops_are_fixed;         /* at an earlier start: nothing new is admitted */
  struct wr_known_file **known; /* sorted by name */
  uint32_t known_count, known_capacity;
  struct wr_split *found; /* to be handed out, encoded: at the first scan all, later what is new */
  uint32_t found_count, found_capacity;
  struct wr_name_list told; /* other names in the folder that the log has told of, sorted */
  size_t told_capacity;
  bool first_done; /* a scan has come to its end */
};

/* What was restored, before the first scan; the split is moved in. */
enum weir_code wr_file_scan_add_known(struct wr_file_scan *scan, struct wr_file_split *split, struct weir_error *error);
enum weir_code wr_file_scan_run(struct wr_file_scan *scan, struct weir_error *error);
void wr_file_scan_deinit(struct wr_file_scan *scan);

#endif
