/* checkpoint/check.h: is a job's folder sound, byte by byte, and what is in it? What `weir check DIR` prints; and
 * reading a stored checkpoint back as text, without the job that wrote it.
 *
 * Everything here only reads and takes no lock, so a running job is not disturbed; what it removes meanwhile is missed.
 * Blocks: inside a call or on a plain thread.
 */
#ifndef WR_CHECKPOINT_CHECK_H
#define WR_CHECKPOINT_CHECK_H

#include "checkpoint/folder.h"

/* Reads every byte of every checkpoint in the folder: metadata, every block and digest of every file that it names, the
 * rows of keyed state. Prints what is there and what is wrong, one `line` at a time. The first damage is the error that
 * is returned, but all is reported. */
enum weir_code wr_check_folder(struct wr_files *files, struct wr_memory *memory, const char *path,
                               void (*line)(void *argument, const char *text), void *argument,
                               struct weir_error *error);

/* Who is given what a checkpoint holds. Strings are borrowed until the function returns; a function may be NULL. */
struct wr_check_visitor {
  /* A source's split: its kind ("files") and its text ("name=p0.ndjson position=1234 record=10"). */
  void (*split)(void *argument, const char *uid, uint32_t subtask, const char *kind, const char *text);
  /* A row of keyed state: "app_id=app1", "count=50000". In the order of state, namespace, row id. */
  void (*row)(void *argument, const char *uid, uint32_t subtask, const char *state, int64_t name_space, const char *key,
              const char *value);
  void *argument;
  uint64_t rows_max; /* of each subtask of each operator */
};

/* Gives out checkpoint `id`, 0: the newest one that can be read. *out_id is its id; NOT_FOUND when there is none. */
enum weir_code wr_check_checkpoint(struct wr_files *files, struct wr_memory *memory, const char *path, uint64_t id,
                                   const struct wr_check_visitor *visitor, uint64_t *out_id, struct weir_error *error);

#endif
