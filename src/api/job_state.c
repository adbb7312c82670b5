/* api/job_state.c: reading keyed state of a running job from outside (weir_job_read_state).
 *
 * The caller's thread asks the operator's tasks, one after the other, page by page. A task answers between two calls of
 * its operators, so a page is what the state holds at one moment. The answer is a batch in memory that the caller
 * releases; the task touches the question last by marking it answered, and the caller looks for that mark.
 */
#include "api/job_int.h"

#include "operators/key_columns.h"
#include "os/park.h"

enum { PAGE_ROWS = 2048, ANSWER_LOOK_NS = 200 * 1000 };

struct state_question {
  struct wr_task_question base; /* first */
  const char *state;
  struct wr_batch_builder
      builder; /* of the rows: key fields, then the value's. Its schema comes with the first answer */
  struct weir_schema *schema;
  const struct weir_schema *key_schema;
  struct wr_memory *memory;
  bool has_key;
  struct wr_key key; /* that is asked for */
  uint32_t cursor;   /* of the walk */
  bool has_more;     /* the page is full, or the state had to be waited for */
  bool is_found;     /* the task runs and has such a state */
  bool has_backend;
  enum weir_code code;
  struct weir_error error;
  atomic_bool answered;
};

/* ---- in the task's thread ---- */

static enum weir_code put_value(struct state_question *question, struct wr_state *state, const struct wr_table *table,
                                const void *value) {
  const struct weir_schema *schema = wr_state_value_schema(state);
  struct wr_batch_builder *builder = &question->builder;
  for (uint32_t field = 0; field < schema->field_count; field++) {
    uint32_t to = question->key_schema->field_count + field;
    const void *at = (const char *)value + wr_state_value_offset(state, field);
    size_t length = 0;
    if (schema->fields[field].nullable && wr_value_is_null(table, value, field)) {
      WR_TRY(wr_batch_builder_set_null(builder, to, &question->error));
      continue;
    }
    switch (schema->fields[field].type) {
    case WEIR_TYPE_BOOLEAN:
      wr_batch_builder_set_boolean(builder, to, *(const uint8_t *)at != 0);
      break;
    case WEIR_TYPE_INT:
      wr_batch_builder_set_int(builder, to, *(const int32_t *)at);
      break;
    case WEIR_TYPE_BIGINT:
      wr_batch_builder_set_bigint(builder, to, *(const int64_t *)at);
      break;
    case WEIR_TYPE_DOUBLE:
      wr_batch_builder_set_double(builder, to, *(const double *)at);
      break;
    case WEIR_TYPE_TIMESTAMP:
      wr_batch_builder_set_timestamp(builder, to, *(const struct weir_timestamp *)at);
      break;
    default:
      at = wr_value_bytes(table, value, field, &length);
      WR_TRY(wr_batch_builder_set_bytes(builder, to, at, length, &question->error));
    }
  }
  return WEIR_OK;
}

static enum weir_code put_row(struct state_question *question, struct wr_state *state, const struct wr_table *table,
                              const struct wr_key *key, const void *value) {
  WR_TRY(wr_batch_builder_begin(&question->builder, &question->error));
  WR_TRY(wr_key_to_row(&question->builder, question->key_schema->field_count, key, &question->error));
  WR_TRY(put_value(question, state, table, value));
  wr_batch_builder_end_row(&question->builder, WEIR_INSERT);
  return WEIR_OK;
}

static enum weir_code look_up(struct state_question *question, struct wr_state *state, struct wr_table *table) {
  switch (wr_table_prepare(table, &question->key, 1, WR_ACCESS_READ, &question->error)) {
  case WR_PREPARE_WAIT:
    question->has_more = true;
    return WEIR_OK;
  case WR_PREPARE_FAILED:
    return question->error.code;
  case WR_PREPARE_READY:
    break;
  }
  const void *value = wr_table_rows(table)[0];
  return value == NULL ? WEIR_OK : put_row(question, state, table, &question->key, value);
}

static enum weir_code walk(struct state_question *question, struct wr_state *state, struct wr_table *table) {
  struct wr_key key;
  const void *value;
  uint32_t row_id;
  while (!wr_batch_builder_is_full(&question->builder) && wr_batch_builder_rows(&question->builder) < PAGE_ROWS) {
    if (!wr_table_next(table, &question->cursor, &row_id, &key, &value)) return WEIR_OK;
    WR_TRY(put_row(question, state, table, &key, value));
  }
  question->has_more = true;
  return WEIR_OK;
}

static enum weir_code answer_from(struct state_question *question, struct wr_backend *backend) {
  struct wr_state *state = wr_backend_find(backend, question->state);
  if (state == NULL) return WEIR_OK;
  question->is_found = true;
  if (question->schema == NULL) {
    struct wr_key_fields all = {.count = question->key_schema->field_count};
    uint32_t fields[WR_FIELDS_MAX];
    for (uint32_t i = 0; i < all.count; i++)
      fields[i] = i;
    all.fields = fields;
    question->schema = wr_key_schema(question->memory, question->key_schema, &all, wr_state_value_schema(state));
    if (question->schema == NULL) return WR_FAIL(&question->error, WEIR_NO_MEMORY, "no memory to read state");
    wr_batch_builder_init(&question->builder, question->memory, question->schema, false);
  }
  struct wr_table *table = wr_state_table(state, 0);
  if (table == NULL) return WR_FAIL(&question->error, WEIR_NO_MEMORY, "no memory to read state");
  return question->has_key ? look_up(question, state, table) : walk(question, state, table);
}

static void answer(struct wr_task_question *base, struct wr_backend *backend) {
  struct state_question *question = (struct state_question *)base;
  question->has_more = question->is_found = false;
  question->has_backend = backend != NULL;
  question->code = backend == NULL ? WEIR_OK : answer_from(question, backend);
  atomic_store_explicit(&question->answered, true, memory_order_release);
}

/* ---- in the caller's thread ---- */

static enum weir_code ask(struct weir_job *job, struct state_question *question, uint32_t subtask,
                          struct weir_error *error) {
  struct wr_parker parker;
  wr_parker_init(&parker);
  atomic_store_explicit(&question->answered, false, memory_order_relaxed);
  WR_TRY(wr_job_ask(job->job, question->base.uid, subtask, &question->base, error));
  while (!atomic_load_explicit(&question->answered, memory_order_acquire))
    (void)wr_parker_wait(&parker, ANSWER_LOOK_NS);
  if (!question->has_backend)
    return WR_FAIL(error, WEIR_BUSY, "operator '%s' does not run at this moment", question->base.uid);
  if (question->code != WEIR_OK) {
    if (error != NULL) *error = question->error;
    return question->code;
  }
  if (question->is_found) return WEIR_OK;
  return WR_FAIL(error, WEIR_NOT_FOUND, "operator '%s' has no state \"%s\"", question->base.uid, question->state);
}

/* All pages of one subtask. */
static enum weir_code read_subtask(struct weir_job *job, struct state_question *question, uint32_t subtask,
                                   void (*rows)(void *argument, const struct weir_batch *batch), void *argument,
                                   struct weir_error *error) {
  question->cursor = 0;
  do {
    WR_TRY(ask(job, question, subtask, error));
    struct wr_batch *batch = wr_batch_builder_take(&question->builder);
    if (batch != NULL) rows(argument, (const struct weir_batch *)batch);
    wr_batch_unref(batch);
  } while (question->has_more);
  return WEIR_OK;
}

static enum weir_code set_field(struct wr_batch_builder *builder, uint32_t field, const struct weir_value *value,
                                struct weir_error *error) {
  const struct weir_field *expected = &builder->schema->fields[field];
  if (value->type != expected->type)
    return WR_FAIL(error, WEIR_INVALID, "key field \"%s\" is a %s, not a %s", expected->name,
                   wr_type_text(expected->type),
                   (unsigned)value->type < WEIR_TYPE_COUNT ? wr_type_text(value->type) : "type that is not known");
  if (value->is_null) return wr_batch_builder_set_null(builder, field, error);
  switch (value->type) {
  case WEIR_TYPE_BOOLEAN:
    wr_batch_builder_set_boolean(builder, field, value->as.boolean);
    return WEIR_OK;
  case WEIR_TYPE_INT:
    wr_batch_builder_set_int(builder, field, value->as.int_value);
    return WEIR_OK;
  case WEIR_TYPE_BIGINT:
    wr_batch_builder_set_bigint(builder, field, value->as.bigint);
    return WEIR_OK;
  case WEIR_TYPE_DOUBLE:
    wr_batch_builder_set_double(builder, field, value->as.double_value);
    return WEIR_OK;
  case WEIR_TYPE_TIMESTAMP:
    wr_batch_builder_set_timestamp(builder, field, value->as.timestamp);
    return WEIR_OK;
  default:
    return wr_batch_builder_set_bytes(builder, field, value->as.bytes.data, value->as.bytes.length, error);
  }
}

/* One key as a batch of one row. */
static enum weir_code key_batch(const struct state_question *question, const struct weir_value *key, uint32_t key_count,
                                struct wr_batch **out_batch, struct weir_error *error) {
  if (key_count != question->key_schema->field_count)
    return WR_FAIL(error, WEIR_INVALID, "the key of operator '%s' has %u fields, not %u", question->base.uid,
                   question->key_schema->field_count, key_count);
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, question->memory, question->key_schema, false);
  enum weir_code code = wr_batch_builder_begin(&builder, error);
  for (uint32_t i = 0; i < key_count && code == WEIR_OK; i++)
    code = set_field(&builder, i, &key[i], error);
  if (code == WEIR_OK) {
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
    *out_batch = wr_batch_builder_take(&builder);
  }
  wr_batch_builder_deinit(&builder);
  return code;
}

/* Canonical bytes and the subtask of the key in row 0 of `batch`. */
static enum weir_code place_key(struct state_question *question, const struct wr_batch *batch, struct wr_bytes *scratch,
                                uint32_t parallelism, uint32_t max_parallelism, uint32_t *out_subtask,
                                struct weir_error *error) {
  uint32_t fields[WR_FIELDS_MAX];
  const struct wr_key_fields all = {.fields = fields, .count = question->key_schema->field_count};
  for (uint32_t i = 0; i < all.count; i++)
    fields[i] = i;
  uint64_t hash = 0;
  WR_TRY(wr_key_hashes(batch, &all, scratch, &hash, error));
  *out_subtask = wr_key_group_subtask(wr_key_group(hash, max_parallelism), parallelism, max_parallelism);
  question->has_key = true;
  return wr_keys_of_batch(batch, &all, scratch, &question->key, error);
}

static const struct wr_node *find_node(const struct wr_graph *graph, const char *uid) {
  for (uint32_t i = 0; i < graph->node_count; i++)
    if (strcmp(graph->nodes[i].uid, uid) == 0) return &graph->nodes[i];
  return NULL;
}

static enum weir_code read_all(struct weir_job *job, struct state_question *question, const struct weir_value *key,
                               uint32_t key_count, void (*rows)(void *argument, const struct weir_batch *batch),
                               void *argument, struct weir_error *error) {
  uint32_t parallelism = 0, max_parallelism = 0, subtask = 0;
  WR_TRY(wr_job_operator_shape(job->job, question->base.uid, &parallelism, &max_parallelism, error));
  if (key == NULL) {
    for (; subtask < parallelism; subtask++)
      WR_TRY(read_subtask(job, question, subtask, rows, argument, error));
    return WEIR_OK;
  }
  struct wr_batch *batch = NULL;
  struct wr_bytes scratch;
  WR_TRY(key_batch(question, key, key_count, &batch, error));
  wr_bytes_init(&scratch, question->memory, WR_MEMORY_ENGINE);
  enum weir_code code = place_key(question, batch, &scratch, parallelism, max_parallelism, &subtask, error);
  if (code == WEIR_OK) code = read_subtask(job, question, subtask, rows, argument, error);
  wr_bytes_deinit(&scratch);
  wr_batch_unref(batch);
  return code;
}

enum weir_code weir_job_read_state(struct weir_job *job, const char *uid, const char *state,
                                   const struct weir_value *key, uint32_t key_count,
                                   void (*rows)(void *argument, const struct weir_batch *batch), void *argument,
                                   struct weir_error *error) {
  const struct wr_node *node = find_node(job->graph, uid);
  if (node == NULL || node->key.count == 0)
    return WR_FAIL(error, WEIR_NOT_FOUND, "job '%s' has no operator '%s' with keyed state", job->name, uid);
  struct wr_memory *memory = job->posix.seams.memory;
  struct weir_schema *key_schema = wr_key_schema(memory, node->input_schemas[0], &node->key, NULL);
  if (key_schema == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory to read state");
  struct state_question question = {
      .base = {.uid = uid, .answer = answer}, .state = state, .key_schema = key_schema, .memory = memory};
  enum weir_code code = read_all(job, &question, key, key_count, rows, argument, error);
  if (question.schema != NULL) wr_batch_builder_deinit(&question.builder);
  wr_free(memory, question.schema);
  wr_free(memory, key_schema);
  return code;
}
