/* operators/plain_sink.c: see plain_sink.h.
 *
 * While a call runs, `written`, `code`, `call_error` and the target are the call's. Always: at most one call; rows are
 * in `gathered` or in `written`, and leave `written` when the target has committed them. One thread, and the call's.
 */
#include "operators/plain_sink.h"

#include <inttypes.h>
#include <stdio.h>

static const uint64_t DELAY_FIRST_NS = 100ull * 1000 * 1000, DELAY_MAX_NS = 10ull * 1000 * 1000 * 1000;
enum { LOG_EVERY = 10, ROWS_MAX = 256 * 1024, BYTES_MAX = 64 * 1024 * 1024 };

struct rows {
  struct wr_batch **batches; /* one reference each */
  uint32_t count, capacity, row_count;
  size_t bytes;
};

struct plain_sink {
  struct wr_operator op;
  const struct wr_plain_sink_config *config;
  struct wr_target_context target_context;
  struct wr_plain_target *target;
  struct rows gathered, written;
  uint64_t tick_ns; /* the next one; 0: the clock has not begun */
  struct wr_call call;
  bool is_running;   /* the call was submitted, its answer not yet taken */
  bool is_connected; /* once: a target that cannot be written to is found before the first row */
  bool is_closing;
  enum weir_code code;
  struct weir_error call_error;
  uint32_t failures; /* in a row */
  uint64_t delay_ns, retry_at_ns;
};

static struct plain_sink *plain_of(struct wr_operator *op) {
  return (struct plain_sink *)op;
}

/* ---- rows ---- */

static void clear_rows(struct rows *rows) {
  for (uint32_t i = 0; i < rows->count; i++)
    wr_batch_unref(rows->batches[i]);
  rows->count = rows->row_count = 0;
  rows->bytes = 0;
}

static enum weir_code add_batch(struct plain_sink *plain, struct wr_batch *batch, struct weir_error *error) {
  struct rows *rows = &plain->gathered;
  if (rows->count == rows->capacity) {
    uint32_t capacity = rows->capacity == 0 ? 64 : rows->capacity * 2;
    struct wr_batch **batches =
        wr_resize(plain->op.context->memory, rows->batches, capacity * sizeof(struct wr_batch *), WR_MEMORY_SINK);
    if (batches == NULL)
      return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the rows of sink %s", plain->op.context->uid);
    rows->batches = batches;
    rows->capacity = capacity;
  }
  rows->batches[rows->count++] = wr_batch_ref(batch);
  rows->row_count += batch->selected_count;
  rows->bytes += batch->bytes;
  return WEIR_OK;
}

static bool is_full(const struct plain_sink *plain) {
  uint32_t rows_max = plain->config->rows_max == 0 ? ROWS_MAX : plain->config->rows_max;
  return plain->gathered.row_count >= rows_max || plain->gathered.bytes >= BYTES_MAX;
}

static bool holds_rows(const struct plain_sink *plain) {
  return plain->gathered.count != 0 || plain->written.count != 0;
}

/* ---- the call ---- */

static void run_call(struct wr_call *call) {
  struct plain_sink *plain = (struct plain_sink *)((char *)call - offsetof(struct plain_sink, call));
  struct wr_plain_target *target = plain->target;
  plain->code = WEIR_OK;
  if (plain->is_closing)
    target->vtable->close(target);
  else if (!plain->is_connected)
    plain->code = target->vtable->connect(target, &plain->call_error);
  else
    plain->code = target->vtable->write(target, plain->written.batches, plain->written.count, &plain->call_error);
}

static void submit(struct plain_sink *plain) {
  plain->is_running = true;
  wr_call_submit(plain->op.context->seams->calls, &plain->call);
}

static void try_again_later(struct plain_sink *plain) {
  const struct wr_operator_context *context = plain->op.context;
  if (plain->failures++ % LOG_EVERY == 0)
    wr_log_write(context->seams->log, WR_LOG_WARN,
                 "sink %s, subtask %u: rows could not be written, it is tried again (failure %u in a row): %s",
                 context->uid, context->subtask, plain->failures, plain->call_error.message);
  plain->retry_at_ns = context->now_ns + plain->delay_ns;
  plain->delay_ns = plain->delay_ns * 2 < DELAY_MAX_NS ? plain->delay_ns * 2 : DELAY_MAX_NS;
}

/* What the call answered. */
static enum wr_result settle(struct plain_sink *plain) {
  struct wr_operator_context *context = plain->op.context;
  if (!wr_call_take_done(&plain->call)) return WR_RESULT_WAIT;
  plain->is_running = false;
  if (plain->code == WEIR_OK) {
    plain->failures = 0;
    plain->delay_ns = DELAY_FIRST_NS;
    if (plain->is_connected) clear_rows(&plain->written);
    plain->is_connected = true;
    return WR_RESULT_OK;
  }
  if (weir_code_is_transient(plain->code)) {
    try_again_later(plain);
    return WR_RESULT_OK;
  }
  context->error = plain->call_error;
  wr_error_prefix(&context->error, "sink %s, subtask %u", context->uid, context->subtask);
  return WR_RESULT_ERROR;
}

/* ---- the clock ---- */

static void wake_until(uint64_t *wake_at_ns, uint64_t at_ns) {
  if (*wake_at_ns > at_ns) *wake_at_ns = at_ns;
}

/* Ticks that nobody had rows for are passed over, so that the clock stays the clock. */
static bool has_ticked(struct plain_sink *plain) {
  const uint64_t now_ns = plain->op.context->now_ns, interval_ns = plain->config->interval_ns;
  if (plain->tick_ns == 0) plain->tick_ns = now_ns + interval_ns;
  if (now_ns < plain->tick_ns) return false;
  plain->tick_ns += (1 + (now_ns - plain->tick_ns) / interval_ns) * interval_ns;
  return true;
}

/* Takes the answer of a call, and begins the next where one is due. OK: something was done. */
static enum wr_result step(struct plain_sink *plain, bool is_end, uint64_t *wake_at_ns) {
  enum wr_result result = WR_RESULT_WAIT;
  if (plain->is_running) {
    result = settle(plain);
    if (result != WR_RESULT_OK) return result;
  }
  if (plain->failures > 0 && plain->op.context->now_ns < plain->retry_at_ns) {
    wake_until(wake_at_ns, plain->retry_at_ns);
    return result;
  }
  if (!plain->is_connected || plain->written.count != 0) {
    submit(plain);
    return WR_RESULT_OK;
  }
  bool is_due = has_ticked(plain) || is_end || is_full(plain);
  if (plain->gathered.count == 0) return result;
  wake_until(wake_at_ns, plain->tick_ns);
  if (!is_due) return result;
  struct rows empty = plain->written;
  plain->written = plain->gathered;
  plain->gathered = empty;
  submit(plain);
  return WR_RESULT_OK;
}

/* ---- the operator ---- */

static enum weir_code open_plain(struct wr_operator *op, struct weir_error *error) {
  (void)error;
  const struct wr_plain_sink_config *config = plain_of(op)->config;
  if (op->context->subtask == 0)
    wr_log_write(op->context->seams->log, WR_LOG_WARN,
                 "sink %s is plain: %s gets rows every %" PRIu64
                 " ms, whatever the checkpoints do; rows can come twice "
                 "after a restart",
                 op->context->uid, config->where, config->interval_ns / 1000000);
  return WEIR_OK;
}

static enum wr_result process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns) {
  (void)input;
  struct plain_sink *plain = plain_of(op);
  if (step(plain, false, wake_at_ns) == WR_RESULT_ERROR) return WR_RESULT_ERROR;
  if (batch->selected_count == 0) return WR_RESULT_OK;
  if (is_full(plain)) return WR_RESULT_WAIT;
  return add_batch(plain, batch, &op->context->error) == WEIR_OK ? WR_RESULT_OK : WR_RESULT_ERROR;
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  return step(plain_of(op), false, wake_at_ns);
}

static enum wr_result wait_until_written(struct plain_sink *plain, bool is_end, uint64_t *wake_at_ns) {
  if (step(plain, is_end, wake_at_ns) == WR_RESULT_ERROR) return WR_RESULT_ERROR;
  return holds_rows(plain) ? WR_RESULT_WAIT : WR_RESULT_OK;
}

static enum wr_result before_barrier(struct wr_operator *op, uint64_t id, uint64_t *wake_at_ns) {
  (void)id;
  return wait_until_written(plain_of(op), false, wake_at_ns);
}

static enum wr_result end_input(struct wr_operator *op, uint32_t input, uint64_t *wake_at_ns) {
  (void)input;
  return wait_until_written(plain_of(op), true, wake_at_ns);
}

/* Closing a connection may block, so it is a call too. */
static bool is_idle(struct wr_operator *op) {
  struct plain_sink *plain = plain_of(op);
  if (atomic_load_explicit(&plain->call.state, memory_order_acquire) == WR_CALL_SUBMITTED) return false;
  if (plain->is_closing) return true;
  if (plain->is_running) (void)wr_call_take_done(&plain->call);
  plain->is_closing = true;
  submit(plain);
  return false;
}

static void free_plain(struct wr_operator *op) {
  struct plain_sink *plain = plain_of(op);
  struct wr_memory *memory = op->context->memory;
  WR_ASSERT(atomic_load_explicit(&plain->call.state, memory_order_acquire) != WR_CALL_SUBMITTED);
  clear_rows(&plain->gathered);
  clear_rows(&plain->written);
  wr_free(memory, plain->gathered.batches);
  wr_free(memory, plain->written.batches);
  plain->target->vtable->free(plain->target);
  wr_free(memory, plain);
}

static const struct wr_operator_vtable vtable = {.name = "plain sink",
                                                 .open = open_plain,
                                                 .process = process,
                                                 .poll = poll,
                                                 .before_barrier = before_barrier,
                                                 .end_input = end_input,
                                                 .is_idle = is_idle,
                                                 .free = free_plain};

enum weir_code wr_plain_sink_new(const struct wr_plain_sink_config *config, struct wr_operator_context *context,
                                 struct wr_operator **out_operator, struct weir_error *error) {
  *out_operator = NULL;
  struct plain_sink *plain = wr_alloc_zeroed(context->memory, 1, sizeof *plain, WR_MEMORY_SINK);
  if (plain == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for sink %s", context->uid);
  plain->op = (struct wr_operator){.vtable = &vtable, .context = context};
  plain->config = config;
  plain->delay_ns = DELAY_FIRST_NS;
  plain->call.run = run_call;
  plain->call.waker = context->waker;
  plain->target_context = (struct wr_target_context){.seams = context->seams,
                                                     .memory = context->memory,
                                                     .store = context->store,
                                                     .job_name = context->uid,
                                                     .uid = context->uid,
                                                     .schema = context->input_schema};
  enum weir_code code = config->new_target(config->target_config, &plain->target_context, &plain->target, error);
  if (code != WEIR_OK) {
    wr_free(context->memory, plain);
    return code;
  }
  *out_operator = &plain->op;
  return WEIR_OK;
}

/* ---- the graph ---- */

static enum weir_code new_operator(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                   struct weir_error *error) {
  return wr_plain_sink_new(config, context, out_operator, error);
}

enum weir_code wr_plain_sink_node(const char *uid, const struct weir_schema *schema, uint32_t parallelism,
                                  const struct wr_plain_sink_config *config, struct wr_node *out_node,
                                  struct weir_error *error) {
  *out_node = (struct wr_node){.kind = WR_NODE_OPERATOR,
                               .parallelism = parallelism,
                               .input_count = 1,
                               .input_schemas = {schema},
                               .chain = true,
                               .durable = true,
                               .config = (void *)config,
                               .new_operator = new_operator};
  if (config->interval_ns == 0) return WR_FAIL(error, WEIR_INVALID, "the interval of a plain sink is above 0");
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length > 0 && (size_t)length < sizeof out_node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a plain sink has 1 to %d bytes", WR_UID_BYTES_MAX);
}
