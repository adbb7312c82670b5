/* connectors/test_target_crashes.c: the targets on the simulated disk: a crash at every file operation, SQLite's own
 * too, of the process or of the power, before or after the operation; the next start claims and commits what is
 * pending; in the end every epoch is there exactly once. The same with every operation failing once. Of the folder sink
 * the staging is a part of the history: an epoch that was staged whole is carried to the next start, any other is
 * staged anew, and in the end nothing staged is left. */
#include "base/test.h"
#include "base/test_memory.h"
#include "connectors/bad_records.h"
#include "connectors/deadletter/deadletter.h"
#include "connectors/directory/directory_part.h"
#include "connectors/directory/test_staged.h"
#include "connectors/sqlite/sqlite_target.h"
#include "operators/test_parts.h"
#include "sim/sim_disk.h"

#include <sqlite3.h>

enum { EPOCHS = 3, ROWS = 3, STARTS_MAX = 20, TRIES_MAX = 20 };

enum kind { KIND_UPSERT, KIND_INSERT, KIND_DEAD_LETTER, KIND_DIRECTORY, KIND_COUNT };

static const struct weir_schema pv_schema = {
    .fields = (const struct weir_field[]){{"app_id", WEIR_TYPE_STRING, false}, {"pv", WEIR_TYPE_BIGINT, false}},
    .field_count = 2};
static const uint32_t key[] = {0};
static const struct wr_sqlite_config sqlite_configs[] = {
    [KIND_UPSERT] = {.path = "/out/table.db", .table = "pv", .key_fields = key, .key_count = 1},
    [KIND_INSERT] = {.path = "/out/table.db", .table = "seen", .mode = WR_SQLITE_INSERT}};
static const struct wr_dead_letter_config dead_letter_config = {.path = "/out/dead.ndjson"};
/* A file a row. */
static const struct wr_directory_config directory_config = {
    .path = "/out",
    .uid = "sink",
    .file_bytes = 1,
    .csv = {.field_delimiter = ',', .quote_character = '"', .null_literal = ""}};

static const struct weir_schema *schema_of(enum kind kind) {
  return kind == KIND_DEAD_LETTER ? &wr_dead_letter_schema : &pv_schema;
}

/* One history: several starts of a job over one target. */
struct history {
  enum kind kind;
  struct sim_world *world;
  struct test_memory memory; /* of the epochs */
  struct wr_epoch epochs[EPOCHS];
  bool staged[EPOCHS]; /* KIND_DIRECTORY: the checkpoint that carries it is durable */
  struct test_stager stager;
  struct wr_store store;
  struct wr_target *target; /* of the present start; its memory is the world's */
  uint64_t acknowledged;    /* checkpoint id of the last epoch that was */
  bool done;                /* all were committed */
  bool is_wrong;            /* something was refused that must not be */
  bool takes_files;         /* KIND_DIRECTORY: after each crash what is there is taken away */
  char taken[4096];         /* what was in the files that were taken away, of KIND_DIRECTORY */
  struct weir_error error;
};

static struct wr_batch *make_rows(struct history *history, struct wr_memory *memory, uint64_t epoch) {
  struct wr_batch_builder builder;
  char text[64];
  wr_batch_builder_init(&builder, memory, schema_of(history->kind), false);
  for (uint64_t i = 0; i < ROWS; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    int length =
        snprintf(text, sizeof text, "app \"%d\"", history->kind == KIND_UPSERT ? (int)i : (int)(epoch * 10 + i));
    if (history->kind == KIND_DEAD_LETTER) {
      static const uint32_t texts[] = {WR_DEAD_LETTER_SOURCE, WR_DEAD_LETTER_PARTITION, WR_DEAD_LETTER_ERROR,
                                       WR_DEAD_LETTER_RECORD};
      for (unsigned t = 0; t < 4; t++)
        WR_ASSERT(wr_batch_builder_set_bytes(&builder, texts[t], text, (size_t)length, NULL) == WEIR_OK);
      wr_batch_builder_set_bigint(&builder, WR_DEAD_LETTER_POSITION, (int64_t)(epoch * 10 + i));
      wr_batch_builder_set_bigint(&builder, WR_DEAD_LETTER_BYTE_POSITION, 7);
    } else {
      WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, text, (size_t)length, NULL) == WEIR_OK);
      wr_batch_builder_set_bigint(&builder, 1, (int64_t)(epoch * 10 + i));
    }
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

static void history_init(struct history *history, enum kind kind, uint64_t seed) {
  const struct sim_world_options options = {.seed = seed, .fast_disk = true};
  memset(history, 0, sizeof *history);
  history->kind = kind;
  history->takes_files = kind == KIND_DIRECTORY && seed % 2 == 1;
  history->world = sim_world_new(&options);
  WR_ASSERT(history->world != NULL);
  sim_disk_make_folders(history->world, "/out");
  test_memory_init(&history->memory);
  for (uint64_t e = 0; e < EPOCHS; e++) {
    struct wr_batch *batch = make_rows(history, &history->memory.memory, e);
    history->epochs[e] = test_epoch_of(&history->memory.memory, (e + 1) * 2, batch);
    wr_batch_unref(batch);
  }
  history->store = (struct wr_store){.seams = sim_world_seams(history->world), .folder = "/job", .job_name = "job"};
  memset(history->store.incarnation, 5, sizeof history->store.incarnation);
}

static void history_deinit(struct history *history) {
  for (unsigned e = 0; e < EPOCHS; e++)
    test_epoch_deinit(&history->memory.memory, &history->epochs[e]);
  WR_ASSERT(history->memory.living_count == 0);
  sim_world_free(history->world);
}

static enum weir_code new_target(struct history *history) {
  const struct wr_target_context context = {.seams = sim_world_seams(history->world),
                                            .memory = sim_world_seams(history->world)->memory,
                                            .store = &history->store,
                                            .job_name = "job",
                                            .uid = "sink",
                                            .schema = schema_of(history->kind)};
  if (history->kind == KIND_DEAD_LETTER)
    return wr_dead_letter_target_new((void *)&dead_letter_config, &context, &history->target, &history->error);
  if (history->kind == KIND_DIRECTORY)
    return wr_directory_target_new((void *)&directory_config, &context, &history->target, &history->error);
  return wr_sqlite_target_new((void *)&sqlite_configs[history->kind], &context, &history->target, &history->error);
}

/* Tries again after a transient error, as the job and the committer do. False: given up, or wrong. */
static bool may_try_again(struct history *history, enum weir_code code, int *tries) {
  if (weir_code_is_transient(code) && ++*tries < TRIES_MAX && !sim_world_crashed(history->world)) {
    history->target->vtable->close(history->target);
    return true;
  }
  if (!weir_code_is_transient(code)) history->is_wrong = true;
  return false;
}

/* The marker is compared as at a restart from a checkpoint that recorded what was acknowledged, and carries the rest.
 */
static bool compare(struct history *history, const struct wr_marker *marker) {
  struct wr_commit_snapshot snapshot = {.last_committed = history->acknowledged};
  while (marker->present && snapshot.epoch_count < EPOCHS &&
         history->epochs[EPOCHS - 1 - snapshot.epoch_count].checkpoint_id > history->acknowledged)
    snapshot.epochs = &history->epochs[EPOCHS - ++snapshot.epoch_count];
  uint64_t r = history->store.start_number == 1 ? 0 : EPOCHS * 2;
  enum wr_compare answer =
      wr_commit_compare(marker, history->store.incarnation, history->store.start_number - 1, r, &snapshot);
  if (answer == WR_COMPARE_OK) return true;
  history->is_wrong = true;
  (void)WR_FAIL(&history->error, WEIR_REFUSED, "compare says %d: marker %s, checkpoint %d, acknowledged %d",
                (int)answer, marker->present ? "there" : "missing", (int)marker->checkpoint_id,
                (int)history->acknowledged);
  return false;
}

static enum weir_code check_carried(struct history *history, const struct wr_marker *seen) {
  const struct wr_target_vtable *vtable = history->target->vtable;
  for (unsigned e = 0; vtable->check_carried != NULL && e < EPOCHS; e++)
    if (history->staged[e] && history->epochs[e].checkpoint_id > seen->checkpoint_id)
      WR_TRY(vtable->check_carried(history->target, seen, history->store.incarnation, &history->epochs[e], 1,
                                   &history->error));
  return WEIR_OK;
}

static bool settle(struct history *history, uint64_t *out_committed) {
  const struct wr_target_vtable *vtable = history->target->vtable;
  struct wr_marker seen;
  for (int tries = 0;;) {
    enum weir_code code = vtable->connect(history->target, &history->error);
    if (code == WEIR_OK) code = vtable->read_marker(history->target, &seen, &history->error);
    if (code == WEIR_OK && tries == 0 && !compare(history, &seen)) return false;
    if (code == WEIR_OK) code = check_carried(history, &seen);
    if (code == WEIR_OK) code = vtable->claim(history->target, &seen, seen.checkpoint_id, &history->error);
    if (code == WEIR_OK) break;
    if (!may_try_again(history, code, &tries)) return false;
  }
  *out_committed = seen.checkpoint_id;
  return true;
}

static bool commit_one(struct history *history, const struct wr_epoch *epoch) {
  const struct wr_target_vtable *vtable = history->target->vtable;
  bool already = false;
  for (int tries = 0;;) {
    enum weir_code code = tries == 0 ? WEIR_OK : vtable->connect(history->target, &history->error);
    if (code == WEIR_OK) code = vtable->commit(history->target, epoch, &already, &history->error);
    if (code == WEIR_OK) return true;
    if (!may_try_again(history, code, &tries)) return false;
  }
}

/* The rows of an epoch become a part, unless they are one, and the checkpoint that carries it is made. A stage that
 * failed is followed by another of the same start. */
static bool stage_one(struct history *history, unsigned e) {
  struct wr_part *part = &history->epochs[e].parts[0], staged;
  struct wr_memory *memory = sim_world_seams(history->world)->memory;
  if (history->kind != KIND_DIRECTORY || history->staged[e]) return true;
  for (int tries = 0;;) {
    struct wr_batch *batch = make_rows(history, memory, e);
    enum weir_code code =
        test_stage_part(&history->stager, history->epochs[e].checkpoint_id, batch, &staged, &history->error);
    wr_batch_unref(batch);
    if (code == WEIR_OK && sim_world_crashed(history->world)) {
      wr_part_deinit(memory, &staged);
      return false;
    }
    if (code == WEIR_OK) break;
    if (!may_try_again(history, code, &tries)) return false;
  }
  wr_part_deinit(&history->memory.memory, part);
  *part = staged;
  WR_ASSERT(wr_handle_copy(&history->memory.memory, &staged.handle, &part->handle, NULL) == WEIR_OK);
  wr_part_deinit(memory, &staged);
  return history->staged[e] = true;
}

/* All that was carried is committed. */
static bool tell_settled(struct history *history) {
  const struct wr_target_vtable *vtable = history->target->vtable;
  for (int tries = 0; vtable->settled != NULL;) {
    enum weir_code code = vtable->settled(history->target, &history->error);
    if (code == WEIR_OK) break;
    if (!may_try_again(history, code, &tries)) return false;
  }
  return true;
}

static void commit_all(struct history *history, unsigned first) {
  bool is_told = false;
  for (unsigned e = first; e < EPOCHS; e++) {
    if (!is_told && !history->staged[e]) {
      if (!tell_settled(history)) return;
      is_told = true;
    }
    /* The one after it is staged before it is committed. */
    if (!stage_one(history, e) || (e + 1 < EPOCHS && !stage_one(history, e + 1))) return;
    if (!commit_one(history, &history->epochs[e])) return;
    if (history->epochs[e].checkpoint_id > history->acknowledged)
      history->acknowledged = history->epochs[e].checkpoint_id;
  }
  history->done = is_told || tell_settled(history);
}

/* One start of the job, on a coroutine. */
static void run_start(void *context) {
  struct history *history = context;
  uint64_t committed = 0;
  test_stager_init(&history->stager, &directory_config, &history->store, sim_world_seams(history->world)->memory,
                   &pv_schema, 0);
  if (new_target(history) != WEIR_OK) return;
  if (settle(history, &committed)) {
    unsigned e = 0;
    while (e < EPOCHS && history->epochs[e].checkpoint_id <= committed)
      e++;
    /* The last one once more: it must not be written twice. */
    commit_all(history, e > 0 ? e - 1 : 0);
  }
  history->target->vtable->free(history->target);
  history->target = NULL;
}

/* Somebody takes the finished files away, to where they are kept: those that no power cut can take back. */
static void take_files(struct history *history) {
  struct wr_name_list names = sim_disk_list(history->world, "/out");
  for (size_t i = 0; i < names.count; i++) {
    char path[256];
    snprintf(path, sizeof path, "/out/%s", names.names[i]);
    if (strncmp(names.names[i], "part-", 5) != 0 || !sim_disk_is_durable(history->world, path)) continue;
    size_t length, before = strlen(history->taken);
    char *text = (char *)sim_disk_read(history->world, path, &length);
    snprintf(history->taken + before, sizeof history->taken - before, "%s: %s", names.names[i], text);
    free(text);
    sim_disk_remove(history->world, path);
  }
  sim_disk_list_free(&names);
}

/* Starts until all is done. The first crash has been ordered. */
static void run_history(struct history *history, enum sim_kill kill, uint64_t second_crash) {
  while (history->store.start_number++ < STARTS_MAX) {
    uint64_t acknowledged_before = history->acknowledged;
    bool finished = sim_world_run(history->world, run_start, history);
    if (finished && (history->done || history->is_wrong)) return;
    uint64_t acknowledged = history->acknowledged;
    bool was_wrong = history->is_wrong && !sim_world_crashed(history->world);
    sim_world_kill(history->world, kill);
    sim_memory_drop_all(sim_world_memory(history->world));
    if (was_wrong) return;
    if (history->takes_files) take_files(history);
    /* What a start does after its crash, only to end, is not heard by anybody. */
    history->acknowledged = acknowledged > acknowledged_before ? acknowledged : acknowledged_before;
    history->is_wrong = history->done = false;
    if (second_crash != 0) sim_disk_crash_at(history->world, second_crash, SIM_CRASH_AFTER);
    second_crash = 0;
  }
}

static int compare_lines(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What was and what is in the folder's files: a line a row, with the file's name. */
static char *dump_files(struct history *history) {
  char *lines[EPOCHS * ROWS * 4], *rest = NULL, *copy;
  size_t count = 0;
  take_files(history);
  copy = strdup(history->taken);
  for (char *at = strtok_r(copy, "\n", &rest); at != NULL && count < sizeof lines / sizeof lines[0];
       at = strtok_r(NULL, "\n", &rest))
    lines[count++] = at;
  qsort(lines, count, sizeof lines[0], compare_lines);
  char *text = calloc(1, sizeof history->taken);
  for (size_t i = 0; i < count; i++)
    snprintf(text + strlen(text), sizeof history->taken - strlen(text), "%s\n", lines[i]);
  free(copy);
  return text;
}

/* What a person would see in the target. */
static char *dump(struct history *history) {
  if (history->kind == KIND_DIRECTORY) return dump_files(history);
  if (history->kind == KIND_DEAD_LETTER) {
    size_t length;
    return (char *)sim_disk_read(history->world, dead_letter_config.path, &length);
  }
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  char *text = NULL;
  sim_world_direct(history->world, true);
  const char *sql = history->kind == KIND_UPSERT
                        ? "SELECT group_concat(app_id || '=' || pv, ' ') FROM (SELECT * FROM pv ORDER BY app_id)"
                        : "SELECT group_concat(app_id || '=' || pv, ' ') FROM (SELECT * FROM seen ORDER BY rowid)";
  if (sqlite3_open_v2("/out/table.db", &db, SQLITE_OPEN_READWRITE, sim_world_seams(history->world)->sqlite_vfs) ==
          SQLITE_OK &&
      sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
      sqlite3_column_text(statement, 0) != NULL)
    text = strdup((const char *)sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_close(db);
  sim_world_direct(history->world, false);
  return text;
}

/* A history without any fault; how many file operations it has. */
static uint64_t undisturbed(enum kind kind, char **out_dump) {
  struct history history;
  history_init(&history, kind, 1);
  run_history(&history, SIM_KILL_PROCESS, 0);
  WR_ASSERT(history.done && history.store.start_number == 1);
  uint64_t operations = sim_disk_operations(history.world);
  WR_ASSERT(sim_world_memory(history.world)->blocks == 0);
  WR_ASSERT(sim_disk_open_files(history.world) == 0);
  *out_dump = dump(&history);
  WR_ASSERT(*out_dump != NULL);
  history_deinit(&history);
  return operations;
}

/* What starts before the last one have staged and nobody renamed. */
static unsigned count_left_over(struct history *history) {
  const struct wr_directory_place place = {.uid = "sink", .hash = wr_directory_hash("job", "sink")};
  struct wr_name_list names = sim_disk_list(history->world, "/out/.weir");
  unsigned count = 0;
  for (size_t i = 0; i < names.count; i++)
    count += wr_directory_is_left_over(&place, history->store.incarnation, history->store.start_number, names.names[i]);
  sim_disk_list_free(&names);
  return count;
}

static void check_history(struct history *history, const char *expected, const char *what, uint64_t n) {
  char *found = history->done && !history->is_wrong ? dump(history) : NULL;
  bool right = found != NULL && strcmp(found, expected) == 0;
  if (right && history->kind == KIND_DIRECTORY) CHECK_INT(count_left_over(history), 0);
  if (!right)
    fprintf(stderr, "target %d, %s at operation %d: %s; start %d; expected\n%s\nfound\n%s\n", (int)history->kind, what,
            (int)n, history->done ? "done" : history->error.message, (int)history->store.start_number, expected,
            found == NULL ? "nothing" : found);
  free(found);
  CHECK(right);
}

static void crash_everywhere(enum kind kind, uint64_t seed) {
  char *expected = NULL;
  uint64_t operations = undisturbed(kind, &expected);
  struct wr_random random = wr_random_of(seed);
  for (uint64_t n = 1; n <= operations; n++) {
    for (unsigned variant = 0; variant < 8; variant++) {
      struct history history;
      history_init(&history, kind, wr_random_next(&random));
      sim_disk_crash_at(history.world, n, variant & 1 ? SIM_CRASH_AFTER : SIM_CRASH_BEFORE);
      run_history(&history, variant & 2 ? SIM_KILL_POWER : SIM_KILL_PROCESS,
                  variant & 4 ? 1 + wr_random_below(&random, operations) : 0);
      check_history(&history, expected, "crash", n);
      history_deinit(&history);
      CHECK_PASSED();
    }
  }
  printf("target %d: %d operations, 8 crashes at each\n", (int)kind, (int)operations);
  free(expected);
}

static void fail_everywhere(enum kind kind, uint64_t seed) {
  char *expected = NULL;
  uint64_t operations = undisturbed(kind, &expected);
  struct wr_random random = wr_random_of(seed);
  for (uint64_t n = 1; n <= operations; n++) {
    for (unsigned variant = 0; variant < 2; variant++) {
      struct history history;
      history_init(&history, kind, wr_random_next(&random));
      sim_disk_fail_nth(history.world, n, variant == 0 ? WEIR_IO : WEIR_NO_SPACE, false);
      run_history(&history, SIM_KILL_PROCESS, 0);
      /* What was acknowledged stands after a power cut: the next start finds rows and marker. */
      sim_world_kill(history.world, SIM_KILL_POWER);
      sim_memory_drop_all(sim_world_memory(history.world));
      check_history(&history, expected, "power cut after a failure", n);
      history.done = false;
      if (!test_failed) run_history(&history, SIM_KILL_POWER, 0);
      check_history(&history, expected, "failure", n);
      history_deinit(&history);
      CHECK_PASSED();
    }
  }
  free(expected);
}

TEST(sqlite_upsert_crashes) {
  crash_everywhere(KIND_UPSERT, test_seed());
}
TEST(sqlite_insert_crashes) {
  crash_everywhere(KIND_INSERT, test_seed());
}
TEST(dead_letter_crashes) {
  crash_everywhere(KIND_DEAD_LETTER, test_seed());
}
TEST(directory_crashes) {
  crash_everywhere(KIND_DIRECTORY, test_seed());
}
TEST(directory_failures) {
  fail_everywhere(KIND_DIRECTORY, test_seed());
}
TEST(sqlite_insert_failures) {
  fail_everywhere(KIND_INSERT, test_seed());
}
TEST(dead_letter_failures) {
  fail_everywhere(KIND_DEAD_LETTER, test_seed());
}

TEST_MAIN(TEST_CASE(sqlite_upsert_crashes), TEST_CASE(sqlite_insert_crashes), TEST_CASE(dead_letter_crashes),
          TEST_CASE(sqlite_insert_failures), TEST_CASE(dead_letter_failures), TEST_CASE(directory_crashes),
          TEST_CASE(directory_failures))
