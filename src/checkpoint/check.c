/* checkpoint/check.c: see check.h.
 *
 * A file that several checkpoints name is read once for each digest that it should have. Keyed state is decoded only
 * where all files of its chain are sound, so that one damage is told once.
 */
#include "checkpoint/check.h"

#include "checkpoint/split_text.h"
#include "state/inspect.h"
#include "state/state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* A data file that was read, or a name that was seen. */
struct seen_file {
  char name[WR_FILE_NAME_BYTES];
  struct wr_digest digest;
  uint64_t length;
  bool sound;
  uint64_t counted_for; /* the last checkpoint that counted it among its files */
};

struct check {
  struct wr_memory *memory;
  struct wr_folder *folder;
  struct wr_seams seams; /* only memory and files: reading needs no more */
  struct wr_store store;
  struct wr_identity identity;
  void (*line)(void *argument, const char *text);
  void *argument;
  const char *indent;       /* in front of the lines of wr_backend_describe */
  struct wr_bytes seen;     /* struct seen_file, one after the other */
  uint32_t unreadable;      /* checkpoints */
  uint64_t id;              /* of the checkpoint at hand */
  uint64_t files, bytes;    /* that it names, without repetitions */
  enum weir_code code;      /* of the first damage */
  struct weir_error *error; /* filled with it; may be NULL */
};

__attribute__((format(printf, 2, 3))) static void say(const struct check *check, const char *format, ...) {
  char text[WEIR_ERROR_MESSAGE_BYTES + 256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  check->line(check->argument, text);
}

static void damaged(struct check *check, const struct weir_error *damage) {
  say(check, "DAMAGED: %s", damage->message);
  if (check->code != WEIR_OK) return;
  check->code = damage->code;
  if (check->error != NULL) *check->error = *damage;
}

/* ---- data files ---- */

static struct seen_file *find_seen(const struct check *check, const struct wr_handle *handle) {
  struct seen_file *seen = (struct seen_file *)(void *)check->seen.data;
  for (size_t i = 0; i < check->seen.length / sizeof *seen; i++)
    if (strcmp(seen[i].name, handle->file) == 0 && seen[i].length == handle->length &&
        seen[i].digest.low == handle->digest.low && seen[i].digest.high == handle->digest.high)
      return &seen[i];
  return NULL;
}

/* True when the handle's bytes are sound; damage is told when it is first met. */
static bool check_handle(struct check *check, const struct wr_handle *handle) {
  if (handle->file[0] == 0) return true;
  const struct seen_file *seen = find_seen(check, handle);
  if (seen != NULL) return seen->sound;
  struct weir_error damage = {0};
  struct seen_file file = {.digest = handle->digest, .length = handle->length};
  memcpy(file.name, handle->file, sizeof file.name);
  file.sound = wr_blob_verify(&check->store, handle, &damage) == WEIR_OK;
  if (!file.sound) damaged(check, &damage);
  wr_bytes_put(&check->seen, &file, sizeof file);
  return file.sound;
}

static void check_and_count(void *argument, const struct wr_handle *handle) {
  struct check *check = argument;
  check_handle(check, handle);
  struct seen_file *seen = find_seen(check, handle);
  if (seen == NULL || seen->counted_for == check->id) return;
  seen->counted_for = check->id;
  check->files++;
  check->bytes += handle->length;
}

/* ---- one checkpoint ---- */

static void describe_line(void *argument, const char *text) {
  const struct check *check = argument;
  say(check, "%s%s", check->indent, text);
}

static void check_keyed(struct check *check, const struct wr_subtask_state *state) {
  uint64_t bytes = 0;
  bool sound = true;
  for (uint32_t i = 0; i < state->keyed_count; i++) {
    bytes += state->keyed[i].length;
    sound = check_handle(check, &state->keyed[i]) && sound;
  }
  say(check, "    subtask %u: key groups %u to %u, base and %u deltas, %" PRIu64 " bytes", state->subtask,
      state->range.first, state->range.end - 1, state->keyed_count - 1, bytes);
  if (!sound) return;
  struct weir_error damage = {0};
  struct wr_backend_chain chain = {.handles = state->keyed, .count = state->keyed_count, .range = state->range};
  check->indent = "      ";
  if (wr_backend_describe(&check->store, &chain, check->memory, describe_line, check, &damage) != WEIR_OK)
    damaged(check, &damage);
}

static void check_split(struct check *check, const struct wr_subtask_state *state, const struct wr_handle *handle) {
  if (!check_handle(check, handle)) return;
  struct weir_error damage = {0};
  struct wr_split_text split;
  if (wr_split_text_load(&check->store, handle, &split, &damage) != WEIR_OK) {
    damaged(check, &damage);
  } else {
    say(check, "    subtask %u: split %s: %s", state->subtask, split.kind, split.text);
  }
}

static void check_commit(const struct check *check, const struct wr_commit_snapshot *commit) {
  if (commit->last_committed == 0) {
    say(check, "    nothing was committed yet");
  } else {
    say(check, "    epoch %" PRIu64 " was committed last", commit->last_committed);
  }
  for (uint32_t e = 0; e < commit->epoch_count; e++) {
    const struct wr_epoch *epoch = &commit->epochs[e];
    uint64_t rows = 0, bytes = 0;
    for (uint32_t p = 0; p < epoch->part_count; p++) {
      rows += epoch->parts[p].row_count;
      bytes += epoch->parts[p].handle.length;
    }
    say(check, "    epoch %" PRIu64 " waits for its commit: %u parts, %" PRIu64 " rows, %" PRIu64 " bytes",
        epoch->checkpoint_id, epoch->part_count, rows, bytes);
  }
}

static void check_operator(struct check *check, const struct wr_operator_state *operator) {
  say(check, "  %s: parallelism %u%s", operator->uid, operator->parallelism,
                                                      operator->ended_inputs != 0 ? ", its input has ended" : "");
  for (uint32_t s = 0; s < operator->subtask_count; s++) {
    const struct wr_subtask_state *state = &operator->subtasks[s];
    if (state->keyed_count > 0) check_keyed(check, state);
    for (uint32_t i = 0; i < state->split_count; i++)
      check_split(check, state, &state->splits[i]);
    if (state->raw.length > 0)
      say(check, "    subtask %u: %" PRIu64 " bytes of its own", state->subtask, state->raw.length);
    if (state->has_commit) check_commit(check, &state->commit);
  }
}

static void time_text(int64_t time_ms, char out_text[40]) {
  int64_t seconds = time_ms / 1000 - (time_ms % 1000 < 0);
  time_t time = (time_t)seconds;
  struct tm calendar;
  size_t length = gmtime_r(&time, &calendar) == NULL ? 0 : strftime(out_text, 32, "%Y-%m-%d %H:%M:%S", &calendar);
  if (length == 0) {
    snprintf(out_text, 40, "%" PRId64 " ms", time_ms);
  } else {
    snprintf(out_text + length, 40 - length, ".%03d UTC", (int)(time_ms - seconds * 1000));
  }
}

static void hex_text(const uint8_t *incarnation, char out_text[2 * WR_INCARNATION_BYTES + 1]) {
  for (int i = 0; i < WR_INCARNATION_BYTES; i++)
    snprintf(out_text + 2 * i, 3, "%02x", incarnation[i]);
}

/* What the metadata and JOB say must fit together. */
static void check_identity(struct check *check, const struct wr_metadata *metadata) {
  const struct wr_identity *identity = &check->identity;
  struct weir_error damage;
  if (memcmp(identity->incarnation, metadata->incarnation, WR_INCARNATION_BYTES) != 0) {
    char text[2 * WR_INCARNATION_BYTES + 1];
    hex_text(metadata->incarnation, text);
    say(check, "  it is of another incarnation, %s", text);
  } else if (metadata->checkpoint_id >= identity->checkpoint_id_limit ||
             metadata->start_number > identity->start_number) {
    (void)WR_FAIL(&damage, WEIR_CORRUPT,
                  "%s: JOB is older than chk-%" PRIu64 " (it knows start %" PRIu64 " and ids below %" PRIu64
                  "): it was replaced by a copy",
                  wr_folder_path(check->folder), metadata->checkpoint_id, identity->start_number,
                  identity->checkpoint_id_limit);
    damaged(check, &damage);
  }
}

static void check_one(struct check *check, uint64_t id) {
  struct weir_error damage = {0};
  struct wr_metadata metadata;
  if (wr_folder_load_checkpoint(check->folder, id, false, &metadata, &damage) != WEIR_OK) {
    say(check, "checkpoint %" PRIu64, id);
    damaged(check, &damage);
    check->unreadable++;
    return;
  }
  char time[40];
  time_text(metadata.time_ms, time);
  say(check, "checkpoint %" PRIu64 ": taken %s by start %" PRIu64 ", %s%s, %u key groups", id, time,
      metadata.start_number, metadata.mode == WR_EXACTLY_ONCE ? "exactly-once" : "at-least-once",
      metadata.bounded ? ", bounded" : "", metadata.max_parallelism);
  check_identity(check, &metadata);
  for (uint32_t o = 0; o < metadata.operator_count; o++)
    check_operator(check, &metadata.operators[o]);
  check->id = id;
  check->files = check->bytes = 0;
  wr_metadata_each_file(&metadata, check_and_count, check);
  say(check, "  names %" PRIu64 " data files of %" PRIu64 " bytes", check->files, check->bytes);
  wr_metadata_deinit(check->memory, &metadata);
}

/* ---- the folder ---- */

static bool was_seen(const struct check *check, const char *name) {
  const struct seen_file *seen = (const struct seen_file *)(const void *)check->seen.data;
  for (size_t i = 0; i < check->seen.length / sizeof *seen; i++)
    if (strcmp(seen[i].name, name) == 0) return true;
  return false;
}

static enum weir_code tell_unreferenced(struct check *check, struct weir_error *error) {
  struct wr_name_list list = {0};
  WR_TRY(wr_folder_list(check->folder, &list, error));
  uint64_t start_number, serial;
  for (size_t i = 0; i < list.count; i++)
    if (wr_data_file_parse(list.names[i], &start_number, &serial) && !was_seen(check, list.names[i]))
      say(check, "%s: no checkpoint%s names it", list.names[i], check->unreadable > 0 ? " that can be read" : "");
  wr_name_list_deinit(&list, check->memory);
  return WEIR_OK;
}

static void tell_identity(const struct check *check) {
  const struct wr_identity *identity = &check->identity;
  char text[2 * WR_INCARNATION_BYTES + 1];
  hex_text(identity->incarnation, text);
  say(check, "job %s, incarnation %s, start %" PRIu64 ", %s", identity->job_name, text, identity->start_number,
      identity->finished   ? "finished"
      : identity->in_doubt ? "running or killed"
                           : "stopped cleanly");
  if (identity->resumed_from == 0) return;
  hex_text(identity->parent, text);
  say(check, "  begun from checkpoint %" PRIu64 " of incarnation %s", identity->resumed_from, text);
}

/* What keeps the check from going on; damage is told on the way. */
static enum weir_code check_all(struct check *check, struct weir_error *error) {
  struct weir_error damage = {0};
  bool exists = false;
  enum weir_code code = wr_folder_read_identity(check->folder, &check->identity, &exists, &damage);
  if (code != WEIR_OK) {
    damaged(check, &damage);
    /* What cannot be compared with JOB is looked at all the same. */
    check->identity = (struct wr_identity){0};
  } else if (!exists) {
    say(check, "the folder %s holds no job yet", wr_folder_path(check->folder));
    return WEIR_OK;
  } else {
    tell_identity(check);
  }
  uint64_t *ids = NULL;
  uint32_t count = 0;
  WR_TRY(wr_folder_list_checkpoints(check->folder, &ids, &count, error));
  if (count == 0) say(check, "no checkpoint was completed yet");
  for (uint32_t i = 0; i < count; i++)
    check_one(check, ids[i]);
  wr_free(check->memory, ids);
  WR_TRY(wr_bytes_check(&check->seen, error));
  return tell_unreferenced(check, error);
}

static void reading_seams(struct wr_seams *seams, struct wr_store *store, struct wr_files *files,
                          struct wr_memory *memory, const struct wr_folder *folder) {
  *seams = (struct wr_seams){.memory = memory, .files = files};
  store->seams = seams;
  store->folder = wr_folder_path(folder);
}

enum weir_code wr_check_folder(struct wr_files *files, struct wr_memory *memory, const char *path,
                               void (*line)(void *argument, const char *text), void *argument,
                               struct weir_error *error) {
  struct check check = {.memory = memory, .line = line, .argument = argument, .error = error};
  WR_TRY(wr_folder_open(files, memory, path, true, &check.folder, error));
  reading_seams(&check.seams, &check.store, files, memory, check.folder);
  wr_bytes_init(&check.seen, memory, WR_MEMORY_ENGINE);
  struct weir_error stopped;
  enum weir_code code = check_all(&check, &stopped);
  if (code != WEIR_OK && check.code == WEIR_OK) {
    check.code = code;
    if (error != NULL) *error = stopped;
  }
  if (check.code == WEIR_OK) say(&check, "sound");
  wr_bytes_deinit(&check.seen);
  wr_folder_close(check.folder);
  return check.code;
}

/* ---- reading back ---- */

struct reading {
  const struct wr_check_visitor *visitor;
  const struct wr_store *store;
  const char *uid;
  uint32_t subtask;
};

static void give_row(void *argument, const char *state, int64_t name_space, const char *key, const char *value) {
  const struct reading *reading = argument;
  reading->visitor->row(reading->visitor->argument, reading->uid, reading->subtask, state, name_space, key, value);
}

static enum weir_code read_subtask(struct reading *reading, struct wr_store *store,
                                   const struct wr_subtask_state *state, struct weir_error *error) {
  const struct wr_check_visitor *visitor = reading->visitor;
  reading->subtask = state->subtask;
  for (uint32_t i = 0; visitor->split != NULL && i < state->split_count; i++) {
    struct wr_split_text split;
    WR_TRY(wr_split_text_load(store, &state->splits[i], &split, error));
    visitor->split(visitor->argument, reading->uid, state->subtask, split.kind, split.text);
  }
  if (visitor->row == NULL || state->keyed_count == 0) return WEIR_OK;
  struct wr_backend_chain chain = {.handles = state->keyed, .count = state->keyed_count, .range = state->range};
  return wr_inspect_rows(store, &chain, visitor->rows_max, give_row, reading, error);
}

static enum weir_code read_checkpoint(struct wr_folder *folder, struct wr_store *store, uint64_t id,
                                      const struct wr_check_visitor *visitor, uint64_t *out_id,
                                      struct weir_error *error) {
  struct wr_memory *memory = store->seams->memory;
  struct wr_metadata metadata;
  if (id != 0) {
    WR_TRY(wr_folder_load_checkpoint(folder, id, true, &metadata, error));
  } else {
    bool exists;
    uint32_t damaged_count;
    WR_TRY(wr_folder_load_newest(folder, UINT64_MAX, &metadata, &exists, &damaged_count, NULL, error));
    if (!exists)
      return WR_FAIL(error, WEIR_NOT_FOUND, "the folder %s holds no checkpoint that can be read",
                     wr_folder_path(folder));
  }
  *out_id = metadata.checkpoint_id;
  enum weir_code code = WEIR_OK;
  for (uint32_t o = 0; o < metadata.operator_count; o++) {
    const struct wr_operator_state *operator= & metadata.operators[o];
    struct reading reading = {.visitor = visitor, .store = store, .uid = operator->uid };
    for (uint32_t s = 0; s < operator->subtask_count && code == WEIR_OK; s++)
      code = read_subtask(&reading, store, &operator->subtasks[s], error);
  }
  wr_metadata_deinit(memory, &metadata);
  return code;
}

enum weir_code wr_check_checkpoint(struct wr_files *files, struct wr_memory *memory, const char *path, uint64_t id,
                                   const struct wr_check_visitor *visitor, uint64_t *out_id, struct weir_error *error) {
  struct wr_folder *folder = NULL;
  WR_TRY(wr_folder_open(files, memory, path, true, &folder, error));
  struct wr_seams seams;
  struct wr_store store = {0};
  reading_seams(&seams, &store, files, memory, folder);
  enum weir_code code = read_checkpoint(folder, &store, id, visitor, out_id, error);
  wr_folder_close(folder);
  return code;
}
