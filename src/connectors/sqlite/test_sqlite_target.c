/* connectors/sqlite/test_sqlite_target.c: the SQLite target against the real library and a real file: markers, claims,
 * commits, what is refused, and with which sentence. */
#include "base/test.h"
#include "connectors/sqlite/sqlite_target.h"

#include "connectors/sqlite/sqlite_table.h"
#include "operators/test_parts.h"
#include "store/test_files.h"

#include <sqlite3.h>

static const struct weir_schema pv_schema = {
    .fields = (const struct weir_field[]){{"app_id", WEIR_TYPE_STRING, false}, {"pv", WEIR_TYPE_BIGINT, true}},
    .field_count = 2};
static const uint32_t pv_key[] = {0};

/* A target with all that it stands on. */
struct fixture {
  struct test_files files;
  struct wr_posix_files posix;
  struct wr_store store;
  char path[128];
  struct wr_sqlite_config config;
  struct wr_target_context context;
  struct wr_target *target;
  struct weir_error error;
};

static void no_adopt(struct wr_calls *calls, void *handle, void (*release)(void *handle)) {
  (void)calls;
  (void)handle;
  (void)release;
}
static void no_disown(struct wr_calls *calls, void *handle) {
  (void)calls;
  (void)handle;
}

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->files.calls.adopt = no_adopt;
  f->files.calls.disown = no_disown;
  f->store = (struct wr_store){.seams = &f->files.seams, .folder = f->files.folder, .start_number = 1};
  memset(f->store.incarnation, 7, sizeof f->store.incarnation);
  snprintf(f->path, sizeof f->path, "%s/out.db", f->files.folder);
  f->config = (struct wr_sqlite_config){
      .path = f->path, .table = "pv", .mode = WR_SQLITE_UPSERT, .key_fields = pv_key, .key_count = 1};
  f->context = (struct wr_target_context){.seams = &f->files.seams,
                                          .memory = &f->files.memory.memory,
                                          .store = &f->store,
                                          .job_name = "job",
                                          .uid = "sink",
                                          .schema = &pv_schema};
}

static enum weir_code fixture_new(struct fixture *f) {
  return wr_sqlite_target_new(&f->config, &f->context, &f->target, &f->error);
}
static enum weir_code fixture_connect(struct fixture *f) {
  return f->target->vtable->connect(f->target, &f->error);
}
/* From new to claimed, as the job does it. */
static enum weir_code fixture_start(struct fixture *f) {
  struct wr_marker seen;
  WR_TRY(fixture_new(f));
  WR_TRY(fixture_connect(f));
  WR_TRY(f->target->vtable->read_marker(f->target, &seen, &f->error));
  return f->target->vtable->claim(f->target, &seen, seen.present ? seen.checkpoint_id : 0, &f->error);
}
static void fixture_stop(struct fixture *f) {
  if (f->target != NULL) f->target->vtable->free(f->target);
  f->target = NULL;
}
static void fixture_deinit(struct fixture *f) {
  fixture_stop(f);
  test_files_deinit(&f->files);
}

struct row {
  const char *app;
  int64_t pv;
  enum weir_row_kind kind;
};

static enum weir_code fixture_commit(struct fixture *f, uint64_t id, const struct row *rows, size_t count,
                                     bool *out_already) {
  struct wr_memory *memory = &f->files.memory.memory;
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &pv_schema, true);
  for (size_t i = 0; i < count; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, rows[i].app, strlen(rows[i].app), NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 1, rows[i].pv);
    wr_batch_builder_end_row(&builder, rows[i].kind);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  struct wr_epoch epoch = test_epoch_of(memory, id, batch);
  enum weir_code code = f->target->vtable->commit(f->target, &epoch, out_already, &f->error);
  test_epoch_deinit(memory, &epoch);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  return code;
}

/* The first column of the first row of a query, or "none". */
static const char *ask(const char *path, const char *sql) {
  static char text[256];
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  snprintf(text, sizeof text, "none");
  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
      sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
    if (sqlite3_step(statement) == SQLITE_ROW) snprintf(text, sizeof text, "%s", sqlite3_column_text(statement, 0));
  } else {
    snprintf(text, sizeof text, "%s", sqlite3_errmsg(db));
  }
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return text;
}

TEST(commits_once) {
  struct fixture f;
  bool already = true;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  const struct row first[] = {{"a", 1, WEIR_INSERT},
                              {"b", 1, WEIR_INSERT},
                              {"a", 1, WEIR_UPDATE_BEFORE},
                              {"a", 2, WEIR_UPDATE_AFTER},
                              {"a long name, out of line", 7, WEIR_INSERT}};
  CHECK_INT(fixture_commit(&f, 5, first, 5, &already), WEIR_OK);
  CHECK(!already);
  CHECK_STRING(ask(f.path, "SELECT group_concat(app_id || '=' || pv, ' ') FROM (SELECT * FROM pv ORDER BY app_id)"),
               "a=2 a long name, out of line=7 b=1");
  const struct row second[] = {{"a", 9, WEIR_UPDATE_AFTER}, {"b", 1, WEIR_DELETE}};
  CHECK_INT(fixture_commit(&f, 5, second, 2, &already), WEIR_OK);
  CHECK(already);
  CHECK_INT(fixture_commit(&f, 4, second, 2, &already), WEIR_OK);
  CHECK(already);
  CHECK_STRING(ask(f.path, "SELECT pv FROM pv WHERE app_id = 'a'"), "2");
  CHECK_INT(fixture_commit(&f, 6, second, 2, &already), WEIR_OK);
  CHECK(!already);
  CHECK_STRING(ask(f.path, "SELECT group_concat(app_id || '=' || pv, ' ') FROM (SELECT * FROM pv ORDER BY app_id)"),
               "a=9 a long name, out of line=7");
  CHECK_STRING(ask(f.path, "SELECT start || ' ' || checkpoint FROM weir_marker"), "1 6");
  CHECK_STRING(ask(f.path, "SELECT sql FROM sqlite_master WHERE name = 'pv'"),
               "CREATE TABLE \"pv\"(\"app_id\" TEXT PRIMARY KEY, \"pv\" INTEGER)");
  CHECK_STRING(ask(f.path, "PRAGMA journal_mode"), "wal");
  fixture_stop(&f);
  CHECK_INT(f.files.memory.living_count, 0);
  fixture_deinit(&f);
}

/* Counts of rows around those that one statement takes, with deletes between them. */
static void commit_many(enum wr_sqlite_mode mode, size_t count) {
  static char names[200][32];
  struct row rows[200] = {{NULL, 0, WEIR_INSERT}};
  struct fixture f;
  char expected[100];
  bool already;
  size_t left = 0, sum = 0;
  fixture_init(&f);
  f.config.mode = mode;
  f.config.key_count = mode == WR_SQLITE_UPSERT ? 1 : 0;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  for (size_t i = 0; i < count; i++) {
    snprintf(names[i], sizeof names[i], i % 2 == 0 ? "%zu" : "a name that is out of line %zu", i);
    rows[i] = (struct row){names[i], (int64_t)i, WEIR_INSERT};
  }
  CHECK_INT(fixture_commit(&f, 1, rows, count, &already), WEIR_OK);
  for (size_t i = 0; i < count; i++) {
    bool is_deleted = mode == WR_SQLITE_UPSERT && i % 5 == 3;
    rows[i] = (struct row){names[i], (int64_t)i + 1000, is_deleted ? WEIR_DELETE : WEIR_UPDATE_AFTER};
    left += !is_deleted;
    sum += is_deleted ? 0 : i + 1000;
    if (mode == WR_SQLITE_INSERT) left++, sum += i;
  }
  CHECK_INT(fixture_commit(&f, 2, rows, count, &already), WEIR_OK);
  snprintf(expected, sizeof expected, "%zu %zu", left, sum);
  CHECK_STRING(ask(f.path, "SELECT count(*) || ' ' || sum(pv) FROM pv"), expected);
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM pv WHERE pv % 1000 != "
                           "CAST(replace(app_id, 'a name that is out of line ', '') AS INTEGER)"),
               "0");
  fixture_stop(&f);
  CHECK_INT(f.files.memory.living_count, 0);
  fixture_deinit(&f);
}

TEST(many_rows_share_statements) {
  static const size_t counts[] = {1, WR_SQLITE_ROWS_MAX - 1, WR_SQLITE_ROWS_MAX, WR_SQLITE_ROWS_MAX + 1, 200};
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    commit_many(WR_SQLITE_UPSERT, counts[i]);
    commit_many(WR_SQLITE_INSERT, counts[i]);
  }
}

TEST(a_later_start_fences) {
  struct fixture old, new;
  bool already;
  fixture_init(&old);
  CHECK_INT(fixture_start(&old), WEIR_OK);
  const struct row rows[] = {{"a", 1, WEIR_INSERT}};
  CHECK_INT(fixture_commit(&old, 1, rows, 1, &already), WEIR_OK);
  fixture_init(&new);
  memcpy(new.path, old.path, sizeof new.path);
  new.store.start_number = 2;
  CHECK_INT(fixture_start(&new), WEIR_OK);
  CHECK_INT(fixture_commit(&old, 2, rows, 1, &already), WEIR_FENCED);
  CHECK_STRING(ask(new.path, "SELECT start || ' ' || checkpoint FROM weir_marker"), "2 1");
  /* And an older start cannot claim. */
  fixture_stop(&old);
  CHECK_INT(fixture_start(&old), WEIR_FENCED);
  CHECK(strstr(old.error.message, "start 2 of job \"job\" has taken over") != NULL);
  fixture_deinit(&new);
  fixture_deinit(&old);
}

TEST(a_claim_compares) {
  struct fixture f, other;
  fixture_init(&f);
  CHECK_INT(fixture_new(&f), WEIR_OK);
  CHECK_INT(fixture_connect(&f), WEIR_OK);
  struct wr_marker seen;
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK(!seen.present);
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM sqlite_master"), "0");
  fixture_init(&other);
  memcpy(other.path, f.path, sizeof f.path);
  memset(other.store.incarnation, 9, sizeof other.store.incarnation);
  CHECK_INT(fixture_start(&other), WEIR_OK);
  /* Somebody came in between. */
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 0, &f.error), WEIR_FENCED);
  /* With what is there now it works, twice: the first answer may have got lost. */
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK(seen.present && seen.incarnation[0] == 9);
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 3, &f.error), WEIR_OK);
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 3, &f.error), WEIR_OK);
  CHECK_STRING(ask(f.path, "SELECT start || ' ' || checkpoint || ' ' || hex(incarnation) FROM weir_marker"),
               "1 3 07070707070707070707070707070707");
  fixture_deinit(&other);
  fixture_deinit(&f);
}

TEST(bad_targets) {
  struct fixture f;
  char text[256];
  fixture_init(&f);
  snprintf(f.path, sizeof f.path, "%s/nowhere/out.db", f.files.folder);
  CHECK_INT(fixture_start(&f), WEIR_NOT_FOUND);
  CHECK(strstr(f.error.message, "there is no folder") != NULL);
  fixture_stop(&f);
  snprintf(f.path, sizeof f.path, "%s", f.files.folder);
  CHECK_INT(fixture_start(&f), WEIR_NOT_FOUND);
  CHECK(strstr(f.error.message, "is a folder") != NULL);
  fixture_stop(&f);
  snprintf(f.path, sizeof f.path, "%s/out.db", f.files.folder);
  FILE *file = fopen(f.path, "w");
  CHECK(file != NULL);
  fputs("this is a text and no database", file);
  fclose(file);
  CHECK_INT(fixture_start(&f), WEIR_NOT_FOUND);
  CHECK(strstr(f.error.message, "is not an SQLite database") != NULL);
  CHECK_INT(weir_code_exit(f.error.code), 4);
  fixture_stop(&f);
  remove(f.path);
  ask(f.path, "CREATE TABLE pv(app_id TEXT PRIMARY KEY)");
  CHECK_INT(fixture_start(&f), WEIR_CONSTRAINT);
  snprintf(text, sizeof text, "table \"pv\" in %s has no column \"pv\"", f.path);
  CHECK(strstr(f.error.message, text) != NULL);
  /* And nothing was made. */
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM sqlite_master WHERE name = 'weir_marker'"), "0");
  fixture_stop(&f);
  remove(f.path);
  ask(f.path, "CREATE TABLE pv(app_id TEXT, pv INTEGER)");
  CHECK_INT(fixture_start(&f), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "ON CONFLICT clause does not match") != NULL);
  fixture_deinit(&f);
}

TEST(bad_configs) {
  struct fixture f;
  fixture_init(&f);
  f.config.table = "WEIR_MARKER";
  CHECK_INT(fixture_new(&f), WEIR_INVALID);
  f.config.table = "";
  CHECK_INT(fixture_new(&f), WEIR_INVALID);
  f.config.table = "pv";
  f.config.key_count = 0;
  CHECK_INT(fixture_new(&f), WEIR_INVALID);
  fixture_deinit(&f);
}

TEST(replaced_while_it_runs) {
  struct fixture f;
  char other[160];
  bool already;
  const struct row rows[] = {{"a", 1, WEIR_INSERT}};
  fixture_init(&f);
  snprintf(other, sizeof other, "%s.old", f.path);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 1, rows, 1, &already), WEIR_OK);
  CHECK_INT(rename(f.path, other), 0);
  CHECK_INT(fixture_commit(&f, 2, rows, 1, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "was removed while the job runs") != NULL);
  CHECK_STRING(ask(f.path, "SELECT 1"), "1");
  ask(f.path, "CREATE TABLE x(y)");
  CHECK_INT(fixture_commit(&f, 2, rows, 1, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "was replaced while the job runs") != NULL);
  CHECK_INT(weir_code_exit(f.error.code), 3);
  /* A new connection does not fall for it either. */
  CHECK_INT(fixture_connect(&f), WEIR_REFUSED);
  fixture_deinit(&f);
}

TEST(emptied_while_it_runs) {
  struct fixture f;
  bool already;
  const struct row rows[] = {{"a", 1, WEIR_INSERT}};
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 1, rows, 1, &already), WEIR_OK);
  ask(f.path, "DELETE FROM weir_marker");
  CHECK_INT(fixture_commit(&f, 2, rows, 1, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "is gone") != NULL);
  ask(f.path, "DROP TABLE weir_marker");
  CHECK_INT(fixture_connect(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 2, rows, 1, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "has no table weir_marker any more") != NULL);
  fixture_deinit(&f);
}

TEST(busy_is_transient) {
  struct fixture f;
  bool already;
  const struct row rows[] = {{"a", 1, WEIR_INSERT}};
  sqlite3 *other = NULL;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(sqlite3_open(f.path, &other), SQLITE_OK);
  CHECK_INT(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  CHECK_INT(fixture_commit(&f, 1, rows, 1, &already), WEIR_BUSY);
  CHECK(weir_code_is_transient(WEIR_BUSY));
  CHECK_INT(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(other);
  CHECK_INT(fixture_commit(&f, 1, rows, 1, &already), WEIR_OK);
  CHECK_STRING(ask(f.path, "SELECT pv FROM pv"), "1");
  fixture_deinit(&f);
}

TEST(insert_mode) {
  struct fixture f;
  bool already;
  const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"a", 1, WEIR_INSERT}, {"b", 2, WEIR_UPDATE_AFTER}};
  const struct row taken_back[] = {{"c", 1, WEIR_INSERT}, {"a", 1, WEIR_DELETE}};
  fixture_init(&f);
  f.config.mode = WR_SQLITE_INSERT;
  f.config.key_count = 0;
  f.config.table = "a \"quoted\" table";
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 1, rows, 3, &already), WEIR_OK);
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM \"a \"\"quoted\"\" table\""), "3");
  CHECK_INT(fixture_commit(&f, 2, taken_back, 2, &already), WEIR_CONSTRAINT);
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM \"a \"\"quoted\"\" table\""), "3");
  CHECK_STRING(ask(f.path, "SELECT checkpoint FROM weir_marker"), "1");
  fixture_stop(&f);
  /* A constraint of the user's own. */
  ask(f.path, "CREATE TABLE once(app_id TEXT UNIQUE, pv INTEGER)");
  f.config.table = "once";
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(fixture_commit(&f, 3, rows, 3, &already), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "UNIQUE constraint failed: once.app_id") != NULL);
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM once"), "0");
  fixture_deinit(&f);
}

static const struct weir_schema all_schema = {.fields = (const struct weir_field[]){{"o", WEIR_TYPE_BOOLEAN, true},
                                                                                    {"i", WEIR_TYPE_INT, true},
                                                                                    {"b", WEIR_TYPE_BIGINT, true},
                                                                                    {"d", WEIR_TYPE_DOUBLE, true},
                                                                                    {"s", WEIR_TYPE_STRING, true},
                                                                                    {"y", WEIR_TYPE_BYTES, true},
                                                                                    {"t", WEIR_TYPE_TIMESTAMP, true}},
                                              .field_count = 7};

/* All types, NULLs, and a time before 1970. */
TEST(types) {
  struct fixture f;
  bool already;
  fixture_init(&f);
  f.config.mode = WR_SQLITE_INSERT;
  f.config.key_count = 0;
  f.context.schema = &all_schema;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  struct wr_memory *memory = &f.files.memory.memory;
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &all_schema, false);
  CHECK_INT(wr_batch_builder_begin(&builder, NULL), WEIR_OK);
  wr_batch_builder_set_boolean(&builder, 0, true);
  wr_batch_builder_set_int(&builder, 1, -5);
  wr_batch_builder_set_bigint(&builder, 2, INT64_MIN);
  wr_batch_builder_set_double(&builder, 3, 0.5);
  CHECK_INT(wr_batch_builder_set_bytes(&builder, 4, "h\xc3\xa9", 3, NULL), WEIR_OK);
  CHECK_INT(wr_batch_builder_set_bytes(&builder, 5, "\0\1", 2, NULL), WEIR_OK);
  wr_batch_builder_set_timestamp(&builder, 6, (struct weir_timestamp){-1, 999999, 0});
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  wr_batch_builder_set_timestamp(&builder, 6, (struct weir_timestamp){951782400123, 4, 0});
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  struct wr_epoch epoch = test_epoch_of(memory, 1, batch);
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_OK);
  test_epoch_deinit(memory, &epoch);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_STRING(ask(f.path, "SELECT o || i || b || d || s || hex(y) || t FROM pv WHERE o = 1"),
               "1-5-92233720368547758080.5h\xc3\xa9"
               "00011969-12-31 23:59:59.999999999");
  CHECK_STRING(ask(f.path, "SELECT o IS NULL AND i IS NULL AND b IS NULL AND d IS NULL AND s IS NULL AND y IS NULL "
                           "AND t = '2000-02-29 00:00:00.123000004' FROM pv WHERE o IS NULL"),
               "1");
  fixture_deinit(&f);
}

/* A damaged part is found, and nothing of its epoch is written. */
TEST(damaged_part) {
  struct fixture f;
  bool already;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  struct wr_memory *memory = &f.files.memory.memory;
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &pv_schema, false);
  CHECK_INT(wr_batch_builder_begin(&builder, NULL), WEIR_OK);
  CHECK_INT(wr_batch_builder_set_bytes(&builder, 0, "a", 1, NULL), WEIR_OK);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  struct wr_epoch epoch = test_epoch_of(memory, 1, batch);
  epoch.parts[0].handle.inline_bytes[5] ^= 1;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_CORRUPT);
  epoch.parts[0].handle.inline_bytes[5] ^= 1;
  epoch.parts[0].row_count = 2;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_CORRUPT);
  CHECK(strstr(f.error.message, "holds 1 rows, not 2") != NULL);
  CHECK_STRING(ask(f.path, "SELECT count(*) FROM pv"), "0");
  epoch.parts[0].row_count = 1;
  CHECK_INT(f.target->vtable->commit(f.target, &epoch, &already, &f.error), WEIR_OK);
  test_epoch_deinit(memory, &epoch);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  fixture_deinit(&f);
}

/* Every allocation of a start and a commit fails, once each; nothing leaks, and the next try is whole. */
TEST(no_memory) {
  struct fixture f;
  bool already;
  const struct row rows[] = {{"a", 1, WEIR_INSERT}, {"b", 2, WEIR_INSERT}};
  uint64_t n = 0;
  enum weir_code code = WEIR_NO_MEMORY;
  while (code == WEIR_NO_MEMORY) {
    fixture_init(&f);
    CHECK_INT(fixture_start(&f), WEIR_OK);
    struct wr_memory *memory = &f.files.memory.memory;
    struct wr_batch_builder builder;
    wr_batch_builder_init(&builder, memory, &pv_schema, false);
    CHECK_INT(wr_batch_builder_begin(&builder, NULL), WEIR_OK);
    CHECK_INT(wr_batch_builder_set_bytes(&builder, 0, "a", 1, NULL), WEIR_OK);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
    struct wr_batch *batch = wr_batch_builder_take(&builder);
    struct wr_epoch epoch = test_epoch_of(memory, 1, batch);
    test_memory_fail_after(&f.files.memory, ++n, false);
    code = f.target->vtable->commit(f.target, &epoch, &already, &f.error);
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
    if (code == WEIR_NO_MEMORY) CHECK_STRING(ask(f.path, "SELECT count(*) FROM pv"), "0");
    test_epoch_deinit(memory, &epoch);
    wr_batch_unref(batch);
    wr_batch_builder_deinit(&builder);
    CHECK_INT(fixture_commit(&f, 2, rows, 2, &already), WEIR_OK);
    CHECK_STRING(ask(f.path, "SELECT sum(pv) FROM pv"), "3");
    fixture_stop(&f);
    CHECK_INT(f.files.memory.living_count, 0);
    fixture_deinit(&f);
  }
  CHECK(n > 5);
  n = 0;
  code = WEIR_NO_MEMORY;
  while (code == WEIR_NO_MEMORY) {
    fixture_init(&f);
    test_memory_fail_after(&f.files.memory, ++n, false);
    code = fixture_start(&f);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
    fixture_stop(&f);
    CHECK_INT(f.files.memory.living_count, 0);
    fixture_deinit(&f);
  }
  CHECK(n > 1);
}

TEST_MAIN(TEST_CASE(commits_once), TEST_CASE(many_rows_share_statements), TEST_CASE(a_later_start_fences),
          TEST_CASE(a_claim_compares), TEST_CASE(bad_targets), TEST_CASE(bad_configs),
          TEST_CASE(replaced_while_it_runs), TEST_CASE(emptied_while_it_runs), TEST_CASE(busy_is_transient),
          TEST_CASE(insert_mode), TEST_CASE(types), TEST_CASE(damaged_part), TEST_CASE(no_memory))
