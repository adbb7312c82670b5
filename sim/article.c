/* sim/article.c: the scripts of the two examples. See article.h. */
#include "sim/article_int.h"

enum {
  /* first example */
  OLDER_APP1 = 49200,
  OLDER_APP2 = 9800,
  FIRST_APP1 = 800,
  FIRST_APP2 = 200,
  THEN_APP1 = 80,
  THEN_APP2 = 20,
  /* second example */
  P0_APP0 = 4000,
  P0_APP1 = 6000,
  P1_APP0 = 4000,
  P1_APP1 = 6005,
  EARLY_APP0 = 150, /* TaskA1's records behind its barrier, that come before TaskA0's barrier */
  EARLY_APP1 = 45,
  LATER_APP0 = 300, /* to each partition, after the checkpoint */
  LATER_APP1 = 500,
};

/* The I-th of 99 shares of `total`. */
static uint64_t share(uint64_t total, uint64_t i) {
  return (i + 1) * total / (ARTICLE_CHECKPOINT - 1) - i * total / (ARTICLE_CHECKPOINT - 1);
}

/* ---- the first example ---- */

static void grow_first(struct article *article, uint64_t i) {
  article_views(article, "older.ndjson", share(OLDER_APP1, i), share(OLDER_APP2, i));
  article_views(article, "p0.ndjson", share(FIRST_APP1, i), share(FIRST_APP2, i));
}

static void first_to_the_death(struct article *article) {
  struct sim_article_report *report = article->report;
  grow_first(article, 0);
  article_start(article);
  for (uint64_t i = 1; i < ARTICLE_CHECKPOINT - 1; i++) {
    article_checkpoint(article, i);
    grow_first(article, i);
    article_pass(article, 400);
  }
  article_checkpoint(article, ARTICLE_CHECKPOINT - 1);
  article_pass(article, 1000);
  article_checkpoint(article, ARTICLE_CHECKPOINT);
  article_read_checkpoint(article);
  article_say(article, "  checkpoint 100, read back from its file by the code of `weir check`:\n");
  article_expect(article, "offset of partition 0", report->positions[0], FIRST_APP1 + FIRST_APP2);
  article_expect(article, "app1", report->counts[0], OLDER_APP1 + FIRST_APP1);
  article_expect(article, "app2", report->counts[1], OLDER_APP2 + FIRST_APP2);
  article_views(article, "p0.ndjson", THEN_APP1, THEN_APP2);
  article_pass(article, 10 * 1000);
  article_read_memory(article, report->memory);
  article_say(article, "  ten seconds later, in the memory of the tasks:\n");
  article_expect(article, "offset of partition 0", article_position(article) - OLDER_APP1 - OLDER_APP2, 1100);
  article_expect(article, "app1", report->memory[0], 50080);
  article_expect(article, "app2", report->memory[1], 10020);
}

static void first_after_the_death(struct article *article) {
  struct sim_article_report *report = article->report;
  article_say(article, "  the process is killed, and started again:\n");
  article_kill(article);
  article_start(article);
  article_wait_phase(article, WR_JOB_RUN);
  article_hold(article, "views", 0, true);
  struct wr_job_status status = {0};
  if (!article->failed) wr_job_read_status(article->job, &status);
  report->restored = status.restored_checkpoint;
  article_expect(article, "checkpoint that it goes on from", report->restored, ARTICLE_CHECKPOINT);
  uint64_t position = article->failed ? 0 : article_position(article);
  article_expect(article, "offset of partition 0", position - OLDER_APP1 - OLDER_APP2, 1000);
  article_read_memory(article, report->restored_counts);
  article_expect(article, "app1", report->restored_counts[0], 50000);
  article_expect(article, "app2", report->restored_counts[1], 10000);
  article_hold(article, "views", 0, false);
  article_pass(article, 10 * 1000);
  report->read_again = article->failed ? 0 : article_position(article) - position;
  article_end(article);
  article_say(article, "  it reads offsets 1000 to 1099 again, and the table says:\n");
  article_expect(article, "app1", report->table[0], 50080);
  article_expect(article, "app2", report->table[1], 10020);
}

bool sim_article_first(FILE *out, uint64_t seed, bool at_least_once, struct sim_article_report *out_report) {
  struct article article;
  article_init(&article, out, seed, out_report);
  article.apps[0] = "app1";
  article.apps[1] = "app2";
  article.partitions[0] = "p0.ndjson";
  article.options.parallelism = 1;
  article.options.mode = at_least_once ? WR_AT_LEAST_ONCE : WR_EXACTLY_ONCE;
  first_to_the_death(&article);
  first_after_the_death(&article);
  article_deinit(&article);
  return out_report->wrong == 0;
}

/* ---- the second example ---- */

static void grow_second(struct article *article, uint64_t i) {
  article_views(article, "p0.ndjson", share(P0_APP0, i), share(P0_APP1, i));
  article_views(article, "p1.ndjson", share(P1_APP0, i), share(P1_APP1, i));
}

/* Checkpoint 100. Without alignment in the whole job, TaskB0 is kept from stepping until both barriers have reached it,
 * which is what aligning would have done to it: so that, as in the example, TaskB1 alone does not align. */
static void checkpoint_with_a_slow_source(struct article *article, bool aligned) {
  article_hold(article, "views", 0, true);
  if (!aligned) article_hold(article, "count", 0, true);
  if (!article->failed) wr_job_request_checkpoint(article->job);
  article_pass(article, 100);
  article_views(article, "p1.ndjson", EARLY_APP0, EARLY_APP1);
  article_pass(article, 2000);
  article_hold(article, "views", 0, false);
  article_pass(article, 100);
  if (!aligned) article_hold(article, "count", 0, false);
  article_pass(article, 5000);
  article_checkpoint(article, ARTICLE_CHECKPOINT);
}

static void second_to_the_checkpoint(struct article *article, bool aligned) {
  struct sim_article_report *report = article->report;
  grow_second(article, 0);
  article_start(article);
  for (uint64_t i = 1; i < ARTICLE_CHECKPOINT - 1; i++) {
    article_checkpoint(article, i);
    grow_second(article, i);
    article_pass(article, 400);
  }
  article_checkpoint(article, ARTICLE_CHECKPOINT - 1);
  article_pass(article, 1000);
  checkpoint_with_a_slow_source(article, aligned);
  article_read_checkpoint(article);
  if (article->split_tasks[0] != 0 || article->split_tasks[1] != 1 || article->row_tasks[0] != 0 ||
      article->row_tasks[1] != 1)
    article_fail(article, "partitions and apps are not with the tasks of the example");
  article_say(article, "  checkpoint 100, read back from its file by the code of `weir check`:\n");
  article_expect(article, "offset of partition 0 (TaskA0)", report->positions[0], 10000);
  article_expect(article, "offset of partition 1 (TaskA1)", report->positions[1], 10005);
  article_expect(article, "app0 (TaskB0)", report->counts[0], 8000);
  article_expect(article, aligned ? "app1 (TaskB1)" : "app1 (TaskB1), 45 of them from behind the offset",
                 report->counts[1], aligned ? 12005 : 12050);
}

static void second_after_the_death(struct article *article) {
  struct wr_job_status status = {0};
  uint64_t position = article->failed ? 0 : article_position(article);
  article_say(article, "  the process is killed, and started again:\n");
  article_kill(article);
  article_start(article);
  article_wait_phase(article, WR_JOB_RUN);
  if (!article->failed) wr_job_read_status(article->job, &status);
  article->report->restored = status.restored_checkpoint;
  article->report->read_again = position - status.source_records_restored;
  article_expect(article, "checkpoint that it goes on from", status.restored_checkpoint, ARTICLE_CHECKPOINT);
  article_expect(article, "records that it reads again", article->report->read_again,
                 EARLY_APP0 + EARLY_APP1 + 2 * (LATER_APP0 + LATER_APP1));
}

static void second_to_the_end(struct article *article, bool aligned, bool crash) {
  struct sim_article_report *report = article->report;
  article_views(article, "p0.ndjson", LATER_APP0, LATER_APP1);
  article_views(article, "p1.ndjson", LATER_APP0, LATER_APP1);
  article_pass(article, 10 * 1000);
  article_read_memory(article, report->memory);
  article_say(article, "  ten seconds later, in the memory of the tasks, everything counted once:\n");
  article_expect(article, "app0", report->memory[0], report->log[0]);
  article_expect(article, "app1", report->memory[1], report->log[1]);
  if (crash) second_after_the_death(article);
  article_pass(article, 10 * 1000);
  article_end(article);
  bool too_high = crash && !aligned;
  article_say(article, "  the end, in the table; the log has %d of app0 and %d of app1:\n", (int)report->log[0],
              (int)report->log[1]);
  article_expect(article, "app0: exact", report->table[0], report->log[0]);
  article_expect(article, too_high ? "app1: 45 too high" : "app1: exact", report->table[1],
                 report->log[1] + (too_high ? EARLY_APP1 : 0));
}

bool sim_article_second(FILE *out, uint64_t seed, enum sim_article_run run, struct sim_article_report *out_report) {
  struct article article;
  bool aligned = run == SIM_ARTICLE_ALIGNED;
  article_init(&article, out, seed, out_report);
  article.apps[0] = "app0";
  article.apps[1] = "app1";
  article.partitions[0] = "p0.ndjson";
  article.partitions[1] = "p1.ndjson";
  article.options.parallelism = 2;
  article.options.max_parallelism = 16; /* with it the hashes of the two names give app0 to TaskB0 and app1 to TaskB1 */
  article.options.mode = aligned ? WR_EXACTLY_ONCE : WR_AT_LEAST_ONCE;
  second_to_the_checkpoint(&article, aligned);
  second_to_the_end(&article, aligned, run != SIM_ARTICLE_NOT_ALIGNED_NO_CRASH);
  article_deinit(&article);
  return out_report->wrong == 0;
}
