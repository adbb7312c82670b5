/* sim/sim_sink_sql.c: see sim_sink_sql.h. */
#include "sim/sim_sink_sql.h"

#include "sim/sim_model.h"
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;
enum { ROW_TEXT_BYTES = SIM_LOG_APP_BYTES_MAX + 200 };

/* ---- what the table must be at a commit ---- */

static void forget_expected(struct sim_run *run) {
  run->sink_sql.expected_count = 0;
  for (uint32_t a = 0; a < SIM_LOG_APPS_MAX; a++)
    run->sink_sql.newest[a] = 0;
}

void sim_sink_sql_seen(struct sim_run *run, const struct sim_disk_event *event) {
  struct sim_sink_sql *own = &run->sink_sql;
  struct sim_sql_expected made;
  if (own->sql == NULL || event->kind != SIM_OPERATION_RENAME) return;
  uint64_t id = sim_checkpoint_of(event->path_to);
  if (id == 0 || (own->expected_count > 0 && own->expected[own->expected_count - 1].id == id)) return;
  made.id = sim_checkpoint_read(run, id + 1, made.places);
  if (made.id != id) return;
  if (own->expected_count == own->expected_capacity) {
    own->expected_capacity = own->expected_capacity == 0 ? 64 : own->expected_capacity * 2;
    own->expected = sim_host_resize(own->expected, own->expected_capacity * sizeof *own->expected);
  }
  own->expected[own->expected_count++] = made;
}

static const struct sim_sql_expected *find_expected(const struct sim_run *run, uint64_t id) {
  const struct sim_sink_sql *own = &run->sink_sql;
  for (size_t i = own->expected_count; i > 0; i--)
    if (own->expected[i - 1].id == id) return &own->expected[i - 1];
  return NULL;
}

/* Is it a record that a reader who came so far has read? */
static bool was_read(const struct sim_run *run, const struct sim_sql_expected *expected, uint32_t p, uint32_t i) {
  const struct sim_line *line = &run->log.partitions[p].lines[i];
  const struct sim_place *place = &expected->places[p];
  if (line->kind != SIM_LINE_RECORD || !place->is_known) return false;
  if (run->kafka == NULL) return (int64_t)line->begin < place->position;
  return line->offset >= run->topic.begin[p] && line->offset < place->position;
}

static void see_count(void *context, const char *row) {
  struct sim_run *run = context;
  char app[ROW_TEXT_BYTES];
  const char *tab = strchr(row, '\t');
  snprintf(app, sizeof app, "%.*s", tab == NULL ? 0 : (int)(tab - row), row);
  sim_oracle_saw_count(run, app, tab == NULL ? 0 : strtoull(tab + 1, NULL, 10));
}

static void see_row(void *context, const char *row) {
  char partition[40] = "";
  long long position = -1;
  const char *tab = strchr(row, '\t'), *last = strrchr(row, '\t');
  sscanf(row, "%39[^\t]\t%lld", partition, &position);
  if (tab == NULL || tab == last) sim_violation(context, "a row of the table is no row: %.60s", row);
  sim_oracle_saw_row(context, partition, position, last == NULL ? "" : last + 1);
}

/* What was left out counts as if it were there: the newest change of each app. */
static void see_left_out(void *context, const char *row) {
  struct sim_run *run = context;
  for (uint32_t a = 0; a < run->log.options.apps; a++) {
    size_t length = strlen(run->log.apps[a]);
    if (strncmp(row, run->log.apps[a], length) != 0 || row[length] != '\t') continue;
    uint64_t pv = strtoull(row + length + 1, NULL, 10);
    if (run->counts[a] == pv)
      sim_violation(run, "%.40s is %" PRIu64 ", and a file says that this is left out", run->log.apps[a], pv);
    if (run->counts[a] == UINT64_MAX || run->counts[a] < pv) run->counts[a] = pv;
    return;
  }
  sim_violation(run, "a row that is left out is of no app: %.60s", row);
}

static void read_counts(struct sim_run *run, uint64_t newest) {
  for (uint32_t a = 0; a < SIM_LOG_APPS_MAX; a++)
    run->counts[a] = UINT64_MAX;
  sim_sql_read_all(run->sink_sql.sql, see_count, run);
  sim_left_out_rows(run, newest, see_left_out);
}

static void compare_counts(struct sim_run *run, const struct sim_sql_expected *expected) {
  uint64_t counts[SIM_LOG_APPS_MAX] = {0};
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    for (uint32_t i = 0; i < run->log.partitions[p].line_count; i++)
      counts[run->log.partitions[p].lines[i].app] += was_read(run, expected, p, i);
  for (uint32_t a = 0; a < run->log.options.apps; a++) {
    uint64_t pv = run->counts[a] == UINT64_MAX ? 0 : run->counts[a];
    if (pv < counts[a] || (pv > counts[a] && run->job_options.mode == WR_EXACTLY_ONCE))
      sim_violation(run, "after the commit of %" PRIu64 " %.40s is %" PRIu64 ", and %" PRIu64 " at that checkpoint",
                    expected->id, run->log.apps[a], pv, counts[a]);
  }
}

static void check_counts_grow(struct sim_run *run) {
  for (uint32_t a = 0; a < run->log.options.apps; a++) {
    uint64_t pv = run->counts[a] == UINT64_MAX ? 0 : run->counts[a];
    if (pv < run->sink_sql.newest[a])
      sim_violation(run, "%.40s goes back from %" PRIu64 " to %" PRIu64, run->log.apps[a], run->sink_sql.newest[a], pv);
    run->sink_sql.newest[a] = pv;
  }
}

/* A row may wait for its timer. Not aligned, rows behind a checkpoint's barrier may be out with it, and come again. */
static bool may_differ(const struct sim_run *run, uint32_t p, uint32_t i) {
  return run->kind == SIM_JOB_HELD && (run->seen[p][i] == 0 || run->job_options.mode == WR_AT_LEAST_ONCE);
}

static void compare_rows(struct sim_run *run, uint64_t id, const struct sim_sql_expected *expected) {
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    run->seen[p] = calloc(run->log.partitions[p].line_count + 1, 1);
    WR_ASSERT(run->seen[p] != NULL);
  }
  sim_sql_read_all(run->sink_sql.sql, see_row, run);
  sim_left_out_rows(run, id, see_row);
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    for (uint32_t i = 0; expected != NULL && i < run->log.partitions[p].line_count; i++)
      if (run->seen[p][i] != was_read(run, expected, p, i) && !may_differ(run, p, i))
        sim_violation(run, "after the commit of %" PRIu64 " %s %u is%s there, and it was%s read at that checkpoint",
                      expected->id, run->log.partitions[p].name, i, run->seen[p][i] ? "" : " not",
                      was_read(run, expected, p, i) ? "" : " not");
    free(run->seen[p]);
  }
}

static void compare_at(struct sim_run *run, uint64_t id) {
  const struct sim_sql_expected *expected = find_expected(run, id);
  if (run->kind == SIM_JOB_PV) {
    read_counts(run, id);
    check_counts_grow(run);
    if (expected != NULL) compare_counts(run, expected);
  } else {
    compare_rows(run, id, expected);
  }
  run->report->events[SIM_EVENT_SQL_COMPARED] += expected != NULL;
}

/* Whether its checkpoint is durable was judged when the commit was asked for (sim_oracle.c). */
static void committed(void *context, const struct wr_marker *before, const struct wr_marker *now, uint32_t rows) {
  struct sim_run *run = context;
  bool same_run = before->present && memcmp(before->incarnation, now->incarnation, WR_INCARNATION_BYTES) == 0;
  bool moves = same_run && now->checkpoint_id > before->checkpoint_id;
  bool goes_back = same_run && (now->checkpoint_id < before->checkpoint_id || now->start_number < before->start_number);
  if (goes_back)
    sim_violation(run, "the marker goes back from %" PRIu64 " of start %" PRIu64 " to %" PRIu64 " of start %" PRIu64,
                  before->checkpoint_id, before->start_number, now->checkpoint_id, now->start_number);
  if (rows > 0 && !moves)
    sim_violation(run, "%u rows come to the table, and its marker stays at %" PRIu64, rows, now->checkpoint_id);
  if (rows > 0 && now->start_number != before->start_number)
    sim_violation(run, "start %" PRIu64 " writes rows, and %" PRIu64 " has claimed the table", now->start_number,
                  before->start_number);
  if (moves) sim_left_out_committed(run, before->checkpoint_id, now->checkpoint_id);
  if (moves) compare_at(run, now->checkpoint_id);
}

/* ---- draws ---- */

void sim_sink_sql_make(struct sim_run *run, const struct sim_sql_options *options) {
  run->sink_sql.sql = sim_sql_new(run->world, options);
  sim_sql_on_commit(run->sink_sql.sql, committed, run);
}

void sim_sink_sql_draw(struct sim_run *run) {
  struct sim_sql_options options = {.seed = wr_random_next(&run->random),
                                    .name = "rows",
                                    .dialect = one_in(run, 2) ? SIM_SQL_POSTGRES : SIM_SQL_MYSQL};
  options.lock_ns = (1 + below(run, one_in(run, 2) ? 60 : 1500)) * ms_ns;
  options.idle_ns = options.lock_ns * (1 + below(run, 3));
  options.silent_ns = options.lock_ns * (1 + below(run, 3));
  options.away_ns = (1 + below(run, 1000)) * ms_ns;
  sim_sink_sql_make(run, &options);
  run->sink_sql.kills_commits = true;
  run->report->events[SIM_EVENT_SINK_SQL]++;
}

void sim_sink_sql_draw_faults(struct sim_run *run) {
  struct sim_fault_plan *plan = sim_world_faults(run->world);
  struct sim_fault_rule *rule = &plan->rules[plan->rule_count++];
  memset(rule, 0, sizeof *rule);
  snprintf(rule->prefix, sizeof rule->prefix, "sql:rows");
  if (one_in(run, 4)) return;
  uint32_t rate = 5 + (uint32_t)below(run, 40);
  for (int fault = SIM_FAULT_SQL_GONE; fault < SIM_FAULT_SQL_COMMIT_REFUSED; fault++)
    if (one_in(run, 2)) rule->one_in[fault] = rate * 5;
  for (int fault = SIM_FAULT_SQL_COMMIT_REFUSED; fault < SIM_FAULT_SQL_COMMIT_OF_KILLED; fault++)
    if (one_in(run, 2)) rule->one_in[fault] = run->left_out.is_used ? 2 + rate / 10 : rate; /* it has few epochs */
  rule->one_in[SIM_FAULT_SQL_COMMIT_OF_KILLED] = 1;
}

/* ---- a life ---- */

void sim_sink_sql_new_life(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  uint64_t now_ns = sim_world_now_ns(run->world);
  if (own->sql == NULL) return;
  if (run->job_options.fresh) {
    sim_sql_empty(own->sql);
    forget_expected(run);
  }
  own->checked_start = 0;
  own->harm = SIM_SQL_HARM_NONE;
  own->harm_ns = own->copy_ns = own->lock_ns = own->unlock_ns = UINT64_MAX;
  bool may_harm = !run->job_options.fresh && run->tamper.kind == SIM_TAMPER_NONE;
  if (may_harm && !run->last_life && run->lives != 0 && one_in(run, 2)) {
    own->harm = one_in(run, 3) ? SIM_SQL_REPLACED : (enum sim_sql_harm)(1 + below(run, SIM_SQL_HARM_COUNT - 1));
    /* One that leaves rows out goes on then; the others make up for it. */
    if (own->harm == SIM_SQL_ROW_REFUSED && run->left_out.is_used) own->harm = SIM_SQL_REPLACED;
    if (!run->left_out.is_used && one_in(run, 6)) own->harm = SIM_SQL_ROW_REFUSED;
    own->copy_ns = now_ns + below(run, 60) * ms_ns;
    own->harm_ns = own->copy_ns + below(run, one_in(run, 2) ? 20 : 200) * ms_ns;
    if (own->harm != SIM_SQL_REPLACED) own->copy_ns = UINT64_MAX;
    if (own->harm == SIM_SQL_AHEAD) own->harm_ns = sim_sql_marker(own->sql).present ? now_ns : UINT64_MAX;
  }
  /* A commit that comes late could make newer output than what is left of the checkpoints. */
  if (run->tamper.kind >= SIM_TAMPER_CHECKPOINT_DAMAGED && run->tamper.kind <= SIM_TAMPER_SECOND_HISTORY)
    sim_sql_restart(own->sql);
  if (one_in(run, 3)) own->lock_ns = now_ns + below(run, 200) * ms_ns;
  /* What it commits must not be newer than all that is left of the checkpoints either. */
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  bool is_known = run->graph.zombie.epoch.checkpoint_id <= sim_checkpoint_read(run, UINT64_MAX, places);
  run->graph.zombie_commits = may_harm && is_known && own->harm < SIM_SQL_REPLACED && one_in(run, 3);
}

void sim_sink_sql_commits(struct sim_run *run) {
  if (!run->sink_sql.kills_commits || run->last_life || run->topic.must_end || !one_in(run, 12)) return;
  sim_disk_crash_at(run->world, 1 + below(run, 8), one_in(run, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
}

/* False: somebody is using what is to be dropped. */
static bool do_harm(struct sim_run *run) {
  static const enum sim_event events[] = {
      [SIM_SQL_TABLE_DROPPED] = SIM_EVENT_SQL_TABLE_DROPPED, [SIM_SQL_MARKERS_DROPPED] = SIM_EVENT_SQL_MARKERS_DROPPED,
      [SIM_SQL_FORBIDDEN] = SIM_EVENT_SQL_FORBIDDEN,         [SIM_SQL_ROW_REFUSED] = SIM_EVENT_SQL_ROW_REFUSED,
      [SIM_SQL_REPLACED] = SIM_EVENT_SQL_REPLACED,           [SIM_SQL_AHEAD] = SIM_EVENT_SQL_AHEAD};
  struct sim_sink_sql *own = &run->sink_sql;
  const char *app = run->log.apps[below(run, run->log.options.apps)];
  sim_sql_image_free(own->before);
  own->before = sim_sql_image_take(own->sql);
  own->commits_before = sim_sql_commits(own->sql);
  own->changes_before = run->left_out.changes;
  if (own->harm == SIM_SQL_TABLE_DROPPED && !sim_sql_drop_table(own->sql)) return false;
  if (own->harm == SIM_SQL_MARKERS_DROPPED && !sim_sql_drop_markers(own->sql)) return false;
  if (own->harm == SIM_SQL_FORBIDDEN) sim_sql_forbid(own->sql, true);
  if (own->harm == SIM_SQL_ROW_REFUSED) sim_sql_refuse_rows(own->sql, &app, 1);
  if (own->harm == SIM_SQL_REPLACED) {
    run->zombie_at_ns = UINT64_MAX; /* a claim may be gone with the other server */
    sim_sql_image_put(own->sql, own->copy);
    for (uint32_t a = 0; a < SIM_LOG_APPS_MAX; a++)
      own->newest[a] = 0;
  }
  if (own->harm == SIM_SQL_AHEAD && !sim_sql_push_marker(own->sql, 1000 * 1000)) {
    own->harm = SIM_SQL_HARM_NONE; /* it would come too late */
    return true;
  }
  if (run->options->verbose) fprintf(stderr, "  the server is harmed: %d\n", own->harm);
  run->report->events[events[own->harm]]++;
  own->is_harmed = true;
  return true;
}

/* The restored checkpoint's last epoch. */
static uint64_t carried(struct sim_run *run, uint64_t restored) {
  struct wr_heap_memory heap;
  struct wr_metadata metadata;
  char path[300];
  uint64_t last = 0;
  wr_heap_memory_init(&heap, 0);
  if (!sim_checkpoint_load(run, restored + 1, &heap.memory, &metadata, path)) return 0;
  const struct wr_operator_state *committer = wr_metadata_find(&metadata, sim_job_name(run->kind));
  if (metadata.checkpoint_id == restored && committer != NULL && committer->subtask_count > 0) {
    const struct wr_commit_snapshot *commit = &committer->subtasks[0].commit;
    if (commit->epoch_count > 0) last = commit->epochs[commit->epoch_count - 1].checkpoint_id;
  }
  wr_metadata_deinit(&heap.memory, &metadata);
  return last;
}

static void check_committed_first(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  if (status.phase != WR_JOB_RUN || status.start_number == own->checked_start) return;
  own->checked_start = status.start_number;
  if (own->harm == SIM_SQL_AHEAD && own->is_harmed)
    sim_violation(run, "the marker is ahead of checkpoint %" PRIu64 ", and sources read", status.restored_checkpoint);
  if (status.restored_checkpoint == 0 || own->is_harmed) return;
  uint64_t last = carried(run, status.restored_checkpoint);
  struct wr_marker marker = sim_sql_marker(own->sql);
  if (marker.checkpoint_id < last)
    sim_violation(run,
                  "sources read, and epoch %" PRIu64 " of checkpoint %" PRIu64 " is not in: the marker is %" PRIu64,
                  last, status.restored_checkpoint, marker.checkpoint_id);
}

void sim_sink_sql_step(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  if (own->sql == NULL) return;
  uint64_t now_ns = sim_world_now_ns(run->world);
  if (now_ns >= own->copy_ns) {
    own->copy_ns = UINT64_MAX;
    sim_sql_image_free(own->copy);
    own->copy = sim_sql_image_take(own->sql);
    own->commits_before = sim_sql_commits(own->sql);
  }
  /* A copy of what is still there would be no older one. */
  bool is_early =
      own->harm == SIM_SQL_REPLACED && (own->copy_ns != UINT64_MAX || sim_sql_commits(own->sql) == own->commits_before);
  if (now_ns >= own->harm_ns && !is_early && do_harm(run)) own->harm_ns = UINT64_MAX;
  if (now_ns >= own->unlock_ns) {
    own->unlock_ns = UINT64_MAX;
    sim_sql_unlock(own->sql);
  }
  if (now_ns >= own->lock_ns) {
    own->lock_ns = UINT64_MAX;
    const char *key =
        run->kind != SIM_JOB_PV || one_in(run, 2) ? NULL : run->log.apps[below(run, run->log.options.apps)];
    bool locked = sim_sql_lock(own->sql, key);
    run->report->events[SIM_EVENT_SQL_LOCKED] += locked;
    if (locked) own->unlock_ns = now_ns + below(run, 3000) * ms_ns;
  }
  check_committed_first(run);
}

bool sim_sink_sql_excuses(struct sim_run *run, enum weir_code code) {
  static const enum weir_code codes[] = {
      [SIM_SQL_TABLE_DROPPED] = WEIR_NOT_FOUND, [SIM_SQL_MARKERS_DROPPED] = WEIR_REFUSED,
      [SIM_SQL_FORBIDDEN] = WEIR_DENIED,        [SIM_SQL_ROW_REFUSED] = WEIR_CONSTRAINT,
      [SIM_SQL_REPLACED] = WEIR_REFUSED,        [SIM_SQL_AHEAD] = WEIR_REFUSED};
  struct sim_sink_sql *own = &run->sink_sql;
  if (own->sql == NULL || !own->is_harmed || code != codes[own->harm]) return false;
  run->report->events[SIM_EVENT_SQL_HARM_REFUSED]++;
  return true;
}

/* Somebody mends what was done; where the job has gone on with it, it stays so. */
static void mend(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  if (!own->is_harmed) return;
  own->is_harmed = false;
  sim_sql_forbid(own->sql, false);
  if (own->harm == SIM_SQL_ROW_REFUSED) sim_sql_refuse_rows(own->sql, NULL, 0);
  sim_sql_restore_table(own->sql);
  bool is_other = own->harm == SIM_SQL_MARKERS_DROPPED || own->harm == SIM_SQL_REPLACED || own->harm == SIM_SQL_AHEAD;
  /* A claim that was about to commit has removed the files of what this server had not, or a try has made one. */
  bool is_claimed = own->harm == SIM_SQL_REPLACED && run->left_out.changes != own->changes_before;
  bool is_taken = is_claimed || sim_sql_commits(own->sql) != own->commits_before;
  if (is_other && !is_taken) sim_sql_image_put(own->sql, own->before);
}

void sim_sink_sql_after_life(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  if (own->sql == NULL) return;
  run->report->events[SIM_EVENT_ZOMBIE_FIRST] += run->graph.zombie_commit_count;
  run->graph.zombie_commit_count = 0;
  sim_sql_unlock(own->sql);
  if (sim_sql_clients(own->sql) != 0) sim_violation(run, "a session of the SQL server was left open after a life");
  mend(run);
}

/* ---- tampering ---- */

void sim_sink_sql_keep_older(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  if (own->sql == NULL) return;
  sim_sql_image_free(own->older);
  own->older = sim_sql_image_take(own->sql);
}

void sim_sink_sql_tamper(struct sim_run *run, enum sim_tamper_kind kind) {
  struct sim_sink_sql *own = &run->sink_sql;
  if (own->sql == NULL) return;
  run->report->events[SIM_EVENT_SQL_CHANGED]++;
  sim_sql_image_free(own->present);
  own->present = sim_sql_image_take(own->sql);
  if (kind == SIM_TAMPER_TARGET_OLDER)
    sim_sql_image_put(own->sql, own->older);
  else
    sim_sql_empty(own->sql);
  for (uint32_t a = 0; a < SIM_LOG_APPS_MAX; a++)
    own->newest[a] = 0;
}

void sim_sink_sql_put_back(struct sim_run *run) {
  if (run->sink_sql.sql != NULL) sim_sql_image_put(run->sink_sql.sql, run->sink_sql.present);
}

/* ---- the oracle at the end ---- */

void sim_sink_sql_judge_pv(struct sim_run *run) {
  read_counts(run, sim_sql_marker(run->sink_sql.sql).checkpoint_id);
}

void sim_sink_sql_judge_seen(struct sim_run *run) {
  sim_sql_read_all(run->sink_sql.sql, see_row, run);
  sim_left_out_rows(run, sim_sql_marker(run->sink_sql.sql).checkpoint_id, see_row);
}

void sim_sink_sql_deinit(struct sim_run *run) {
  struct sim_sink_sql *own = &run->sink_sql;
  sim_sql_image_free(own->older);
  sim_sql_image_free(own->present);
  sim_sql_image_free(own->before);
  sim_sql_image_free(own->copy);
  sim_sql_free(own->sql);
  free(own->expected);
}
