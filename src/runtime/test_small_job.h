/* runtime/test_small_job.h: a small job in the simulated world, for tests of the master and of recovery: numbers go
 * from one source through the writers of a sink to its committer, whose target is a struct in the test's own memory.
 * What the target and the enumerator do is set by the test. One thread. */
#ifndef WR_RUNTIME_TEST_SMALL_JOB_H
#define WR_RUNTIME_TEST_SMALL_JOB_H

#include "base/limits.h"
#include "base/test.h"
#include "operators/sink_nodes.h"
#include "runtime/job.h"
#include "sim/sim_disk.h"
#include "sim/sim_host.h"

/* What happens to a function of the target: OK, or an error `times` times (-1: always). */
struct small_fault {
  enum weir_code code;
  int times;
};

struct small_job {
  uint64_t records;        /* that the source has; UINT64_MAX: it never ends */
  bool never_ready;        /* its enumerator */
  bool forgets;            /* the target may forget its marker by itself */
  struct wr_marker marker; /* the target */
  uint64_t rows, commits;
  struct small_fault connect, claim, commit, carried;
  uint32_t carried_epochs;      /* that the target was asked for at the last start */
  struct wr_heap_memory memory; /* of the graph */
  struct wr_graph graph;
  struct wr_sink_config sink;
  struct sim_world *world;
  struct sim_host host;
  struct wr_job_options options;
  struct wr_job *job;
};

static inline enum weir_code small_fails(struct small_fault *fault, struct weir_error *error) {
  if (fault->code == WEIR_OK || fault->times == 0) return WEIR_OK;
  if (fault->times > 0) fault->times--;
  return WR_FAIL(error, fault->code, "the target does not want to");
}

/* ---- the target ---- */

struct small_target {
  struct wr_target base;
  const struct wr_target_context *context;
  struct small_job *small;
};

static enum weir_code small_connect(struct wr_target *target, struct weir_error *error) {
  return small_fails(&((struct small_target *)target)->small->connect, error);
}
static enum weir_code small_read_marker(struct wr_target *target, struct wr_marker *out, struct weir_error *error) {
  (void)error;
  *out = ((struct small_target *)target)->small->marker;
  return WEIR_OK;
}
static enum weir_code small_check_carried(struct wr_target *target, const struct wr_marker *seen,
                                          const uint8_t *incarnation, const struct wr_epoch *epochs,
                                          uint32_t epoch_count, struct weir_error *error) {
  struct small_job *small = ((struct small_target *)target)->small;
  (void)incarnation;
  for (uint32_t i = 0; i < epoch_count; i++)
    WR_ASSERT(epochs[i].checkpoint_id > seen->checkpoint_id);
  small->carried_epochs = epoch_count;
  return small_fails(&small->carried, error);
}
static enum weir_code small_claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                                  struct weir_error *error) {
  struct small_target *self = (struct small_target *)target;
  (void)seen;
  WR_TRY(small_fails(&self->small->claim, error));
  self->small->marker = (struct wr_marker){
      .present = true, .start_number = self->context->store->start_number, .checkpoint_id = checkpoint};
  memcpy(self->small->marker.incarnation, self->context->store->incarnation, WR_INCARNATION_BYTES);
  return WEIR_OK;
}
static enum weir_code small_commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                                   struct weir_error *error) {
  struct small_job *small = ((struct small_target *)target)->small;
  WR_TRY(small_fails(&small->commit, error));
  *out_already = small->marker.checkpoint_id >= epoch->checkpoint_id;
  if (*out_already) return WEIR_OK;
  for (uint32_t i = 0; i < epoch->part_count; i++)
    small->rows += epoch->parts[i].row_count;
  small->commits++;
  small->marker.checkpoint_id = epoch->checkpoint_id;
  return WEIR_OK;
}
static void small_close(struct wr_target *target) {
  (void)target;
}
static void small_free(struct wr_target *target) {
  wr_free(((struct small_target *)target)->context->memory, target);
}
static const struct wr_target_vtable small_target_vtable = {.connect = small_connect,
                                                            .read_marker = small_read_marker,
                                                            .check_carried = small_check_carried,
                                                            .claim = small_claim,
                                                            .commit = small_commit,
                                                            .close = small_close,
                                                            .free = small_free};
static enum weir_code small_refresh(struct wr_target *target, struct weir_error *error) {
  (void)target;
  (void)error;
  return WEIR_OK;
}
static const struct wr_target_vtable small_forgetful_vtable = {.connect = small_connect,
                                                               .read_marker = small_read_marker,
                                                               .claim = small_claim,
                                                               .refresh = small_refresh,
                                                               .commit = small_commit,
                                                               .close = small_close,
                                                               .free = small_free};
static enum weir_code small_new_target(void *config, const struct wr_target_context *context, struct wr_target **out,
                                       struct weir_error *error) {
  struct small_target *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory");
  *self = (struct small_target){.base = {&small_target_vtable}, .context = context, .small = config};
  if (self->small->forgets) self->base.vtable = &small_forgetful_vtable;
  *out = &self->base;
  return WEIR_OK;
}

/* ---- the source: one split, {kind, text, u64 position} ---- */

struct small_enumerator {
  struct wr_enumerator base;
  const struct wr_enumerator_context *context;
  struct small_job *small;
  struct wr_split split; /* not handed out yet */
};

static enum weir_code small_step(struct wr_enumerator *e, uint64_t now, uint64_t *wake, struct weir_error *error) {
  (void)e, (void)now, (void)wake, (void)error;
  return WEIR_OK;
}
static bool small_take(struct wr_enumerator *e, struct wr_split *out) {
  struct small_enumerator *self = (struct small_enumerator *)e;
  *out = self->split;
  self->split = (struct wr_split){0};
  return out->bytes != NULL;
}
static bool small_is_ready(const struct wr_enumerator *e) {
  const struct small_enumerator *self = (const struct small_enumerator *)e;
  return self->split.bytes == NULL && !self->small->never_ready;
}
static void small_free_enumerator(struct wr_enumerator *e) {
  struct small_enumerator *self = (struct small_enumerator *)e;
  wr_free(self->context->memory, self->split.bytes);
  wr_free(self->context->memory, self);
}
static const struct wr_enumerator_vtable small_enumerator_vtable = {.step = small_step,
                                                                    .take_split = small_take,
                                                                    .is_ready = small_is_ready,
                                                                    .is_exhausted = small_is_ready,
                                                                    .free = small_free_enumerator};

static void small_put_split(struct wr_bytes *bytes, uint64_t position) {
  wr_bytes_put_string(bytes, "small");
  wr_bytes_put_string(bytes, "numbers");
  wr_bytes_put_u64(bytes, position);
}
static enum weir_code small_new_enumerator(void *config, const struct wr_enumerator_context *context,
                                           const struct wr_split *restored, uint32_t count, struct wr_enumerator **out,
                                           struct weir_error *error) {
  struct small_enumerator *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory");
  *self = (struct small_enumerator){.base = {&small_enumerator_vtable}, .context = context, .small = config};
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, context->memory, WR_MEMORY_SOURCE);
  if (count != 0)
    wr_bytes_put(&bytes, restored[0].bytes, restored[0].length);
  else
    small_put_split(&bytes, 0);
  self->split.bytes = wr_bytes_take(&bytes, &self->split.length);
  *out = &self->base;
  return WEIR_OK;
}

struct small_reader {
  struct wr_operator base;
  struct small_job *small;
  bool has_split, no_more;
  uint64_t position;
};

static enum weir_code small_add_split(struct wr_operator *op, const uint8_t *bytes, size_t length,
                                      struct weir_error *error) {
  (void)error;
  struct small_reader *self = (struct small_reader *)op;
  struct wr_reader reader = wr_reader_of(bytes, length);
  size_t ignored;
  wr_read_block(&reader, &ignored);
  wr_read_block(&reader, &ignored);
  self->has_split = true;
  self->position = wr_read_u64(&reader);
  return WEIR_OK;
}
static void small_no_more_splits(struct wr_operator *op) {
  ((struct small_reader *)op)->no_more = true;
}
/* Ten rows, then nothing for a millisecond. */
static enum wr_result small_poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct small_reader *self = (struct small_reader *)op;
  struct wr_operator_context *context = op->context;
  if (!self->has_split || self->position >= self->small->records)
    return self->no_more ? WR_RESULT_DONE : WR_RESULT_WAIT;
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, context->memory, context->output_schema, false);
  enum weir_code code = WEIR_OK;
  for (int i = 0; i < 10 && code == WEIR_OK && self->position < self->small->records; i++) {
    code = wr_batch_builder_begin(&builder, &context->error);
    if (code != WEIR_OK) break;
    wr_batch_builder_set_bigint(&builder, 0, (int64_t)self->position++);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  if (code == WEIR_OK) code = wr_output_emit(context->output, 0, wr_batch_builder_take(&builder), &context->error);
  wr_batch_builder_deinit(&builder);
  if (code != WEIR_OK) return WR_RESULT_ERROR;
  atomic_store_explicit(&context->metrics->source_records, self->position, memory_order_relaxed);
  if (context->now_ns + 1000000 < *wake_at_ns) *wake_at_ns = context->now_ns + 1000000;
  return WR_RESULT_WAIT;
}
static enum weir_code small_snapshot_splits(struct wr_operator *op, struct wr_bytes *out, struct weir_error *error) {
  struct small_reader *self = (struct small_reader *)op;
  if (!self->has_split) return WEIR_OK;
  struct wr_bytes one;
  wr_bytes_init(&one, op->context->memory, WR_MEMORY_SOURCE);
  small_put_split(&one, self->position);
  enum weir_code code = wr_bytes_check(&one, error);
  if (code == WEIR_OK) wr_bytes_put_block(out, one.data, one.length);
  wr_bytes_deinit(&one);
  return code;
}
static void small_free_reader(struct wr_operator *op) {
  wr_free(op->context->memory, op);
}
static const struct wr_operator_vtable small_reader_vtable = {.name = "small",
                                                              .poll = small_poll,
                                                              .add_split = small_add_split,
                                                              .no_more_splits = small_no_more_splits,
                                                              .snapshot_splits = small_snapshot_splits,
                                                              .free = small_free_reader};
static enum weir_code small_new_reader(void *config, struct wr_operator_context *context, struct wr_operator **out,
                                       struct weir_error *error) {
  struct small_reader *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory");
  *self = (struct small_reader){.base = {&small_reader_vtable, context}, .small = config};
  *out = &self->base;
  return WEIR_OK;
}

/* ---- the job ---- */

static const struct weir_field small_fields[] = {{"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema small_schema = {small_fields, 1};

static inline void small_init(struct small_job *small, uint64_t seed, uint64_t records) {
  *small = (struct small_job){.records = records};
  wr_heap_memory_init(&small->memory, 0);
  wr_graph_init(&small->graph, &small->memory.memory);
  struct wr_node source = {.uid = "source",
                           .kind = WR_NODE_SOURCE,
                           .port_count = 1,
                           .port_schemas = {&small_schema},
                           .parallelism = 1,
                           .chain = true,
                           .durable = true,
                           .config = small,
                           .new_operator = small_new_reader,
                           .new_enumerator = small_new_enumerator};
  uint32_t from, writer;
  WR_ASSERT(wr_graph_add_node(&small->graph, &source, &from, NULL) == WEIR_OK);
  struct wr_sink_description sink = {.uid = "sink",
                                     .schema = &small_schema,
                                     .config = &small->sink,
                                     .target_config = small,
                                     .new_target = small_new_target};
  WR_ASSERT(wr_sink_add(&small->graph, &sink, &writer, NULL) == WEIR_OK);
  struct wr_edge edge = {.from_node = from, .to_node = writer, .exchange = WR_EXCHANGE_REBALANCE};
  WR_ASSERT(wr_graph_add_edge(&small->graph, &edge, NULL) == WEIR_OK);
  WR_ASSERT(wr_graph_check(&small->graph, NULL) == WEIR_OK);
  struct sim_world_options options = {.seed = seed};
  small->world = sim_world_new(&options);
  sim_disk_make_folders(small->world, "/state");
  wr_job_options_default(&small->options);
  small->options.name = "small";
  small->options.folder = "/state/small";
  small->options.parallelism = 2;
  small->options.bounded = records != UINT64_MAX;
  small->options.checkpoint_interval_ms = 20;
  small->options.restart_delay_initial_ms = 100;
  small->options.restart_delay_max_ms = 300;
  small->options.stop_timeout_ms = 5000;
}

static inline void small_deinit(struct small_job *small) {
  CHECK_INT(sim_memory_report(sim_world_memory(small->world), stderr), 0);
  sim_world_free(small->world);
  wr_graph_deinit(&small->graph);
  CHECK_INT(small->memory.total_bytes, 0);
}

static inline void small_start(struct small_job *small, uint64_t seed) {
  struct weir_error error = {.code = WEIR_OK};
  sim_host_init(&small->host, small->world, 2, seed);
  if (wr_job_new(&small->graph, &small->options, sim_world_seams(small->world), &small->host.host, &small->job,
                 &error) != WEIR_OK)
    TEST_FAIL("%s", error.message);
  wr_job_start(small->job);
}

static inline enum wr_job_phase small_phase(struct small_job *small) {
  struct wr_job_status status;
  wr_job_read_status(small->job, &status);
  return status.phase;
}

/* One step; false: the job is over, or hangs. */
static inline bool small_step_once(struct small_job *small) {
  return !wr_job_is_over(small->job) && sim_host_step(&small->host, UINT64_MAX);
}

/* Steps until the phase comes, or the job is over. */
static inline bool small_reach(struct small_job *small, enum wr_job_phase phase) {
  while (small_phase(small) != phase)
    if (!small_step_once(small)) return false;
  return true;
}

/* Steps for so much virtual time. */
static inline void small_run_ms(struct small_job *small, uint64_t ms) {
  uint64_t until_ns = sim_world_now_ns(small->world) + ms * 1000000;
  while (sim_world_now_ns(small->world) < until_ns && !wr_job_is_over(small->job) &&
         sim_host_step(&small->host, until_ns)) {
  }
}

/* To the end; frees the job. TIMEOUT: it hangs. */
static inline enum weir_code small_end(struct small_job *small, bool *out_already_finished, struct weir_error *error) {
  for (uint64_t i = 0; i < 3000000 && small_step_once(small); i++) {
  }
  if (!wr_job_is_over(small->job)) {
    fprintf(stderr, "hangs in phase %s\n", wr_job_phase_text(small_phase(small)));
    return WEIR_TIMEOUT;
  }
  enum weir_code code = wr_job_result(small->job, out_already_finished, error);
  wr_job_free(small->job);
  small->job = NULL;
  return code;
}

/* The process dies. */
static inline void small_kill(struct small_job *small) {
  sim_world_kill(small->world, SIM_KILL_PROCESS);
  sim_memory_drop_all(sim_world_memory(small->world));
  small->job = NULL;
}

#endif
