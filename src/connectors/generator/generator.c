/* connectors/generator/generator.c: see generator.h. Enumerator and reader; neither ever makes a call.
 *
 * A split's bytes, little-endian, checked by the checksum of what they lie in:
 *
 *   block  "generator" (u32 length, bytes)
 *   block  a line for people: "name=generator-0 position=1234"
 *   u8     version, 1
 *   u32    number of the split
 *   u32    how many splits there are
 *   u64    position: the next row
 *
 * A batch is filled column by column. Each thread touches only its own operator; the configuration is read by all.
 */
#include "connectors/generator/generator.h"

#include "base/bytes.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>

static const char kind[] = "generator";
enum { VERSION = 1, STRING_KEYS_MAX = 1000000000, BATCHES_PER_POLL = 4 };
static const uint64_t SECOND_NS = 1000000000, BREATH_NS = 1000000; /* between two polls at a rate */

struct generator_split {
  uint32_t number, of;
  uint64_t position;
  uint64_t end;  /* UINT64_MAX: endless */
  uint64_t from; /* where it stood when the clock of the rate was started */
};

/* ---- rows ---- */

static uint64_t stream_of(const struct wr_generator_config *config, uint32_t split) {
  struct wr_random random = wr_random_of(config->seed ^ (uint64_t)split * 0xd1342543de82ef95ULL);
  return wr_random_next(&random);
}

static inline uint64_t high_product(uint64_t a, uint64_t b) {
  return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

/* Uniform over the keys; or, for a uniform u, the fourth power of u of the way through them. */
static inline uint64_t key_of(uint64_t stream, uint64_t row, uint64_t key_count, bool is_skewed) {
  struct wr_random random = wr_random_of(stream + row * 0x9e3779b97f4a7c15ULL);
  uint64_t draw = wr_random_next(&random);
  if (is_skewed) {
    draw = high_product(draw, draw);
    draw = high_product(draw, draw);
  }
  return high_product(draw, key_count);
}

uint64_t wr_generator_key(const struct wr_generator_config *config, uint32_t split, uint64_t row) {
  return key_of(stream_of(config, split), row, config->key_count, config->is_skewed);
}

uint64_t wr_generator_split_rows(const struct wr_generator_config *config, uint32_t split, uint32_t split_count) {
  if (config->row_count == 0) return UINT64_MAX;
  return config->row_count / split_count + (split < config->row_count % split_count);
}

static inline struct wr_view name_of(uint64_t key) {
  struct wr_view view = {.bytes = "app"};
  char digits[12];
  int32_t count = 0;
  do
    digits[count++] = (char)('0' + key % 10);
  while ((key /= 10) != 0);
  for (int32_t i = 0; i < count; i++)
    view.bytes[3 + i] = digits[count - 1 - i];
  view.length = 3 + count;
  return view;
}

static void fill_keys(const struct wr_generator_config *config, const struct generator_split *split, void *values,
                      uint32_t count) {
  uint64_t stream = stream_of(config, split->number), row = split->position, keys = config->key_count;
  if (config->schema->fields[0].type == WEIR_TYPE_STRING) {
    struct wr_view *views = values;
    for (uint32_t i = 0; i < count; i++)
      views[i] = name_of(key_of(stream, row + i, keys, config->is_skewed));
  } else if (config->is_skewed) {
    int64_t *numbers = values;
    for (uint32_t i = 0; i < count; i++)
      numbers[i] = (int64_t)key_of(stream, row + i, keys, true);
  } else {
    int64_t *numbers = values;
    for (uint32_t i = 0; i < count; i++)
      numbers[i] = (int64_t)key_of(stream, row + i, keys, false);
  }
}

static struct weir_timestamp time_of(const struct wr_generator_config *config, uint64_t row) {
  uint64_t step_ms = config->time_step_ns / 1000000, step_rest = config->time_step_ns % 1000000;
  unsigned __int128 rest = (unsigned __int128)row * step_rest;
  return (struct weir_timestamp){.milliseconds =
                                     config->start_time_ms + (int64_t)(row * step_ms + (uint64_t)(rest / 1000000)),
                                 .nanoseconds = (int32_t)(rest % 1000000)};
}

static void fill_times(const struct wr_generator_config *config, uint64_t row, void *values, uint32_t count) {
  if (config->schema->fields[1].type == WEIR_TYPE_BIGINT) {
    int64_t *numbers = values;
    for (uint32_t i = 0; i < count; i++)
      numbers[i] = time_of(config, row + i).milliseconds;
    return;
  }
  struct weir_timestamp *times = values;
  for (uint32_t i = 0; i < count; i++)
    times[i] = time_of(config, row + i);
}

/* ---- splits ---- */

static void put_split(struct wr_bytes *out, const struct generator_split *split) {
  char line[96];
  int length =
      snprintf(line, sizeof line, "name=generator-%" PRIu32 " position=%" PRIu64, split->number, split->position);
  wr_bytes_put_string(out, kind);
  wr_bytes_put_block(out, line, (size_t)length);
  wr_bytes_put_u8(out, VERSION);
  wr_bytes_put_u32(out, split->number);
  wr_bytes_put_u32(out, split->of);
  wr_bytes_put_u64(out, split->position);
}

static enum weir_code read_split(const uint8_t *bytes, size_t length, struct generator_split *out_split,
                                 struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(bytes, length);
  size_t kind_length = 0, line_length = 0;
  const uint8_t *name = wr_read_block(&reader, &kind_length);
  if (name == NULL || kind_length != strlen(kind) || memcmp(name, kind, kind_length) != 0)
    return WR_FAIL(error, WEIR_FOREIGN, "a stored split is not one of a generator; was the source changed?");
  wr_read_block(&reader, &line_length);
  uint8_t version = wr_read_u8(&reader);
  if (!reader.failed && version > VERSION)
    return WR_FAIL(error, WEIR_NEWER, "a stored split of a generator has version %u; this program knows up to %d",
                   version, VERSION);
  *out_split = (struct generator_split){.number = wr_read_u32(&reader)};
  out_split->of = wr_read_u32(&reader);
  out_split->position = wr_read_u64(&reader);
  if (reader.failed || reader.position != length || out_split->number >= out_split->of)
    return WR_FAIL(error, WEIR_CORRUPT, "a stored split of a generator is damaged near byte %zu", reader.position);
  return WEIR_OK;
}

/* ---- the enumerator ---- */

struct generator_enumerator {
  struct wr_enumerator base;
  struct wr_memory *memory;
  struct wr_split *splits; /* those not yet taken are owned */
  uint32_t count, taken;
};

static enum weir_code step(struct wr_enumerator *enumerator, uint64_t now_ns, uint64_t *wake_at_ns,
                           struct weir_error *error) {
  (void)enumerator;
  (void)now_ns;
  (void)wake_at_ns;
  (void)error;
  return WEIR_OK;
}

static bool take_split(struct wr_enumerator *enumerator, struct wr_split *out_split) {
  struct generator_enumerator *self = (struct generator_enumerator *)enumerator;
  if (self->taken == self->count) return false;
  *out_split = self->splits[self->taken++];
  return true;
}

static bool all_taken(const struct wr_enumerator *enumerator) {
  const struct generator_enumerator *self = (const struct generator_enumerator *)enumerator;
  return self->taken == self->count;
}

static bool always_idle(struct wr_enumerator *enumerator) {
  (void)enumerator;
  return true;
}

static void free_enumerator(struct wr_enumerator *enumerator) {
  struct generator_enumerator *self = (struct generator_enumerator *)enumerator;
  for (uint32_t i = self->taken; i < self->count; i++)
    wr_free(self->memory, self->splits[i].bytes);
  wr_free(self->memory, self->splits);
  wr_free(self->memory, self);
}

static const struct wr_enumerator_vtable enumerator_vtable = {.step = step,
                                                              .take_split = take_split,
                                                              .is_ready = all_taken,
                                                              .is_exhausted = all_taken,
                                                              .is_idle = always_idle,
                                                              .free = free_enumerator};

static enum weir_code add_split_bytes(struct generator_enumerator *self, const struct generator_split *split,
                                      struct weir_error *error) {
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, self->memory, WR_MEMORY_SOURCE);
  put_split(&bytes, split);
  enum weir_code code = wr_bytes_check(&bytes, error);
  if (code == WEIR_OK) {
    self->splits[self->count].bytes = wr_bytes_take(&bytes, &self->splits[self->count].length);
    self->count++;
  }
  wr_bytes_deinit(&bytes);
  return code;
}

static enum weir_code fill_enumerator(struct generator_enumerator *self, const struct wr_generator_config *config,
                                      const struct wr_split *restored, uint32_t restored_count,
                                      struct weir_error *error) {
  uint32_t count = restored_count > 0 ? restored_count : config->split_count;
  self->splits = wr_alloc_zeroed(self->memory, count, sizeof *self->splits, WR_MEMORY_SOURCE);
  if (self->splits == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u splits", count);
  for (uint32_t i = 0; i < count; i++) {
    struct generator_split split = {.number = i, .of = count};
    if (restored_count > 0) WR_TRY(read_split(restored[i].bytes, restored[i].length, &split, error));
    WR_TRY(add_split_bytes(self, &split, error));
  }
  return WEIR_OK;
}

static enum weir_code new_enumerator(void *config_pointer, const struct wr_enumerator_context *context,
                                     const struct wr_split *restored, uint32_t restored_count,
                                     struct wr_enumerator **out_enumerator, struct weir_error *error) {
  const struct wr_generator_config *config = config_pointer;
  *out_enumerator = NULL;
  if (context->bounded && config->row_count == 0)
    return WR_FAIL(error, WEIR_INVALID,
                   "source %s is an endless generator and cannot be read to an end; give it a number "
                   "of rows",
                   context->uid);
  struct generator_enumerator *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SOURCE);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  self->base.vtable = &enumerator_vtable;
  self->memory = context->memory;
  enum weir_code code = fill_enumerator(self, config, restored, restored_count, error);
  if (code != WEIR_OK) {
    free_enumerator(&self->base);
    return code;
  }
  *out_enumerator = &self->base;
  return WEIR_OK;
}

/* ---- the reader ---- */

struct generator {
  struct wr_operator op;
  const struct wr_generator_config *config;
  struct generator_split *splits;
  uint32_t count, capacity, next; /* `next`: round robin */
  bool no_more_splits;
  bool clock_started;
  uint64_t clock_ns;               /* of the rate: when `from` counts */
  struct wr_batch_builder builder; /* empty between two calls */
  int64_t watermark_ms;
};

static struct generator *generator_of(struct wr_operator *op) {
  return (struct generator *)op;
}

static bool has_ended(const struct generator_split *split) {
  return split->position >= split->end;
}

/* How many rows a split may make now. At a rate: as many as are due since the clock was started. */
static uint64_t due_rows(const struct generator *generator, const struct generator_split *split) {
  uint64_t left = split->end - split->position;
  if (generator->config->rows_per_second == 0) return left;
  uint64_t elapsed_ns = generator->op.context->now_ns - generator->clock_ns;
  unsigned __int128 due = (unsigned __int128)elapsed_ns * generator->config->rows_per_second / SECOND_NS / split->of;
  uint64_t made = split->position - split->from;
  uint64_t rows = due > made ? (uint64_t)(due - made) : 0;
  return rows < left ? rows : left;
}

static enum weir_code make_rows(struct generator *generator, struct generator_split *split, uint64_t wanted,
                                struct weir_error *error) {
  struct wr_batch_builder *builder = &generator->builder;
  WR_TRY(wr_batch_builder_begin(builder, error));
  uint32_t count = wanted < builder->capacity_rows ? (uint32_t)wanted : builder->capacity_rows;
  struct wr_batch *batch = builder->batch;
  fill_keys(generator->config, split, batch->columns[0].values, count);
  if (generator->config->schema->field_count > 1)
    fill_times(generator->config, split->position, batch->columns[1].values, count);
  for (uint32_t i = 0; i < generator->config->schema->field_count; i++)
    if (batch->columns[i].validity != NULL) memset(batch->columns[i].validity, 0xff, (count + 63) / 64 * 8);
  batch->row_count = batch->selected_count = count;
  split->position += count;
  atomic_fetch_add_explicit(&generator->op.context->metrics->source_records, count, memory_order_relaxed);
  return wr_output_emit(generator->op.context->output, 0, wr_batch_builder_take(builder), error);
}

/* The lowest event time that a split that goes on has reached, less 1: rows of the same time may follow. */
static enum weir_code tell_watermark(struct generator *generator, struct weir_error *error) {
  if (generator->config->schema->field_count < 2) return WEIR_OK;
  int64_t lowest = INT64_MAX;
  for (uint32_t i = 0; i < generator->count; i++) {
    const struct generator_split *split = &generator->splits[i];
    if (has_ended(split)) continue;
    int64_t time_ms =
        split->position == 0 ? INT64_MIN + 1 : time_of(generator->config, split->position - 1).milliseconds;
    if (time_ms < lowest) lowest = time_ms;
  }
  if (lowest == INT64_MAX || lowest - 1 <= generator->watermark_ms) return WEIR_OK;
  generator->watermark_ms = lowest - 1;
  return wr_output_watermark(generator->op.context->output, generator->watermark_ms, error);
}

/* One batch of the next split that has something to make. */
static enum weir_code make_some(struct generator *generator, bool *out_made, struct weir_error *error) {
  *out_made = false;
  for (uint32_t i = 0; i < generator->count && !*out_made; i++) {
    struct generator_split *split = &generator->splits[generator->next];
    generator->next = (generator->next + 1) % generator->count;
    uint64_t rows = has_ended(split) ? 0 : due_rows(generator, split);
    if (rows == 0) continue;
    WR_TRY(make_rows(generator, split, rows, error));
    *out_made = true;
  }
  return WEIR_OK;
}

static bool all_ended(const struct generator *generator) {
  for (uint32_t i = 0; i < generator->count; i++)
    if (!has_ended(&generator->splits[i])) return false;
  return true;
}

static void start_clock(struct generator *generator) {
  if (generator->clock_started) return;
  generator->clock_started = true;
  generator->clock_ns = generator->op.context->now_ns;
}

static enum wr_result poll(struct wr_operator *op, uint64_t *wake_at_ns) {
  struct generator *generator = generator_of(op);
  bool made = true, any = false;
  start_clock(generator);
  for (unsigned i = 0; i < BATCHES_PER_POLL && made && !wr_output_is_full(op->context->output); i++) {
    if (make_some(generator, &made, &op->context->error) != WEIR_OK) return WR_RESULT_ERROR;
    any = any || made;
  }
  if (any && tell_watermark(generator, &op->context->error) != WEIR_OK) return WR_RESULT_ERROR;
  if (generator->no_more_splits && all_ended(generator)) return WR_RESULT_DONE;
  if (any) return WR_RESULT_OK;
  uint64_t breath_ns = op->context->now_ns + BREATH_NS;
  if (generator->config->rows_per_second != 0 && *wake_at_ns > breath_ns) *wake_at_ns = breath_ns;
  return WR_RESULT_WAIT;
}

static enum weir_code snapshot_splits(struct wr_operator *op, struct wr_bytes *out_splits, struct weir_error *error) {
  struct generator *generator = generator_of(op);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, op->context->memory, WR_MEMORY_SNAPSHOT);
  for (uint32_t i = 0; i < generator->count; i++) {
    wr_bytes_clear(&bytes);
    put_split(&bytes, &generator->splits[i]);
    wr_bytes_put_block(out_splits, bytes.data, bytes.length);
    if (bytes.failed) out_splits->failed = true;
  }
  wr_bytes_deinit(&bytes);
  return wr_bytes_check(out_splits, error);
}

static enum weir_code add_split(struct wr_operator *op, const uint8_t *bytes, size_t length, struct weir_error *error) {
  struct generator *generator = generator_of(op);
  struct generator_split split;
  WR_TRY(read_split(bytes, length, &split, error));
  if (generator->count == generator->capacity) {
    uint32_t capacity = generator->capacity == 0 ? 4 : generator->capacity * 2;
    void *splits = wr_resize(op->context->memory, generator->splits, capacity * sizeof split, WR_MEMORY_SOURCE);
    if (splits == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u splits", capacity);
    generator->splits = splits;
    generator->capacity = capacity;
  }
  split.end = wr_generator_split_rows(generator->config, split.number, split.of);
  split.from = split.position;
  generator->splits[generator->count++] = split;
  atomic_fetch_add_explicit(&op->context->metrics->source_records, split.position, memory_order_relaxed);
  return WEIR_OK;
}

static void no_more_splits(struct wr_operator *op) {
  generator_of(op)->no_more_splits = true;
}

static void free_generator(struct wr_operator *op) {
  wr_batch_builder_deinit(&generator_of(op)->builder);
  wr_free(op->context->memory, generator_of(op)->splits);
  wr_free(op->context->memory, op);
}

static const struct wr_operator_vtable vtable = {.name = "generator",
                                                 .poll = poll,
                                                 .snapshot_splits = snapshot_splits,
                                                 .add_split = add_split,
                                                 .no_more_splits = no_more_splits,
                                                 .free = free_generator};

static enum weir_code new_reader(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                 struct weir_error *error) {
  *out_operator = NULL;
  struct generator *generator = wr_alloc_zeroed(context->memory, 1, sizeof *generator, WR_MEMORY_SOURCE);
  if (generator == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for source %s", context->uid);
  generator->op = (struct wr_operator){.vtable = &vtable, .context = context};
  generator->config = config;
  generator->watermark_ms = INT64_MIN;
  wr_batch_builder_init(&generator->builder, context->memory, generator->config->schema, false);
  *out_operator = &generator->op;
  return WEIR_OK;
}

/* ---- the node ---- */

static enum weir_code check_config(const struct wr_generator_config *config, struct weir_error *error) {
  const struct weir_schema *schema = config->schema;
  enum weir_type key = schema->fields[0].type;
  if (schema->field_count > 2 || (key != WEIR_TYPE_BIGINT && key != WEIR_TYPE_STRING))
    return WR_FAIL(error, WEIR_INVALID, "a generator makes a key (BIGINT or STRING) and, after it, an event time");
  if (schema->field_count == 2 && schema->fields[1].type != WEIR_TYPE_TIMESTAMP &&
      schema->fields[1].type != WEIR_TYPE_BIGINT)
    return WR_FAIL(error, WEIR_INVALID, "the event time of a generator is TIMESTAMP or BIGINT, not %s",
                   wr_type_text(schema->fields[1].type));
  uint64_t most = key == WEIR_TYPE_STRING ? STRING_KEYS_MAX : INT64_MAX;
  if (config->key_count == 0 || config->key_count > most)
    return WR_FAIL(error, WEIR_INVALID, "a generator has 1 to %" PRIu64 " keys, not %" PRIu64, most, config->key_count);
  if (config->split_count == 0 || config->split_count > WR_PARALLELISM_MAX)
    return WR_FAIL(error, WEIR_INVALID, "a generator has 1 to %d splits, not %u", WR_PARALLELISM_MAX,
                   config->split_count);
  return WEIR_OK;
}

enum weir_code wr_generator_node(const struct wr_generator_config *config, const char *uid, uint32_t parallelism,
                                 struct wr_node *out_node, struct weir_error *error) {
  WR_TRY(check_config(config, error));
  *out_node = (struct wr_node){.kind = WR_NODE_SOURCE,
                               .parallelism = parallelism,
                               .port_count = 1,
                               .port_schemas = {config->schema},
                               .config = (void *)config,
                               .new_operator = new_reader,
                               .new_enumerator = new_enumerator};
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length > 0 && (size_t)length < sizeof out_node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a generator has 1 to %d bytes", WR_UID_BYTES_MAX);
}
