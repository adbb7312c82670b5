/* sim/sim_tamper.c: see sim_tamper.h. */
#include "sim/sim_run_int.h"

#include "checkpoint/identity.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TAMPER_ONE_IN = 4, KEEP_ONE_IN = 3 };

/* How far the restored job has read partition `p`; 0: not at all, or unknown. */
static uint64_t restored_position(struct sim_run *run, uint32_t p) {
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  sim_checkpoint_read(run, UINT64_MAX, places);
  return (uint64_t)places[p].position;
}

/* ---- tampering ---- */

static void save(struct sim_run *run, const char *path) {
  struct sim_tamper *tamper = &run->tamper;
  if (path != tamper->path) snprintf(tamper->path, sizeof tamper->path, "%s", path);
  free(tamper->saved);
  tamper->saved = sim_disk_read(run->world, path, &tamper->saved_length);
}

static bool tamper_with_checkpoint(struct sim_run *run, enum sim_tamper_kind kind) {
  struct sim_tamper *tamper = &run->tamper;
  if (run->topic.retention) return false; /* what an older one needs may be gone */
  uint64_t id;
  char path[300];
  if (!sim_checkpoint_find(run, UINT64_MAX, &id, path)) return false;
  save(run, path);
  if (tamper->saved == NULL || tamper->saved_length == 0) return false;
  sim_histories_note(run);
  if (kind == SIM_TAMPER_CHECKPOINT_GONE)
    sim_disk_remove(run->world, path);
  else if (below(run, 2) == 0)
    sim_disk_flip_bit(run->world, path, below(run, tamper->saved_length * 8));
  else
    sim_disk_cut(run->world, path, below(run, tamper->saved_length));
  return true;
}

struct file_choice {
  struct sim_run *run;
  char name[WR_FILE_NAME_BYTES];
  uint64_t seen;
};

/* Each file that is named is as likely to be chosen. */
static void choose_file(void *argument, const struct wr_handle *handle) {
  struct file_choice *choice = argument;
  if (below(choice->run, ++choice->seen) == 0) memcpy(choice->name, handle->file, sizeof choice->name);
}

/* A data file of the newest checkpoint that can be read. */
static bool tamper_with_data_file(struct sim_run *run) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_metadata metadata;
  struct file_choice choice = {.run = run};
  char path[300];
  if (run->topic.retention) return false; /* as above */
  if (!sim_checkpoint_load(run, UINT64_MAX, &heap.memory, &metadata, path)) return false;
  wr_metadata_each_file(&metadata, choose_file, &choice);
  wr_metadata_deinit(&heap.memory, &metadata);
  if (choice.seen == 0) return false;
  snprintf(path, sizeof path, "%s/%s", run->job_options.folder, choice.name);
  save(run, path);
  if (run->tamper.saved == NULL || run->tamper.saved_length == 0) return false;
  uint64_t kind = below(run, 4);
  if (kind == 0)
    sim_disk_remove(run->world, path);
  else if (kind == 1)
    sim_disk_cut(run->world, path, below(run, run->tamper.saved_length));
  else
    sim_disk_flip_bit(run->world, path, below(run, run->tamper.saved_length * 8));
  return true;
}

struct wr_identity sim_identity(struct sim_run *run) {
  char path[300];
  size_t length = 0;
  struct wr_identity identity = {.in_doubt = true};
  snprintf(path, sizeof path, "%s/JOB", run->job_options.folder);
  uint8_t *data = sim_disk_read(run->world, path, &length);
  if (data != NULL) (void)wr_identity_decode(data, length, path, &identity, NULL);
  free(data);
  return identity;
}

static bool tamper_with_target(struct sim_run *run, enum sim_tamper_kind kind) {
  /* Where the folder records that nothing is in doubt a topic's marker may be missing, and nobody can tell whether its
   * group's offsets have expired or the whole topic is another one, or one from before the first claim. */
  bool may_be_forgotten = run->sink_topic.kafka != NULL && !sim_identity(run).in_doubt;
  if (may_be_forgotten || (kind == SIM_TAMPER_TARGET_OLDER && !run->tamper.has_older)) return false;
  sim_disk_remove(run->world, "/keep/present");
  sim_disk_rename(run->world, "/out", "/keep/present");
  if (kind == SIM_TAMPER_TARGET_OLDER)
    sim_disk_copy(run->world, "/keep/older", "/out");
  else
    sim_disk_make_folders(run->world, "/out");
  sim_sink_topic_tamper(run, kind);
  sim_sink_sql_tamper(run, kind);
  return true;
}

/* One of the files that the newest checkpoint carries, and that have not got their names. */
static bool tamper_with_staged(struct sim_run *run) {
  struct sim_tamper *tamper = &run->tamper;
  if (run->topic.retention) return false; /* as above */
  if (!sim_directory_choose_staged(run, tamper->path, sizeof tamper->path)) return false;
  save(run, tamper->path);
  if (tamper->saved == NULL || tamper->saved_length == 0) return false;
  if (below(run, 2) == 0)
    sim_disk_remove(run->world, tamper->path);
  else
    sim_disk_cut(run->world, tamper->path, below(run, tamper->saved_length));
  return true;
}

/* Another file of the same length, of records that could be counted. */
static void replace_log(struct sim_run *run, const char *path, size_t length) {
  static const char line[] = "{\"app_id\":\"other\"}\n";
  char *text = malloc(length + 1);
  WR_ASSERT(text != NULL);
  for (size_t i = 0; i < length; i++)
    text[i] = line[i % (sizeof line - 1)];
  sim_disk_replace(run->world, path, text, length);
  free(text);
}

static bool tamper_with_log(struct sim_run *run, enum sim_tamper_kind kind) {
  struct sim_tamper *tamper = &run->tamper;
  uint32_t p = (uint32_t)below(run, run->log.options.partitions);
  uint64_t position = restored_position(run, p);
  if (position < 2 || !sim_disk_exists(run->world, run->log.partitions[p].path)) return false;
  save(run, run->log.partitions[p].path);
  char other[320];
  snprintf(other, sizeof other, "%s.away.ndjson", tamper->path);
  switch (kind) {
  case SIM_TAMPER_LOG_COPIED:
    sim_disk_replace(run->world, tamper->path, tamper->saved, tamper->saved_length);
    break;
  case SIM_TAMPER_LOG_REPLACED:
    replace_log(run, tamper->path, tamper->saved_length);
    break;
  case SIM_TAMPER_LOG_SHRUNK:
    sim_disk_cut(run->world, tamper->path, below(run, position));
    break;
  case SIM_TAMPER_LOG_RENAMED:
    sim_disk_rename(run->world, tamper->path, other);
    break;
  default:
    sim_disk_remove(run->world, tamper->path);
    break;
  }
  return true;
}

static bool is_checkpoint_kind(enum sim_tamper_kind kind) {
  return kind == SIM_TAMPER_CHECKPOINT_DAMAGED || kind == SIM_TAMPER_CHECKPOINT_GONE || kind == SIM_TAMPER_DATA_FILE;
}

static bool is_target_kind(enum sim_tamper_kind kind) {
  return kind == SIM_TAMPER_TARGET_OLDER || kind == SIM_TAMPER_TARGET_EMPTY;
}

static void save_identity(struct sim_run *run) {
  char path[300];
  snprintf(path, sizeof path, "%s/JOB", run->job_options.folder);
  free(run->tamper.identity);
  run->tamper.identity = sim_disk_read(run->world, path, &run->tamper.identity_length);
  run->tamper.start_before = sim_identity(run).start_number;
}

/* No later start has come to its claim. A power cut may have taken back one that was not durable yet. */
static bool nobody_has_begun(struct sim_run *run) {
  return sim_identity(run).start_number <= run->tamper.start_before;
}

static bool identity_is_unchanged(struct sim_run *run) {
  char path[300];
  snprintf(path, sizeof path, "%s/JOB", run->job_options.folder);
  size_t length = 0;
  uint8_t *now = sim_disk_read(run->world, path, &length);
  const struct sim_tamper *tamper = &run->tamper;
  bool same = now == NULL ? tamper->identity == NULL
                          : tamper->identity != NULL && length == tamper->identity_length &&
                                memcmp(now, tamper->identity, length) == 0;
  free(now);
  return same;
}

/* Does the newest checkpoint carry something new, and is nothing out that the one before it does not know? Then it can
 * be passed over, and what comes then is another history. */
static bool newest_can_be_missed(struct sim_run *run) {
  uint64_t out_id = 0, newest, before;
  char path[300];
  for (uint32_t i = 0; i < run->graph.sink_count; i++)
    if (run->graph.sinks[i].out_id > out_id) out_id = run->graph.sinks[i].out_id;
  if (!sim_checkpoint_find(run, UINT64_MAX, &newest, path) || !sim_checkpoint_find(run, newest, &before, path) ||
      before < out_id)
    return false;
  struct wr_heap_memory heap;
  struct wr_metadata metadata;
  bool has_new = false;
  wr_heap_memory_init(&heap, 0);
  if (!sim_checkpoint_load(run, UINT64_MAX, &heap.memory, &metadata, path)) return false;
  for (uint32_t i = 0; i < run->graph.sink_count; i++) {
    const struct wr_operator_state *state = wr_metadata_find(&metadata, run->graph.sinks[i].uid);
    if (state == NULL || state->subtask_count == 0 || state->subtasks[0].commit.epoch_count == 0) continue;
    const struct wr_commit_snapshot *commit = &state->subtasks[0].commit;
    has_new = has_new || commit->epochs[commit->epoch_count - 1].checkpoint_id > before;
  }
  wr_metadata_deinit(&heap.memory, &metadata);
  return has_new;
}

void sim_tamper_before(struct sim_run *run) {
  struct sim_tamper *tamper = &run->tamper;
  if (sim_histories_before(run)) {
    save_identity(run);
    return;
  }
  /* The checkpoint of an epoch that names rows in a file, and is not committed, is worth more than others. */
  bool is_tried = run->left_out.published_id != 0 || newest_can_be_missed(run);
  if (below(run, is_tried ? 2 : TAMPER_ONE_IN) == 0) {
    enum sim_tamper_kind kind = (enum sim_tamper_kind)(1 + below(run, SIM_TAMPER_COUNT - 1));
    if (kind == SIM_TAMPER_FIRST_HISTORY || kind == SIM_TAMPER_SECOND_HISTORY)
      kind = SIM_TAMPER_CHECKPOINT_GONE;                     /* with which they begin */
    if (run->kafka != NULL && kind >= SIM_TAMPER_LOG_COPIED) /* that log lies in no file */
      kind = below(run, 3) == 0 ? SIM_TAMPER_TARGET_EMPTY : SIM_TAMPER_TARGET_OLDER;
    if (is_tried) kind = SIM_TAMPER_CHECKPOINT_GONE;
    if (run->directory && below(run, 2) == 0) kind = SIM_TAMPER_STAGED;
    save_identity(run);
    bool done = kind == SIM_TAMPER_DATA_FILE ? tamper_with_data_file(run)
                : kind == SIM_TAMPER_STAGED  ? tamper_with_staged(run)
                : is_checkpoint_kind(kind)   ? tamper_with_checkpoint(run, kind)
                : is_target_kind(kind)       ? tamper_with_target(run, kind)
                                             : tamper_with_log(run, kind);
    if (done && run->options->verbose) fprintf(stderr, "  tampered: kind %d, %s\n", kind, tamper->path);
    if (!done) return;
    tamper->kind = kind;
    run->report->events[is_checkpoint_kind(kind)    ? SIM_EVENT_TAMPER_CHECKPOINT
                        : is_target_kind(kind)      ? SIM_EVENT_TAMPER_TARGET
                        : kind == SIM_TAMPER_STAGED ? SIM_EVENT_TAMPER_STAGED
                                                    : SIM_EVENT_TAMPER_LOG]++;
  } else if (below(run, KEEP_ONE_IN) == 0 || (run->sink_topic.kafka != NULL && !tamper->has_older)) {
    sim_disk_remove(run->world, "/keep/older");
    tamper->has_older = sim_disk_copy(run->world, "/out", "/keep/older");
    sim_sink_topic_keep_older(run);
    sim_sink_sql_keep_older(run);
  }
}

bool sim_tamper_excuses(struct sim_run *run, enum weir_code code) {
  enum sim_tamper_kind kind = run->tamper.kind;
  bool excused = false;
  if (is_checkpoint_kind(kind) || sim_histories_live(run))
    excused = code == WEIR_REFUSED || code == WEIR_CORRUPT;
  else if (is_target_kind(kind) || kind == SIM_TAMPER_STAGED)
    excused = code == WEIR_REFUSED;
  else if (kind > SIM_TAMPER_LOG_COPIED)
    excused = code == WEIR_GONE;
  if (!excused) return false;
  run->tamper.refused = true;
  run->report->events[kind == SIM_TAMPER_SECOND_HISTORY ? SIM_EVENT_HISTORY_REFUSED : SIM_EVENT_REFUSED]++;
  if (kind < SIM_TAMPER_LOG_COPIED && !identity_is_unchanged(run))
    sim_violation(run, "a start was refused, but has changed the job's identity");
  return true;
}

bool sim_tamper_holds_log(const struct sim_run *run) {
  return run->tamper.kind > SIM_TAMPER_LOG_COPIED;
}

/* What was passed over comes back by sim_histories alone, which knows what the job must say then: a publish that was on
 * its way when the life ended can make it the older of two histories at any time. */
static void put_back_checkpoint(struct sim_run *run, bool untouched) {
  const struct sim_tamper *tamper = &run->tamper;
  if (!untouched) memset(&run->stops, 0, sizeof run->stops); /* an older checkpoint may know none */
  if (!untouched && sim_histories_keep(run, tamper->path, tamper->saved, tamper->saved_length)) return;
  if (untouched)
    sim_disk_replace(run->world, tamper->path, tamper->saved, tamper->saved_length);
  else if (tamper->kind != SIM_TAMPER_DATA_FILE)
    sim_disk_remove(run->world, tamper->path);
}

static void put_back_target(struct sim_run *run, bool untouched) {
  if (!untouched) return; /* the job goes on with what it found */
  sim_disk_remove(run->world, "/out");
  sim_disk_rename(run->world, "/keep/present", "/out");
  sim_sink_topic_put_back(run);
  sim_sink_sql_put_back(run);
}

static void put_back_staged(struct sim_run *run, bool untouched) {
  const struct sim_tamper *tamper = &run->tamper;
  if (!untouched) memset(&run->stops, 0, sizeof run->stops); /* as above */
  if (!untouched) return;                                    /* the job has made those rows again */
  sim_disk_replace(run->world, tamper->path, tamper->saved, tamper->saved_length);
}

static void put_back_log(struct sim_run *run, enum wr_job_phase phase) {
  struct sim_tamper *tamper = &run->tamper;
  if (tamper->kind == SIM_TAMPER_LOG_COPIED) return;
  bool ended = run->finished && !identity_is_unchanged(run); /* one that was finished before touches nothing */
  if (ended || phase == WR_JOB_RUN || phase == WR_JOB_FINISH)
    sim_violation(run, "%s was replaced, cut or taken away, and the job goes on", tamper->path);
  char other[320];
  snprintf(other, sizeof other, "%s.away.ndjson", tamper->path);
  if (tamper->kind == SIM_TAMPER_LOG_RENAMED)
    sim_disk_rename(run->world, other, tamper->path);
  else
    sim_disk_replace(run->world, tamper->path, tamper->saved, tamper->saved_length);
}

void sim_tamper_after(struct sim_run *run, enum wr_job_phase phase) {
  struct sim_tamper *tamper = &run->tamper;
  if (tamper->kind == SIM_TAMPER_NONE) return;
  bool untouched = tamper->refused || nobody_has_begun(run);
  /* Whoever goes on from an older checkpoint, or with an older target, has seen to it that no older run lives: until
   * the claim that one could still commit what is passed over now, and every later start would refuse, rightly. */
  if (!untouched && tamper->kind < SIM_TAMPER_LOG_COPIED) sim_zombie_deinit(&run->graph.zombie);
  if (is_checkpoint_kind(tamper->kind))
    put_back_checkpoint(run, untouched);
  else if (sim_histories_live(run))
    sim_histories_after(run, untouched);
  else if (is_target_kind(tamper->kind))
    put_back_target(run, untouched);
  else if (tamper->kind == SIM_TAMPER_STAGED)
    put_back_staged(run, untouched);
  else
    put_back_log(run, phase);
  tamper->kind = SIM_TAMPER_NONE;
  tamper->refused = false;
}

void sim_tamper_deinit(struct sim_run *run) {
  sim_histories_forget(run);
  free(run->tamper.saved);
  free(run->tamper.identity);
}

/* ---- stop positions ---- */

static void compare_stop(struct sim_run *run, uint32_t p, uint64_t stop, bool durable) {
  struct sim_stops *stops = &run->stops;
  if (stops->known[p] && stops->at[p] != stop)
    sim_violation(run, "the stop position of %s moved from %" PRIu64 " to %" PRIu64, run->log.partitions[p].name,
                  stops->at[p], stop);
  stops->known[p] = stops->known[p] || durable;
  stops->at[p] = stop;
}

void sim_stops_look(struct sim_run *run) {
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_metadata metadata;
  struct sim_place places[SIM_LOG_PARTITIONS_MAX];
  char path[300];
  if (!sim_checkpoint_load(run, UINT64_MAX, &heap.memory, &metadata, path)) return;
  bool durable = sim_disk_is_durable(run->world, path);
  sim_checkpoint_places(run, &metadata, &heap.memory, places);
  for (uint32_t p = 0; metadata.bounded && p < run->log.options.partitions; p++)
    if (places[p].has_stop)
      compare_stop(run, p, (uint64_t)places[p].stop, durable);
    else if (run->kafka == NULL) /* its file was not there at the first bounded look */
      compare_stop(run, p, 0, durable);
  wr_metadata_deinit(&heap.memory, &metadata);
}

void sim_stops_apply(struct sim_run *run) {
  sim_stops_look(run);
  for (uint32_t p = 0; p < run->log.options.partitions; p++)
    sim_log_end_at(&run->log, p, run->stops.known[p] ? run->stops.at[p] : 0);
}
