/* Tests of the simulated SQL server: locks, transactions of both dialects, sessions without a client, lost answers. */
#include "base/test.h"
#include "data/batch_builder.h"
#include "sim/sim_disk.h"
#include "sim/sim_sql.h"

static const uint64_t ms_ns = 1000 * 1000;
static const struct weir_schema schema = {
    .fields = (const struct weir_field[]){{"app_id", WEIR_TYPE_STRING, false}, {"pv", WEIR_TYPE_BIGINT, false}},
    .field_count = 2};
static const uint32_t key_fields[] = {0};

struct fixture {
  struct sim_world *world;
  struct sim_sql *sql;
  struct wr_sql_config config;
  struct wr_target_context context;
  struct wr_sql_driver *driver, *other;
  enum wr_sql_outcome outcome;
  struct wr_marker marker;
  uint64_t rows, commits, heard;
  const char *app;
  struct weir_error error;
  char table[400];
};

static void hear(void *context, const struct wr_marker *before, const struct wr_marker *now, uint32_t rows) {
  (void)before;
  (void)now;
  ((struct fixture *)context)->heard += 1 + rows * 100;
}

static void setup(struct fixture *f, uint64_t seed, enum sim_sql_dialect dialect) {
  memset(f, 0, sizeof *f);
  f->world = sim_world_new(&(struct sim_world_options){.seed = seed});
  f->sql = sim_sql_new(f->world, &(struct sim_sql_options){.seed = seed,
                                                           .name = "rows",
                                                           .dialect = dialect,
                                                           .lock_ns = 50 * ms_ns,
                                                           .idle_ns = 100 * ms_ns,
                                                           .silent_ns = 100 * ms_ns,
                                                           .away_ns = 100 * ms_ns});
  sim_sql_on_commit(f->sql, hear, f);
  f->config = (struct wr_sql_config){.where = "table rows",
                                     .mode = WR_SQL_UPSERT,
                                     .key_fields = key_fields,
                                     .key_count = 1,
                                     .driver_config = f->sql,
                                     .new_driver = sim_sql_new_driver};
  struct wr_seams *seams = sim_world_seams(f->world);
  f->context = (struct wr_target_context){.seams = seams, .memory = seams->memory, .schema = &schema};
  struct sim_fault_plan *plan = sim_world_faults(f->world);
  plan->rule_count = 1;
  snprintf(plan->rules[0].prefix, sizeof plan->rules[0].prefix, "sql:rows");
  f->app = "a";
}

static void set_fault(struct fixture *f, enum sim_fault fault, uint32_t one_in) {
  sim_world_faults(f->world)->rules[0].one_in[fault] = one_in;
}

/* ---- steps, each of which runs inside a call ---- */

static void open_both(void *context) {
  struct fixture *f = context;
  struct wr_sql_driver **drivers[] = {&f->driver, &f->other};
  for (int i = 0; i < 2; i++) {
    if (sim_sql_new_driver(&f->config, &f->context, drivers[i], &f->error) != WEIR_OK) test_failed = true;
    f->outcome = (*drivers[i])->vtable->connect(*drivers[i], &f->error);
    if (f->outcome != WR_SQL_DONE) test_failed = true;
  }
  f->outcome = f->driver->vtable->make_marker_table(f->driver, &f->error);
}

static void close_both(void *context) {
  struct fixture *f = context;
  struct wr_sql_driver *drivers[] = {f->driver, f->other};
  for (int i = 0; i < 2; i++) {
    drivers[i]->vtable->close(drivers[i]);
    drivers[i]->vtable->free(drivers[i]);
  }
}

static void begin(void *context) {
  struct fixture *f = context;
  f->outcome = f->driver->vtable->begin(f->driver, &f->error);
}

static void begin_other(void *context) {
  struct fixture *f = context;
  f->outcome = f->other->vtable->begin(f->other, &f->error);
}

static void claim(void *context) {
  struct fixture *f = context;
  const struct wr_marker seen = {.present = false}, mine = {.present = true, .start_number = 1};
  f->outcome = f->driver->vtable->claim(f->driver, &seen, &mine, &f->rows, &f->error);
}

static void move(void *context) {
  struct fixture *f = context;
  const struct wr_marker mine = {
      .present = true, .start_number = 1, .checkpoint_id = sim_sql_marker(f->sql).checkpoint_id + 1};
  f->outcome = f->driver->vtable->move_marker(f->driver, &mine, 0, &f->rows, &f->error);
}

static void commit(void *context) {
  struct fixture *f = context;
  f->outcome = f->driver->vtable->commit(f->driver, &f->error);
}

static void roll_back(void *context) {
  struct fixture *f = context;
  f->outcome = f->driver->vtable->roll_back(f->driver, &f->error);
}

static void read_other(void *context) {
  struct fixture *f = context;
  f->outcome = f->other->vtable->read_marker(f->other, &f->marker, &f->error);
}

static void roll_back_other(void *context) {
  struct fixture *f = context;
  f->outcome = f->other->vtable->roll_back(f->other, &f->error);
}

/* One row (app, 7). */
static void write_row(void *context) {
  struct fixture *f = context;
  struct wr_heap_memory heap;
  wr_heap_memory_init(&heap, 0);
  struct wr_batch *batch = wr_batch_new(&heap.memory, &schema, 1, false);
  if (batch == NULL) abort();
  struct wr_view view = {.length = (int32_t)strlen(f->app)};
  memcpy(view.bytes, f->app, strlen(f->app));
  ((struct wr_view *)batch->columns[0].values)[0] = view;
  ((int64_t *)batch->columns[1].values)[0] = 7;
  batch->row_count = batch->selected_count = 1;
  const struct wr_sql_row row = {.batch = batch, .row = 0};
  f->outcome = f->driver->vtable->write(f->driver, WR_SQL_WRITE, &row, 1, &f->error);
  wr_batch_unref(batch);
}

static void see(void *context, const char *row) {
  struct fixture *f = context;
  size_t length = strlen(f->table);
  snprintf(f->table + length, sizeof f->table - length, "%s;", row);
}

static const char *table_of(struct fixture *f) {
  f->table[0] = 0;
  sim_sql_read_all(f->sql, see, f);
  return f->table;
}

static enum wr_sql_outcome run(struct fixture *f, void (*step)(void *context)) {
  if (!sim_world_run(f->world, step, f)) test_failed = true;
  return f->outcome;
}

/* Opens both, and the first claims the marker. */
static void start(struct fixture *f, uint64_t seed, enum sim_sql_dialect dialect) {
  setup(f, seed, dialect);
  run(f, open_both);
  CHECK_INT(run(f, begin), WR_SQL_DONE);
  CHECK_INT(run(f, claim), WR_SQL_DONE);
  CHECK_INT(f->rows, 1);
  CHECK_INT(run(f, commit), WR_SQL_DONE);
}

static void finish(struct fixture *f) {
  run(f, close_both);
  CHECK_INT(sim_sql_clients(f->sql), 0);
  CHECK_INT(sim_world_memory(f->world)->blocks, 0);
  sim_sql_free(f->sql);
  sim_world_free(f->world);
}

static void kill(struct fixture *f) {
  sim_world_kill(f->world, SIM_KILL_PROCESS);
  sim_memory_drop_all(sim_world_memory(f->world));
}

/* ---- locks ---- */

static void check_locks(enum sim_sql_dialect dialect) {
  struct fixture f;
  start(&f, 1, dialect);
  CHECK_PASSED();
  run(&f, begin);
  CHECK_INT(run(&f, move), WR_SQL_DONE);
  CHECK_INT(f.rows, 1);
  run(&f, begin_other);
  CHECK_INT(run(&f, read_other), WR_SQL_FAILED); /* it waits in vain */
  CHECK_INT(f.error.code, WEIR_BUSY);
  CHECK_INT(sim_world_fault_count(f.world, SIM_FAULT_SQL_LOCK_TIMEOUT), 1);
  run(&f, roll_back_other);
  CHECK_INT(run(&f, write_row), WR_SQL_DONE);
  CHECK_STRING(table_of(&f), ""); /* nobody sees what is not committed */
  CHECK_INT(run(&f, commit), WR_SQL_DONE);
  CHECK_STRING(table_of(&f), "a\t7;");
  CHECK_INT(f.heard, 1 + 101);
  run(&f, begin_other);
  CHECK_INT(run(&f, read_other), WR_SQL_DONE);
  CHECK_INT(f.marker.checkpoint_id, 1);
  run(&f, begin);
  CHECK_INT(run(&f, move), WR_SQL_FAILED); /* the reader holds it */
  run(&f, roll_back);
  run(&f, roll_back_other);
  finish(&f);
}

TEST(a_changed_row_is_locked_to_the_end) {
  check_locks(SIM_SQL_POSTGRES);
  CHECK_PASSED();
  check_locks(SIM_SQL_MYSQL);
}

TEST(another_program_holds_a_row) {
  struct fixture f;
  start(&f, 2, SIM_SQL_POSTGRES);
  CHECK_PASSED();
  CHECK(sim_sql_lock(f.sql, "a"));
  CHECK(!sim_sql_lock(f.sql, NULL)); /* there is one such program */
  run(&f, begin);
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  CHECK_INT(f.error.code, WEIR_BUSY);
  run(&f, roll_back);
  sim_sql_unlock(f.sql);
  run(&f, begin);
  CHECK_INT(run(&f, write_row), WR_SQL_DONE);
  run(&f, commit);
  CHECK_STRING(table_of(&f), "a\t7;");
  finish(&f);
}

/* ---- errors in a transaction ---- */

TEST(postgres_takes_nothing_more_after_an_error) {
  struct fixture f;
  start(&f, 3, SIM_SQL_POSTGRES);
  CHECK_PASSED();
  run(&f, begin);
  run(&f, write_row);
  sim_sql_refuse_rows(f.sql, &(const char *){"b"}, 1);
  f.app = "b";
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  CHECK_INT(f.error.code, WEIR_CONSTRAINT);
  f.app = "c";
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  CHECK_INT(run(&f, commit), WR_SQL_FAILED);
  CHECK_STRING(table_of(&f), "");
  finish(&f);
}

TEST(mysql_goes_on_without_the_statement) {
  struct fixture f;
  start(&f, 4, SIM_SQL_MYSQL);
  CHECK_PASSED();
  run(&f, begin);
  run(&f, write_row);
  sim_sql_refuse_rows(f.sql, &(const char *){"b"}, 1);
  f.app = "b";
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  f.app = "c";
  CHECK_INT(run(&f, write_row), WR_SQL_DONE);
  CHECK_INT(run(&f, commit), WR_SQL_DONE);
  CHECK_STRING(table_of(&f), "a\t7;c\t7;");
  finish(&f);
}

TEST(a_deadlock_of_mysql_ends_the_transaction_and_what_follows_stands_alone) {
  struct fixture f;
  start(&f, 5, SIM_SQL_MYSQL);
  CHECK_PASSED();
  run(&f, begin);
  run(&f, write_row);
  set_fault(&f, SIM_FAULT_SQL_DEADLOCK, 1);
  f.app = "b";
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  CHECK_INT(f.error.code, WEIR_BUSY);
  f.app = "c";
  CHECK_INT(run(&f, write_row), WR_SQL_DONE);
  CHECK_STRING(table_of(&f), "c\t7;");
  finish(&f);
}

/* ---- COMMIT ---- */

TEST(the_answer_of_a_commit_is_lost) {
  static const enum sim_fault faults[] = {SIM_FAULT_SQL_COMMIT_UNHEARD, SIM_FAULT_SQL_ANSWER_LOST};
  for (int i = 0; i < 2; i++) {
    struct fixture f;
    start(&f, 6, SIM_SQL_POSTGRES);
    CHECK_PASSED();
    run(&f, begin);
    run(&f, move);
    set_fault(&f, faults[i], 1);
    CHECK_INT(run(&f, commit), WR_SQL_UNKNOWN);
    CHECK_INT(sim_sql_marker(f.sql).checkpoint_id, 1);
    finish(&f);
  }
}

/* Whether it comes before the server notices, or not at all. */
TEST(a_commit_comes_late_or_not_at_all) {
  static const enum sim_fault faults[] = {SIM_FAULT_SQL_COMMIT_LATE, SIM_FAULT_SQL_COMMIT_NOT_DONE};
  int in = 0, waited = 0;
  for (uint64_t seed = 0; seed < 200; seed++) {
    struct fixture f;
    start(&f, seed, seed & 1 ? SIM_SQL_POSTGRES : SIM_SQL_MYSQL);
    CHECK_PASSED();
    run(&f, begin);
    run(&f, move);
    set_fault(&f, faults[seed / 100], 1);
    CHECK_INT(run(&f, commit), WR_SQL_UNKNOWN);
    set_fault(&f, faults[seed / 100], 0);
    run(&f, begin_other);
    if (run(&f, read_other) == WR_SQL_DONE) { /* who reads it has waited: it stays so */
      uint64_t seen = f.marker.checkpoint_id;
      waited++;
      sim_world_advance_to(f.world, sim_world_now_ns(f.world) + 400 * ms_ns);
      CHECK_INT(sim_sql_marker(f.sql).checkpoint_id, seen);
    }
    sim_world_advance_to(f.world, sim_world_now_ns(f.world) + 400 * ms_ns);
    in += sim_sql_marker(f.sql).checkpoint_id == 1;
    if (seed >= 100) CHECK_INT(sim_sql_marker(f.sql).checkpoint_id, 0);
    finish(&f);
  }
  CHECK(in > 20 && in < 100);
  CHECK(waited > 50);
}

/* ---- kills ---- */

TEST(a_killed_process_leaves_its_transaction_open_for_a_while) {
  struct fixture f;
  start(&f, 8, SIM_SQL_POSTGRES);
  CHECK_PASSED();
  run(&f, begin);
  run(&f, move);
  kill(&f);
  CHECK_INT(sim_sql_clients(f.sql), 0);
  CHECK(!sim_sql_lock(f.sql, NULL));
  sim_world_advance_to(f.world, sim_world_now_ns(f.world) + 101 * ms_ns);
  CHECK(sim_sql_lock(f.sql, NULL));
  CHECK_INT(sim_sql_marker(f.sql).checkpoint_id, 0);
  CHECK_INT(sim_world_fault_count(f.world, SIM_FAULT_SQL_CUT), 1);
  sim_sql_free(f.sql);
  sim_world_free(f.world);
}

TEST(a_commit_of_a_killed_process_can_still_come) {
  int in = 0, runs = 100;
  for (int i = 0; i < runs; i++) {
    struct fixture f;
    start(&f, 1000 + (uint64_t)i, SIM_SQL_MYSQL);
    CHECK_PASSED();
    set_fault(&f, SIM_FAULT_SQL_COMMIT_OF_KILLED, 1);
    run(&f, begin);
    run(&f, move);
    sim_disk_crash_at(f.world, 1, SIM_CRASH_BEFORE);
    CHECK(!sim_world_run(f.world, commit, &f));
    kill(&f);
    CHECK_INT(sim_sql_marker(f.sql).checkpoint_id, 0);
    sim_world_advance_to(f.world, sim_world_now_ns(f.world) + 101 * ms_ns);
    in += sim_sql_marker(f.sql).checkpoint_id == 1;
    CHECK(sim_sql_lock(f.sql, NULL)); /* it came or was cut */
    sim_sql_free(f.sql);
    sim_world_free(f.world);
  }
  CHECK(in > runs / 4 && in < runs);
}

/* ---- the server ---- */

TEST(a_restart_ends_sessions_and_turns_away) {
  struct fixture f;
  start(&f, 9, SIM_SQL_POSTGRES);
  CHECK_PASSED();
  run(&f, begin);
  run(&f, write_row);
  set_fault(&f, SIM_FAULT_SQL_RESTARTED, 1);
  CHECK_INT(run(&f, commit), WR_SQL_UNKNOWN);
  set_fault(&f, SIM_FAULT_SQL_RESTARTED, 0);
  CHECK_STRING(table_of(&f), "");
  CHECK_INT(run(&f, begin_other), WR_SQL_GONE);
  run(&f, close_both);
  f.driver = NULL;
  CHECK(sim_sql_new_driver(&f.config, &f.context, &f.driver, &f.error) == WEIR_OK);
  f.other = f.driver;
  CHECK_INT(f.driver->vtable->connect(f.driver, &f.error), WR_SQL_DONE); /* outside of a call it is at once */
  f.driver->vtable->close(f.driver);
  f.driver->vtable->free(f.driver);
  sim_sql_free(f.sql);
  sim_world_free(f.world);
}

TEST(another_server_with_an_older_copy_takes_over) {
  struct fixture f;
  start(&f, 10, SIM_SQL_MYSQL);
  CHECK_PASSED();
  struct sim_sql_image *image = sim_sql_image_take(f.sql);
  run(&f, begin);
  run(&f, move);
  run(&f, write_row);
  CHECK_INT(run(&f, commit), WR_SQL_DONE);
  run(&f, begin);
  sim_sql_image_put(f.sql, image);
  CHECK_STRING(table_of(&f), "");
  CHECK_INT(sim_sql_marker(f.sql).checkpoint_id, 0);
  CHECK_INT(run(&f, write_row), WR_SQL_GONE);
  CHECK_INT(run(&f, begin_other), WR_SQL_GONE);
  sim_sql_image_free(image);
  finish(&f);
}

TEST(what_is_dropped_or_forbidden_is_said) {
  struct fixture f;
  start(&f, 11, SIM_SQL_POSTGRES);
  CHECK_PASSED();
  run(&f, begin);
  run(&f, move);
  CHECK(!sim_sql_drop_markers(f.sql)); /* it is in use */
  run(&f, roll_back);
  CHECK(sim_sql_drop_markers(f.sql));
  run(&f, begin);
  CHECK_INT(run(&f, move), WR_SQL_FAILED);
  CHECK_INT(f.error.code, WEIR_REFUSED);
  run(&f, roll_back);
  CHECK(sim_sql_drop_table(f.sql));
  run(&f, begin);
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  CHECK_INT(f.error.code, WEIR_NOT_FOUND);
  run(&f, roll_back);
  sim_sql_restore_table(f.sql);
  sim_sql_forbid(f.sql, true);
  run(&f, begin);
  CHECK_INT(run(&f, write_row), WR_SQL_FAILED);
  CHECK_INT(f.error.code, WEIR_DENIED);
  run(&f, roll_back);
  finish(&f);
}

TEST(the_same_seed_gives_the_same_trace) {
  uint64_t hashes[2];
  for (int i = 0; i < 2; i++) {
    struct fixture f;
    start(&f, 12, SIM_SQL_MYSQL);
    CHECK_PASSED();
    for (int fault = SIM_FAULT_SQL_GONE; fault <= SIM_FAULT_SQL_COMMIT_UNHEARD; fault++)
      set_fault(&f, (enum sim_fault)fault, 4);
    for (int n = 0; n < 40; n++) {
      run(&f, begin);
      run(&f, move);
      run(&f, write_row);
      run(&f, commit);
      if (f.outcome != WR_SQL_DONE) f.driver->vtable->close(f.driver);
      if (f.outcome != WR_SQL_DONE) f.driver->vtable->connect(f.driver, &f.error);
    }
    hashes[i] = sim_world_trace_hash(f.world);
    finish(&f);
  }
  CHECK(hashes[0] == hashes[1]);
}

TEST_MAIN(TEST_CASE(a_changed_row_is_locked_to_the_end), TEST_CASE(another_program_holds_a_row),
          TEST_CASE(postgres_takes_nothing_more_after_an_error), TEST_CASE(mysql_goes_on_without_the_statement),
          TEST_CASE(a_deadlock_of_mysql_ends_the_transaction_and_what_follows_stands_alone),
          TEST_CASE(the_answer_of_a_commit_is_lost), TEST_CASE(a_commit_comes_late_or_not_at_all),
          TEST_CASE(a_killed_process_leaves_its_transaction_open_for_a_while),
          TEST_CASE(a_commit_of_a_killed_process_can_still_come), TEST_CASE(a_restart_ends_sessions_and_turns_away),
          TEST_CASE(another_server_with_an_older_copy_takes_over), TEST_CASE(what_is_dropped_or_forbidden_is_said),
          TEST_CASE(the_same_seed_gives_the_same_trace))
