/* sim/sim_left_out.c: see sim_left_out.h. */
#include "sim/sim_left_out.h"

#include "sim/sim_model.h"
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t ms_ns = 1000 * 1000;
enum { ROW_TEXT_BYTES = SIM_LOG_APP_BYTES_MAX + 200 };

/* ---- the rule ---- */

static void draw_rule(struct sim_run *run) {
  const char *refused[SIM_SQL_REFUSED_MAX];
  uint32_t count = 0, apps = run->log.options.apps;
  bool is_none = run->left_out.rule_changes && one_in(run, 2), is_all = one_in(run, 8);
  uint64_t rate = 1 + below(run, 8), always = below(run, apps);
  for (uint32_t a = 0; a < apps && !is_none; a++)
    if (is_all || a == always || one_in(run, rate + 1)) refused[count++] = run->log.apps[a];
  sim_sql_refuse_rows(run->sink_sql.sql, refused, count);
}

void sim_left_out_draw(struct sim_run *run) {
  run->left_out.is_used = true;
  run->left_out.rule_changes = !one_in(run, 3);
  run->report->events[SIM_EVENT_SQL_LEAVES_OUT]++;
  draw_rule(run);
}

void sim_left_out_new_life(struct sim_run *run) {
  struct sim_left_out *own = &run->left_out;
  if (!own->is_used) return;
  if (run->job_options.fresh) sim_left_out_forget(run);
  own->rule_ns = UINT64_MAX;
  if (!own->rule_changes) return;
  if (one_in(run, 2)) draw_rule(run);
  if (one_in(run, 2)) own->rule_ns = sim_world_now_ns(run->world) + below(run, 100) * ms_ns;
}

void sim_left_out_step(struct sim_run *run) {
  struct sim_left_out *own = &run->left_out;
  if (!own->is_used || sim_world_now_ns(run->world) < own->rule_ns) return;
  own->rule_ns = sim_world_now_ns(run->world) + (1 + below(run, 60)) * ms_ns;
  draw_rule(run);
  run->report->events[SIM_EVENT_SQL_RULE_CHANGED]++;
}

/* ---- files ---- */

/* N of ".../dead-letter.<job>.N.ndjson"; 0: another name. */
static uint64_t epoch_of(const struct sim_run *run, const char *path) {
  char head[80], tail[16] = "";
  const char *name = strrchr(path, '/');
  uint64_t id = 0;
  name = name == NULL ? path : name + 1;
  size_t length = (size_t)snprintf(head, sizeof head, "dead-letter.%s.", sim_job_name(run->kind));
  if (strncmp(name, head, length) != 0 || sscanf(name + length, "%" SCNu64 "%15s", &id, tail) != 2) return 0;
  return strcmp(tail, ".ndjson") == 0 ? id : 0;
}

static void path_of(const struct sim_run *run, uint64_t id, char out_path[300]) {
  snprintf(out_path, 300, "%s/dead-letter.%s.%" PRIu64 ".ndjson", run->job_options.folder, sim_job_name(run->kind), id);
}

/* The marker's; 0: there is none, or it is of another run of the job. */
static uint64_t committed_id(struct sim_run *run) {
  struct wr_marker marker = sim_sql_marker(run->sink_sql.sql);
  struct wr_identity identity = sim_identity(run);
  bool is_own = marker.present && memcmp(marker.incarnation, identity.incarnation, WR_INCARNATION_BYTES) == 0;
  return is_own ? marker.checkpoint_id : 0;
}

static void forget_epoch(struct sim_left_out_epoch *epoch) {
  for (size_t i = 0; i < epoch->count; i++)
    free(epoch->rows[i]);
  free(epoch->rows);
  *epoch = (struct sim_left_out_epoch){0};
}

static void add_row(void *context, const char *row) {
  struct sim_left_out_epoch *epoch = context;
  if (epoch->count == epoch->capacity) {
    epoch->capacity = epoch->capacity == 0 ? 16 : epoch->capacity * 2;
    epoch->rows = sim_host_resize(epoch->rows, epoch->capacity * sizeof *epoch->rows);
  }
  size_t length = strlen(row);
  char *copy = epoch->rows[epoch->count++] = sim_host_alloc(length + 1);
  memcpy(copy, row, length + 1);
}

static int compare_rows(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

static void sort(struct sim_left_out_epoch *epoch) {
  if (epoch->count > 1) qsort(epoch->rows, epoch->count, sizeof *epoch->rows, compare_rows);
}

/* Copies the member's text, without quotes; false: there is none. */
static bool copy_member(const char *object, const char *name, char *out, size_t capacity) {
  char quoted[40];
  snprintf(quoted, sizeof quoted, "\"%s\":", name);
  const char *at = strstr(object, quoted);
  if (at == NULL) return false;
  at += strlen(quoted);
  at += *at == '"';
  size_t length = strcspn(at, "\",}");
  if (length + 1 > capacity) return false;
  memcpy(out, at, length);
  out[length] = 0;
  return true;
}

/* One line as the server has its row; false: it is no such line. */
static bool read_line(const struct sim_run *run, const char *line, uint64_t id, char out_row[ROW_TEXT_BYTES]) {
  char head[80], first[ROW_TEXT_BYTES - 80], second[40], third[ROW_TEXT_BYTES - 120] = "";
  snprintf(head, sizeof head, "{\"sink\":\"%s\",\"checkpoint\":%" PRIu64 ",", sim_job_name(run->kind), id);
  const char *row = strstr(line, ",\"row\":{");
  size_t length = strlen(line);
  if (strncmp(line, head, strlen(head)) != 0 || row == NULL || strcmp(line + length - 2, "}}") != 0) return false;
  if (strstr(line, ",\"op\":\"+") == NULL) return false;
  bool is_pv = run->kind == SIM_JOB_PV;
  if (!copy_member(row, is_pv ? "app_id" : "partition", first, sizeof first)) return false;
  if (!copy_member(row, is_pv ? "pv" : "position", second, sizeof second)) return false;
  if (!is_pv && !copy_member(row, "app_id", third, sizeof third)) return false;
  return snprintf(out_row, ROW_TEXT_BYTES, "%s\t%s%s%s", first, second, is_pv ? "" : "\t", third) < ROW_TEXT_BYTES;
}

/* The rows that the file of an epoch names; false: there is no file. */
static bool read_file(struct sim_run *run, uint64_t id, struct sim_left_out_epoch *out_epoch) {
  char path[300], row[ROW_TEXT_BYTES];
  size_t length = 0;
  *out_epoch = (struct sim_left_out_epoch){.id = id};
  path_of(run, id, path);
  char *text = (char *)sim_disk_read(run->world, path, &length);
  if (text == NULL) return false;
  if (length == 0) sim_violation(run, "%s is empty", path);
  for (char *line = text, *end; *line != 0; line = end + 1) {
    end = strchr(line, '\n');
    if (end == NULL) {
      sim_violation(run, "%s ends in the middle of a line", path);
      break;
    }
    *end = 0;
    if (read_line(run, line, id, row))
      add_row(out_epoch, row);
    else
      sim_violation(run, "%s: no row that was left out: %.200s", path, line);
  }
  free(text);
  sort(out_epoch);
  return true;
}

/* `is` is what the file says, `wanted` what it must say. */
static void compare(struct sim_run *run, const struct sim_left_out_epoch *is, const struct sim_left_out_epoch *wanted,
                    const char *when) {
  size_t i = 0, k = 0;
  while (i < is->count || k < wanted->count) {
    int order = i == is->count ? 1 : k == wanted->count ? -1 : strcmp(is->rows[i], wanted->rows[k]);
    if (order < 0)
      sim_violation(run, "%s the file of epoch %" PRIu64 " names a row that is not left out: %.80s", when, wanted->id,
                    is->rows[i]);
    if (order > 0)
      sim_violation(run, "%s the file of epoch %" PRIu64 " does not name a row that is left out: %.80s", when,
                    wanted->id, wanted->rows[k]);
    if (order != 0) return;
    i++;
    k++;
  }
}

/* ---- while it runs ---- */

/* Whatever can happen between a file and its COMMIT happens more often than it would by itself. */
void sim_left_out_seen(struct sim_run *run, const struct sim_disk_event *event) {
  struct sim_left_out *own = &run->left_out;
  if (!own->is_used) return;
  uint64_t removed = event->kind == SIM_OPERATION_REMOVE ? epoch_of(run, event->path) : 0;
  uint64_t published = event->kind == SIM_OPERATION_RENAME ? epoch_of(run, event->path_to) : 0;
  if (removed != 0) {
    run->report->events[SIM_EVENT_SQL_LEFT_OUT_NO_MORE]++;
    own->published_id = 0;
    own->changes++;
  }
  if (published != 0) {
    own->changes++;
    run->report->events[SIM_EVENT_SQL_LEFT_OUT_AGAIN] += own->tried_id == published;
    own->published_id = own->tried_id = published;
  }
  const char *tail = event->kind == SIM_OPERATION_CREATE ? strstr(event->path, ".ndjson.tmp") : NULL;
  bool is_begun = tail != NULL && strncmp(event->path, "/state/", 7) == 0;
  if (removed == 0 && published == 0 && !is_begun) return;
  /* What the next try leaves out, if there is one, is another thing. */
  if (own->rule_changes && !is_begun && !one_in(run, 3)) draw_rule(run);
  if (published != 0 && one_in(run, 2)) sim_sql_restart(run->sink_sql.sql); /* the process tries once more */
  if (run->last_life || run->topic.must_end || !one_in(run, 3)) return;
  sim_disk_crash_at(run->world, 1 + below(run, 4), one_in(run, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
  run->power_goes = one_in(run, 2);
}

static void drop_epochs_above(struct sim_left_out *own, uint64_t id) {
  size_t kept = 0;
  for (size_t i = 0; i < own->epoch_count; i++)
    if (own->epochs[i].id > id)
      forget_epoch(&own->epochs[i]);
    else
      own->epochs[kept++] = own->epochs[i];
  own->epoch_count = kept;
}

void sim_left_out_committed(struct sim_run *run, uint64_t before, uint64_t id) {
  struct sim_left_out *own = &run->left_out;
  struct sim_left_out_epoch wanted = {.id = id}, is;
  char path[300];
  if (!own->is_used) return;
  path_of(run, id, path);
  sim_sql_read_refused(run->sink_sql.sql, add_row, &wanted);
  sort(&wanted);
  bool is_there = read_file(run, id, &is);
  compare(run, &is, &wanted, "at its commit");
  if (is_there && !sim_disk_is_durable(run->world, path))
    sim_violation(run, "epoch %" PRIu64 " is committed, and %s is not durable", id, path);
  forget_epoch(&is);
  own->published_id = 0;
  drop_epochs_above(own, before);
  run->report->events[SIM_EVENT_SQL_LEFT_OUT] += wanted.count;
  if (wanted.count == 0) return;
  run->report->events[SIM_EVENT_SQL_LEFT_OUT_EPOCH]++;
  if (own->epoch_count == own->epoch_capacity) {
    own->epoch_capacity = own->epoch_capacity == 0 ? 16 : own->epoch_capacity * 2;
    own->epochs = sim_host_resize(own->epochs, own->epoch_capacity * sizeof *own->epochs);
  }
  own->epochs[own->epoch_count++] = wanted;
}

static const struct sim_left_out_epoch *find_epoch(const struct sim_left_out *own, uint64_t id) {
  for (size_t i = 0; i < own->epoch_count; i++)
    if (own->epochs[i].id == id) return &own->epochs[i];
  return NULL;
}

void sim_left_out_after_life(struct sim_run *run) {
  struct sim_left_out *own = &run->left_out;
  if (!own->is_used) return;
  uint64_t newest = committed_id(run);
  if (own->published_id > newest) run->report->events[SIM_EVENT_SQL_LEFT_OUT_KILLED]++;
  for (size_t i = 0; i < own->epoch_count && own->epochs[i].id <= newest; i++) {
    struct sim_left_out_epoch is;
    read_file(run, own->epochs[i].id, &is);
    compare(run, &is, &own->epochs[i], "after a life");
    forget_epoch(&is);
  }
  struct wr_name_list names = sim_disk_list(run->world, run->job_options.folder);
  for (size_t i = 0; i < names.count; i++) {
    uint64_t id = epoch_of(run, names.names[i]);
    if (id != 0 && id <= newest && find_epoch(own, id) == NULL)
      sim_violation(run, "%s is there, the marker is %" PRIu64 ", and no such epoch has left out rows", names.names[i],
                    newest);
  }
  sim_disk_list_free(&names);
}

void sim_left_out_rows(struct sim_run *run, uint64_t newest, sim_sql_reader *reader) {
  const struct sim_left_out *own = &run->left_out;
  for (size_t i = 0; i < own->epoch_count && own->epochs[i].id <= newest; i++)
    for (size_t k = 0; k < own->epochs[i].count; k++)
      reader(run, own->epochs[i].rows[k]);
}

/* ---- the end ---- */

void sim_left_out_judge(struct sim_run *run) {
  if (!run->left_out.is_used) return;
  /* What could not be removed waits for the next claim. */
  bool may_stay = sim_world_fault_count(run->world, SIM_FAULT_REMOVE_ERROR) > 0;
  struct wr_name_list names = sim_disk_list(run->world, run->job_options.folder);
  for (size_t i = 0; i < names.count && !may_stay; i++) {
    const char *tail = strrchr(names.names[i], '.');
    if (strncmp(names.names[i], "dead-letter.", 12) == 0 && tail != NULL && strcmp(tail, ".tmp") == 0)
      sim_violation(run, "%s was left in the job's folder", names.names[i]);
  }
  sim_disk_list_free(&names);
}

void sim_left_out_forget(struct sim_run *run) {
  struct sim_left_out *own = &run->left_out;
  drop_epochs_above(own, 0);
  free(own->epochs);
  own->epochs = NULL;
  own->epoch_count = own->epoch_capacity = 0;
  own->published_id = own->tried_id = 0;
}
