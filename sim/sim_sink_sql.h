/* sim/sim_sink_sql.h: the part of a history whose rows go to an SQL server, and what must hold of it.
 *
 *   - after each commit the table is what the model says of the checkpoint that it belongs to: nothing is lost, doubled
 *     or early; the count of a key never goes back
 *   - rows come only with their marker, which moves forward, and only the run that has claimed it moves it
 *   - what the restored checkpoint carries is in before any source reads
 *   - the table dropped, that of the markers dropped, no right, a row that is not taken: ends the job with its own
 * code, and loses nothing. Another server with an older copy that takes over while the job runs is refused, or makes no
 *     difference
 *   - a marker that is ahead of the restored checkpoint is refused
 *   - rows that it does not take, in a run that leaves them out: sim_left_out.h
 *   - no session of a process that ended cleanly is left, and none has anything open when the job has finished
 *
 * Host memory. One thread.
 */
#ifndef WR_SIM_SINK_SQL_H
#define WR_SIM_SINK_SQL_H

#include "sim/sim_checkpoints.h"
#include "sim/sim_disk.h"
#include "sim/sim_sql.h"
#include "sim/sim_tamper.h"

struct sim_run;

/* What happens to the server in a life. */
enum sim_sql_harm {
  SIM_SQL_HARM_NONE,
  SIM_SQL_TABLE_DROPPED,
  SIM_SQL_MARKERS_DROPPED,
  SIM_SQL_FORBIDDEN,
  SIM_SQL_ROW_REFUSED,
  SIM_SQL_REPLACED,
  SIM_SQL_AHEAD, /* before it */
  SIM_SQL_HARM_COUNT
};

/* How far the partitions were read at a checkpoint. */
struct sim_sql_expected {
  uint64_t id;
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
};

struct sim_sink_sql {
  struct sim_sql *sql;                   /* NULL: the rows go elsewhere */
  struct sim_sql_image *older, *present; /* with /keep/older and /keep/present */
  struct sim_sql_expected *expected;     /* by when they were published */
  size_t expected_count, expected_capacity;
  uint64_t newest[SIM_LOG_APPS_MAX]; /* counts at the last commit */
  bool kills_commits;                /* now and then */
  uint64_t checked_start;            /* the attempt of which it is known that it committed first */
  /* of this life */
  enum sim_sql_harm harm;
  uint64_t harm_ns, copy_ns, lock_ns, unlock_ns; /* UINT64_MAX: not at all, or done */
  bool is_harmed;
  uint64_t commits_before;             /* the copy, then the harm */
  uint64_t changes_before;             /* of files of rows that are left out */
  struct sim_sql_image *before, *copy; /* as it was before the harm; what takes over */
};

void sim_sink_sql_make(struct sim_run *run, const struct sim_sql_options *options);
void sim_sink_sql_draw(struct sim_run *run);
/* The server's rule in the plan of faults. */
void sim_sink_sql_draw_faults(struct sim_run *run);
/* Before a life, after files were tampered with. */
void sim_sink_sql_new_life(struct sim_run *run);
/* Between two steps of a life. */
void sim_sink_sql_step(struct sim_run *run);
/* An epoch is about to be committed: now and then it is killed on the way. */
void sim_sink_sql_commits(struct sim_run *run);
/* An operation of the engine was done: notes what a checkpoint says. */
void sim_sink_sql_seen(struct sim_run *run, const struct sim_disk_event *event);
bool sim_sink_sql_excuses(struct sim_run *run, enum weir_code code);
void sim_sink_sql_after_life(struct sim_run *run);
/* What sim_tamper.c does to /out is done to the server. */
void sim_sink_sql_keep_older(struct sim_run *run);
void sim_sink_sql_tamper(struct sim_run *run, enum sim_tamper_kind kind);
void sim_sink_sql_put_back(struct sim_run *run);
/* After the last life, as for a table. */
void sim_sink_sql_judge_pv(struct sim_run *run);
void sim_sink_sql_judge_seen(struct sim_run *run);
void sim_sink_sql_deinit(struct sim_run *run);

#endif
