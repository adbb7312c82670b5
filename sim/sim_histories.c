/* sim/sim_histories.c: see sim_histories.h. */
#include "sim/sim_run_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char KEPT_SECOND[] = "/keep/second", KEPT_FIRST[] = "/keep/first", KEPT_DATA[] = "/keep/data";

static void empty(struct sim_run *run, const char *folder) {
  sim_disk_remove(run->world, folder);
  sim_disk_make_folders(run->world, folder);
}

static bool is_data_file(const char *name) {
  return name[0] == 'd' && name[1] == '-';
}

/* Moves the checkpoints above `above_id` from one folder to another, with copies of all data files; returns the highest
 * id. */
static uint64_t move_checkpoints(struct sim_run *run, const char *from, const char *to, uint64_t above_id) {
  struct wr_name_list names = sim_disk_list(run->world, from);
  uint64_t highest = 0;
  for (size_t i = 0; i < names.count; i++) {
    uint64_t id = sim_checkpoint_of(names.names[i]);
    char old_path[300], new_path[300];
    snprintf(old_path, sizeof old_path, "%s/%s", from, names.names[i]);
    snprintf(new_path, sizeof new_path, "%s/%s", to, names.names[i]);
    if (id > above_id) sim_disk_rename(run->world, old_path, new_path);
    if (is_data_file(names.names[i]) && !sim_disk_exists(run->world, new_path))
      sim_disk_copy(run->world, old_path, new_path);
    if (id > highest) highest = id;
  }
  sim_disk_list_free(&names);
  return highest > above_id ? highest : 0;
}

static uint64_t highest_in(struct sim_run *run, const char *folder) {
  struct wr_name_list names = sim_disk_list(run->world, folder);
  uint64_t highest = 0;
  for (size_t i = 0; i < names.count; i++)
    if (sim_checkpoint_of(names.names[i]) > highest) highest = sim_checkpoint_of(names.names[i]);
  sim_disk_list_free(&names);
  return highest;
}

void sim_histories_note(struct sim_run *run) {
  if (sim_histories_wait(run)) return;
  empty(run, KEPT_DATA);
  move_checkpoints(run, run->job_options.folder, KEPT_DATA, UINT64_MAX);
}

bool sim_histories_keep(struct sim_run *run, const char *path, const uint8_t *bytes, size_t length) {
  struct sim_histories *own = &run->histories;
  uint64_t id = sim_checkpoint_of(path);
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  bool has_gone_on = id != 0 && sim_checkpoint_read(run, UINT64_MAX, places) > id;
  if (!has_gone_on || own->first != NULL || own->second_is_kept) return false;
  own->first = malloc(length);
  WR_ASSERT(own->first != NULL);
  memcpy(own->first, bytes, length);
  own->first_length = length;
  own->first_id = id;
  sim_disk_remove(run->world, path);
  return true;
}

/* False: nothing is left of the second history. */
static bool begin_first(struct sim_run *run) {
  struct sim_histories *own = &run->histories;
  char path[300];
  empty(run, KEPT_SECOND);
  if (move_checkpoints(run, run->job_options.folder, KEPT_SECOND, own->first_id) == 0) {
    sim_histories_forget(run);
    return false;
  }
  own->second_is_kept = true;
  move_checkpoints(run, KEPT_DATA, run->job_options.folder, UINT64_MAX);
  snprintf(path, sizeof path, "%s/chk-%" PRIu64, run->job_options.folder, own->first_id);
  sim_disk_replace(run->world, path, own->first, own->first_length);
  run->tamper.kind = SIM_TAMPER_FIRST_HISTORY;
  run->report->events[SIM_EVENT_HISTORY_FIRST]++;
  return true;
}

static void begin_second(struct sim_run *run) {
  empty(run, KEPT_FIRST);
  move_checkpoints(run, run->job_options.folder, KEPT_FIRST, highest_in(run, KEPT_SECOND));
  move_checkpoints(run, KEPT_SECOND, run->job_options.folder, 0);
  run->histories.second_is_kept = false;
  run->tamper.kind = SIM_TAMPER_SECOND_HISTORY;
  run->report->events[SIM_EVENT_HISTORY_SECOND]++;
}

bool sim_histories_wait(const struct sim_run *run) {
  return run->histories.first != NULL || run->histories.second_is_kept;
}

bool sim_histories_before(struct sim_run *run) {
  struct sim_histories *own = &run->histories;
  if (!sim_histories_wait(run)) return false;
  /* Who does this has seen to it that no older run lives. */
  sim_zombie_deinit(&run->graph.zombie);
  if (own->first != NULL && !begin_first(run)) return false;
  if (run->tamper.kind == SIM_TAMPER_NONE) begin_second(run);
  if (run->options->verbose) fprintf(stderr, "  two histories: %d\n", run->tamper.kind);
  return true;
}

bool sim_histories_live(const struct sim_run *run) {
  return run->tamper.kind == SIM_TAMPER_FIRST_HISTORY || run->tamper.kind == SIM_TAMPER_SECOND_HISTORY;
}

void sim_histories_after(struct sim_run *run, bool untouched) {
  struct sim_histories *own = &run->histories;
  const char *folder = run->job_options.folder;
  if (!untouched) memset(&run->stops, 0, sizeof run->stops); /* those of another history */
  if (run->tamper.kind == SIM_TAMPER_FIRST_HISTORY) {
    char path[300];
    snprintf(path, sizeof path, "%s/chk-%" PRIu64, folder, own->first_id);
    if (untouched) {
      sim_disk_remove(run->world, path);
      move_checkpoints(run, KEPT_SECOND, folder, 0);
      own->second_is_kept = false;
    }
    free(own->first);
    own->first = NULL;
  } else if (untouched) { /* as the sentence says: what does not belong to it is taken out */
    empty(run, KEPT_SECOND);
    move_checkpoints(run, folder, KEPT_SECOND, own->first_id);
    move_checkpoints(run, KEPT_FIRST, folder, 0);
  }
}

void sim_histories_commits(struct sim_run *run) {
  if (run->tamper.kind != SIM_TAMPER_FIRST_HISTORY || run->topic.must_end || one_in(run, 4)) return;
  sim_disk_crash_at(run->world, 10 + below(run, 30), one_in(run, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER);
}

void sim_histories_forget(struct sim_run *run) {
  free(run->histories.first);
  run->histories = (struct sim_histories){0};
}
