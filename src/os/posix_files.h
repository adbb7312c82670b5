/* os/posix_files.h: the file seam over POSIX. The table holds nothing that changes; any thread, several at a time. One
 * open file is used by one thread at a time. */
#ifndef WR_OS_POSIX_FILES_H
#define WR_OS_POSIX_FILES_H

#include "os/seams.h"

struct wr_posix_files {
  struct wr_files files;
  struct wr_memory *memory; /* of the open files */
};

/* `memory` outlives the table and every file opened through it. Needs no release. */
void wr_posix_files_init(struct wr_posix_files *posix, struct wr_memory *memory);

#endif
