/* sim/sim_oracle.c: what must be true, during a run and at its end. The list is in sim_run.h. */
#include "sim/sim_run_int.h"

#include "checkpoint/metadata.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* ---- while it runs ---- */

static uint64_t newest_durable(struct sim_run *run) {
  struct wr_name_list names = sim_disk_list(run->world, run->job_options.folder);
  uint64_t newest = 0;
  for (size_t i = 0; i < names.count; i++) {
    uint64_t id = sim_checkpoint_of(names.names[i]);
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run->job_options.folder, names.names[i]);
    if (id > newest && sim_disk_is_durable(run->world, path)) newest = id;
  }
  sim_disk_list_free(&names);
  return newest;
}

/* What was on its way to a target when an older copy took its place is refused, and the restart that follows may find
 * that all which the copy lacks is still prepared, and commit that once more. */
static bool may_go_back(const struct sim_run *run) {
  return run->sink_topic.is_replaced || (run->sink_sql.is_harmed && run->sink_sql.harm == SIM_SQL_REPLACED);
}

static void watch_commit(void *context, const char *uid, const struct wr_epoch *epoch) {
  struct sim_run *run = context;
  if (run->job == NULL) return;
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  uint64_t newest = newest_durable(run);
  if (newest < epoch->checkpoint_id)
    sim_violation(run, "sink %s commits epoch %" PRIu64 ", but the newest durable checkpoint is %" PRIu64, uid,
                  epoch->checkpoint_id, newest);
  sim_histories_commits(run);
  sim_sink_topic_commits(run);
  sim_sink_sql_commits(run);
  /* The marker of the last published status can lag one step; the phase only moves on from SETTLE when all is out. */
  if (status.phase == WR_JOB_SETTLE || status.phase == WR_JOB_DEPLOY)
    run->report->events[SIM_EVENT_EPOCH_COMMITTED_FIRST]++;
  else if (epoch->checkpoint_id <= status.restored_checkpoint && status.phase != WR_JOB_TEARDOWN)
    sim_violation(run, "epoch %" PRIu64 " of R is committed in phase %s: sources may read already",
                  epoch->checkpoint_id, wr_job_phase_text(status.phase));
  run->report->events[SIM_EVENT_EPOCH_COMMITTED]++;
  for (uint32_t i = 0; i < run->graph.graph->node_count && i < SIM_NODES_MAX; i++) {
    if (strcmp(run->graph.graph->nodes[i].uid, uid) != 0) continue;
    if (epoch->checkpoint_id < run->last_epoch[i] && !may_go_back(run))
      sim_violation(run, "sink %s commits epoch %" PRIu64 " after %" PRIu64, uid, epoch->checkpoint_id,
                    run->last_epoch[i]);
    run->last_epoch[i] = epoch->checkpoint_id;
  }
}

/* ---- commit first ---- */

/* What a timer lets out that was due while the job was down needs no source. */
static void count_source_records(void *argument, const char *name, const struct wr_task_metrics *metrics) {
  if (strncmp(name, "views", 5) == 0) *(uint64_t *)argument += atomic_load(&metrics->records_out);
}

static void count_records(void *argument, const char *name, const struct wr_task_metrics *metrics) {
  (void)name;
  *(uint64_t *)argument += atomic_load(&metrics->records_in) + atomic_load(&metrics->records_out);
}

static enum sim_event settled_event(const struct sim_run *run, const char *uid) {
  if (strcmp(uid, sim_job_name(run->kind)) != 0) return SIM_EVENT_SETTLED_DEAD_LETTERS;
  return run->sink_topic.kafka != NULL ? SIM_EVENT_SETTLED_TOPIC
         : run->sink_sql.sql != NULL   ? SIM_EVENT_SETTLED_SQL
         : run->directory              ? SIM_EVENT_SETTLED_DIRECTORY
                                       : SIM_EVENT_SETTLED_TABLE;
}

/* Sources start now: what R had prepared is out, for every sink. */
static void check_settled(struct sim_run *run, uint64_t r) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_metadata metadata;
  char path[300];
  if (r == 0 || !sim_checkpoint_load(run, r + 1, &heap.memory, &metadata, path)) return;
  for (uint32_t i = 0; i < run->graph.sink_count && metadata.checkpoint_id == r; i++) {
    const struct sim_wrapped_sink *sink = &run->graph.sinks[i];
    const struct wr_operator_state *state = wr_metadata_find(&metadata, sink->uid);
    if (state == NULL || state->subtask_count == 0 || state->subtasks[0].commit.epoch_count == 0) continue;
    const struct wr_commit_snapshot *prepared = &state->subtasks[0].commit;
    uint64_t last = prepared->epochs[prepared->epoch_count - 1].checkpoint_id;
    run->report->events[settled_event(run, sink->uid)]++;
    if (sink->out_id < last)
      sim_violation(run, "sources start, and epoch %" PRIu64 " of sink %s, which R (%" PRIu64 ") had prepared, waits",
                    last, sink->uid, r);
  }
  wr_metadata_deinit(&heap.memory, &metadata);
}

void sim_oracle_step(struct sim_run *run) {
  struct wr_job_status status;
  wr_job_read_status(run->job, &status);
  if (status.start_number == run->settled_start || status.start_number == 0) return;
  if (status.phase == WR_JOB_RUN) {
    run->settled_start = status.start_number;
    check_settled(run, status.restored_checkpoint);
  } else if (status.phase == WR_JOB_SETTLE) {
    uint64_t records = 0;
    wr_job_each_task(run->job, run->kind == SIM_JOB_HELD ? count_source_records : count_records, &records);
    if (records > 0) sim_violation(run, "records flow before what R had prepared is out");
  }
}

struct name_search {
  const char *name;
  bool found;
};

static void find_name(void *argument, const struct wr_handle *handle) {
  struct name_search *search = argument;
  search->found = search->found || strcmp(handle->file, search->name) == 0;
}

/* Is the data file named by a checkpoint that can be read? */
static bool is_named(struct sim_run *run, const char *file, uint64_t *out_by) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_name_list names = sim_disk_list(run->world, run->job_options.folder);
  struct name_search search = {.name = file};
  for (size_t i = 0; i < names.count && !search.found; i++) {
    *out_by = sim_checkpoint_of(names.names[i]);
    if (*out_by == 0) continue;
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run->job_options.folder, names.names[i]);
    size_t length = 0;
    uint8_t *data = sim_disk_read(run->world, path, &length);
    struct wr_metadata metadata;
    if (data != NULL && wr_metadata_decode(data, length, path, &heap.memory, &metadata, NULL) == WEIR_OK) {
      wr_metadata_each_file(&metadata, find_name, &search);
      wr_metadata_deinit(&heap.memory, &metadata);
    }
    free(data);
  }
  sim_disk_list_free(&names);
  return search.found;
}

static void watch_disk(void *context, const struct sim_disk_event *event) {
  struct sim_run *run = context;
  sim_directory_seen(run, event);
  sim_sink_sql_seen(run, event);
  sim_left_out_seen(run, event);
  if (event->kind != SIM_OPERATION_REMOVE || strncmp(event->path, "/state/", 7) != 0) return;
  const char *name = strrchr(event->path, '/') + 1;
  uint64_t by = 0;
  if (name[0] == 'd' && is_named(run, name, &by))
    sim_violation(run, "%s was removed, but checkpoint %" PRIu64 " names it", event->path, by);
  uint64_t id = sim_checkpoint_of(event->path);
  if (id != 0 && newest_durable(run) <= id)
    sim_violation(run, "%s was removed, but no newer checkpoint is durable", event->path);
}

bool sim_oracle_init(struct sim_run *run, struct weir_error *error) {
  struct sim_job_options options = {.kind = run->kind,
                                    .world = run->world,
                                    .log_folder = "/log",
                                    .kafka = run->kafka,
                                    .topic = "log",
                                    .uncommitted = run->log.options.uncommitted,
                                    .discovery_interval_ms = run->topic.discovery_interval_ms,
                                    .database = "/out/t.db",
                                    .directory = run->directory ? "/out" : NULL,
                                    .directory_is_csv = run->directory_is_csv,
                                    .directory_rollover_ms = run->directory_rollover_ms,
                                    .sink_kafka = run->sink_topic.kafka,
                                    .sink_sql = run->sink_sql.sql,
                                    .plain = &run->plain,
                                    .plain_interval_ms = 1 + (int64_t)below(run, 100),
                                    .leaves_out = run->left_out.is_used,
                                    .sink_timeout_ms = run->sink_topic.timeout_ms,
                                    .dead_letter = run->dead_letter ? "/out/dead-letter.ndjson" : NULL,
                                    .limits = run->limits,
                                    .watch = {watch_commit, run}};
  if (!sim_job_graph_init(&run->graph, &options, error)) return false;
  sim_disk_monitor(run->world, watch_disk, run);
  return true;
}

void sim_oracle_new_life(struct sim_run *run) {
  memset(run->last_epoch, 0, sizeof run->last_epoch);
  run->settled_start = 0;
}

void sim_oracle_deinit(struct sim_run *run) {
  sim_disk_monitor(run->world, NULL, NULL);
  sim_plain_forget(run);
  if (!sim_job_graph_deinit(&run->graph)) sim_violation(run, "memory of the graph was left");
}

/* ---- at the end ---- */

static sqlite3_stmt *open_query(struct sim_run *run, sqlite3 **out_database, const char *sql) {
  sqlite3_stmt *statement = NULL;
  if (sqlite3_open_v2("/out/t.db", out_database, SQLITE_OPEN_READWRITE, sim_world_seams(run->world)->sqlite_vfs) !=
          SQLITE_OK ||
      sqlite3_prepare_v2(*out_database, sql, -1, &statement, NULL) != SQLITE_OK)
    sim_violation(run, "the table cannot be read: %s", sqlite3_errmsg(*out_database));
  return statement;
}

void sim_oracle_saw_count(struct sim_run *run, const char *app, uint64_t pv) {
  uint32_t a = 0;
  while (a < run->log.options.apps && strcmp(run->log.apps[a], app) != 0)
    a++;
  if (a == run->log.options.apps)
    sim_violation(run, "app %.40s is not in the log", app);
  else
    run->counts[a] = pv;
}

static void read_pv_table(struct sim_run *run) {
  sqlite3 *database = NULL;
  sqlite3_stmt *rows = open_query(run, &database, "SELECT app_id, pv FROM pv");
  while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW)
    sim_oracle_saw_count(run, (const char *)sqlite3_column_text(rows, 0), (uint64_t)sqlite3_column_int64(rows, 1));
  sqlite3_finalize(rows);
  sqlite3_close(database);
}

static void judge_pv(struct sim_run *run) {
  bool too_high_is_fine = run->job_options.mode == WR_AT_LEAST_ONCE;
  for (uint32_t a = 0; a < SIM_LOG_APPS_MAX; a++)
    run->counts[a] = UINT64_MAX;
  (run->sink_topic.kafka != NULL ? sim_sink_topic_judge_pv
   : run->sink_sql.sql != NULL   ? sim_sink_sql_judge_pv
   : run->directory              ? sim_directory_judge_pv
                                 : read_pv_table)(run);
  for (uint32_t a = 0; a < run->log.options.apps; a++) {
    uint64_t expected = run->log.app_counts[a], pv = run->counts[a];
    if (pv == UINT64_MAX) {
      if (expected != 0) sim_violation(run, "%.40s is missing: rows lost", run->log.apps[a]);
    } else if (too_high_is_fine && pv > expected) {
      run->report->events[SIM_EVENT_TOO_HIGH]++;
    } else if (pv != expected) {
      sim_violation(run, "%.40s is %" PRIu64 ", %" PRIu64 " records are in the log: %s", run->log.apps[a], pv, expected,
                    pv < expected ? "rows lost" : "rows doubled");
    }
  }
}

/* Not aligned, a record can be in the state of its timers and be read again. */
static bool may_be_twice(const struct sim_run *run, enum sim_line_kind kind) {
  return kind == SIM_LINE_RECORD && run->kind == SIM_JOB_HELD && run->job_options.mode == WR_AT_LEAST_ONCE;
}

/* Marks one place of the log as seen; says what is wrong. */
static void see(struct sim_run *run, uint8_t **seen, const char *partition, int64_t position, enum sim_line_kind kind,
                const char *app) {
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    const struct sim_partition *log = &run->log.partitions[p];
    if (strcmp(log->name, partition) != 0) continue;
    const struct sim_line *line = sim_log_line_at(&run->log, p, position);
    if (line == NULL || line->kind != kind) break;
    if (app != NULL && strcmp(run->log.apps[line->app], app) != 0) break;
    bool is_twice = seen[p][line - log->lines]++ != 0;
    if (is_twice && may_be_twice(run, kind))
      run->report->events[SIM_EVENT_TOO_HIGH]++;
    else if (is_twice)
      sim_violation(run, "%s %" PRId64 " is there twice: rows doubled", partition, position);
    return;
  }
  sim_violation(run, "a row (%s, %" PRId64 ", %.40s) is not of the log", partition, position, app == NULL ? "" : app);
}

static void check_all_seen(struct sim_run *run, uint8_t **seen, enum sim_line_kind kind) {
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    for (uint32_t i = 0; i < run->log.partitions[p].line_count; i++)
      if (run->log.partitions[p].lines[i].kind == kind && seen[p][i] == 0)
        sim_violation(run, "%s %u (offset %" PRId64 ") is missing: rows lost", run->log.partitions[p].name, i,
                      run->log.partitions[p].lines[i].offset);
}

static void make_seen(struct sim_run *run, uint8_t **seen) {
  for (uint32_t p = 0; p < run->log.options.partitions; p++) {
    seen[p] = calloc(run->log.partitions[p].line_count + 1, 1);
    WR_ASSERT(seen[p] != NULL);
  }
}

void sim_oracle_saw_row(struct sim_run *run, const char *partition, int64_t position, const char *app) {
  if (run->kind == SIM_JOB_HELD && strcmp(partition, SIM_HELD_END) == 0)
    run->held_ends++;
  else
    see(run, run->seen, partition, position, SIM_LINE_RECORD, app);
}

static void read_seen_table(struct sim_run *run) {
  sqlite3 *database = NULL;
  sqlite3_stmt *rows = open_query(run, &database,
                                  run->kind == SIM_JOB_HELD ? "SELECT partition, position, app_id FROM held"
                                                            : "SELECT partition, position, app_id FROM seen");
  while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW)
    sim_oracle_saw_row(run, (const char *)sqlite3_column_text(rows, 0), sqlite3_column_int64(rows, 1),
                       (const char *)sqlite3_column_text(rows, 2));
  sqlite3_finalize(rows);
  sqlite3_close(database);
}

static void judge_seen(struct sim_run *run) {
  make_seen(run, run->seen);
  run->held_ends = 0;
  (run->sink_topic.kafka != NULL ? sim_sink_topic_judge_seen
   : run->sink_sql.sql != NULL   ? sim_sink_sql_judge_seen
   : run->directory              ? sim_directory_judge_seen
                                 : read_seen_table)(run);
  check_all_seen(run, run->seen, SIM_LINE_RECORD);
  if (run->kind == SIM_JOB_HELD && (run->held_ends == 0 || run->held_ends > run->ends_max))
    sim_violation(run, "the end of the input was told %" PRIu64 " times, not 1 to %" PRIu64, run->held_ends,
                  run->ends_max);
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    free(run->seen[p]);
}

static void judge_dead_letters(struct sim_run *run) {
  uint8_t *seen[SIM_LOG_PARTITIONS_MAX] = {NULL};
  make_seen(run, seen);
  size_t length = 0;
  char *text = (char *)sim_disk_read(run->world, "/out/dead-letter.ndjson", &length);
  for (char *line = text; line != NULL && *line != 0;) {
    char *end = strchr(line, '\n');
    if (end == NULL) {
      sim_violation(run, "the dead-letter file ends in the middle of a line");
      break;
    }
    *end = 0;
    char partition[40] = "";
    long long position = -1;
    const char *at = strstr(line, "\"partition\":");
    const char *number = strstr(line, "\"position\":");
    if (at != NULL) sscanf(at, "\"partition\":\"%39[^\"]\"", partition);
    if (number != NULL) sscanf(number, "\"position\":%lld", &position);
    see(run, seen, partition, position, SIM_LINE_BAD, NULL);
    run->report->events[SIM_EVENT_BAD_RECORD]++;
    line = end + 1;
  }
  check_all_seen(run, seen, SIM_LINE_BAD);
  free(text);
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    free(seen[p]);
}

/* Started once more, a finished job says so. */
static void judge_finished(struct sim_run *run) {
  struct weir_error error = {.code = WEIR_OK};
  sim_host_init(&run->host, run->world, 1, 1);
  run->job_options.fresh = false;
  run->job_options.bounded = false;
  if (wr_job_new(run->graph.graph, &run->job_options, sim_world_seams(run->world), &run->host.host, &run->job,
                 &error) != WEIR_OK) {
    sim_violation(run, "a finished job cannot be made again: %s", error.message);
    return;
  }
  wr_job_start(run->job);
  for (int i = 0; i < 100000 && !wr_job_is_over(run->job); i++)
    if (!sim_host_step(&run->host, UINT64_MAX)) break;
  bool finished = false;
  if (!wr_job_is_over(run->job)) {
    sim_violation(run, "a finished job runs again");
    return;
  }
  if (wr_job_result(run->job, &finished, &error) != WEIR_OK || !finished)
    sim_violation(run, "a finished job does not say so: %s", error.message);
  wr_job_free(run->job);
  run->job = NULL;
}

void sim_oracle_judge(struct sim_run *run) {
  if (run->kind == SIM_JOB_PV)
    judge_pv(run);
  else if (run->kind == SIM_JOB_PLAIN)
    sim_plain_judge(run);
  else
    judge_seen(run);
  if (run->dead_letter) judge_dead_letters(run);
  sim_left_out_judge(run);
  judge_finished(run);
}
