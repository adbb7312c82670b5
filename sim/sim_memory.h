/* sim/sim_memory.h: a wr_memory that knows every living block.
 *
 * The engine of a simulated world takes all its memory from one of these. A kill drops all of it at once; the leak
 * oracle asks what is left after a clean end; the out-of-memory loops make the n-th allocation fail. New memory is
 * filled with 0xcd and freed memory with 0xdd, so that a read of either gives the same in every run; a zone behind each
 * block is checked when it is freed. Nothing that it answers depends on an address. One thread.
 */
#ifndef WR_SIM_MEMORY_H
#define WR_SIM_MEMORY_H

#include "base/memory.h"

#include <stdbool.h>
#include <stdio.h>

struct sim_memory_block;

struct sim_memory {
  struct wr_memory memory;         /* first: the table that the engine is given */
  struct sim_memory_block *newest; /* all living blocks, newest first */
  uint64_t blocks;                 /* living */
  uint64_t bytes;                  /* living, as asked for */
  uint64_t bytes_peak;
  uint64_t allocations;  /* since the start; a resize counts as one */
  uint64_t fail_at;      /* the value of `allocations` that fails; 0: none */
  bool fail_for_ever;    /* and all after it */
  uint64_t failures;     /* made by fail_at or the budget */
  uint64_t budget_bytes; /* above it allocations fail; 0: no budget */
};

void sim_memory_init(struct sim_memory *memory);
/* Drops what still lives. */
void sim_memory_deinit(struct sim_memory *memory);
/* The n-th allocation or resize from now fails, n from 1 on; 0 takes the order back. */
void sim_memory_fail_nth(struct sim_memory *memory, uint64_t n, bool for_ever);
/* Frees every living block (the engine has been killed). Nothing of it may be touched afterwards. */
void sim_memory_drop_all(struct sim_memory *memory);
/* One line for each living block: serial, size, tag, and its first bytes; for the leak oracle. Returns how many. */
uint64_t sim_memory_report(const struct sim_memory *memory, FILE *out);

#endif
