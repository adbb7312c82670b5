/* Tests of SQLite on the simulated disk: transactions in WAL mode survive crashes at any file operation. */
#include "base/test.h"
#include "sim/sim_disk.h"

#include <sqlite3.h>

static const char PATH[] = "/db/result.db";

/* A program that counts up in one row, one transaction each, and fills a second table beside it. */
struct counter {
  struct sim_world *world;
  struct wr_call call;
  uint64_t transactions; /* to do */
  int64_t acknowledged;  /* the highest value whose COMMIT returned OK */
  int64_t asked;         /* the highest value that COMMIT was asked for */
  int code;              /* the last of SQLite's */
  bool careless;         /* synchronous=OFF */
};

static void release_connection(void *handle) {
  sqlite3_stmt *statement;
  while ((statement = sqlite3_next_stmt(handle, NULL)) != NULL)
    sqlite3_finalize(statement);
  sqlite3_close_v2(handle);
}

static int execute(sqlite3 *connection, const char *text) {
  return sqlite3_exec(connection, text, NULL, NULL, NULL);
}

static int one_number(sqlite3 *connection, const char *text, int64_t *out_number) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(connection, text, -1, &statement, NULL);
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  if (code == SQLITE_ROW) *out_number = sqlite3_column_int64(statement, 0);
  int end = sqlite3_finalize(statement);
  return code == SQLITE_ROW ? SQLITE_OK : end == SQLITE_OK ? SQLITE_NOTFOUND : end;
}

static int connection_open(struct sim_world *world, const char *path, sqlite3 **out_connection) {
  int code = sqlite3_open_v2(path, out_connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                             sim_world_seams(world)->sqlite_vfs);
  if (code == SQLITE_OK) {
    struct wr_calls *calls = sim_world_seams(world)->calls;
    calls->adopt(calls, *out_connection, release_connection);
    sqlite3_busy_timeout(*out_connection, 5000);
  } else {
    sqlite3_close_v2(*out_connection);
    *out_connection = NULL;
  }
  return code;
}

static void connection_close(struct sim_world *world, sqlite3 *connection) {
  struct wr_calls *calls = sim_world_seams(world)->calls;
  calls->disown(calls, connection);
  release_connection(connection);
}

static int setup(sqlite3 *connection) {
  int code = execute(connection, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=20;");
  if (code != SQLITE_OK) return code;
  return execute(connection, "BEGIN IMMEDIATE;"
                             "CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY, value INTEGER);"
                             "CREATE TABLE IF NOT EXISTS rows(value INTEGER, text TEXT);"
                             "INSERT INTO counter SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM counter);"
                             "COMMIT;");
}

static int count_up(sqlite3 *connection, struct counter *counter) {
  int64_t value;
  int code = execute(connection, "BEGIN IMMEDIATE; UPDATE counter SET value = value + 1;");
  if (code == SQLITE_OK)
    code = execute(connection, "INSERT INTO rows SELECT value, hex(randomblob(abs(random()) % 3000)) FROM counter;");
  if (code == SQLITE_OK) code = execute(connection, "UPDATE rows SET text = text || 'x' WHERE value % 7 = 0");
  if (code == SQLITE_OK) code = one_number(connection, "SELECT value FROM counter", &value);
  if (code == SQLITE_OK) {
    counter->asked = value;
    code = execute(connection, "COMMIT");
    if (code == SQLITE_OK) counter->acknowledged = value;
  }
  if (code != SQLITE_OK && !sqlite3_get_autocommit(connection)) execute(connection, "ROLLBACK");
  return code;
}

static void counter_run(void *context) {
  struct counter *counter = context;
  sqlite3 *connection;
  counter->code = connection_open(counter->world, PATH, &connection);
  if (counter->code != SQLITE_OK) return;
  counter->code = setup(connection);
  if (counter->careless) execute(connection, "PRAGMA synchronous=OFF");
  for (uint64_t i = 0; i < counter->transactions && counter->code == SQLITE_OK; i++)
    counter->code = count_up(connection, counter);
  connection_close(counter->world, connection);
}

/* The value in the file; -1 where there is no table yet. Checks that all transactions are whole. */
static void check_file(struct sim_world *world, int64_t acknowledged, int64_t asked, int64_t *out_value) {
  sqlite3 *connection;
  CHECK_INT(connection_open(world, PATH, &connection), SQLITE_OK);
  sqlite3_stmt *statement;
  CHECK_INT(sqlite3_prepare_v2(connection, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
  CHECK_INT(sqlite3_step(statement), SQLITE_ROW);
  CHECK_STRING((const char *)sqlite3_column_text(statement, 0), "ok");
  sqlite3_finalize(statement);
  int64_t value = 0, rows = 0, highest = 0;
  if (one_number(connection, "SELECT value FROM counter", &value) == SQLITE_OK) {
    CHECK_INT(one_number(connection, "SELECT count(*) FROM rows", &rows), SQLITE_OK);
    CHECK_INT(one_number(connection, "SELECT coalesce(max(value), 0) FROM rows", &highest), SQLITE_OK);
  }
  CHECK_INT(rows, value);
  CHECK_INT(highest, value);
  if (value < acknowledged || value > asked)
    TEST_FAIL("the file has %" PRId64 ", acknowledged was %" PRId64 ", asked %" PRId64, value, acknowledged, asked);
  *out_value = value;
  connection_close(world, connection);
}

/* One run of the program up to a crash; what it was acknowledged and asked for goes on from the run before. */
static void crash_once(struct sim_world *world, struct counter *counter, bool faults) {
  struct wr_random *random = sim_world_random(world);
  enum sim_crash_side side = wr_random_one_in(random, 2) ? SIM_CRASH_BEFORE : SIM_CRASH_AFTER;
  sim_disk_crash_at(world, 1 + wr_random_below(random, wr_random_one_in(random, 3) ? 40 : 500), side);
  bool ended = sim_world_run(world, counter_run, counter);
  if (ended && !faults) CHECK_INT(counter->code, SQLITE_OK);
}

/* Crashes again and again at random file operations, also while SQLite recovers, mostly without a look in between (for
 * who looks also recovers). Returns the trace. */
static uint64_t crash_run(uint64_t seed, int crashes, const struct sim_fault_plan *plan) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed});
  struct wr_random *random = sim_world_random(world);
  sim_disk_make_folders(world, "/db");
  if (plan != NULL) *sim_world_faults(world) = *plan;
  struct counter counter = {.world = world, .transactions = 30};
  for (int i = 0; i < crashes && !test_failed; i++) {
    crash_once(world, &counter, plan != NULL);
    sim_world_kill(world, wr_random_one_in(random, 2) ? SIM_KILL_PROCESS : SIM_KILL_POWER);
    if (sim_disk_open_files(world) != 0) test_failed = true;
    if (i + 1 < crashes && !wr_random_one_in(random, 3)) continue;
    int64_t value = 0;
    check_file(world, counter.acknowledged, counter.asked, &value);
    /* Not asked = value: a COMMIT that failed can be in a log that was removed, and the removal can be lost. */
    counter.acknowledged = value;
    sim_world_trace(world, "crash %d leaves %" PRId64, i, value);
  }
  uint64_t hash = sim_world_trace_hash(world);
  sim_world_kill(world, SIM_KILL_PROCESS); /* a failed check leaves its connection */
  sim_world_free(world);
  return hash;
}

TEST(transactions_survive_crashes) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < 100; i++) {
    crash_run(seed + i, 12, NULL);
    if (test_failed) TEST_FAIL("run of seed %" PRIu64, seed + i);
  }
}

TEST(transactions_survive_crashes_and_faults) {
  uint64_t seed = test_seed();
  struct sim_fault_plan plan = {
      .rule_count = 1, .slow_ns_max = 20000000, .slow_sync_ns_max = 200000000, .no_space_ns_max = 50000000};
  snprintf(plan.rules[0].prefix, sizeof plan.rules[0].prefix, "/db/");
  for (int kind = 0; kind <= SIM_FAULT_SLOW_SYNC; kind++)
    plan.rules[0].one_in[kind] = 200;
  plan.rules[0].one_in[SIM_FAULT_SHORT_WRITE] = 10;
  for (uint64_t i = 0; i < 60; i++) {
    crash_run(seed + i, 8, &plan);
    if (test_failed) TEST_FAIL("run of seed %" PRIu64, seed + i);
  }
}

/* The disk must be able to show the loss. */
TEST(transactions_without_sync_are_lost) {
  uint64_t seed = test_seed(), lost = 0, broken = 0;
  for (uint64_t i = 0; i < 100; i++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed + i});
    sim_disk_make_folders(world, "/db");
    struct counter counter = {.world = world, .transactions = 30, .careless = true};
    sim_disk_crash_at(world, 200, SIM_CRASH_BEFORE);
    CHECK(!sim_world_run(world, counter_run, &counter));
    CHECK(counter.acknowledged > 0);
    sim_world_kill(world, SIM_KILL_POWER);
    sqlite3 *connection;
    CHECK_INT(connection_open(world, PATH, &connection), SQLITE_OK);
    int64_t value = 0;
    int code = one_number(connection, "SELECT value FROM counter", &value);
    broken += code != SQLITE_OK;
    lost += code == SQLITE_OK && value < counter.acknowledged;
    connection_close(world, connection);
    sim_world_free(world);
  }
  CHECK(lost > 20);
  CHECK(broken < 100);
}

TEST(same_seed_same_trace) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < 10; i++) {
    uint64_t first = crash_run(seed + i, 4, NULL);
    void *shift = malloc(100000 + 64 * i); /* other addresses the second time */
    uint64_t second = crash_run(seed + i, 4, NULL);
    free(shift);
    CHECK(first == second);
    CHECK(first != crash_run(seed + i + 1000, 4, NULL));
  }
  CHECK_PASSED();
}

/* ---- two connections at once ---- */

static void counter_call_run(struct wr_call *call) {
  counter_run((char *)call - offsetof(struct counter, call));
}

TEST(connections_share_one_file) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 20; round++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed + round});
    struct wr_calls *calls = sim_world_seams(world)->calls;
    sim_disk_make_folders(world, "/db");
    struct counter first = {.world = world};
    CHECK(sim_world_run(world, counter_run, &first));
    CHECK_INT(first.code, SQLITE_OK);
    struct counter counters[3];
    for (int i = 0; i < 3; i++) {
      counters[i] = (struct counter){.world = world, .call = {.run = counter_call_run}, .transactions = 10};
      wr_call_submit(calls, &counters[i].call);
    }
    while (sim_world_advance(world))
      ;
    int64_t value = 0, busy = 0;
    for (int i = 0; i < 3; i++) {
      busy += counters[i].code == SQLITE_BUSY;
      CHECK(counters[i].code == SQLITE_OK || counters[i].code == SQLITE_BUSY);
    }
    CHECK_INT(busy, 0); /* five seconds are enough for thirty transactions */
    check_file(world, 30, 30, &value);
    CHECK_PASSED();
    sim_world_free(world);
  }
}

struct reader {
  struct sim_world *world;
  struct wr_call call;
  uint64_t snapshots;
};

/* Reads the whole table many times within a transaction, page by page from the disk: always the same, and whole. */
static int reader_look(sqlite3 *connection) {
  static const char sum[] = "SELECT (SELECT value FROM counter) * 1000000000 + count(*) * 100000 + "
                            "sum(length(text || '')) % 100000 FROM rows";
  int64_t first = 0, next = 0;
  int code = execute(connection, "BEGIN");
  if (code == SQLITE_OK) code = one_number(connection, sum, &first);
  for (int i = 0; i < 8 && code == SQLITE_OK; i++) {
    code = one_number(connection, sum, &next);
    if (code == SQLITE_OK && (first != next || first / 1000000000 != first / 100000 % 10000)) test_failed = true;
  }
  execute(connection, "COMMIT");
  return code;
}

static void reader_run(struct wr_call *call) {
  struct reader *reader = (struct reader *)((char *)call - offsetof(struct reader, call));
  sqlite3 *connection;
  if (connection_open(reader->world, PATH, &connection) != SQLITE_OK) return;
  execute(connection, "PRAGMA cache_size=1");
  for (int i = 0; i < 40; i++)
    reader->snapshots += reader_look(connection) == SQLITE_OK;
  connection_close(reader->world, connection);
}

TEST(readers_keep_their_snapshot) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 10; round++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed + round});
    struct wr_calls *calls = sim_world_seams(world)->calls;
    sim_disk_make_folders(world, "/db");
    struct counter counter = {.world = world, .transactions = 10, .call = {.run = counter_call_run}};
    CHECK(sim_world_run(world, counter_run, &counter));
    counter.transactions = 60;
    wr_call_submit(calls, &counter.call);
    struct reader readers[2] = {{.world = world, .call = {.run = reader_run}},
                                {.world = world, .call = {.run = reader_run}}};
    for (int i = 0; i < 2; i++)
      wr_call_submit(calls, &readers[i].call);
    while (sim_world_advance(world))
      ;
    CHECK_INT(counter.code, SQLITE_OK);
    CHECK_INT(counter.acknowledged, 70);
    CHECK_INT(readers[0].snapshots + readers[1].snapshots, 80);
    if (test_failed) TEST_FAIL("round of seed %" PRIu64, seed + round);
    sim_world_free(world);
  }
}

TEST(kill_with_connections_in_flight) {
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 60; round++) {
    struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = seed + round});
    struct wr_calls *calls = sim_world_seams(world)->calls;
    sim_disk_make_folders(world, "/db");
    struct counter counters[3];
    for (int i = 0; i < 3; i++) {
      counters[i] = (struct counter){.world = world, .call = {.run = counter_call_run}, .transactions = 20};
      wr_call_submit(calls, &counters[i].call);
    }
    for (uint64_t i = wr_random_below(sim_world_random(world), 800); i > 0 && sim_world_advance(world); i--)
      ;
    int64_t acknowledged = 0, asked = 0, value;
    for (int i = 0; i < 3; i++)
      if (counters[i].acknowledged > acknowledged) acknowledged = counters[i].acknowledged;
    for (int i = 0; i < 3; i++)
      if (counters[i].asked > asked) asked = counters[i].asked;
    sim_world_kill(world, round % 2 ? SIM_KILL_POWER : SIM_KILL_PROCESS);
    CHECK_INT(sim_disk_open_files(world), 0);
    check_file(world, acknowledged, asked, &value);
    if (test_failed) TEST_FAIL("round of seed %" PRIu64, seed + round);
    sim_world_free(world);
  }
}

/* ---- a full disk, and the harness looking on ---- */

TEST(full_disk_is_sqlite_full) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 3});
  sim_disk_make_folders(world, "/db");
  struct counter counter = {.world = world, .transactions = 1000};
  sim_disk_set_capacity(world, 200000);
  CHECK(sim_world_run(world, counter_run, &counter));
  CHECK_INT(counter.code, SQLITE_FULL);
  CHECK(counter.acknowledged > 5);
  sim_disk_set_capacity(world, 0);
  int64_t value;
  check_file(world, counter.acknowledged, counter.asked, &value);
  sim_world_free(world);
}

struct observed {
  struct sim_world *world;
  int64_t value;
  uint64_t looks;
};

static void look(void *context) {
  struct observed *observed = context;
  int64_t value = 0;
  sqlite3 *connection;
  if (sqlite3_open_v2(PATH, &connection, SQLITE_OPEN_READONLY, sim_world_seams(observed->world)->sqlite_vfs) ==
      SQLITE_OK) {
    if (one_number(connection, "SELECT value FROM counter", &value) == SQLITE_OK) {
      observed->looks++;
      if (value < observed->value) test_failed = true;
      observed->value = value;
    }
  }
  sqlite3_close_v2(connection);
}

/* The harness reads, directly, between any two events of a program that writes. */
TEST(harness_reads_meanwhile) {
  struct sim_world *world = sim_world_new(&(struct sim_world_options){.seed = 5});
  struct observed observed = {.world = world};
  sim_disk_make_folders(world, "/db");
  for (uint64_t i = 0; i < 4000; i++)
    sim_world_schedule(world, i * 500000, look, &observed);
  struct counter counter = {.world = world, .transactions = 30};
  CHECK(sim_world_run(world, counter_run, &counter));
  CHECK_INT(counter.code, SQLITE_OK);
  CHECK(observed.looks > 50);
  while (sim_world_advance(world))
    ;
  CHECK_INT(observed.value, 30);
  CHECK_PASSED();
  sim_world_free(world);
}

TEST_MAIN(TEST_CASE(transactions_survive_crashes), TEST_CASE(transactions_survive_crashes_and_faults),
          TEST_CASE(transactions_without_sync_are_lost), TEST_CASE(same_seed_same_trace),
          TEST_CASE(connections_share_one_file), TEST_CASE(readers_keep_their_snapshot),
          TEST_CASE(kill_with_connections_in_flight), TEST_CASE(full_disk_is_sqlite_full),
          TEST_CASE(harness_reads_meanwhile))
