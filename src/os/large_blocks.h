/* os/large_blocks.h: blocks of large state in memory pages of 2 MiB, behind the heap (base/memory.h). Any thread.
 *
 * Rows of a large state are found by hash, so nearly each access is to another page of the system's memory, and each
 * page costs a fault when it is first touched. Blocks of 1 to 64 KiB (pages of rows, segments of indexes) are cut from
 * *chunks* of 2 MiB, for which the system is asked to use one page of that size. A chunk has blocks of one class of
 * sizes and goes back to the system when the last of them is given back; one without a block is kept in reserve while
 * others live. Where the system has no such pages, a chunk is memory as any other. Small state stays with malloc: a
 * chunk is whole from its first block on.
 */
#ifndef WR_OS_LARGE_BLOCKS_H
#define WR_OS_LARGE_BLOCKS_H

#include "base/memory.h"

#include <pthread.h>

enum { WR_LARGE_BLOCK_CLASSES = 256 };

struct wr_large_chunk;

struct wr_large_blocks {
  struct wr_block_source source;
  pthread_mutex_t lock; /* guards all below */
  struct wr_large_chunk *with_room[WR_LARGE_BLOCK_CLASSES];
  struct wr_large_chunk *reserve; /* without a block; NULL: none */
  uint64_t chunk_count;           /* that have a block */
};

void wr_large_blocks_init(struct wr_large_blocks *blocks);
/* After the last block was given back. */
void wr_large_blocks_deinit(struct wr_large_blocks *blocks);

#endif
