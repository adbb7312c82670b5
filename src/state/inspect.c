/* state/inspect.c: see inspect.h. The chain is read twice: once for its schemas, once into a backend made for them. */
#include "state/inspect.h"

#include "state/load.h"

#include <inttypes.h>
#include <stdio.h>

struct inspection {
  struct wr_backend *backend;
  struct wr_bytes key, value; /* text, ended by a zero */
  uint64_t rows_left;
  void (*row)(void *argument, const char *state, int64_t name_space, const char *key, const char *value);
  void *argument;
};

/* ---- text ---- */

static void put_text(struct wr_bytes *out, const char *text) {
  wr_bytes_put(out, text, strlen(text));
}

/* Begins "name=" after a comma where it is not the first. */
static void put_name(struct wr_bytes *out, const char *name) {
  if (out->length > 0) put_text(out, ", ");
  put_text(out, name);
  put_text(out, "=");
}

/* Control characters are escaped, so that a row stays one line. */
static void put_string(struct wr_bytes *out, const uint8_t *bytes, size_t length, bool as_hex) {
  char code[5];
  if (as_hex) put_text(out, "0x");
  for (size_t i = 0; i < length; i++) {
    if (!as_hex && bytes[i] >= 0x20 && bytes[i] != 0x7f) {
      wr_bytes_put_u8(out, bytes[i]);
    } else {
      snprintf(code, sizeof code, as_hex ? "%02x" : "\\x%02x", bytes[i]);
      put_text(out, code);
    }
  }
}

/* A value of fixed width, as it lies in a row or, a TIMESTAMP without its zeros, in a key. */
static void put_number(struct wr_bytes *out, enum weir_type type, const uint8_t *bytes) {
  char text[64] = "";
  int32_t small = 0;
  int64_t large = 0;
  double real = 0;
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
    snprintf(text, sizeof text, "%s", bytes[0] != 0 ? "true" : "false");
    break;
  case WEIR_TYPE_INT:
    memcpy(&small, bytes, sizeof small);
    snprintf(text, sizeof text, "%" PRId32, small);
    break;
  case WEIR_TYPE_DOUBLE:
    memcpy(&real, bytes, sizeof real);
    snprintf(text, sizeof text, "%.17g", real);
    break;
  case WEIR_TYPE_TIMESTAMP:
    memcpy(&large, bytes, sizeof large);
    memcpy(&small, bytes + sizeof large, sizeof small);
    snprintf(text, sizeof text, "%" PRId64 " ms + %" PRId32 " ns", large, small);
    break;
  default:
    memcpy(&large, bytes, sizeof large);
    snprintf(text, sizeof text, "%" PRId64, large);
  }
  put_text(out, text);
}

static uint32_t key_width(enum weir_type type) {
  return type == WEIR_TYPE_TIMESTAMP ? 12 : wr_type_width(type);
}

static bool is_bytes(enum weir_type type) {
  return type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
}

/* One field of a key's canonical bytes (data/key.h); bytes that do not fit are shown as they are. */
static void put_key_field(struct wr_bytes *out, const struct weir_field *field, struct wr_reader *reader, bool alone) {
  put_name(out, field->name);
  if (!alone && wr_read_u8(reader) == 0) {
    put_text(out, "NULL");
    return;
  }
  size_t length = reader->length - reader->position;
  if (!is_bytes(field->type)) length = key_width(field->type);
  if (is_bytes(field->type) && !alone) length = wr_read_u32(reader);
  const uint8_t *bytes = wr_read(reader, length);
  if (bytes == NULL) {
    put_text(out, "?");
  } else if (is_bytes(field->type)) {
    put_string(out, bytes, length, field->type == WEIR_TYPE_BYTES);
  } else {
    put_number(out, field->type, bytes);
  }
}

static void put_key(struct wr_bytes *out, const struct weir_schema *schema, const struct wr_key *key) {
  struct wr_reader reader = wr_reader_of(key->bytes, key->length);
  if (key->is_null) {
    put_name(out, schema->fields[0].name);
    put_text(out, "NULL");
  } else {
    for (uint32_t i = 0; i < schema->field_count; i++)
      put_key_field(out, &schema->fields[i], &reader, schema->field_count == 1);
  }
  wr_bytes_put_u8(out, 0);
}

static void put_value(struct wr_bytes *out, const struct wr_table *table, const void *value) {
  const struct wr_state *state = table->state;
  for (uint32_t i = 0; i < state->value->field_count; i++) {
    const struct weir_field *field = &state->value->fields[i];
    put_name(out, field->name);
    if (field->nullable && wr_value_is_null(table, value, i)) {
      put_text(out, "NULL");
    } else if (is_bytes(field->type)) {
      size_t length = 0;
      const char *bytes = wr_value_bytes(table, value, i, &length);
      put_string(out, (const uint8_t *)bytes, length, field->type == WEIR_TYPE_BYTES);
    } else {
      put_number(out, field->type, (const uint8_t *)value + wr_state_value_offset(state, i));
    }
  }
  wr_bytes_put_u8(out, 0);
}

/* ---- rows ---- */

static enum weir_code give_table(struct inspection *inspection, struct wr_table *table, struct weir_error *error) {
  uint32_t cursor = 0, row_id;
  struct wr_key key;
  const void *value;
  while (inspection->rows_left > 0 && wr_table_next(table, &cursor, &row_id, &key, &value)) {
    wr_bytes_clear(&inspection->key);
    wr_bytes_clear(&inspection->value);
    put_key(&inspection->key, table->state->key, &key);
    put_value(&inspection->value, table, value);
    WR_TRY(wr_bytes_check(&inspection->key, error));
    WR_TRY(wr_bytes_check(&inspection->value, error));
    inspection->row(inspection->argument, table->state->name, table->name_space, (const char *)inspection->key.data,
                    (const char *)inspection->value.data);
    inspection->rows_left--;
  }
  return WEIR_OK;
}

static enum weir_code give_all(struct inspection *inspection, struct weir_error *error) {
  for (uint32_t s = 0; s < inspection->backend->state_count; s++) {
    int64_t cursor = INT64_MIN;
    struct wr_table *table;
    while (wr_state_next_namespace(inspection->backend->states[s], &cursor, &table))
      WR_TRY(give_table(inspection, table, error));
  }
  return WEIR_OK;
}

/* A backend with the states that the chain describes, empty. */
static enum weir_code make_backend(struct wr_store *store, const struct wr_backend_chain *chain,
                                   struct wr_backend **out_backend, struct weir_error *error) {
  struct wr_memory *memory = store->seams->memory;
  struct loader *loader = wr_alloc_zeroed(memory, 1, sizeof *loader, WR_MEMORY_SNAPSHOT);
  if (loader == NULL) return LOAD_NO_MEMORY(error);
  *loader = (struct loader){.memory = memory, .store = store, .range = chain->range, .chain = chain};
  enum weir_code code = wr_load_chain(loader, error);
  struct wr_backend_options options = {
      .memory = memory, .range = chain->range, .max_parallelism = loader->max_parallelism};
  if (code == WEIR_OK) code = wr_backend_new(&options, out_backend, error);
  for (uint32_t i = 0; code == WEIR_OK && i < loader->state_count; i++) {
    const struct loaded_state *stored = &loader->states[i];
    struct wr_state_descriptor descriptor = {
        .name = stored->name, .key = &stored->key, .value = &stored->value, .time_to_live_ms = stored->time_to_live_ms};
    struct wr_state *state = NULL;
    code = wr_backend_register(*out_backend, &descriptor, &state, error);
    if (code == WEIR_OK) state->group_rule = stored->group_rule;
  }
  wr_load_deinit(loader);
  wr_free(memory, loader);
  return code;
}

enum weir_code wr_inspect_rows(struct wr_store *store, const struct wr_backend_chain *chain, uint64_t rows_max,
                               void (*row)(void *argument, const char *state, int64_t name_space, const char *key,
                                           const char *value),
                               void *argument, struct weir_error *error) {
  if (chain->count == 0) return WEIR_OK;
  struct inspection inspection = {.rows_left = rows_max, .row = row, .argument = argument};
  wr_bytes_init(&inspection.key, store->seams->memory, WR_MEMORY_SNAPSHOT);
  wr_bytes_init(&inspection.value, store->seams->memory, WR_MEMORY_SNAPSHOT);
  uint64_t dropped = 0;
  enum weir_code code = make_backend(store, chain, &inspection.backend, error);
  if (code == WEIR_OK) code = wr_backend_restore(inspection.backend, store, chain, 1, false, &dropped, error);
  if (code == WEIR_OK) code = give_all(&inspection, error);
  wr_backend_free(inspection.backend);
  wr_bytes_deinit(&inspection.key);
  wr_bytes_deinit(&inspection.value);
  return code;
}
