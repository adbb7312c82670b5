/* sim/article.h: the two worked examples that explain checkpoints and alignment with numbers, lived by the real engine.
 *
 * The engine runs in the simulated world under a script: the log grows, checkpoints are asked for, a task is held up
 * and the process is killed exactly where the examples say. What a checkpoint holds is read back from its stored bytes
 * by the code of `weir check`; what a task holds in memory is asked of the task; what came out is read from the table.
 *
 * First example: one partition. chk-100 holds offset 1,000 and app1 = 50,000, app2 = 10,000; at offset 1,100 memory
 * holds 50,080 and 10,020 when the process dies; it goes on from chk-100.
 *
 * Second example: two partitions, TaskA0 and TaskA1 read them, TaskB0 counts app0, TaskB1 counts app1. chk-100 stands
 * at 10,000 and 10,005. TaskA0 is slow: its barrier comes after TaskA1's, and after 195 more records of TaskA1.
 *
 * A position is the number of the next record to read. One thread. The same seed gives the same run; every seed gives
 * the same numbers, for the script leaves nothing to chance that they depend on.
 */
#ifndef WR_SIM_ARTICLE_H
#define WR_SIM_ARTICLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum sim_article_run {
  SIM_ARTICLE_ALIGNED,             /* TaskB1 aligns; the process dies after chk-100 */
  SIM_ARTICLE_NOT_ALIGNED,         /* TaskB1 goes on before the last barrier; the process dies after chk-100 */
  SIM_ARTICLE_NOT_ALIGNED_NO_CRASH /* the same without a death */
};

/* What was found; positions and counts are indexed as partitions and apps are. */
struct sim_article_report {
  uint64_t checkpoint;         /* that the numbers below were read back from */
  uint64_t positions[2];       /* of the partitions, in it */
  uint64_t counts[2];          /* app1, app2; or app0, app1: in it */
  uint64_t memory[2];          /* in the tasks before the death, or before the end */
  uint64_t restored;           /* checkpoint; 0: there was no restart */
  uint64_t restored_counts[2]; /* first example: in the tasks after the restart, before a record was read */
  uint64_t table[2], log[2];   /* at the end: in the table; records in the log */
  uint64_t read_again;         /* records */
  uint32_t wrong;              /* numbers that are not what the script says; the engine's errors too */
};

/* Plain sentences and numbers go to `out`, NULL: nowhere. True when nothing was wrong. */
bool sim_article_first(FILE *out, uint64_t seed, bool at_least_once, struct sim_article_report *out_report);
bool sim_article_second(FILE *out, uint64_t seed, enum sim_article_run run, struct sim_article_report *out_report);

#endif
