/* state/load.c: reads the streams of a chain, record by record, and checks them. Inside a call.
 *
 * Blocks cut records anywhere: a record that lies in one block is used where it is, another is joined first. Nothing is
 * allocated by a length that is read before it is compared with what is left of the stream.
 */
#include "state/load.h"

/* ---- bytes ---- */

static enum weir_code next_block(struct stream *stream, struct weir_error *error) {
  WR_TRY(wr_blob_next(stream->reader, &stream->block, &stream->block_length, error));
  stream->block_position = 0;
  if (stream->block_length == 0 && stream->left != 0) return STREAM_DAMAGED(stream, error, "it ends too early");
  return WEIR_OK;
}

static enum weir_code join(struct loader *loader, size_t length, struct weir_error *error) {
  struct stream *stream = &loader->stream;
  if (length > stream->joined_capacity) {
    wr_free(loader->memory, stream->joined);
    stream->joined_capacity = 0;
    stream->joined = wr_alloc(loader->memory, length, WR_MEMORY_SNAPSHOT);
    if (stream->joined == NULL) return LOAD_NO_MEMORY(error);
    stream->joined_capacity = length;
  }
  for (size_t done = 0; done < length;) {
    size_t here = stream->block_length - stream->block_position;
    if (here == 0) {
      WR_TRY(next_block(stream, error));
      continue;
    }
    if (here > length - done) here = length - done;
    memcpy(stream->joined + done, stream->block + stream->block_position, here);
    stream->block_position += here;
    done += here;
  }
  return WEIR_OK;
}

/* The next bytes, a view until the next call. */
static enum weir_code take(struct loader *loader, uint64_t length, const uint8_t **out_data, struct weir_error *error) {
  struct stream *stream = &loader->stream;
  if (length > stream->left) return STREAM_DAMAGED(stream, error, "a record is longer than what is left");
  if (length <= stream->block_length - stream->block_position) {
    *out_data = stream->block + stream->block_position;
    stream->block_position += (size_t)length;
  } else {
    WR_TRY(join(loader, (size_t)length, error));
    *out_data = stream->joined;
  }
  stream->left -= length;
  stream->taken += length;
  return WEIR_OK;
}

/* ---- header ---- */

static enum weir_code check_header(struct loader *loader, struct wr_reader *reader, struct weir_error *error) {
  struct stream *stream = &loader->stream;
  uint8_t kind = wr_read_u8(reader), zero = wr_read_u8(reader);
  stream->is_base = kind == STREAM_BASE;
  stream->checkpoint_id = wr_read_u64(reader);
  uint64_t stands_on = wr_read_u64(reader);
  struct wr_key_group_range range = {.first = wr_read_u32(reader), .end = wr_read_u32(reader)};
  uint32_t max_parallelism = wr_read_u32(reader);
  bool is_first = loader->max_parallelism == 0;
  if ((kind != STREAM_BASE && kind != STREAM_DELTA) || zero != 0 || max_parallelism == 0 ||
      max_parallelism > WR_KEY_GROUPS_MAX || range.first > range.end || range.end > max_parallelism)
    return STREAM_DAMAGED(stream, error, "its header makes no sense");
  if (stream->is_base != is_first || (!is_first && stands_on != loader->checkpoint_id))
    return STREAM_DAMAGED(stream, error, "it does not fit on the snapshot before it in its chain");
  if (range.first != loader->chain->range.first || range.end != loader->chain->range.end ||
      (!is_first && max_parallelism != loader->max_parallelism))
    return STREAM_DAMAGED(stream, error, "it holds other key groups than the checkpoint says");
  if (loader->backend != NULL && max_parallelism != loader->backend->options.max_parallelism)
    return WR_FAIL(error, WEIR_INVALID,
                   "%s was written with a maximum parallelism of %u; the job now says %u, and it can never change",
                   stream->name, max_parallelism, loader->backend->options.max_parallelism);
  loader->max_parallelism = max_parallelism;
  stream->state_count = wr_read_u32(reader);
  if (stream->state_count > WR_STATES_PER_OPERATOR_MAX) return STREAM_DAMAGED(stream, error, "it has too many states");
  return WEIR_OK;
}

static enum weir_code read_header(struct loader *loader, struct weir_error *error) {
  const uint8_t *data;
  struct stream *stream = &loader->stream;
  WR_TRY(take(loader, STREAM_HEADER_BYTES, &data, error));
  struct wr_reader reader = wr_reader_of(data, STREAM_HEADER_BYTES);
  if (wr_read_u32(&reader) != STREAM_MAGIC) return STREAM_DAMAGED(stream, error, "no snapshot of state begins");
  uint16_t format = wr_read_u16(&reader);
  if (format > STREAM_FORMAT)
    return WR_FAIL(error, WEIR_NEWER, "%s has state format %u; this weir reads up to %d: use a newer weir",
                   stream->name, format, STREAM_FORMAT);
  if (format == 0) return STREAM_DAMAGED(stream, error, "the format is 0");
  return check_header(loader, &reader, error);
}

/* ---- states ---- */

static void free_schema(struct wr_memory *memory, struct weir_schema *schema) {
  struct weir_field *fields = (struct weir_field *)(uintptr_t)schema->fields;
  for (uint32_t i = 0; i < schema->field_count; i++)
    wr_free(memory, (char *)(uintptr_t)fields[i].name);
  wr_free(memory, fields);
  *schema = (struct weir_schema){0};
}

static void free_state(struct wr_memory *memory, struct loaded_state *state) {
  wr_free(memory, state->name);
  free_schema(memory, &state->key);
  free_schema(memory, &state->value);
  wr_layout_deinit(&state->layout, memory);
}

/* A string without zero bytes inside. */
static enum weir_code read_name(struct loader *loader, struct wr_reader *reader, char **out_name,
                                struct weir_error *error) {
  size_t length = 0;
  const uint8_t *data = wr_read_block(reader, &length);
  if (data == NULL || memchr(data, 0, length) != NULL)
    return STREAM_DAMAGED(&loader->stream, error, "a name makes no sense");
  *out_name = wr_copy_bytes(loader->memory, data, length, WR_MEMORY_SNAPSHOT);
  return *out_name == NULL ? LOAD_NO_MEMORY(error) : WEIR_OK;
}

static enum weir_code read_schema(struct loader *loader, struct wr_reader *reader, struct weir_schema *out_schema,
                                  struct weir_error *error) {
  uint32_t count = wr_read_u32(reader);
  if (reader->failed || count > WR_FIELDS_MAX) return STREAM_DAMAGED(&loader->stream, error, "a schema makes no sense");
  struct weir_field *fields =
      wr_alloc_zeroed(loader->memory, count == 0 ? 1 : count, sizeof *fields, WR_MEMORY_SNAPSHOT);
  if (fields == NULL) return LOAD_NO_MEMORY(error);
  *out_schema = (struct weir_schema){.fields = fields, .field_count = count};
  for (uint32_t i = 0; i < count; i++) {
    char *name = NULL;
    WR_TRY(read_name(loader, reader, &name, error));
    fields[i].name = name;
    uint8_t type = wr_read_u8(reader), nullable = wr_read_u8(reader);
    if (type >= WEIR_TYPE_COUNT || nullable > 1)
      return STREAM_DAMAGED(&loader->stream, error, "a field's type is unknown");
    fields[i].type = (enum weir_type)type;
    fields[i].nullable = nullable == 1;
  }
  return WEIR_OK;
}

static enum weir_code read_state(struct loader *loader, const uint8_t *data, size_t length, struct loaded_state *state,
                                 struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(data, length);
  WR_TRY(read_name(loader, &reader, &state->name, error));
  uint16_t row_format = wr_read_u16(&reader);
  uint8_t rule = wr_read_u8(&reader);
  state->time_to_live_ms = wr_read_u64(&reader);
  if (row_format > ROW_FORMAT)
    return WR_FAIL(error, WEIR_NEWER, "%s: state \"%s\" has row format %u; this weir reads up to %d: use a newer weir",
                   loader->stream.name, state->name, row_format, ROW_FORMAT);
  if (row_format == 0 || rule > GROUP_OF_TIMER)
    return STREAM_DAMAGED(&loader->stream, error, "a state's description makes no sense");
  state->group_rule = (enum group_rule)rule;
  WR_TRY(read_schema(loader, &reader, &state->key, error));
  WR_TRY(read_schema(loader, &reader, &state->value, error));
  if (reader.failed || reader.position != length)
    return STREAM_DAMAGED(&loader->stream, error, "a state's description has the wrong length");
  enum weir_code code = wr_layout_init(&state->layout, loader->memory, &state->key, &state->value, error);
  if (code == WEIR_INVALID) return STREAM_DAMAGED(&loader->stream, error, "a state's schema makes no sense");
  return code;
}

static enum weir_code schema_differs(const struct loader *loader, const struct loaded_state *state, const char *part,
                                     const struct weir_schema *stored, const struct weir_schema *now,
                                     struct weir_error *error) {
  struct wr_bytes text;
  wr_bytes_init(&text, loader->memory, WR_MEMORY_SNAPSHOT);
  wr_bytes_put(&text, "stored (", 8);
  wr_layout_put_schema(&text, stored);
  wr_bytes_put(&text, "), now (", 8);
  wr_layout_put_schema(&text, now);
  wr_bytes_put(&text, ")", 2);
  enum weir_code code = WR_FAIL(error, WEIR_INVALID,
                                "the %s of state \"%s\" is not what was stored: %s; restore it with the job that "
                                "wrote it, or give the state another name",
                                part, state->name, text.failed ? "" : (char *)text.data);
  wr_bytes_deinit(&text);
  return code;
}

/* Finds who takes the state over. */
static enum weir_code match_state(struct loader *loader, struct loaded_state *state, struct weir_error *error) {
  if (loader->backend == NULL) return WEIR_OK;
  for (uint32_t i = 0; i < loader->backend->state_count; i++) {
    struct wr_state *target = loader->backend->states[i];
    if (strcmp(target->name, state->name) != 0) continue;
    if (!wr_schema_equal(&state->key, target->key))
      return schema_differs(loader, state, "key", &state->key, target->key, error);
    if (!wr_schema_equal(&state->value, target->value))
      return schema_differs(loader, state, "value", &state->value, target->value, error);
    if (state->group_rule != target->group_rule)
      return WR_FAIL(error, WEIR_INVALID, "state \"%s\" was stored as timers and is not now, or the other way round",
                     state->name);
    state->target = target;
    return WEIR_OK;
  }
  if (loader->allow_non_restored) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID,
                 "%s holds state \"%s\", which the operator no longer has; use --allow-non-restored-state to drop it",
                 loader->stream.name, state->name);
}

/* A later stream of the chain describes its states again: they must be the same. */
static struct loaded_state *known_state(struct loader *loader, const struct loaded_state *state, bool *out_equal) {
  for (uint32_t i = 0; i < loader->state_count; i++) {
    struct loaded_state *known = &loader->states[i];
    if (strcmp(known->name, state->name) != 0) continue;
    *out_equal = wr_schema_equal(&known->key, &state->key) && wr_schema_equal(&known->value, &state->value) &&
                 known->group_rule == state->group_rule;
    return known;
  }
  return NULL;
}

static enum weir_code add_state(struct loader *loader, uint32_t number, struct loaded_state *state,
                                struct weir_error *error) {
  bool is_equal = false;
  struct loaded_state *known = known_state(loader, state, &is_equal);
  if (known != NULL) {
    loader->stream.states[number] = (uint32_t)(known - loader->states);
    free_state(loader->memory, state);
    if (!is_equal) return STREAM_DAMAGED(&loader->stream, error, "a state is described in two ways");
    for (uint32_t i = 0; i < number; i++)
      if (loader->stream.states[i] == loader->stream.states[number])
        return STREAM_DAMAGED(&loader->stream, error, "two states have one name");
    return WEIR_OK;
  }
  enum weir_code code = WEIR_OK;
  if (loader->state_count == WR_STATES_PER_OPERATOR_MAX) {
    code = STREAM_DAMAGED(&loader->stream, error, "the chain has too many states");
  } else {
    code = match_state(loader, state, error);
  }
  if (code != WEIR_OK) {
    free_state(loader->memory, state);
    return code;
  }
  loader->stream.states[number] = loader->state_count;
  loader->states[loader->state_count++] = *state;
  return WEIR_OK;
}

/* ---- records ---- */

static enum weir_code read_record_header(struct loader *loader, uint8_t *out_kind, uint64_t *out_length,
                                         struct weir_error *error) {
  const uint8_t *data;
  WR_TRY(take(loader, RECORD_HEADER_BYTES, &data, error));
  struct wr_reader reader = wr_reader_of(data, RECORD_HEADER_BYTES);
  *out_kind = wr_read_u8(&reader);
  *out_length = wr_read_u64(&reader);
  return WEIR_OK;
}

static enum weir_code read_states(struct loader *loader, struct weir_error *error) {
  for (uint32_t i = 0; i < loader->stream.state_count; i++) {
    uint8_t kind;
    uint64_t length;
    const uint8_t *data;
    WR_TRY(read_record_header(loader, &kind, &length, error));
    if (kind != RECORD_STATE) return STREAM_DAMAGED(&loader->stream, error, "a state's description is missing");
    WR_TRY(take(loader, length, &data, error));
    struct loaded_state state = {0};
    enum weir_code code = read_state(loader, data, (size_t)length, &state, error);
    if (code != WEIR_OK) {
      free_state(loader->memory, &state);
      return code;
    }
    WR_TRY(add_state(loader, i, &state, error));
  }
  return WEIR_OK;
}

static enum weir_code table_record(struct loader *loader, bool is_drop, const uint8_t *data, uint64_t length,
                                   struct weir_error *error) {
  struct stream *stream = &loader->stream;
  if (length != RECORD_TABLE_BYTES) return STREAM_DAMAGED(stream, error, "a table's record has the wrong length");
  struct wr_reader reader = wr_reader_of(data, (size_t)length);
  uint32_t state = wr_read_u32(&reader);
  int64_t name_space = (int64_t)wr_read_u64(&reader);
  uint64_t generation = wr_read_u64(&reader);
  if (state >= stream->state_count || name_space == INT64_MIN || generation == UINT64_MAX)
    return STREAM_DAMAGED(stream, error, "a table's record makes no sense");
  if (!is_drop) return wr_load_begin_table(loader, stream->states[state], name_space, generation, error);
  if (stream->is_base || stream->table != NULL) return STREAM_DAMAGED(stream, error, "a drop is out of place");
  stream->drops++;
  return wr_load_drop(loader, stream->states[state], name_space, generation, error);
}

static enum weir_code end_record(struct loader *loader, const uint8_t *data, uint64_t length,
                                 struct weir_error *error) {
  struct stream *stream = &loader->stream;
  if (length != RECORD_END_BYTES) return STREAM_DAMAGED(stream, error, "the end has the wrong length");
  struct wr_reader reader = wr_reader_of(data, (size_t)length);
  uint64_t rows = wr_read_u64(&reader), deletions = wr_read_u64(&reader), drops = wr_read_u64(&reader);
  uint64_t live = 0, expected = wr_read_u64(&reader);
  if (rows != stream->rows || deletions != stream->deletions || drops != stream->drops || stream->left != 0)
    return STREAM_DAMAGED(stream, error, "the counts at its end are wrong");
  for (uint32_t i = 0; i < loader->state_count; i++)
    live += wr_load_live_rows(loader, i);
  bool is_whole = loader->range.first <= loader->chain->range.first && loader->range.end >= loader->chain->range.end;
  if (is_whole && live != expected) return STREAM_DAMAGED(stream, error, "the number of rows at its end is wrong");
  stream->has_ended = true;
  return WEIR_OK;
}

static enum weir_code read_record(struct loader *loader, struct weir_error *error) {
  struct stream *stream = &loader->stream;
  uint8_t kind;
  uint64_t length;
  const uint8_t *data;
  WR_TRY(read_record_header(loader, &kind, &length, error));
  WR_TRY(take(loader, length, &data, error));
  bool is_near = kind == RECORD_NEAR_ROWS || kind == RECORD_NEAR_DELETIONS;
  if ((is_near || kind == RECORD_ROWS || kind == RECORD_DELETIONS) && stream->table == NULL)
    return STREAM_DAMAGED(stream, error, "rows come before their table");
  switch (kind) {
  case RECORD_DROP:
    return table_record(loader, true, data, length, error);
  case RECORD_TABLE:
    return table_record(loader, false, data, length, error);
  case RECORD_NEAR_ROWS:
  case RECORD_ROWS:
    return wr_load_rows(loader, data, length, is_near, error);
  case RECORD_NEAR_DELETIONS:
  case RECORD_DELETIONS:
    return wr_load_deletions(loader, data, length, is_near, error);
  case RECORD_END:
    return end_record(loader, data, length, error);
  default:
    return STREAM_DAMAGED(stream, error, "a record of an unknown kind stands");
  }
}

static enum weir_code read_stream(struct loader *loader, struct weir_error *error) {
  struct stream *stream = &loader->stream;
  WR_TRY(read_header(loader, error));
  WR_TRY(read_states(loader, error));
  while (!stream->has_ended)
    WR_TRY(read_record(loader, error));
  return next_block(stream, error); /* verifies the digest */
}

/* What the next snapshot has to know of the chain. */
static void note_stream(const struct loader *loader) {
  struct wr_backend *backend = loader->backend;
  const struct stream *stream = &loader->stream;
  if (!stream->is_base) {
    backend->delta_rows += stream->rows + stream->deletions;
    return;
  }
  backend->base_checkpoint = stream->checkpoint_id;
  backend->base_generation = backend->next_generation;
  backend->base_rows = stream->rows;
}

enum weir_code wr_load_chain(struct loader *loader, struct weir_error *error) {
  loader->max_parallelism = 0;
  for (uint32_t i = 0; i < loader->chain->count; i++) {
    const struct wr_handle *handle = &loader->chain->handles[i];
    struct stream *stream = &loader->stream;
    *stream = (struct stream){.left = handle->length,
                              .name = handle->file[0] != 0 ? handle->file : "the state inside the metadata"};
    enum weir_code code = wr_blob_open(loader->store, handle, &stream->reader, error);
    if (code == WEIR_OK) code = read_stream(loader, error);
    wr_blob_close(stream->reader);
    wr_free(loader->memory, stream->joined);
    WR_TRY(code);
    loader->checkpoint_id = stream->checkpoint_id;
    if (loader->keeps_ids) note_stream(loader);
  }
  return WEIR_OK;
}

void wr_load_deinit(struct loader *loader) {
  wr_load_free_tables(loader);
  for (uint32_t i = 0; i < loader->state_count; i++)
    free_state(loader->memory, &loader->states[i]);
  loader->state_count = 0;
}
