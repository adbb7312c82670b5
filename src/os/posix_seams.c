/* os/posix_seams.c: see posix_seams.h. */
#include "os/posix_seams.h"

enum weir_code wr_posix_seams_init(struct wr_posix_seams *posix, uint64_t budget_bytes, enum wr_log_level log_level,
                                   struct weir_error *error) {
  wr_heap_memory_init(&posix->heap, budget_bytes);
  wr_large_blocks_init(&posix->large_blocks);
  posix->heap.large_state = &posix->large_blocks.source;
  wr_posix_clock_init(&posix->clock);
  wr_posix_entropy_init(&posix->entropy);
  wr_posix_files_init(&posix->files, &posix->heap.memory);
  wr_posix_log_init(&posix->log, &posix->clock, log_level);
  WR_TRY(wr_thread_calls_init(&posix->calls, error));
  wr_folder_watches_init(&posix->watches);
  posix->seams = (struct wr_seams){.memory = &posix->heap.memory,
                                   .clock = &posix->clock,
                                   .entropy = &posix->entropy,
                                   .files = &posix->files.files,
                                   .calls = &posix->calls.calls,
                                   .watches = &posix->watches.watches,
                                   .log = &posix->log.log};
  return WEIR_OK;
}

void wr_posix_seams_deinit(struct wr_posix_seams *posix) {
  wr_thread_calls_deinit(&posix->calls);
  wr_folder_watches_deinit(&posix->watches);
  wr_large_blocks_deinit(&posix->large_blocks);
}
