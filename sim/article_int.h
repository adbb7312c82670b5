/* sim/article_int.h: the hands of the scripted examples: a log, a job in the simulated world, looks at it. Used by
 * article.c (the two scripts) and article_world.c. One thread. */
#ifndef WR_SIM_ARTICLE_INT_H
#define WR_SIM_ARTICLE_INT_H

#include "sim/article.h"
#include "sim/sim_host.h"
#include "sim/sim_jobs.h"

enum { ARTICLE_CHECKPOINT = 100 };

struct article {
  FILE *out; /* NULL: nobody listens */
  uint64_t seed;
  struct sim_article_report *report;
  const char *apps[2];       /* by number, as in the report */
  const char *partitions[2]; /* file names; the report's positions. [1] is NULL where there is one */
  struct sim_world *world;
  struct sim_host host;
  struct sim_job_graph graph;
  struct wr_job_options options;
  struct wr_job *job;      /* NULL: none runs */
  bool failed;             /* the engine did something that no script foresees: go on no further */
  uint32_t split_tasks[2]; /* of the checkpoint that was read back: the subtask of each partition */
  uint32_t row_tasks[2];   /* and of each app */
  uint64_t rows;           /* all counts that it holds */
};

/* Makes the world, an empty log and the pv job. */
void article_init(struct article *article, FILE *out, uint64_t seed, struct sim_article_report *report);
void article_deinit(struct article *article);

__attribute__((format(printf, 2, 3))) void article_say(struct article *article, const char *format, ...);
/* The engine misbehaves. */
__attribute__((format(printf, 2, 3))) void article_fail(struct article *article, const char *format, ...);
/* A line of the table: what, found, expected. */
void article_expect(struct article *article, const char *what, uint64_t found, uint64_t expected);

/* Appends `first` records of app 0 and `second` of app 1 to a partition, evenly mixed. */
void article_views(struct article *article, const char *partition, uint64_t first, uint64_t second);
void article_start(struct article *article);
/* Lets the world live for a time. */
void article_pass(struct article *article, uint64_t time_ms);
/* Holds up, or releases, the task of this vertex ("views", "count") and subtask. */
void article_hold(struct article *article, const char *vertex, uint32_t subtask, bool hold);
/* Until a phase is reached. */
void article_wait_phase(struct article *article, enum wr_job_phase phase);
/* Asks for checkpoints until `id` is complete. */
void article_checkpoint(struct article *article, uint64_t id);
uint64_t article_position(struct article *article);
/* What the tasks hold in memory now. */
void article_read_memory(struct article *article, uint64_t counts[2]);
/* What the stored checkpoint 100 holds. */
void article_read_checkpoint(struct article *article);
void article_kill(struct article *article);
/* Ends the job with a checkpoint and reads the table. */
void article_end(struct article *article);

#endif
