/* checkpoint/folder.h: the folder of one job on disk: who owns it, which checkpoints it holds, what may be deleted.
 *
 *   LOCK          held (flock) while a process uses the folder
 *   JOB           the identity (below); published anew at every start
 *   chk-N         metadata of completed checkpoint N
 *   d-S-K         data file K of start number S (state or epochs), written once
 *   *.tmp         an unfinished publish; removed at the next start
 *
 * Everything here blocks and runs inside a call (or in `weir check`, on a plain thread). The order in which a start
 * reads, compares and writes is the job's (runtime/recovery); every function is safe to be cut off at any file
 * operation.
 *
 * Rules: a checkpoint is durable when its data files are synced, the folder is synced, and `chk-N` is published. A
 * folder that has checkpoints but no JOB is damaged, never "new". Clean-up deletes only data files that no readable
 * retained checkpoint names and that no upload of the present start can still be writing; it deletes nothing while any
 * retained `chk-N` cannot be read.
 *
 * Any thread; functions that only read may run beside a publish. One publish or clean-up at a time.
 */
#ifndef WR_CHECKPOINT_FOLDER_H
#define WR_CHECKPOINT_FOLDER_H

#include "checkpoint/metadata.h"

/* The identity of a job's folder, file JOB. */
struct wr_identity {
  char job_name[WR_NAME_BYTES_MAX + 1]; /* at the incarnation's birth */
  uint8_t incarnation[WR_INCARNATION_BYTES];
  uint8_t parent[WR_INCARNATION_BYTES]; /* the incarnation it was begun from; zeros: none */
  uint64_t start_number;                /* the last one given out */
  uint64_t checkpoint_id_limit;         /* ids below it may have been used; after a clean stop the last one was */
  uint64_t resumed_from; /* a new incarnation that goes on from a checkpoint of its parent: its id; 0: none */
  bool finished;         /* a bounded job came to its end and all its epochs are committed */
  bool in_doubt;         /* false after a clean stop: every acknowledged epoch was recorded */
};

struct wr_folder; /* an open, locked folder */

/* Makes the folder (parents too) where missing, locks it, removes *.tmp of earlier publishes. IN_USE when another
 * process holds it; DENIED, FOREIGN (not empty and not a job's folder). `path` is copied. With `read_only` nothing is
 * made, locked or removed (NOT_FOUND when there is no such folder): for `weir check`. */
enum weir_code wr_folder_open(struct wr_files *files, struct wr_memory *memory, const char *path, bool read_only,
                              struct wr_folder **out_folder, struct weir_error *error);
void wr_folder_close(struct wr_folder *folder); /* ends the lock; NULL is fine */
const char *wr_folder_path(const struct wr_folder *folder);

/* The identity; *out_exists false when the folder is new. CORRUPT, NEWER; CORRUPT too when checkpoints stand without
 * it. */
enum weir_code wr_folder_read_identity(struct wr_folder *folder, struct wr_identity *out_identity, bool *out_exists,
                                       struct weir_error *error);
enum wr_publish_outcome wr_folder_publish_identity(struct wr_folder *folder, const struct wr_identity *identity,
                                                   struct weir_error *error);

/* Ids of the chk-N files there are, ascending (release with wr_free). */
enum weir_code wr_folder_list_checkpoints(struct wr_folder *folder, uint64_t **out_ids, uint32_t *out_count,
                                          struct weir_error *error);
/* Reads and decodes chk-N; with `verify_files` also checks that every data file it names is there with its length. */
enum weir_code wr_folder_load_checkpoint(struct wr_folder *folder, uint64_t id, bool verify_files,
                                         struct wr_metadata *out_metadata, struct weir_error *error);
/* The newest checkpoint below `below_id` that can be read whole, its files there with their lengths (what is in them is
 * not looked at). *out_damaged counts newer ones that cannot (damaged, or NEWER), *out_newest_damaged_error says why of
 * the newest one. *out_exists false when there is none that can be read. What damage means is decided by the caller
 * (rule 4). */
enum weir_code wr_folder_load_newest(struct wr_folder *folder, uint64_t below_id, struct wr_metadata *out_metadata,
                                     bool *out_exists, uint32_t *out_damaged,
                                     struct weir_error *out_newest_damaged_error, struct weir_error *error);
/* `sync_folder_first`: data files were made since the last publish. When that sync fails the outcome is UNKNOWN too: a
 * pending epoch's file may have lost its name for good, so the attempt must end. */
enum wr_publish_outcome wr_folder_publish_checkpoint(struct wr_folder *folder, const struct wr_metadata *metadata,
                                                     bool sync_folder_first, struct weir_error *error);
/* Publishes chk-N again, byte for byte, so that its name is durable beyond doubt (an fsync may have failed when it was
 * first published). A restore does it before anything leans on N. */
enum wr_publish_outcome wr_folder_publish_again(struct wr_folder *folder, uint64_t id, struct weir_error *error);

/* Keeps the checkpoints `retained` and the data files that they name, or whose start number is `present_start` (0:
 * none) or later and whose name is neither in `drop` nor in a chk-N that goes; removes other chk-N (those not in
 * `retained`) first, syncs the folder, then removes the data files. When a `retained` one cannot be read (or is not
 * there) nothing is removed: that is the error. A data file that cannot be removed does not stop the others: the first
 * such error is returned in the end. While there is a chk-N newer than all in `retained`, one that could not be read,
 * only data files in `drop` are removed. */
struct wr_folder_cleanup {
  const uint64_t *retained; /* ids, ascending */
  uint32_t retained_count;
  uint64_t present_start;
  const struct wr_handle *drop; /* files of failed checkpoints of the present start */
  uint32_t drop_count;
};
enum weir_code wr_folder_clean_up(struct wr_folder *folder, const struct wr_folder_cleanup *cleanup,
                                  uint32_t *out_removed, struct weir_error *error);
/* Lists the names in the folder; for `weir check` (release with wr_name_list_deinit). */
enum weir_code wr_folder_list(struct wr_folder *folder, struct wr_name_list *out_list, struct weir_error *error);
/* The number of a file "chk-N"; false where `name` is not exactly such a name. */
bool wr_checkpoint_name_parse(const char *name, uint64_t *out_id);
/* Moves the whole folder aside (`path`.old-<start number>, a free name), for a fresh start. The folder must be open and
 * is open (new and empty) afterwards. *out_moved_to is the new name (release with wr_free). */
enum weir_code wr_folder_move_aside(struct wr_folder *folder, char **out_moved_to, struct weir_error *error);

#endif
