/* checkpoint/folder_internal.h: what folder.c and folder_cleanup.c share. */
#ifndef WR_CHECKPOINT_FOLDER_INTERNAL_H
#define WR_CHECKPOINT_FOLDER_INTERNAL_H

#include "checkpoint/folder.h"

struct wr_folder {
  struct wr_files *files;
  struct wr_memory *memory;
  struct wr_file *lock; /* LOCK, locked; NULL when read only */
  char *path;           /* without a "/" at its end */
  char *parent;         /* the folder that `path` is an entry of */
};

/* `path`/`name`. The length of `path` was checked when the folder was opened: there is room. */
void wr_folder_join(const struct wr_folder *folder, const char *name, char out_path[WR_PATH_BYTES_MAX]);
/* "chk-N" and its path. */
void wr_folder_checkpoint_path(const struct wr_folder *folder, uint64_t id, char out_path[WR_PATH_BYTES_MAX]);
/* Not read only: what follows changes the folder. */
void wr_folder_assert_locked(const struct wr_folder *folder);

#endif
