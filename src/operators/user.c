/* operators/user.c: an operator of a user's program: its life and its calls. See user_int.h.
 *
 * Every callback is followed by the flush of what it emitted, so that rows never stand over from one call to the next.
 * Worker of the task.
 */
#include "operators/user_int.h"

/* ---- what a callback came to ---- */

static enum wr_result failed(struct weir_operator *op) {
  op->may_emit = false;
  op->row_count = 0;
  return WR_RESULT_ERROR;
}

/* Ends a callback that returned `code`: the output leaves, the states are put in order. */
static enum wr_result finish_call(struct weir_operator *op, enum weir_code code) {
  struct wr_operator_context *context = op->base.context;
  if (code != WEIR_OK) {
    if (context->error.code != code)
      WR_FAIL(&context->error, code, "its callback returned \"%s\" and gave no reason", weir_code_text(code));
    wr_error_prefix(&context->error, "operator '%s'", context->uid);
    return failed(op);
  }
  if (user_output_flush(op, &context->error) != WEIR_OK) return failed(op);
  user_state_end(op);
  op->may_emit = false;
  return WR_RESULT_OK;
}

static void begin_call(struct weir_operator *op) {
  op->base.context->error.code = WEIR_OK;
  op->may_emit = true;
}

/* A callback without rows. */
static enum wr_result plain_call(struct weir_operator *op,
                                 enum weir_code (*call)(struct weir_operator *, struct weir_error *)) {
  if (call == NULL) return WR_RESULT_OK;
  begin_call(op);
  return finish_call(op, call(op, &op->base.context->error));
}

static enum wr_result wait(struct weir_operator *op, uint64_t *wake_at_ns) {
  uint64_t now_ns = op->base.context->now_ns;
  if (now_ns < *wake_at_ns) *wake_at_ns = now_ns;
  return WR_RESULT_WAIT;
}

/* ---- timers ---- */

/* Tells the user of the timers in op->due. */
static enum wr_result fire_due(struct weir_operator *op, uint64_t *wake_at_ns) {
  struct wr_operator_context *context = op->base.context;
  for (uint32_t i = 0; i < op->due.count; i++)
    op->keys[i] = op->due.timers[i].key;
  switch (user_state_begin(op, op->due.count, &context->error)) {
  case WR_PREPARE_WAIT:
    return wait(op, wake_at_ns);
  case WR_PREPARE_FAILED:
    return failed(op);
  case WR_PREPARE_READY:
    break;
  }
  struct wr_batch *batch = NULL;
  if (user_timers_batch(op, &batch, &context->error) != WEIR_OK) return failed(op);
  begin_call(op);
  enum weir_code code =
      op->definition.timers(op, op->due.time, (const struct weir_batch *)batch, op->due.times_ms, &context->error);
  op->due.count = 0;
  enum wr_result result = finish_call(op, code);
  wr_batch_unref(batch);
  return result;
}

static bool is_due(const struct weir_operator *op, enum weir_time time, int64_t now_ms) {
  return op->timers[time] != NULL && wr_timers_next_time(op->timers[time]) <= now_ms &&
         wr_timers_count(op->timers[time]) != 0;
}

/* Fires what waits. MORE: something was fired, and the call that asked comes again. */
static enum wr_result fire_waiting(struct weir_operator *op, uint64_t *wake_at_ns) {
  if (op->due.count == 0) return WR_RESULT_OK;
  enum wr_result result = fire_due(op, wake_at_ns);
  return result == WR_RESULT_OK ? WR_RESULT_MORE : result;
}

static enum wr_result user_watermark(struct wr_operator *base, uint64_t *wake_at_ns) {
  struct weir_operator *op = (struct weir_operator *)base;
  struct wr_operator_context *context = base->context;
  enum wr_result result = fire_waiting(op, wake_at_ns);
  if (result != WR_RESULT_OK) return result;
  if (is_due(op, WEIR_EVENT_TIME, context->watermark_ms)) {
    if (user_timers_take(op, WEIR_EVENT_TIME, context->watermark_ms, &context->error) != WEIR_OK) return failed(op);
    return fire_waiting(op, wake_at_ns);
  }
  return plain_call(op, op->definition.watermark);
}

/* Timers of processing time. While a call that must wait is unfinished, nothing else happens. */
static enum wr_result user_poll(struct wr_operator *base, uint64_t *wake_at_ns) {
  struct weir_operator *op = (struct weir_operator *)base;
  struct wr_operator_context *context = base->context;
  enum wr_result result = fire_waiting(op, wake_at_ns);
  if (result != WR_RESULT_OK) return result;
  if (op->is_retrying || op->timers[WEIR_PROCESSING_TIME] == NULL) return WR_RESULT_WAIT;
  if (is_due(op, WEIR_PROCESSING_TIME, context->now_ms)) {
    if (user_timers_take(op, WEIR_PROCESSING_TIME, context->now_ms, &context->error) != WEIR_OK) return failed(op);
    return fire_waiting(op, wake_at_ns);
  }
  int64_t next_ms = wr_timers_next_time(op->timers[WEIR_PROCESSING_TIME]);
  if (next_ms != INT64_MAX) {
    uint64_t wait_ms = (uint64_t)(next_ms - context->now_ms);
    uint64_t wake_ns = wait_ms > UINT64_MAX / 2000000 ? UINT64_MAX : context->now_ns + wait_ms * 1000000;
    if (wake_ns < *wake_at_ns) *wake_at_ns = wake_ns;
  }
  return WR_RESULT_WAIT;
}

/* ---- input ---- */

static enum wr_result user_process(struct wr_operator *base, uint32_t input, struct wr_batch *batch,
                                   uint64_t *wake_at_ns) {
  struct weir_operator *op = (struct weir_operator *)base;
  struct wr_operator_context *context = base->context;
  (void)input;
  enum wr_result result = fire_waiting(op, wake_at_ns);
  if (result != WR_RESULT_OK || batch->selected_count == 0) return result;
  if (op->key_schema != NULL) {
    if (wr_keys_of_batch(batch, &context->key, &op->key_scratch, op->keys, &context->error) != WEIR_OK)
      return failed(op);
    enum wr_prepare prepared = user_state_begin(op, batch->selected_count, &context->error);
    if (prepared == WR_PREPARE_WAIT) return wait(op, wake_at_ns);
    if (prepared == WR_PREPARE_FAILED) return failed(op);
  }
  begin_call(op);
  return finish_call(op, op->definition.process(op, (const struct weir_batch *)batch, &context->error));
}

static enum wr_result user_before_barrier(struct wr_operator *base, uint64_t id, uint64_t *wake_at_ns) {
  struct weir_operator *op = (struct weir_operator *)base;
  (void)id;
  enum wr_result result = fire_waiting(op, wake_at_ns);
  return result == WR_RESULT_OK ? plain_call(op, op->definition.before_barrier) : result;
}

/* No timer of processing time fires after the end of the input, also not after a restart: they are dropped here. */
static enum wr_result user_end_input(struct wr_operator *base, uint32_t input, uint64_t *wake_at_ns) {
  struct weir_operator *op = (struct weir_operator *)base;
  (void)input;
  enum wr_result result = fire_waiting(op, wake_at_ns);
  if (result != WR_RESULT_OK) return result;
  if (is_due(op, WEIR_PROCESSING_TIME, INT64_MAX)) {
    enum weir_code code = user_timers_take(op, WEIR_PROCESSING_TIME, INT64_MAX, &base->context->error);
    op->due.count = 0;
    return code == WEIR_OK ? WR_RESULT_MORE : failed(op);
  }
  return plain_call(op, op->definition.end_input);
}

/* ---- life ---- */

static enum weir_code user_open(struct wr_operator *base, struct weir_error *error) {
  struct weir_operator *op = (struct weir_operator *)base;
  WR_TRY(user_timers_open(op, error));
  if (op->definition.open != NULL) {
    if (error != NULL) error->code = WEIR_OK;
    op->is_opening = true;
    enum weir_code code = op->definition.open(op, error);
    op->is_opening = false;
    if (code != WEIR_OK) {
      if (error != NULL && error->code != code)
        WR_FAIL(error, code, "it could not be opened: %s", weir_code_text(code));
      if (error != NULL) wr_error_prefix(error, "operator '%s'", base->context->uid);
      return code;
    }
  }
  op->is_open = true;
  return WEIR_OK;
}

static enum weir_code user_restored(struct wr_operator *base, struct wr_subtask_state *state,
                                    struct weir_error *error) {
  struct weir_operator *op = (struct weir_operator *)base;
  (void)state;
  for (uint32_t time = 0; time < USER_TIMES; time++)
    if (op->timers[time] != NULL) WR_TRY(wr_timers_restored(op->timers[time], error));
  return WEIR_OK;
}

static void user_free(struct wr_operator *base) {
  struct weir_operator *op = (struct weir_operator *)base;
  struct wr_memory *memory = base->context->memory;
  if (op->is_open && op->definition.close != NULL) op->definition.close(op);
  user_output_free(op);
  user_state_free(op);
  wr_free(memory, op);
}

static const struct wr_operator_vtable user_vtable = {
    .name = "process",
    .open = user_open,
    .restored = user_restored,
    .process = user_process,
    .watermark = user_watermark,
    .poll = user_poll,
    .before_barrier = user_before_barrier,
    .end_input = user_end_input,
    .free = user_free,
};

enum weir_code wr_user_check(const struct weir_operator_definition *definition, struct weir_error *error) {
  if (definition == NULL) return WR_FAIL(error, WEIR_INVALID, "an operator has no definition");
  if (definition->size > sizeof *definition)
    return WR_FAIL(error, WEIR_INVALID, "an operator's definition is of a newer version (%zu bytes, known are %zu)",
                   definition->size, sizeof *definition);
  if (definition->size < sizeof *definition)
    return WR_FAIL(error, WEIR_INVALID, "set the field `size` of an operator's definition to its sizeof");
  if (definition->process == NULL)
    return WR_FAIL(error, WEIR_INVALID, "operator %s has no function `process`",
                   definition->name == NULL ? "without a name" : definition->name);
  return WEIR_OK;
}

enum weir_code wr_user_new(const struct weir_operator_definition *definition, struct wr_operator_context *context,
                           struct wr_operator **out_operator, struct weir_error *error) {
  struct weir_operator *op = wr_alloc_zeroed(context->memory, 1, sizeof *op, WR_MEMORY_ENGINE);
  if (op == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for operator '%s'", context->uid);
  op->base = (struct wr_operator){.vtable = &user_vtable, .context = context};
  op->definition = *definition;
  user_output_new(op);
  enum weir_code code = user_state_new(op, error);
  if (code != WEIR_OK) {
    user_free(&op->base);
    return code;
  }
  *out_operator = &op->base;
  return WEIR_OK;
}

void *weir_operator_config(const struct weir_operator *op) {
  return op->definition.config;
}

void weir_operator_set_instance(struct weir_operator *op, void *instance) {
  op->instance = instance;
}

void *weir_operator_instance(const struct weir_operator *op) {
  return op->instance;
}

const char *weir_operator_uid(const struct weir_operator *op) {
  return op->base.context->uid;
}

uint32_t weir_operator_subtask(const struct weir_operator *op) {
  return op->base.context->subtask;
}

uint32_t weir_operator_parallelism(const struct weir_operator *op) {
  return op->base.context->parallelism;
}

int64_t weir_operator_watermark_ms(const struct weir_operator *op) {
  return op->base.context->watermark_ms;
}

int64_t weir_operator_now_ms(const struct weir_operator *op) {
  return op->base.context->now_ms;
}
