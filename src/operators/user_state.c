/* operators/user_state.c: keyed state and timers of a user's operator. See user_int.h. Worker of the task. */
#include "operators/user_int.h"

#include <stdio.h>

enum { SLOTS = 2 * WR_BATCH_ROWS_MAX };
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "a power of two");

/* ---- making ---- */

static enum weir_code no_memory(const struct weir_operator *op, struct weir_error *error) {
  return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for operator '%s'", op->base.context->uid);
}

enum weir_code user_state_new(struct weir_operator *op, struct weir_error *error) {
  struct wr_operator_context *context = op->base.context;
  struct wr_memory *memory = context->memory;
  wr_bytes_init(&op->key_scratch, memory, WR_MEMORY_ENGINE);
  wr_bytes_init(&op->due.bytes, memory, WR_MEMORY_ENGINE);
  if (context->key.count == 0) return WEIR_OK;
  op->key_schema = wr_key_schema(memory, context->input_schema, &context->key, NULL);
  op->keys = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *op->keys, WR_MEMORY_ENGINE);
  op->key_numbers = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *op->key_numbers, WR_MEMORY_ENGINE);
  op->key_rows = wr_alloc(memory, WR_BATCH_ROWS_MAX * sizeof *op->key_rows, WR_MEMORY_ENGINE);
  op->slots = wr_alloc(memory, SLOTS * sizeof *op->slots, WR_MEMORY_ENGINE);
  bool is_there = op->key_schema != NULL && op->keys != NULL && op->key_numbers != NULL && op->key_rows != NULL &&
                  op->slots != NULL;
  return is_there ? WEIR_OK : no_memory(op, error);
}

static void free_state(struct wr_memory *memory, struct weir_state *state) {
  wr_free(memory, state->name);
  wr_free(memory, state->value);
  wr_free(memory, state->fresh);
  wr_free(memory, state->present);
  wr_free(memory, state);
}

void user_state_free(struct weir_operator *op) {
  struct wr_memory *memory = op->base.context->memory;
  for (uint32_t i = 0; i < op->state_count; i++)
    free_state(memory, op->states[i]);
  for (uint32_t time = 0; time < USER_TIMES; time++)
    if (op->timers[time] != NULL) wr_timers_free(op->timers[time]);
  if (op->due.builder.memory != NULL) wr_batch_builder_deinit(&op->due.builder);
  wr_free(memory, op->due.timers);
  wr_free(memory, op->due.times_ms);
  wr_bytes_deinit(&op->due.bytes);
  wr_bytes_deinit(&op->key_scratch);
  wr_free(memory, op->key_schema);
  wr_free(memory, op->keys);
  wr_free(memory, op->key_numbers);
  wr_free(memory, op->key_rows);
  wr_free(memory, op->slots);
}

static enum weir_code check_declaration(struct weir_operator *op, const char *name, const struct weir_schema *value,
                                        struct weir_error *error) {
  if (!op->is_opening) return WR_FAIL(error, WEIR_INVALID, "states are declared in `open` only");
  if (op->key_schema == NULL)
    return WR_FAIL(error, WEIR_INVALID, "it has no key, so it can have no keyed state; put weir_key_by in front of it");
  if (name == NULL || name[0] == 0 || strlen(name) > WR_NAME_BYTES_MAX || strncmp(name, "weir.", 5) == 0)
    return WR_FAIL(error, WEIR_INVALID,
                   "\"%.64s\" is no name for a state: it has 1 to %d bytes and does not begin with \"weir.\"",
                   name == NULL ? "" : name, WR_NAME_BYTES_MAX);
  if (op->state_count == WR_STATES_PER_OPERATOR_MAX)
    return WR_FAIL(error, WEIR_LIMIT, "an operator has at most %d states", WR_STATES_PER_OPERATOR_MAX);
  if (value == NULL) return WR_FAIL(error, WEIR_INVALID, "state \"%s\" has no schema", name);
  return wr_schema_check(value, error);
}

static enum weir_code register_state(struct weir_operator *op, struct weir_state *state, struct weir_error *error) {
  const struct wr_state_descriptor descriptor = {.name = state->name, .key = op->key_schema, .value = state->value};
  WR_TRY(wr_backend_register(op->base.context->backend, &descriptor, &state->state, error));
  state->table = wr_state_table(state->state, 0);
  return state->table != NULL ? WEIR_OK : no_memory(op, error);
}

enum weir_code weir_operator_declare_state(struct weir_operator *op, const char *name, const struct weir_schema *value,
                                           struct weir_state **out_state, struct weir_error *error) {
  WR_TRY(check_declaration(op, name, value, error));
  struct wr_memory *memory = op->base.context->memory;
  struct weir_state *state = wr_alloc_zeroed(memory, 1, sizeof *state, WR_MEMORY_ENGINE);
  if (state == NULL) return no_memory(op, error);
  state->op = op;
  state->name = wr_copy_string(memory, name, WR_MEMORY_ENGINE);
  state->value = wr_schema_copy(memory, value);
  state->fresh = wr_alloc_zeroed(memory, WR_BATCH_ROWS_MAX, 1, WR_MEMORY_ENGINE);
  state->present = wr_alloc_zeroed(memory, WR_BATCH_ROWS_MAX, 1, WR_MEMORY_ENGINE);
  bool is_there = state->name != NULL && state->value != NULL && state->fresh != NULL && state->present != NULL;
  enum weir_code code = is_there ? register_state(op, state, error) : no_memory(op, error);
  if (code != WEIR_OK) {
    free_state(memory, state);
    return code;
  }
  op->states[op->state_count++] = state;
  if (out_state != NULL) *out_state = state;
  return WEIR_OK;
}

struct weir_state *weir_operator_state(struct weir_operator *op, const char *name) {
  for (uint32_t i = 0; i < op->state_count; i++)
    if (strcmp(op->states[i]->name, name) == 0) return op->states[i];
  return NULL;
}

/* ---- the rows at hand ---- */

/* Numbers the different keys among the rows: equal keys have equal row ids in every state. */
static void number_keys(struct weir_operator *op, const uint32_t *row_ids, uint32_t count) {
  memset(op->slots, 0, SLOTS * sizeof *op->slots);
  op->key_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t id = row_ids[i];
    uint32_t at = (uint32_t)(id * 0x9e3779b1u) & (SLOTS - 1);
    while (op->slots[at] != 0 && op->slots[at] >> 32 != id)
      at = (at + 1) & (SLOTS - 1);
    if (op->slots[at] == 0) {
      op->key_rows[op->key_count++] = (uint16_t)i;
      op->slots[at] = id << 32 | op->key_count;
    }
    op->key_numbers[i] = (uint16_t)((uint32_t)op->slots[at] - 1);
  }
}

static enum wr_prepare prepare_state(struct weir_operator *op, struct weir_state *state, uint32_t count,
                                     struct weir_error *error) {
  enum wr_prepare prepared = wr_table_prepare(state->table, op->keys, count, WR_ACCESS_WRITE, error);
  if (prepared != WR_PREPARE_READY) return prepared;
  const uint8_t *is_new = wr_table_row_is_new(state->table);
  for (uint32_t i = 0; i < count; i++)
    state->fresh[i] |= is_new[i];
  return prepared;
}

enum wr_prepare user_state_begin(struct weir_operator *op, uint32_t count, struct weir_error *error) {
  if (!op->is_retrying)
    for (uint32_t s = 0; s < op->state_count; s++)
      memset(op->states[s]->fresh, 0, count);
  op->is_retrying = false;
  for (uint32_t s = 0; s < op->state_count; s++) {
    enum wr_prepare prepared = prepare_state(op, op->states[s], count, error);
    op->is_retrying = prepared == WR_PREPARE_WAIT;
    if (prepared != WR_PREPARE_READY) return prepared;
  }
  op->row_count = count;
  if (op->state_count == 0) return WR_PREPARE_READY;
  number_keys(op, wr_table_row_ids(op->states[0]->table), count);
  for (uint32_t s = 0; s < op->state_count; s++)
    for (uint32_t k = 0; k < op->key_count; k++)
      op->states[s]->present[k] = op->states[s]->fresh[op->key_rows[k]] == 0;
  return WR_PREPARE_READY;
}

/* Rows that were made for keys which got no value, or lost it, go. */
void user_state_end(struct weir_operator *op) {
  if (op->row_count == 0) return;
  op->row_count = 0;
  for (uint32_t s = 0; s < op->state_count; s++)
    for (uint32_t k = 0; k < op->key_count; k++)
      if (op->states[s]->present[k] == 0) wr_table_delete(op->states[s]->table, op->key_rows[k]);
}

const void *weir_state_get(const struct weir_state *state, uint32_t row) {
  const struct weir_operator *op = state->op;
  WR_ASSERT(row < op->row_count);
  return state->present[op->key_numbers[row]] != 0 ? wr_table_rows(state->table)[row] : NULL;
}

void *weir_state_put(struct weir_state *state, uint32_t row) {
  const struct weir_operator *op = state->op;
  WR_ASSERT(row < op->row_count);
  state->present[op->key_numbers[row]] = 1;
  return wr_table_rows(state->table)[row];
}

/* The row itself goes at the end of the call; until then it is as new, should the key get a value again. */
void weir_state_clear(struct weir_state *state, uint32_t row) {
  const struct weir_operator *op = state->op;
  WR_ASSERT(row < op->row_count);
  state->present[op->key_numbers[row]] = 0;
  char *value = wr_table_rows(state->table)[row];
  for (uint32_t field = 0; field < state->value->field_count; field++) {
    const struct weir_field *description = &state->value->fields[field];
    if (description->type == WEIR_TYPE_STRING || description->type == WEIR_TYPE_BYTES) {
      enum weir_code code = wr_value_set_bytes(state->table, value, field, "", 0, NULL);
      WR_ASSERT(code == WEIR_OK);
    } else {
      memset(value + wr_state_value_offset(state->state, field), 0, wr_type_width(description->type));
    }
    if (description->nullable) wr_value_set_null(state->table, value, field, false);
  }
}

const char *weir_state_bytes(const struct weir_state *state, const void *value, uint32_t field, size_t *out_length) {
  return wr_value_bytes(state->table, value, field, out_length);
}

enum weir_code weir_state_set_bytes(struct weir_state *state, void *value, uint32_t field, const void *bytes,
                                    size_t length, struct weir_error *error) {
  return wr_value_set_bytes(state->table, value, field, bytes, length, error);
}

bool weir_state_is_null(const struct weir_state *state, const void *value, uint32_t field) {
  return wr_value_is_null(state->table, value, field);
}

void weir_state_set_null(struct weir_state *state, void *value, uint32_t field, bool is_null) {
  wr_value_set_null(state->table, value, field, is_null);
}

/* ---- timers ---- */

enum weir_code user_timers_open(struct weir_operator *op, struct weir_error *error) {
  struct wr_operator_context *context = op->base.context;
  if (op->definition.timers == NULL) return WEIR_OK;
  if (op->key_schema == NULL)
    return WR_FAIL(error, WEIR_INVALID, "operator '%s' has timers, but no key; put weir_key_by in front of it",
                   context->uid);
  op->due.timers = wr_alloc(context->memory, WR_BATCH_ROWS_MAX * sizeof *op->due.timers, WR_MEMORY_ENGINE);
  op->due.times_ms = wr_alloc(context->memory, WR_BATCH_ROWS_MAX * sizeof *op->due.times_ms, WR_MEMORY_ENGINE);
  if (op->due.timers == NULL || op->due.times_ms == NULL) return no_memory(op, error);
  wr_batch_builder_init(&op->due.builder, context->memory, op->key_schema, false);
  WR_TRY(wr_timers_new(context->backend, context->memory, "weir.timers.event", op->key_schema,
                       &op->timers[WEIR_EVENT_TIME], error));
  return wr_timers_new(context->backend, context->memory, "weir.timers.processing", op->key_schema,
                       &op->timers[WEIR_PROCESSING_TIME], error);
}

enum weir_code user_timers_take(struct weir_operator *op, enum weir_time time, int64_t now_ms,
                                struct weir_error *error) {
  WR_ASSERT(op->due.count == 0);
  uint32_t limit = op->due.builder.capacity_rows, count = 0;
  WR_TRY(wr_timers_take_due(op->timers[time], now_ms, op->due.timers, limit, &count, error));
  size_t length = 0;
  for (uint32_t i = 0; i < count; i++)
    length += op->due.timers[i].key.length;
  wr_bytes_clear(&op->due.bytes);
  uint8_t *room = wr_bytes_reserve(&op->due.bytes, length + 1);
  if (room == NULL) return wr_bytes_check(&op->due.bytes, error);
  for (uint32_t i = 0; i < count; i++) {
    struct wr_timer *timer = &op->due.timers[i];
    if (timer->key.length != 0) memcpy(room, timer->key.bytes, timer->key.length);
    timer->key.bytes = room;
    room += timer->key.length;
    op->due.times_ms[i] = timer->time_ms;
  }
  op->due.time = time;
  op->due.count = count;
  return WEIR_OK;
}

enum weir_code user_timers_batch(struct weir_operator *op, struct wr_batch **out_batch, struct weir_error *error) {
  struct wr_batch_builder *builder = &op->due.builder;
  for (uint32_t i = 0; i < op->due.count; i++) {
    WR_TRY(wr_batch_builder_begin(builder, error));
    WR_TRY(wr_key_to_row(builder, op->key_schema->field_count, &op->due.timers[i].key, error));
    wr_batch_builder_end_row(builder, WEIR_INSERT);
  }
  *out_batch = wr_batch_builder_take(builder);
  WR_ASSERT(*out_batch != NULL);
  return WEIR_OK;
}

static enum weir_code check_timer(struct weir_operator *op, uint32_t row, int64_t time_ms, struct weir_error *error) {
  if (op->definition.timers == NULL)
    return WR_FAIL(error, WEIR_INVALID, "its definition has no function `timers`, so it can register none");
  WR_ASSERT(row < op->row_count);
  if (time_ms == INT64_MAX) return WR_FAIL(error, WEIR_INVALID, "a timer at the end of time would never fire");
  return WEIR_OK;
}

enum weir_code weir_timer_register(struct weir_operator *op, enum weir_time time, int64_t time_ms, uint32_t row,
                                   struct weir_error *error) {
  WR_TRY(check_timer(op, row, time_ms, error));
  return wr_timers_register(op->timers[time], time_ms, &op->keys[row], error);
}

enum weir_code weir_timer_delete(struct weir_operator *op, enum weir_time time, int64_t time_ms, uint32_t row,
                                 struct weir_error *error) {
  WR_TRY(check_timer(op, row, time_ms, error));
  return wr_timers_delete(op->timers[time], time_ms, &op->keys[row], error);
}
