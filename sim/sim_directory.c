/* sim/sim_directory.c: see sim_directory.h. */
#include "sim/sim_directory.h"

#include "connectors/directory/directory_part.h"
#include "connectors/file_marker.h"
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 256 };

void sim_directory_draw(struct sim_run *run) {
  if (!run->directory) return;
  run->report->events[SIM_EVENT_DIRECTORY]++;
  run->take_one_in = wr_random_one_in(&run->random, 3) ? 0 : 1 + (uint32_t)wr_random_below(&run->random, 200);
  run->directory_is_csv = wr_random_one_in(&run->random, 2);
  run->directory_rollover_ms = wr_random_one_in(&run->random, 2) ? 0 : 1 + (uint32_t)wr_random_below(&run->random, 50);
  run->marker_crash_one_in = wr_random_one_in(&run->random, 3) ? 0 : 3 + (uint32_t)wr_random_below(&run->random, 12);
}

static void take(struct sim_run *run) {
  struct wr_name_list names = sim_disk_list(run->world, "/out");
  for (size_t i = 0; i < names.count; i++) {
    char from[NAME_BYTES + 16], to[NAME_BYTES + 16];
    snprintf(from, sizeof from, "/out/%s", names.names[i]);
    snprintf(to, sizeof to, "/out/taken/%s", names.names[i]);
    if (strncmp(names.names[i], "part-", 5) != 0 || !sim_disk_is_durable(run->world, from)) continue;
    if (sim_disk_exists(run->world, to))
      sim_violation(run, "%s was taken away and came again: rows doubled", names.names[i]);
    sim_disk_make_folders(run->world, "/out/taken");
    sim_disk_rename(run->world, from, to);
    run->report->events[SIM_EVENT_FILE_TAKEN]++;
  }
  sim_disk_list_free(&names);
}

/* ---- a run that still stages ---- */

/* The first file of a stage far behind that one: some that lie nearer may be whole, for stages overlap. */
static void name_next(const char *staged, char *out, size_t size) {
  const char *number = strrchr(staged, '-'), *ordinal = number - 1;
  while (*ordinal != '-')
    ordinal--;
  int length = snprintf(out, size, "%.*s-%" PRIu64 "-0000%s", (int)(ordinal - staged), staged,
                        (uint64_t)strtoull(ordinal + 1, NULL, 10) + 100, strrchr(number, '.'));
  WR_ASSERT(length > 0 && (size_t)length < size);
}

static void draw_late(struct sim_run *run, bool may) {
  struct sim_late_stage *late = &run->late;
  late->at_ns = UINT64_MAX;
  late->is_old = true;
  bool is_left = late->path[0] != 0 && sim_disk_exists(run->world, late->path);
  if (!may || is_left || late->staged[0] == 0 || !one_in(run, 2)) return;
  name_next(late->staged, late->path, sizeof late->path);
  late->at_ns = sim_world_now_ns(run->world) + below(run, 100) * 1000 * 1000;
}

static void stage_late(struct sim_run *run) {
  static const char json[] = "{\"app_id\":\"late\",\"pv\":1}\n", csv[] = "late,1\n";
  struct sim_late_stage *late = &run->late;
  late->at_ns = UINT64_MAX;
  late->is_old = false;
  if (run->directory_is_csv)
    sim_disk_replace(run->world, late->path, csv, sizeof csv - 1);
  else
    sim_disk_replace(run->world, late->path, json, sizeof json - 1);
  run->report->events[SIM_EVENT_STAGED_LATE]++;
}

void sim_directory_step(struct sim_run *run) {
  if (!run->directory) return;
  if (wr_random_one_in(&run->random, run->take_one_in)) take(run);
  if (run->late.path[0] != 0 && sim_world_now_ns(run->world) >= run->late.at_ns) stage_late(run);
}

void sim_directory_seen(struct sim_run *run, const struct sim_disk_event *event) {
  if (event->kind == SIM_OPERATION_CREATE && strncmp(event->path, "/out/.weir/part-", 16) == 0)
    snprintf(run->late.staged, sizeof run->late.staged, "%s", event->path);
  if (event->kind != SIM_OPERATION_RENAME || strncmp(event->path_to, "/out/.weir/", 11) != 0) return;
  if (run->last_life || run->topic.must_end) return; /* those must see their end */
  if (!wr_random_one_in(&run->random, run->marker_crash_one_in)) return;
  sim_disk_crash_at(run->world, 1, SIM_CRASH_BEFORE);
  run->power_goes = true;
}

void sim_directory_new_life(struct sim_run *run, bool may_harm) {
  if (!run->directory) return;
  run->graph.zombie_commits = may_harm && one_in(run, 3);
  run->graph.zombie_is_early = one_in(run, 2);
  for (uint32_t i = 0; i < run->graph.sink_count; i++)
    run->graph.sinks[i].is_settled = false;
  draw_late(run, may_harm);
}

void sim_directory_after_life(struct sim_run *run) {
  if (!run->directory) return;
  run->report->events[SIM_EVENT_ZOMBIE_FIRST] += run->graph.zombie_commit_count;
  run->graph.zombie_commit_count = 0;
}

/* What the marker says is committed; UINT64_MAX: there is none. */
static uint64_t marked(struct sim_run *run) {
  struct wr_name_list names = sim_disk_list(run->world, "/out/.weir");
  uint64_t id = UINT64_MAX;
  for (size_t i = 0; i < names.count; i++) {
    char path[NAME_BYTES + 16];
    size_t length = 0, end = strlen(names.names[i]);
    if (end < 7 || strcmp(names.names[i] + end - 7, ".marker") != 0) continue;
    snprintf(path, sizeof path, "/out/.weir/%s", names.names[i]);
    uint8_t *bytes = sim_disk_read(run->world, path, &length);
    struct wr_reader reader = wr_reader_of(bytes, length);
    wr_read(&reader, WR_FILE_MARKER_MAGIC_BYTES + sizeof(uint32_t));
    wr_read_block(&reader, &length);
    wr_read_block(&reader, &length);
    wr_read(&reader, WR_INCARNATION_BYTES + sizeof(uint64_t));
    id = wr_read_u64(&reader);
    WR_ASSERT(!reader.failed);
    free(bytes);
  }
  sim_disk_list_free(&names);
  return id;
}

/* Calls `visit` for each part that the sink of the rows has staged for a checkpoint and not committed yet. */
static void each_waiting(struct sim_run *run, const struct wr_metadata *metadata,
                         void (*visit)(void *argument, const struct wr_directory_part *part), void *argument) {
  uint64_t committed = marked(run);
  const struct wr_operator_state *state = wr_metadata_find(metadata, sim_job_name(run->kind));
  struct wr_directory_part part;
  for (uint32_t e = 0; state != NULL && state->subtask_count > 0 && e < state->subtasks[0].commit.epoch_count; e++) {
    const struct wr_epoch *epoch = &state->subtasks[0].commit.epochs[e];
    for (uint32_t p = 0; epoch->checkpoint_id > committed && p < epoch->part_count; p++)
      if (wr_directory_part_of(&epoch->parts[p], &part, NULL) == WEIR_OK) visit(argument, &part);
  }
}

static void staged_path(struct sim_run *run, const struct wr_directory_part *part, uint32_t number,
                        char out[WR_PATH_BYTES_MAX]) {
  const char *uid = sim_job_name(run->kind);
  const struct wr_directory_place place = {
      .path = "/out", .folder = "/out/.weir", .uid = uid, .hash = wr_directory_hash(uid, uid)};
  WR_ASSERT(wr_directory_staged_path(&place, part, number, out, NULL) == WEIR_OK);
}

struct staged_choice {
  struct sim_run *run;
  uint64_t seen;
  char path[WR_PATH_BYTES_MAX];
};

static void choose_of_part(void *argument, const struct wr_directory_part *part) {
  struct staged_choice *choice = argument;
  for (uint32_t i = 0; i < part->file_count; i++)
    if (below(choice->run, ++choice->seen) == 0) staged_path(choice->run, part, i, choice->path);
}

bool sim_directory_choose_staged(struct sim_run *run, char *out_path, size_t size) {
  struct wr_heap_memory heap;
  struct wr_metadata metadata;
  char path[300];
  struct staged_choice choice = {.run = run};
  wr_heap_memory_init(&heap, 0);
  if (!sim_checkpoint_load(run, UINT64_MAX, &heap.memory, &metadata, path)) return false;
  each_waiting(run, &metadata, choose_of_part, &choice);
  wr_metadata_deinit(&heap.memory, &metadata);
  int length = snprintf(out_path, size, "%s", choice.path);
  WR_ASSERT(length >= 0 && (size_t)length < size);
  return choice.seen != 0;
}

struct staged_look {
  struct sim_run *run;
  bool all_there;
};

/* As the sink looks at it: by number and length of its files. */
static void look_at_part(void *argument, const struct wr_directory_part *part) {
  struct staged_look *look = argument;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < part->file_count; i++) {
    char path[WR_PATH_BYTES_MAX];
    size_t length = 0;
    staged_path(look->run, part, i, path);
    look->all_there = look->all_there && sim_disk_exists(look->run->world, path);
    free(sim_disk_read(look->run->world, path, &length));
    bytes += length;
  }
  look->all_there = look->all_there && bytes == part->bytes;
}

bool sim_directory_has_staged(struct sim_run *run, const struct wr_metadata *metadata) {
  struct staged_look look = {run, true};
  if (run->directory) each_waiting(run, metadata, look_at_part, &look);
  return look.all_there;
}

/* ---- the oracle ---- */

/* It may have come after this life's sweep. */
static bool is_late(const struct sim_run *run, const char *name) {
  const char *slash = strrchr(run->late.path, '/');
  return slash != NULL && !run->late.is_old && strcmp(slash + 1, name) == 0;
}

void sim_directory_check_left(struct sim_run *run) {
  bool is_settled = false;
  for (uint32_t i = 0; i < run->graph.sink_count; i++)
    if (strcmp(run->graph.sinks[i].uid, sim_job_name(run->kind)) == 0) is_settled = run->graph.sinks[i].is_settled;
  if (!run->directory || !is_settled) return;
  struct wr_name_list names = sim_disk_list(run->world, "/out/.weir");
  for (size_t i = 0; i < names.count; i++)
    if (strncmp(names.names[i], "part-", 5) == 0 && !is_late(run, names.names[i]))
      sim_violation(run, "%s is left staged, although the job has ended well", names.names[i]);
  sim_disk_list_free(&names);
}

/* The text of a member's value in a line, without its quotes; the names of the log need no escapes. */
static bool find_member(const char *line, const char *name, char *out, size_t size) {
  const char *at = strstr(line, name);
  if (at == NULL) return false;
  at += strlen(name);
  size_t length = *at == '"' ? strcspn(++at, "\"") : strcspn(at, ",}");
  if (length >= size) return false;
  memcpy(out, at, length);
  out[length] = 0;
  return true;
}

/* Takes a line of CSV apart, whose fields hold neither commas nor quotes. False: it has another number of them. */
static bool split_line(char *line, char **fields, int count) {
  for (int i = 0; i < count; i++) {
    char *end = line + strcspn(line, ",");
    if ((*end == 0) != (i == count - 1)) return false;
    *end = 0;
    fields[i] = strcmp(line, "\"\"") == 0 ? end : line;
    line = end + 1;
  }
  return true;
}

static void saw_csv(struct sim_run *run, const char *text) {
  char line[SIM_LOG_APP_BYTES_MAX + 128], *fields[3];
  snprintf(line, sizeof line, "%s", text);
  if (run->kind == SIM_JOB_PV && split_line(line, fields, 2))
    sim_oracle_saw_count(run, fields[0], strtoull(fields[1], NULL, 10));
  else if (run->kind != SIM_JOB_PV && split_line(line, fields, 3))
    sim_oracle_saw_row(run, fields[0], strtoll(fields[1], NULL, 10), fields[2]);
  else
    sim_violation(run, "a line is no row: %.80s", text);
}

static void read_file(struct sim_run *run, const char *path, void (*line)(struct sim_run *run, const char *text)) {
  size_t length = 0;
  char *text = (char *)sim_disk_read(run->world, path, &length);
  if (length == 0 || text[length - 1] != '\n') sim_violation(run, "%s is not whole", path);
  for (char *at = text; length != 0 && *at != 0;) {
    char *end = strchr(at, '\n');
    if (end == NULL) break;
    *end = 0;
    line(run, at);
    at = end + 1;
  }
  free(text);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All lines of all files, in the order of their names: as they were committed. */
static void read_all(struct sim_run *run, void (*line)(struct sim_run *run, const char *text)) {
  struct wr_name_list names = sim_disk_list(run->world, "/out"), taken = sim_disk_list(run->world, "/out/taken");
  char **all = calloc(names.count + taken.count + 1, sizeof *all);
  WR_ASSERT(all != NULL);
  size_t count = 0;
  for (size_t i = 0; i < names.count; i++)
    if (strncmp(names.names[i], "part-", 5) == 0) all[count++] = names.names[i];
  for (size_t i = 0; i < taken.count; i++)
    all[count++] = taken.names[i];
  qsort(all, count, sizeof *all, compare_names);
  for (size_t i = 0; i < count; i++) {
    char path[NAME_BYTES + 16];
    if (i > 0 && strcmp(all[i - 1], all[i]) == 0)
      sim_violation(run, "%s was taken away and came again: rows doubled", all[i]);
    snprintf(path, sizeof path, "/out/taken/%s", all[i]);
    if (!sim_disk_exists(run->world, path)) snprintf(path, sizeof path, "/out/%s", all[i]);
    read_file(run, path, line);
  }
  free(all);
  sim_disk_list_free(&names);
  sim_disk_list_free(&taken);
}

void sim_directory_saw_count(struct sim_run *run, const char *text) {
  char app[SIM_LOG_APP_BYTES_MAX + 1], pv[32];
  if (!find_member(text, "\"app_id\":", app, sizeof app) || !find_member(text, "\"pv\":", pv, sizeof pv)) {
    sim_violation(run, "a line or message is no row: %.80s", text);
    return;
  }
  sim_oracle_saw_count(run, app, strtoull(pv, NULL, 10));
}

void sim_directory_saw_row(struct sim_run *run, const char *text) {
  char app[SIM_LOG_APP_BYTES_MAX + 1], partition[40], position[32];
  if (!find_member(text, "\"app_id\":", app, sizeof app) ||
      !find_member(text, "\"partition\":", partition, sizeof partition) ||
      !find_member(text, "\"position\":", position, sizeof position)) {
    sim_violation(run, "a line or message is no row: %.80s", text);
    return;
  }
  sim_oracle_saw_row(run, partition, strtoll(position, NULL, 10), app);
}

void sim_directory_judge_pv(struct sim_run *run) {
  read_all(run, run->directory_is_csv ? saw_csv : sim_directory_saw_count);
}

void sim_directory_judge_seen(struct sim_run *run) {
  read_all(run, run->directory_is_csv ? saw_csv : sim_directory_saw_row);
}
