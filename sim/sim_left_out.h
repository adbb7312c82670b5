/* sim/sim_left_out.h: rows that the table of an SQL server does not take, in a run whose sink leaves them out, and the
 * oracle over the files that name them (connectors/dead_rows.h).
 *
 * Between two lives the checkpoint of an epoch that was tried in vain is often lost (sim_tamper.c).
 *
 * The server's rule (rows of some apps are not taken) is drawn once and stays, or comes and goes between lives and in
 * them, so that two tries of an epoch leave out other rows.
 *
 *   - at each commit, also one that comes late, the file of that epoch is durable, and names the rows that the
 *     transaction which is committed had written in vain, each once, and no others; where there are none it is not
 * there
 *   - the table and the files of committed epochs together are what the model says, and no row is in both: the caller
 *     adds what sim_left_out_rows gives to what the table holds
 *   - after each life the files of all committed epochs are as they were when those were committed, none of another
 *     epoch is below the marker, and what a kill left of one is gone at the end
 *
 * Host memory. One thread.
 */
#ifndef WR_SIM_LEFT_OUT_H
#define WR_SIM_LEFT_OUT_H

#include "sim/sim_disk.h"
#include "sim/sim_sql.h"

struct sim_run;

/* Of an epoch: rows as the server has them (sim_sql_read_all), sorted. */
struct sim_left_out_epoch {
  uint64_t id;
  char **rows;
  size_t count, capacity;
};

struct sim_left_out {
  bool is_used;
  bool rule_changes;
  uint64_t rule_ns;                  /* when it changes next; UINT64_MAX: not in this life */
  struct sim_left_out_epoch *epochs; /* those that have left rows out, by when they were committed */
  size_t epoch_count, epoch_capacity;
  uint64_t published_id; /* the last file that was published, where its epoch is not committed; 0: none */
  uint64_t tried_id;     /* the same, also where it was removed since */
  uint64_t changes;      /* of such files: made by tries, removed by claims and later tries */
};

/* After the log was drawn. */
void sim_left_out_draw(struct sim_run *run);
/* Before a life; between two steps of it. */
void sim_left_out_new_life(struct sim_run *run);
void sim_left_out_step(struct sim_run *run);
/* An operation of the engine was done: now and then it is killed, or the server restarts, between a file and its
 * COMMIT. */
void sim_left_out_seen(struct sim_run *run, const struct sim_disk_event *event);
/* The marker has moved from `before` to `id`. */
void sim_left_out_committed(struct sim_run *run, uint64_t before, uint64_t id);
void sim_left_out_after_life(struct sim_run *run);
/* All rows that the epochs up to `newest`, the present marker, have left out. */
void sim_left_out_rows(struct sim_run *run, uint64_t newest, sim_sql_reader *reader);
/* After the last life. */
void sim_left_out_judge(struct sim_run *run);
/* Another server was taken, on which nothing was ever committed. */
void sim_left_out_forget(struct sim_run *run);

#endif
