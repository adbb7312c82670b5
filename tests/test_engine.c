/* The engine as a whole in the simulated world, with a source of the test's own: numbers 0..n-1 per split, key = number
 * modulo keys. Small and quick; the seeds of sim/ go far beyond it. */
#include "base/limits.h"
#include "base/test.h"
#include "connectors/sqlite/sqlite_target.h"
#include "operators/count.h"
#include "runtime/job.h"
#include "sim/sim_disk.h"
#include "sim/sim_host.h"

#include <sqlite3.h>

/* ---- a source: split bytes are {kind, text, u32 number, u64 position} ---- */

struct number_config {
  uint32_t splits;
  uint64_t records; /* per split */
  uint64_t keys;
};

struct number_enumerator {
  struct wr_enumerator base;
  const struct wr_enumerator_context *context;
  struct wr_split pending[16];
  uint32_t count;
};

static void put_split(struct wr_bytes *bytes, uint32_t number, uint64_t position) {
  wr_bytes_put_string(bytes, "numbers");
  wr_bytes_put_string(bytes, "numbers");
  wr_bytes_put_u32(bytes, number);
  wr_bytes_put_u64(bytes, position);
}

static enum weir_code enumerator_step(struct wr_enumerator *e, uint64_t now, uint64_t *wake, struct weir_error *error) {
  (void)e, (void)now, (void)wake, (void)error;
  return WEIR_OK;
}
static bool enumerator_take(struct wr_enumerator *e, struct wr_split *out) {
  struct number_enumerator *self = (struct number_enumerator *)e;
  if (self->count == 0) return false;
  *out = self->pending[--self->count];
  return true;
}
static bool enumerator_ready(const struct wr_enumerator *e) {
  return ((const struct number_enumerator *)e)->count == 0;
}
static void enumerator_free(struct wr_enumerator *e) {
  struct number_enumerator *self = (struct number_enumerator *)e;
  while (self->count > 0)
    wr_free(self->context->memory, self->pending[--self->count].bytes);
  wr_free(self->context->memory, self);
}
static const struct wr_enumerator_vtable enumerator_vtable = {.step = enumerator_step,
                                                              .take_split = enumerator_take,
                                                              .is_ready = enumerator_ready,
                                                              .is_exhausted = enumerator_ready,
                                                              .free = enumerator_free};

static enum weir_code new_enumerator(void *config, const struct wr_enumerator_context *context,
                                     const struct wr_split *restored, uint32_t restored_count,
                                     struct wr_enumerator **out, struct weir_error *error) {
  (void)error;
  struct number_config *numbers = config;
  struct number_enumerator *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  self->base.vtable = &enumerator_vtable;
  self->context = context;
  for (uint32_t i = 0; i < (restored_count != 0 ? restored_count : numbers->splits); i++) {
    struct wr_bytes bytes;
    wr_bytes_init(&bytes, context->memory, WR_MEMORY_SOURCE);
    if (restored_count != 0)
      wr_bytes_put(&bytes, restored[i].bytes, restored[i].length);
    else
      put_split(&bytes, i, 0);
    self->pending[self->count].bytes = wr_bytes_take(&bytes, &self->pending[self->count].length);
    self->count++;
  }
  *out = &self->base;
  return WEIR_OK;
}

struct number_reader {
  struct wr_operator base;
  struct number_config *config;
  struct wr_batch_builder builder;
  struct {
    uint32_t number;
    uint64_t position;
  } splits[16];
  uint32_t split_count;
  bool no_more;
};

static enum weir_code add_split(struct wr_operator *op, const uint8_t *bytes, size_t length, struct weir_error *error) {
  (void)error;
  struct number_reader *self = (struct number_reader *)op;
  struct wr_reader reader = wr_reader_of(bytes, length);
  size_t ignored;
  wr_read_block(&reader, &ignored);
  wr_read_block(&reader, &ignored);
  self->splits[self->split_count].number = wr_read_u32(&reader);
  self->splits[self->split_count++].position = wr_read_u64(&reader);
  return WEIR_OK;
}
static void no_more_splits(struct wr_operator *op) {
  ((struct number_reader *)op)->no_more = true;
}
static enum wr_result poll_numbers(struct wr_operator *op, uint64_t *wake) {
  (void)wake;
  struct number_reader *self = (struct number_reader *)op;
  bool any = false;
  for (uint32_t i = 0; i < self->split_count; i++) {
    for (int n = 0; n < 37 && self->splits[i].position < self->config->records; n++) {
      if (wr_batch_builder_begin(&self->builder, &op->context->error) != WEIR_OK) return WR_RESULT_ERROR;
      uint64_t number = self->splits[i].position++;
      wr_batch_builder_set_bigint(&self->builder, 0, (int64_t)(number % self->config->keys));
      wr_batch_builder_end_row(&self->builder, WEIR_INSERT);
      any = true;
    }
  }
  if (!any) return self->no_more ? WR_RESULT_DONE : WR_RESULT_WAIT;
  return wr_output_emit(op->context->output, 0, wr_batch_builder_take(&self->builder), &op->context->error) == WEIR_OK
             ? WR_RESULT_OK
             : WR_RESULT_ERROR;
}
static enum weir_code snapshot_splits(struct wr_operator *op, struct wr_bytes *out, struct weir_error *error) {
  (void)error;
  struct number_reader *self = (struct number_reader *)op;
  for (uint32_t i = 0; i < self->split_count; i++) {
    struct wr_bytes one;
    wr_bytes_init(&one, op->context->memory, WR_MEMORY_SOURCE);
    put_split(&one, self->splits[i].number, self->splits[i].position);
    wr_bytes_put_block(out, one.data, one.length);
    wr_bytes_deinit(&one);
  }
  return WEIR_OK;
}
static void free_reader(struct wr_operator *op) {
  struct number_reader *self = (struct number_reader *)op;
  wr_batch_builder_deinit(&self->builder);
  wr_free(op->context->memory, self);
}
static const struct wr_operator_vtable reader_vtable = {.name = "numbers",
                                                        .poll = poll_numbers,
                                                        .add_split = add_split,
                                                        .no_more_splits = no_more_splits,
                                                        .snapshot_splits = snapshot_splits,
                                                        .free = free_reader};

static enum weir_code new_reader(void *config, struct wr_operator_context *context, struct wr_operator **out,
                                 struct weir_error *error) {
  struct number_reader *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory");
  self->base = (struct wr_operator){.vtable = &reader_vtable, .context = context};
  self->config = config;
  wr_batch_builder_init(&self->builder, context->memory, context->output_schema, false);
  *out = &self->base;
  return WEIR_OK;
}

/* ---- the job: numbers -> count per key -> SQLite ---- */

static const struct weir_field key_fields[] = {{"k", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema key_schema = {key_fields, 1};
static const struct weir_field count_fields[] = {{"k", WEIR_TYPE_BIGINT, false}, {"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema count_schema = {count_fields, 2};
static const uint32_t key_columns[] = {0};
static const struct wr_sqlite_config sqlite_config = {
    .path = "/out/t.db", .table = "counts", .mode = WR_SQLITE_UPSERT, .key_fields = key_columns, .key_count = 1};

static enum weir_code new_count(void *config, struct wr_operator_context *context, struct wr_operator **out,
                                struct weir_error *error) {
  (void)config;
  return wr_count_new(context, out, error);
}

struct count_job {
  struct wr_heap_memory memory; /* of the graph: it outlives engines */
  struct wr_graph graph;
  struct number_config numbers;
  struct wr_sink_config sink;
};

static bool build(struct count_job *job) {
  struct weir_error error;
  wr_heap_memory_init(&job->memory, 0);
  wr_graph_init(&job->graph, &job->memory.memory);
  struct wr_node source = {.uid = "source",
                           .kind = WR_NODE_SOURCE,
                           .port_count = 1,
                           .port_schemas = {&key_schema},
                           .chain = true,
                           .durable = true,
                           .config = &job->numbers,
                           .new_operator = new_reader,
                           .new_enumerator = new_enumerator};
  uint32_t from, count, writer;
  if (wr_graph_add_node(&job->graph, &source, &from, &error) != WEIR_OK) goto failed;
  struct wr_node node;
  memset(&node, 0, sizeof node);
  node.kind = WR_NODE_OPERATOR;
  memcpy(node.uid, "count", 6);
  node.port_count = 1;
  node.port_schemas[0] = &count_schema;
  node.input_count = 1;
  node.input_schemas[0] = &key_schema;
  node.chain = true;
  node.new_operator = new_count;
  if (wr_graph_add_node(&job->graph, &node, &count, &error) != WEIR_OK) goto failed;
  struct wr_edge edge = {.from_node = from, .to_node = count, .exchange = WR_EXCHANGE_HASH, .key = {key_columns, 1}};
  if (wr_graph_add_edge(&job->graph, &edge, &error) != WEIR_OK) goto failed;
  const struct wr_sink_description sink = {.uid = "sink",
                                           .schema = &count_schema,
                                           .config = &job->sink,
                                           .target_config = (void *)&sqlite_config,
                                           .new_target = wr_sqlite_target_new};
  if (wr_sink_add(&job->graph, &sink, &writer, &error) != WEIR_OK) goto failed;
  struct wr_edge out = {.from_node = count, .to_node = writer, .exchange = WR_EXCHANGE_FORWARD};
  if (wr_graph_add_edge(&job->graph, &out, &error) != WEIR_OK) goto failed;
  if (wr_graph_check(&job->graph, &error) != WEIR_OK) goto failed;
  return true;
failed:
  fprintf(stderr, "%s\n", error.message);
  return false;
}

static int64_t query(struct sim_world *world, const char *sql) {
  (void)world;
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  int64_t value = -1;
  if (sqlite3_open_v2("/out/t.db", &db, SQLITE_OPEN_READWRITE, sim_world_seams(world)->sqlite_vfs) == SQLITE_OK &&
      sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
    value = sqlite3_column_int64(statement, 0);
  else
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return value;
}

static enum weir_code run_life(struct count_job *job, struct sim_world *world, uint64_t seed, uint64_t steps,
                               uint32_t parallelism, bool *out_over) {
  struct sim_host host;
  struct weir_error error = {.code = WEIR_OK};
  sim_host_init(&host, world, 2, seed);
  struct wr_job_options options;
  wr_job_options_default(&options);
  options.name = "count";
  options.folder = "/state/count";
  options.parallelism = parallelism;
  options.bounded = true;
  options.checkpoint_interval_ms = 5;
  struct wr_job *engine = NULL;
  enum weir_code code = wr_job_new(&job->graph, &options, sim_world_seams(world), &host.host, &engine, &error);
  if (code != WEIR_OK) return code;
  wr_job_start(engine);
  for (uint64_t i = 0; i < steps && !wr_job_is_over(engine); i++) {
    if (!sim_host_step(&host, UINT64_MAX)) {
      struct wr_job_status status;
      wr_job_read_status(engine, &status);
      fprintf(stderr, "hangs in phase %s\n", wr_job_phase_text(status.phase));
      return WEIR_TIMEOUT;
    }
  }
  *out_over = wr_job_is_over(engine);
  if (*out_over) {
    code = wr_job_result(engine, NULL, &error);
    if (code != WEIR_OK) fprintf(stderr, "%s (%s:%d)\n", error.message, error.file, error.line);
    wr_job_free(engine);
    return code;
  }
  sim_world_kill(world, SIM_KILL_POWER);
  sim_memory_drop_all(sim_world_memory(world));
  return WEIR_OK;
}

static void run_job(uint64_t seed, bool kills) {
  struct count_job job = {.numbers = {.splits = 3, .records = 1000, .keys = 17}};
  CHECK(build(&job));
  struct sim_world_options world_options = {.seed = seed};
  struct sim_world *world = sim_world_new(&world_options);
  sim_disk_make_folders(world, "/out");
  sim_disk_make_folders(world, "/state");
  struct wr_random random = wr_random_of(seed);
  bool over = false;
  for (int life = 0; life < 200 && !over; life++) {
    uint64_t steps = kills && life < 20 ? wr_random_below(&random, 400) : 3000000;
    CHECK_INT(run_life(&job, world, seed + (uint64_t)life, steps, 1 + (uint32_t)wr_random_below(&random, 3), &over),
              WEIR_OK);
  }
  CHECK(over);
  if (getenv("WEIR_TEST_VERBOSE"))
    fprintf(stderr, "seed %" PRIu64 ": kills %" PRIu64 ", operations %" PRIu64 "\n", seed,
            sim_world_fault_count(world, SIM_FAULT_POWER_CUT), sim_disk_operations(world));
  CHECK_INT(query(world, "SELECT sum(n) FROM counts"), 3000);
  CHECK_INT(query(world, "SELECT count(*) FROM counts"), 17);
  CHECK_INT(query(world, "SELECT n FROM counts WHERE k = 0"), 177);
  CHECK_INT(sim_memory_report(sim_world_memory(world), stderr), 0);
  sim_world_free(world);
  wr_graph_deinit(&job.graph);
  CHECK_INT(job.memory.total_bytes, 0);
}

TEST(one_run) {
  run_job(1, false);
}

TEST(kills) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < 200 && !test_failed; i++) {
    run_job(seed + i, true);
    if (test_failed) fprintf(stderr, "seed %" PRIu64 "\n", seed + i);
  }
}

TEST_MAIN(TEST_CASE(one_run), TEST_CASE(kills))
