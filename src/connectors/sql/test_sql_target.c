/* connectors/sql/test_sql_target.c: the commit machine of a server, against a database of a table in memory that fails
 * on command: each call refused, its session gone before or after it was done, the answer of COMMIT lost, once or
 * twice. */
#include "base/test.h"
#include "connectors/sql/sql_target.h"
#include "operators/test_parts.h"
#include "store/test_files.h"

static const struct weir_schema schema = {
    .fields = (const struct weir_field[]){{"k", WEIR_TYPE_BIGINT, false}, {"v", WEIR_TYPE_BIGINT, true}},
    .field_count = 2};

enum { KEYS = 64, NO_VALUE = -1 };

struct content {
  struct wr_marker marker;
  int64_t values[KEYS]; /* by key; NO_VALUE: no row */
  uint32_t inserted;    /* INSERT: rows */
};

/* What becomes of call number `at`. */
enum fault { REFUSED, GONE_BEFORE, GONE_AFTER };

struct script {
  struct content durable;
  int64_t bad_key; /* a row that is not taken; NO_VALUE: none */
  /* Of more of them: in the n-th transaction those whose key leaves n % 4 by 5; in each fourth none. */
  bool has_bad_keys;
  uint32_t begins;
  uint32_t calls, fail_at, fail_count, connects, writes;
  const struct wr_marker *inserted_first; /* when it is claimed: by a transaction that was under way; NULL: by none */
  enum fault fault;
};

struct scripted {
  struct wr_sql_driver driver;
  struct wr_memory *memory;
  struct script *script;
  struct content open, saved;
  bool is_connected, is_begun;
};

static struct scripted *of(struct wr_sql_driver *driver) {
  return (struct scripted *)driver;
}

/* Ends a call with its fault, where it is the one: before it is done, or (END) after. */
#define FAIL_IF(driver, error)                                                                                         \
  enum fault fault_now = GONE_BEFORE;                                                                                  \
  bool fails_now = next_fails(of(driver)->script, &fault_now);                                                         \
  WR_ASSERT(of(driver)->is_connected);                                                                                 \
  if (fails_now && fault_now != GONE_AFTER) return fail(of(driver), fault_now, error)
#define END(driver, error) return fails_now ? fail(of(driver), GONE_BEFORE, error) : WR_SQL_DONE

static bool next_fails(struct script *script, enum fault *out_fault) {
  uint32_t call = ++script->calls;
  *out_fault = script->fault;
  return script->fail_at != 0 && call >= script->fail_at && call - script->fail_at < script->fail_count;
}

static enum wr_sql_outcome fail(struct scripted *self, enum fault fault, struct weir_error *error) {
  WR_FAIL(error, fault == REFUSED ? WEIR_BUSY : WEIR_IO, "made to fail");
  if (fault == REFUSED) return WR_SQL_FAILED;
  self->is_begun = self->is_connected = false; /* whoever goes on with it is found */
  return WR_SQL_GONE;
}

static enum wr_sql_outcome script_connect(struct wr_sql_driver *driver, struct weir_error *error) {
  of(driver)->is_connected = true;
  of(driver)->script->connects++;
  FAIL_IF(driver, error);
  END(driver, error);
}

static enum wr_sql_outcome script_make(struct wr_sql_driver *driver, struct weir_error *error) {
  FAIL_IF(driver, error);
  END(driver, error);
}

static enum wr_sql_outcome script_begin(struct wr_sql_driver *driver, struct weir_error *error) {
  FAIL_IF(driver, error);
  WR_ASSERT(!of(driver)->is_begun);
  of(driver)->is_begun = true;
  of(driver)->script->begins++;
  of(driver)->open = of(driver)->script->durable;
  END(driver, error);
}

static enum wr_sql_outcome script_read(struct wr_sql_driver *driver, struct wr_marker *out, struct weir_error *error) {
  FAIL_IF(driver, error);
  WR_ASSERT(of(driver)->is_begun);
  *out = of(driver)->open.marker;
  END(driver, error);
}

static bool same(const struct wr_marker *a, const struct wr_marker *b) {
  return a->present == b->present && a->start_number == b->start_number && a->checkpoint_id == b->checkpoint_id &&
         memcmp(a->incarnation, b->incarnation, WR_INCARNATION_BYTES) == 0;
}

static enum wr_sql_outcome script_claim(struct wr_sql_driver *driver, const struct wr_marker *seen,
                                        const struct wr_marker *mine, uint64_t *out_rows, struct weir_error *error) {
  FAIL_IF(driver, error);
  WR_ASSERT(of(driver)->is_begun);
  struct wr_marker *marker = &of(driver)->open.marker;
  if (of(driver)->script->inserted_first != NULL) {
    *marker = of(driver)->script->durable.marker = *of(driver)->script->inserted_first;
    of(driver)->script->inserted_first = NULL;
  }
  *out_rows = seen->present ? same(marker, seen) : !marker->present;
  if (*out_rows == 1) *marker = *mine;
  END(driver, error);
}

static enum wr_sql_outcome script_move(struct wr_sql_driver *driver, const struct wr_marker *mine, uint64_t known_id,
                                       uint64_t *out_rows, struct weir_error *error) {
  FAIL_IF(driver, error);
  WR_ASSERT(of(driver)->is_begun);
  struct wr_marker *marker = &of(driver)->open.marker;
  *out_rows = marker->present && marker->start_number == mine->start_number &&
              memcmp(marker->incarnation, mine->incarnation, WR_INCARNATION_BYTES) == 0 &&
              marker->checkpoint_id < mine->checkpoint_id && marker->checkpoint_id >= known_id;
  if (*out_rows == 1) marker->checkpoint_id = mine->checkpoint_id;
  END(driver, error);
}

static bool is_bad(const struct script *script, int64_t key) {
  uint32_t rest = script->begins % 4;
  return key == script->bad_key || (script->has_bad_keys && rest != 0 && key % 5 == rest);
}

static enum wr_sql_outcome script_write(struct wr_sql_driver *driver, enum wr_sql_change change,
                                        const struct wr_sql_row *rows, uint32_t count, struct weir_error *error) {
  FAIL_IF(driver, error);
  WR_ASSERT(of(driver)->is_begun);
  of(driver)->script->writes++;
  for (uint32_t i = 0; i < count; i++) {
    int64_t key = wr_column_bigints(&rows[i].batch->columns[0])[rows[i].row];
    if (is_bad(of(driver)->script, key)) {
      WR_FAIL(error, WEIR_CONSTRAINT, "key %d is not taken", (int)key);
      return WR_SQL_FAILED;
    }
    of(driver)->open.inserted++;
    of(driver)->open.values[key] =
        change == WR_SQL_DELETE ? NO_VALUE : wr_column_bigints(&rows[i].batch->columns[1])[rows[i].row];
  }
  END(driver, error);
}

static enum wr_sql_outcome script_save(struct wr_sql_driver *driver, struct weir_error *error) {
  FAIL_IF(driver, error);
  of(driver)->saved = of(driver)->open;
  END(driver, error);
}

static enum wr_sql_outcome script_back(struct wr_sql_driver *driver, struct weir_error *error) {
  FAIL_IF(driver, error);
  of(driver)->open = of(driver)->saved;
  END(driver, error);
}

static enum wr_sql_outcome script_commit(struct wr_sql_driver *driver, struct weir_error *error) {
  enum fault fault = GONE_BEFORE;
  bool fails_now = next_fails(of(driver)->script, &fault);
  if (fails_now && fault != GONE_AFTER)
    return fail(of(driver), fault, error) == WR_SQL_GONE ? WR_SQL_UNKNOWN : WR_SQL_FAILED;
  WR_ASSERT(of(driver)->is_begun);
  of(driver)->script->durable = of(driver)->open;
  of(driver)->is_begun = false;
  if (!fails_now) return WR_SQL_DONE;
  fail(of(driver), GONE_BEFORE, error);
  return WR_SQL_UNKNOWN;
}

static enum wr_sql_outcome script_roll_back(struct wr_sql_driver *driver, struct weir_error *error) {
  FAIL_IF(driver, error);
  of(driver)->is_begun = false;
  END(driver, error);
}

static void script_close(struct wr_sql_driver *driver) {
  of(driver)->is_connected = of(driver)->is_begun = false;
}

static void script_free(struct wr_sql_driver *driver) {
  WR_ASSERT(!of(driver)->is_connected);
  wr_free(of(driver)->memory, of(driver));
}

static const struct wr_sql_driver_vtable script_vtable = {.connect = script_connect,
                                                          .make_marker_table = script_make,
                                                          .begin = script_begin,
                                                          .read_marker = script_read,
                                                          .claim = script_claim,
                                                          .move_marker = script_move,
                                                          .write = script_write,
                                                          .set_savepoint = script_save,
                                                          .roll_back_to_savepoint = script_back,
                                                          .commit = script_commit,
                                                          .roll_back = script_roll_back,
                                                          .close = script_close,
                                                          .free = script_free};

static enum weir_code new_scripted(const struct wr_sql_config *config, const struct wr_target_context *context,
                                   struct wr_sql_driver **out_driver, struct weir_error *error) {
  struct scripted *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory");
  self->driver.vtable = &script_vtable;
  self->memory = context->memory;
  self->script = config->driver_config;
  *out_driver = &self->driver;
  return WEIR_OK;
}

/* ---- fixture ---- */

static const uint32_t key_fields[] = {0};

struct fixture {
  struct test_files files;
  struct wr_store store;
  struct wr_target_context context;
  struct wr_sql_config config;
  struct script script;
  struct wr_target *target;
  _Atomic uint64_t rejected_rows;
  struct weir_error error;
};

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->store = (struct wr_store){.seams = &f->files.seams, .folder = f->files.folder, .start_number = 3};
  memset(f->store.incarnation, 7, sizeof f->store.incarnation);
  f->context = (struct wr_target_context){.seams = &f->files.seams,
                                          .memory = &f->files.memory.memory,
                                          .store = &f->store,
                                          .job_name = "job",
                                          .uid = "sink",
                                          .schema = &schema};
  f->script.bad_key = NO_VALUE;
  for (int i = 0; i < KEYS; i++)
    f->script.durable.values[i] = NO_VALUE;
  f->config = (struct wr_sql_config){.where = "table t in test://",
                                     .mode = WR_SQL_UPSERT,
                                     .key_fields = key_fields,
                                     .key_count = 1,
                                     .driver_config = &f->script,
                                     .new_driver = new_scripted};
}

static void fixture_stop(struct fixture *f) {
  if (f->target != NULL) f->target->vtable->free(f->target);
  f->target = NULL;
}

static void fixture_deinit(struct fixture *f) {
  fixture_stop(f);
  CHECK_INT(f->files.memory.living_count, 0);
  test_files_deinit(&f->files);
}

/* From new to claimed, as a recovery does it. */
static enum weir_code fixture_start(struct fixture *f) {
  struct wr_marker seen;
  fixture_stop(f);
  WR_TRY(wr_sql_target_new(&f->config, &f->context, &f->target, &f->error));
  WR_TRY(f->target->vtable->connect(f->target, &f->error));
  WR_TRY(f->target->vtable->read_marker(f->target, &seen, &f->error));
  return f->target->vtable->claim(f->target, &seen, seen.present ? seen.checkpoint_id : 0, &f->error);
}

/* Sets keys 0 to `rows` - 1 to `value`, and deletes key 1. */
static struct wr_batch *batch_of(struct fixture *f, int64_t value, int rows) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &f->files.memory.memory, &schema, true);
  for (int i = 0; i < rows; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 0, i);
    wr_batch_builder_set_bigint(&builder, 1, value);
    bool deletes = i == 1 && f->config.mode == WR_SQL_UPSERT;
    wr_batch_builder_end_row(&builder, deletes ? WEIR_DELETE : WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

static struct wr_epoch epoch_of(struct fixture *f, uint64_t id, int rows) {
  struct wr_batch *batch = batch_of(f, (int64_t)id, rows);
  struct wr_epoch epoch = test_epoch_of(&f->files.memory.memory, id, batch);
  wr_batch_unref(batch);
  return epoch;
}

static enum weir_code commit_epoch(struct fixture *f, uint64_t id, bool *out_already) {
  struct wr_epoch epoch = epoch_of(f, id, 40);
  enum weir_code code = f->target->vtable->commit(f->target, &epoch, out_already, &f->error);
  test_epoch_deinit(&f->files.memory.memory, &epoch);
  return code;
}

/* As the committer does it: again and again, over a new connection where the code asks for one. */
static enum weir_code commit_until_done(struct fixture *f, uint64_t id) {
  bool already = false;
  enum weir_code code = commit_epoch(f, id, &already);
  for (int i = 0; i < 5 && code != WEIR_OK && weir_code_is_transient(code); i++) {
    if (code != WEIR_BUSY) {
      f->target->vtable->close(f->target);
      if (f->target->vtable->connect(f->target, &f->error) != WEIR_OK) continue;
    }
    code = commit_epoch(f, id, &already);
  }
  return code;
}

static bool holds(const struct fixture *f, uint64_t id) {
  const struct content *content = &f->script.durable;
  return content->marker.checkpoint_id == id && content->values[0] == (int64_t)id && content->values[1] == NO_VALUE &&
         content->values[39] == (int64_t)id;
}

/* ---- tests ---- */

/* Each call of a whole life fails in each way, once and twice: at the end every epoch is in once, in order. */
TEST(every_call_fails) {
  for (int fault = REFUSED; fault <= GONE_AFTER; fault++)
    for (uint32_t times = 1; times <= 2; times++)
      for (uint32_t at = 1; at < 40; at++) {
        struct fixture f;
        fixture_init(&f);
        f.config.mode = at % 2 == 0 ? WR_SQL_UPSERT : WR_SQL_INSERT;
        if (f.config.mode == WR_SQL_INSERT) f.config.key_count = 0;
        f.script.fault = (enum fault)fault;
        f.script.fail_at = at;
        f.script.fail_count = times;
        int starts = 0;
        while (fixture_start(&f) != WEIR_OK && ++starts < 6) {
          CHECK(weir_code_is_transient(f.error.code));
          f.store.start_number++;
        }
        CHECK_INT(commit_until_done(&f, 1), WEIR_OK);
        CHECK_INT(commit_until_done(&f, 2), WEIR_OK);
        CHECK_INT(f.script.durable.marker.checkpoint_id, 2);
        CHECK_INT(f.script.durable.marker.start_number, f.store.start_number);
        if (f.config.mode == WR_SQL_INSERT)
          CHECK_INT(f.script.durable.inserted, 80);
        else
          CHECK(holds(&f, 2));
        fixture_deinit(&f);
      }
}

/* The answer of COMMIT is lost: the next try finds the marker moved, and says "already". */
TEST(a_lost_answer) {
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  f.script.calls = 0;
  f.script.fail_at = 5; /* begin, move, delete, write, commit */
  f.script.fail_count = 1;
  f.script.fault = GONE_AFTER;
  CHECK_INT(commit_epoch(&f, 1, &already), WEIR_IO);
  CHECK(holds(&f, 1));
  uint32_t writes = f.script.writes;
  CHECK_INT(commit_epoch(&f, 1, &already), WEIR_OK);
  CHECK(already);
  CHECK_INT(f.script.writes, writes);
  fixture_deinit(&f);
}

/* A session that went away between two epochs is opened again without a word. */
TEST(an_idle_session_goes_away) {
  struct fixture f;
  bool already = true;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  uint32_t connects = f.script.connects;
  f.script.calls = 0;
  f.script.fail_at = f.script.fail_count = 1;
  f.script.fault = GONE_BEFORE;
  CHECK_INT(commit_epoch(&f, 1, &already), WEIR_OK);
  CHECK(!already && holds(&f, 1));
  CHECK_INT(f.script.connects, connects + 1);
  fixture_deinit(&f);
}

TEST(others_at_the_marker) {
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_epoch(&f, 5, &already), WEIR_OK);
  CHECK_INT(commit_epoch(&f, 6, &already), WEIR_OK);
  /* The server goes back to an older copy: of this run, of the start before, of nothing. */
  f.script.durable.marker.checkpoint_id = 5;
  CHECK_INT(commit_epoch(&f, 7, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "has lost data") != NULL && strstr(f.error.message, "stands at checkpoint 5") != NULL);
  f.script.durable.marker.start_number = 2;
  CHECK_INT(commit_epoch(&f, 7, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "older than this run") != NULL);
  f.script.durable.marker.present = false;
  CHECK_INT(commit_epoch(&f, 7, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "is gone") != NULL);
  /* Another has taken over: a later start, another run. */
  f.script.durable.marker = (struct wr_marker){.present = true, .start_number = 4, .checkpoint_id = 6};
  memset(f.script.durable.marker.incarnation, 7, WR_INCARNATION_BYTES);
  CHECK_INT(commit_epoch(&f, 7, &already), WEIR_FENCED);
  CHECK_INT(fixture_start(&f), WEIR_FENCED);
  f.script.durable.marker.incarnation[0] = 1;
  CHECK_INT(fixture_start(&f), WEIR_OK); /* it was compared before, and let through */
  CHECK_INT(f.script.durable.marker.incarnation[0], 7);
  fixture_deinit(&f);
}

/* Between the comparison and the claim the start that was seen commits once more: compare again. */
TEST(a_claim_compares) {
  struct fixture f;
  struct wr_marker seen;
  fixture_init(&f);
  f.script.durable.marker = (struct wr_marker){.present = true, .start_number = 2, .checkpoint_id = 6};
  memset(f.script.durable.marker.incarnation, 7, WR_INCARNATION_BYTES);
  CHECK_INT(wr_sql_target_new(&f.config, &f.context, &f.target, &f.error), WEIR_OK);
  CHECK_INT(f.target->vtable->connect(f.target, &f.error), WEIR_OK);
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  f.script.durable.marker.checkpoint_id = 7;
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 6, &f.error), WEIR_BUSY);
  f.script.durable.marker.incarnation[3] = 1;
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 6, &f.error), WEIR_FENCED);
  fixture_deinit(&f);
}

/* The claim of an earlier start, whose COMMIT had no answer, comes after the comparison: it is no other run. */
TEST(a_claim_of_an_earlier_start_comes_late) {
  struct fixture f;
  struct wr_marker seen, earlier = {.present = true, .start_number = 2};
  fixture_init(&f);
  memset(earlier.incarnation, 7, WR_INCARNATION_BYTES);
  CHECK_INT(wr_sql_target_new(&f.config, &f.context, &f.target, &f.error), WEIR_OK);
  CHECK_INT(f.target->vtable->connect(f.target, &f.error), WEIR_OK);
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK(!seen.present);
  f.script.inserted_first = &earlier; /* the INSERT waits for it, and finds its row */
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 0, &f.error), WEIR_BUSY);
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 0, &f.error), WEIR_BUSY); /* it is there, and was not seen */
  f.script.durable.marker.start_number = 1;
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  f.script.durable.marker.start_number = 2; /* of two that were killed the second comes late */
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 0, &f.error), WEIR_BUSY);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  fixture_deinit(&f);
}

/* One row of an epoch is not taken: it is named, and nothing is out. */
TEST(a_bad_row) {
  for (int bad = 0; bad < 40; bad++) {
    struct fixture f;
    char name[32];
    bool already = false;
    fixture_init(&f);
    CHECK_INT(fixture_start(&f), WEIR_OK);
    f.script.bad_key = bad;
    CHECK_INT(commit_epoch(&f, 1, &already), WEIR_CONSTRAINT);
    snprintf(name, sizeof name, "the row with k = %d is", bad);
    CHECK(strstr(f.error.message, name) != NULL);
    CHECK_INT(f.script.durable.marker.checkpoint_id, 0);
    CHECK_INT(f.script.durable.values[0], NO_VALUE);
    f.script.bad_key = NO_VALUE;
    CHECK_INT(commit_epoch(&f, 1, &already), WEIR_OK);
    CHECK(holds(&f, 1));
    fixture_deinit(&f);
  }
}

/* ---- rows that are left out ---- */

/* Keys that the file of an epoch names, as bits; each once. 0: there is no file. */
static uint64_t left_out(const struct fixture *f, uint64_t id) {
  char path[160], line[512];
  uint64_t keys = 0;
  snprintf(path, sizeof path, "%s/dead-letter.sink.%d.ndjson", f->files.folder, (int)id);
  FILE *file = fopen(path, "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    int key = -1, checkpoint = -1;
    const char *row = strstr(line, "\"row\":{\"k\":");
    WR_ASSERT(sscanf(line, "{\"sink\":\"sink\",\"checkpoint\":%d,", &checkpoint) == 1 && checkpoint == (int)id);
    WR_ASSERT(row != NULL && sscanf(row, "\"row\":{\"k\":%d,", &key) == 1 && strstr(line, "is not taken") != NULL);
    WR_ASSERT(key >= 0 && (keys >> key & 1) == 0);
    keys |= 1ull << key;
  }
  if (file != NULL) {
    WR_ASSERT(keys != 0);
    fclose(file);
  }
  return keys;
}

/* Of epoch `id`, which is the last, each row is either in the table or in the file. */
static void check_left_out(const struct fixture *f, uint64_t id, const struct content *before) {
  uint64_t keys = left_out(f, id);
  for (int64_t k = 0; k < 40; k++) {
    int64_t is = f->script.durable.values[k], wanted = k == 1 ? NO_VALUE : (int64_t)id;
    bool was_left_out = (keys >> k & 1) != 0;
    CHECK_INT(is, was_left_out ? before->values[k] : wanted);
  }
}

/* Epoch 1 whole, so that a deletion has something to leave, then epochs with rows that are not taken. */
static enum weir_code start_leaving_out(struct fixture *f) {
  bool already = false;
  f->config.leaves_out = true;
  f->context.rejected_rows = &f->rejected_rows;
  WR_TRY(fixture_start(f));
  WR_TRY(commit_epoch(f, 1, &already));
  f->script.durable.values[1] = 77;
  f->script.has_bad_keys = true;
  return WEIR_OK;
}

TEST(rows_are_left_out) {
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  CHECK_INT(start_leaving_out(&f), WEIR_OK);
  CHECK_INT(left_out(&f, 1), 0);
  uint64_t count = 0;
  for (uint64_t id = 2; id < 12; id++) {
    struct content before = f.script.durable;
    CHECK_INT(commit_epoch(&f, id, &already), WEIR_OK);
    check_left_out(&f, id, &before);
    CHECK_INT(f.script.durable.marker.checkpoint_id, id);
    count += (uint64_t)__builtin_popcountll(left_out(&f, id));
    CHECK_INT(f.rejected_rows, count);
  }
  CHECK(count > 40);
  /* All rows of an epoch. */
  f.script.has_bad_keys = false;
  for (int64_t k = 0; k < 2; k++) {
    f.script.bad_key = k;
    struct wr_epoch epoch = epoch_of(&f, 20 + (uint64_t)k, 1);
    CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_OK);
    test_epoch_deinit(&f.files.memory.memory, &epoch);
    CHECK_INT(left_out(&f, 20 + (uint64_t)k), k == 0 ? 1 : 0);
  }
  fixture_deinit(&f);
}

/* Each call and each file operation of a commit fails, once and twice, and the target is made anew in between or not.
 * Each try leaves out other rows: in the end the file names those of the try that was committed. False: there are not
 * so many of them. */
static bool leave_out_with_faults(enum fault fault, uint32_t at, uint32_t times, bool fails_files, bool starts_anew) {
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  WR_ASSERT(start_leaving_out(&f) == WEIR_OK);
  f.script.begins = at; /* so that each fault meets each kind of try */
  struct content before = f.script.durable;
  f.script.calls = 0;
  f.files.operations = 0;
  f.files.fail_code = WEIR_IO;
  f.files.fail_at = fails_files ? at : 0;
  f.files.fail_count = times;
  f.script.fail_at = fails_files ? 0 : at;
  f.script.fail_count = times;
  f.script.fault = fault;
  uint64_t counted = 0;
  enum weir_code code = commit_epoch(&f, 2, &already);
  bool has_failed = code != WEIR_OK;
  for (int i = 0; code != WEIR_OK && i < 6; i++) {
    WR_ASSERT(weir_code_is_transient(code));
    counted = f.rejected_rows;
    if (starts_anew) {
      f.store.start_number++;
      while (fixture_start(&f) != WEIR_OK)
        ;
    } else {
      f.target->vtable->close(f.target);
      if (f.target->vtable->connect(f.target, &f.error) != WEIR_OK) continue;
    }
    code = commit_epoch(&f, 2, &already);
  }
  WR_ASSERT(code == WEIR_OK);
  check_left_out(&f, 2, &before);
  WR_ASSERT(counted == 0);
  if (!already || !starts_anew) WR_ASSERT(f.rejected_rows == (uint64_t)__builtin_popcountll(left_out(&f, 2)));
  fixture_deinit(&f);
  return has_failed;
}

TEST(left_out_with_faults) {
  for (uint32_t times = 1; times <= 2; times++)
    for (int anew = 0; anew < 2; anew++)
      for (int fault = REFUSED; fault <= GONE_AFTER + 1; fault++) {
        bool fails_files = fault > GONE_AFTER;
        uint32_t at = 1, in_vain = 0; /* each fourth try leaves out nothing, and is shorter */
        for (; in_vain < 4; at++)
          in_vain = leave_out_with_faults(fails_files ? REFUSED : (enum fault)fault, at, times, fails_files, anew == 1)
                        ? 0
                        : in_vain + 1;
        CHECK(at > (fails_files ? 9 : 100));
      }
}

static void file_path(const struct fixture *f, const char *name, char out_path[160]) {
  snprintf(out_path, 160, "%s/%s", f->files.folder, name);
}

static bool has_file(const struct fixture *f, const char *name) {
  char path[160];
  file_path(f, name, path);
  return access(path, F_OK) == 0;
}

static void put_file(const struct fixture *f, const char *name, const char *text) {
  char path[160];
  file_path(f, name, path);
  FILE *file = fopen(path, "w");
  WR_ASSERT(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* As a run of the job, whose incarnation is this byte again and again, leaves it out of its epoch `id`. */
static void put_epoch_file(const struct fixture *f, uint64_t id, int run) {
  char name[64], text[160], hex[2 * WR_INCARNATION_BYTES + 1];
  for (int i = 0; i < WR_INCARNATION_BYTES; i++)
    snprintf(hex + 2 * i, 3, "%02x", run);
  snprintf(name, sizeof name, "dead-letter.sink.%" PRIu64 ".ndjson", id);
  snprintf(text, sizeof text, "{\"sink\":\"sink\",\"checkpoint\":%" PRIu64 ",\"incarnation\":\"%s\",\"op\":\"+I\"}\n",
           id, hex);
  put_file(f, name, text);
}

/* Epochs that were tried and are not committed: their checkpoint may be lost, and then nobody commits them any more,
 * while the marker goes past them. */
TEST(files_of_uncommitted_epochs_go_with_a_claim) {
  static const char *const partial[] = {"dead-letter.sink.2.ndjson.tmp", "dead-letter.sink.5.ndjson.tmp"};
  static const char *const others[] = {"dead-letter.ndjson",          "dead-letter.sink.7.ndjson.old",
                                       "dead-letter.sink.x.ndjson",   "dead-letter.other.7.ndjson",
                                       "dead-letter.sink.7.8.ndjson", "dead-letter.sink.-7.ndjson",
                                       "dead-letter.sink.ndjson.tmp", "dead-letter.sink.7",
                                       "dead-letter.sink2.7.ndjson",  "chk-7"};
  for (int leaves_out = 0; leaves_out < 2; leaves_out++) {
    struct fixture f;
    bool already = false;
    fixture_init(&f);
    CHECK_INT(start_leaving_out(&f), WEIR_OK);
    f.script.begins = 4; /* it leaves out some */
    CHECK_INT(commit_epoch(&f, 2, &already), WEIR_OK);
    struct content before = f.script.durable;
    CHECK(left_out(&f, 2) != 0);
    for (size_t i = 0; i < sizeof partial / sizeof partial[0]; i++)
      put_file(&f, partial[i], "{");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
      put_file(&f, others[i], "x");
    put_epoch_file(&f, 3, 7);
    put_epoch_file(&f, UINT64_MAX, 7);
    put_epoch_file(&f, 4, 8); /* from before a start with --fresh: the epoch may have been committed */
    f.store.start_number++;
    f.config.leaves_out = leaves_out == 1;
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK(memcmp(before.values, f.script.durable.values, sizeof before.values) == 0);
    CHECK(left_out(&f, 2) != 0);
    for (size_t i = 0; i < sizeof partial / sizeof partial[0]; i++)
      if (has_file(&f, partial[i])) TEST_FAIL("%s is still there", partial[i]);
    CHECK(!has_file(&f, "dead-letter.sink.3.ndjson"));
    CHECK(!has_file(&f, "dead-letter.sink.18446744073709551615.ndjson"));
    CHECK(has_file(&f, "dead-letter.sink.4.ndjson"));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
      if (!has_file(&f, others[i])) TEST_FAIL("%s is gone", others[i]);
    fixture_deinit(&f);
  }
}

/* What cannot be removed is an error of the claim, which is made once more. */
TEST(a_claim_that_cannot_remove_files) {
  enum { CLOSES = 4, LAST = 6 }; /* the list; open, read, close of the file, which say whose it is; removal; sync */
  for (uint32_t at = 1; at <= LAST; at++) {
    if (at == CLOSES) continue; /* nothing was written */
    struct fixture f;
    fixture_init(&f);
    CHECK_INT(start_leaving_out(&f), WEIR_OK);
    put_epoch_file(&f, 3, 7);
    f.store.start_number++;
    f.files.operations = 0;
    f.files.fail_code = WEIR_IO;
    f.files.fail_at = at;
    f.files.fail_count = 1;
    CHECK_INT(fixture_start(&f), WEIR_IO);
    CHECK_INT(f.script.durable.marker.start_number, f.store.start_number);
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK(!has_file(&f, "dead-letter.sink.3.ndjson"));
    fixture_deinit(&f);
  }
}

/* More than fits into memory at once; then a try of the same epoch that leaves nothing out. */
TEST(many_rows_are_left_out) {
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  f.config.mode = WR_SQL_INSERT;
  f.config.key_count = 0;
  CHECK_INT(start_leaving_out(&f), WEIR_OK);
  f.script.has_bad_keys = false;
  f.script.bad_key = 0;
  struct wr_batch *one = batch_of(&f, 1, 1);
  struct wr_epoch epoch = {.checkpoint_id = 2, .part_count = 4000, .completed = true};
  epoch.parts = wr_alloc_zeroed(&f.files.memory.memory, epoch.part_count, sizeof *epoch.parts, WR_MEMORY_SINK);
  for (uint32_t i = 0; i < epoch.part_count; i++)
    epoch.parts[i] = test_part_of(&f.files.memory.memory, 2, 0, one);
  f.script.calls = 0;
  f.script.fail_at = 4 + 2 * 2 * epoch.part_count; /* in the middle, when much is written */
  f.script.fail_count = 1;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_BUSY);
  f.script.fail_at = 0;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_OK);
  CHECK_INT(f.rejected_rows, 4000);
  CHECK_INT(f.script.durable.inserted, 40);
  char path[160];
  snprintf(path, sizeof path, "%s/dead-letter.sink.2.ndjson", f.files.folder);
  FILE *file = fopen(path, "r");
  int lines = 0;
  for (int c; file != NULL && (c = fgetc(file)) != EOF;)
    lines += c == '\n';
  fclose(file);
  CHECK_INT(lines, 4000);
  wr_batch_unref(one);
  test_epoch_deinit(&f.files.memory.memory, &epoch);
  fixture_deinit(&f);
}

/* Rows with NULL in their key: the schema of a key that can be NULL. */
TEST(null_keys_are_left_out) {
  const struct weir_schema nullable = {
      .fields = (const struct weir_field[]){{"k", WEIR_TYPE_BIGINT, true}, {"v", WEIR_TYPE_BIGINT, true}},
      .field_count = 2};
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  f.context.schema = &nullable;
  CHECK_INT(start_leaving_out(&f), WEIR_OK);
  f.script.has_bad_keys = false;
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &f.files.memory.memory, &nullable, true);
  for (int64_t i = 0; i < 6; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    if (i % 2 == 0)
      wr_batch_builder_set_bigint(&builder, 0, i);
    else
      WR_ASSERT(wr_batch_builder_set_null(&builder, 0, NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 1, 2);
    wr_batch_builder_end_row(&builder, i == 3 ? WEIR_UPDATE_BEFORE : WEIR_UPDATE_AFTER);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  struct wr_epoch epoch = test_epoch_of(&f.files.memory.memory, 2, batch);
  wr_batch_unref(batch);
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_OK);
  CHECK_INT(f.rejected_rows, 2);
  for (int64_t k = 0; k < 6; k++)
    CHECK_INT(f.script.durable.values[k], k % 2 == 0 ? 2 : k == 1 ? 77 : 1);
  f.config.leaves_out = false;
  fixture_start(&f);
  epoch.checkpoint_id = 3;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "NULL in its key") != NULL);
  test_epoch_deinit(&f.files.memory.memory, &epoch);
  fixture_deinit(&f);
}

TEST(rows_that_cannot_be_said) {
  struct fixture f;
  bool already = false;
  fixture_init(&f);
  f.config.mode = WR_SQL_INSERT;
  CHECK_INT(wr_sql_target_new(&f.config, &f.context, &f.target, &f.error), WEIR_INVALID);
  f.config.key_count = 0;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  f.config.mode = WR_SQL_UPSERT; /* so that the epoch has a deletion */
  struct wr_epoch epoch = epoch_of(&f, 1, 4);
  f.config.mode = WR_SQL_INSERT;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "only inserted into") != NULL);
  CHECK_INT(f.script.durable.inserted, 0);
  test_epoch_deinit(&f.files.memory.memory, &epoch);
  fixture_deinit(&f);
}

/* Every allocation of a start and a commit fails, once each; nothing leaks, and the next try is whole. */
TEST(no_memory) {
  enum weir_code code = WEIR_NO_MEMORY;
  for (uint64_t n = 1; code == WEIR_NO_MEMORY; n++) {
    struct fixture f;
    bool already = false;
    fixture_init(&f);
    f.config.mode = n % 2 == 0 ? WR_SQL_UPSERT : WR_SQL_INSERT;
    if (f.config.mode == WR_SQL_INSERT) f.config.key_count = 0;
    f.config.leaves_out = f.script.has_bad_keys = n % 4 >= 2;
    CHECK_INT(fixture_start(&f), WEIR_OK);
    struct wr_epoch epoch = epoch_of(&f, 1, 40);
    test_memory_fail_after(&f.files.memory, n, false);
    code = f.target->vtable->commit(f.target, &epoch, &already, &f.error);
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
    CHECK_INT(f.script.durable.marker.checkpoint_id, code == WEIR_OK ? 1 : 0);
    test_epoch_deinit(&f.files.memory.memory, &epoch);
    CHECK_INT(commit_epoch(&f, 2, &already), WEIR_OK);
    CHECK_INT(f.script.durable.marker.checkpoint_id, 2);
    fixture_deinit(&f);
  }
  code = WEIR_NO_MEMORY;
  for (uint64_t n = 1; code == WEIR_NO_MEMORY; n++) {
    struct fixture f;
    fixture_init(&f);
    test_memory_fail_after(&f.files.memory, n, false);
    code = fixture_start(&f);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
    fixture_deinit(&f);
  }
}

/* ---- plain ---- */

/* Each call of a plain sink's life fails in each way: its rows are in at least once, and without any marker. */
TEST(plain_rows) {
  for (int fault = REFUSED; fault <= GONE_AFTER; fault++)
    for (uint32_t at = 0; at < 12; at++) {
      struct fixture f;
      struct wr_plain_target *plain = NULL;
      fixture_init(&f);
      f.config.mode = WR_SQL_INSERT;
      f.config.key_count = 0;
      f.script.fault = (enum fault)fault;
      f.script.fail_at = at;
      f.script.fail_count = 1;
      CHECK_INT(wr_sql_plain_new(&f.config, &f.context, &plain, &f.error), WEIR_OK);
      struct wr_batch *batch = batch_of(&f, 1, 40);
      uint32_t failures = 0;
      while (plain->vtable->connect(plain, &f.error) != WEIR_OK && failures < 3)
        failures++;
      for (int i = 0; i < 2; i++)
        while (plain->vtable->write(plain, &batch, 1, &f.error) != WEIR_OK && failures < 3) {
          CHECK(weir_code_is_transient(f.error.code));
          failures++;
        }
      CHECK(failures <= 1);
      CHECK(f.script.durable.inserted == 80 || (f.script.durable.inserted == 120 && fault == GONE_AFTER));
      CHECK(!f.script.durable.marker.present);
      f.script.bad_key = 23;
      f.script.fail_at = 0;
      uint32_t inserted = f.script.durable.inserted;
      CHECK_INT(plain->vtable->write(plain, &batch, 1, &f.error), WEIR_CONSTRAINT);
      CHECK(strstr(f.error.message, "the row with k = 23") != NULL);
      CHECK_INT(f.script.durable.inserted, inserted);
      wr_batch_unref(batch);
      plain->vtable->close(plain);
      plain->vtable->free(plain);
      fixture_deinit(&f);
    }
}

TEST(plain_no_memory) {
  enum weir_code code = WEIR_NO_MEMORY;
  for (uint64_t n = 1; code == WEIR_NO_MEMORY; n++) {
    struct fixture f;
    struct wr_plain_target *plain = NULL;
    fixture_init(&f);
    struct wr_batch *batch = batch_of(&f, 1, 40);
    test_memory_fail_after(&f.files.memory, n, false);
    code = wr_sql_plain_new(&f.config, &f.context, &plain, &f.error);
    if (code == WEIR_OK) code = plain->vtable->write(plain, &batch, 1, &f.error);
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
    wr_batch_unref(batch);
    if (plain != NULL) plain->vtable->free(plain);
    fixture_deinit(&f);
  }
}

TEST_MAIN(TEST_CASE(every_call_fails), TEST_CASE(a_lost_answer), TEST_CASE(an_idle_session_goes_away),
          TEST_CASE(others_at_the_marker), TEST_CASE(a_claim_compares),
          TEST_CASE(a_claim_of_an_earlier_start_comes_late), TEST_CASE(a_bad_row), TEST_CASE(rows_are_left_out),
          TEST_CASE(left_out_with_faults), TEST_CASE(files_of_uncommitted_epochs_go_with_a_claim),
          TEST_CASE(a_claim_that_cannot_remove_files), TEST_CASE(many_rows_are_left_out),
          TEST_CASE(null_keys_are_left_out), TEST_CASE(rows_that_cannot_be_said), TEST_CASE(no_memory),
          TEST_CASE(plain_rows), TEST_CASE(plain_no_memory))
