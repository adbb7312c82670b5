/* os/posix_seams.h: all seams of a production process in one struct. */
#ifndef WR_OS_POSIX_SEAMS_H
#define WR_OS_POSIX_SEAMS_H

#include "os/folder_watch.h"
#include "os/large_blocks.h"
#include "os/posix_clock.h"
#include "os/posix_files.h"
#include "os/posix_log.h"
#include "os/thread_calls.h"

struct wr_posix_seams {
  struct wr_seams seams; /* what an engine is given; points into the rest */
  struct wr_heap_memory heap;
  struct wr_large_blocks large_blocks; /* of the heap */
  struct wr_clock clock;
  struct wr_entropy entropy;
  struct wr_posix_files files;
  struct wr_thread_calls calls;
  struct wr_folder_watches watches;
  struct wr_posix_log log;
};

/* `budget_bytes` of memory for the engine (0: no limit). The struct stays where it is until deinit. */
enum weir_code wr_posix_seams_init(struct wr_posix_seams *posix, uint64_t budget_bytes, enum wr_log_level log_level,
                                   struct weir_error *error);
/* After the engines that use it: waits for running calls. */
void wr_posix_seams_deinit(struct wr_posix_seams *posix);

#endif
