/* connectors/kafka/kafka_messages.c: see kafka_messages.h. Messages are written into `text` one after the other, and
 * remembered by their places in it, for it moves while it grows. */
#include "connectors/kafka/kafka_messages.h"

#include "base/limits.h"
#include "connectors/excerpt.h"

#include <inttypes.h>

enum { MESSAGES_MAX = 4096, TEXT_BYTES_FULL = 1024 * 1024, KEY_EXCERPT_BYTES = 100 };

void wr_kafka_messages_init(struct wr_kafka_messages *messages, const struct wr_kafka_sink_config *config,
                            const struct wr_target_context *context, wr_kafka_write *write, void *argument) {
  *messages = (struct wr_kafka_messages){.config = config, .context = context, .write = write, .argument = argument};
  const struct wr_key_fields key = {.fields = config->key_fields, .count = config->key_count};
  wr_upsert_fold_init(&messages->fold, context->memory, key);
  wr_bytes_init(&messages->text, context->memory, WR_MEMORY_SINK);
}

void wr_kafka_messages_deinit(struct wr_kafka_messages *messages) {
  wr_upsert_fold_deinit(&messages->fold);
  wr_bytes_deinit(&messages->text);
  wr_json_encoder_free(messages->value_encoder);
  wr_json_encoder_free(messages->key_encoder);
  wr_free(messages->context->memory, messages->key_schema);
  wr_free(messages->context->memory, messages->messages);
  wr_free(messages->context->memory, messages->places);
}

void wr_kafka_messages_clear(struct wr_kafka_messages *messages) {
  wr_upsert_fold_clear(&messages->fold);
  wr_bytes_clear(&messages->text);
  messages->count = 0;
}

/* ---- encoders ---- */

/* One STRING or BYTES field is the key as it is. */
static bool is_raw_key(const struct wr_kafka_messages *messages) {
  if (messages->config->key_count != 1) return false;
  enum weir_type type = messages->context->schema->fields[messages->config->key_fields[0]].type;
  return type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
}

/* The encoder of keys gets batches whose columns are the key fields alone. */
static enum weir_code make_key_encoder(struct wr_kafka_messages *messages, struct weir_error *error) {
  struct wr_memory *memory = messages->context->memory;
  const struct wr_kafka_sink_config *config = messages->config;
  struct weir_field fields[WR_FIELDS_MAX];
  if (config->key_count == 0 || is_raw_key(messages)) return WEIR_OK;
  for (uint32_t i = 0; i < config->key_count; i++)
    fields[i] = messages->context->schema->fields[config->key_fields[i]];
  const struct weir_schema schema = {.fields = fields, .field_count = config->key_count};
  messages->key_schema = wr_schema_copy(memory, &schema);
  if (messages->key_schema == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a sink's keys");
  const struct wr_json_encoder_options options = {.ignore_null_fields = false};
  return wr_json_encoder_new(memory, messages->key_schema, &options, &messages->key_encoder, error);
}

static enum weir_code prepare(struct wr_kafka_messages *messages, struct weir_error *error) {
  struct wr_memory *memory = messages->context->memory;
  if (messages->value_encoder != NULL) return WEIR_OK;
  if (messages->messages == NULL)
    messages->messages = wr_alloc(memory, MESSAGES_MAX * sizeof *messages->messages, WR_MEMORY_SINK);
  if (messages->places == NULL)
    messages->places = wr_alloc(memory, MESSAGES_MAX * sizeof *messages->places, WR_MEMORY_SINK);
  if (messages->messages == NULL || messages->places == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the messages of sink %s", messages->context->uid);
  if (messages->key_encoder == NULL) WR_TRY(make_key_encoder(messages, error));
  const struct wr_json_encoder_options options = {.ignore_null_fields = messages->config->ignore_null_fields};
  return wr_json_encoder_new(memory, messages->context->schema, &options, &messages->value_encoder, error);
}

/* ---- handing on ---- */

/* Says which message it was that nobody takes. */
static enum weir_code refuse(const struct wr_kafka_messages *messages, uint32_t bad, struct weir_error *error) {
  char key[WR_EXCERPT_BYTES] = "none";
  if (bad >= messages->count) return error == NULL ? WEIR_CONSTRAINT : error->code;
  const struct wr_kafka_message *message = &messages->messages[bad];
  if (message->key != NULL) wr_excerpt((const char *)message->key, message->key_length, KEY_EXCERPT_BYTES, key);
  return wr_error_prefix(error, "the message with key %s", key);
}

static enum weir_code hand_on(struct wr_kafka_messages *messages, struct weir_error *error) {
  uint32_t bad = UINT32_MAX;
  WR_TRY(wr_bytes_check(&messages->text, error));
  if (messages->count == 0) return WEIR_OK;
  const uint8_t *text = messages->text.data != NULL ? messages->text.data : (const uint8_t *)""; /* all are empty */
  for (uint32_t i = 0; i < messages->count; i++) {
    const struct wr_kafka_message_place *place = &messages->places[i];
    messages->messages[i] = (struct wr_kafka_message){
        .key = messages->config->key_count == 0 || place->is_keyless ? NULL : text + place->key_at,
        .key_length = place->key_length,
        .value = place->is_tombstone ? NULL : text + place->value_at,
        .value_length = place->value_length};
  }
  enum weir_code code = messages->write(messages->argument, messages->messages, messages->count, &bad, error);
  if (code == WEIR_CONSTRAINT) return refuse(messages, bad, error);
  messages->count = 0;
  wr_bytes_clear(&messages->text);
  return code;
}

/* ---- rows ---- */

/* *out_none: a key of one field that is NULL is a message without a key. */
static enum weir_code put_key(struct wr_kafka_messages *messages, const struct wr_batch *batch, uint32_t row,
                              bool *out_none, struct weir_error *error) {
  const struct wr_kafka_sink_config *config = messages->config;
  *out_none = config->key_count == 0;
  if (*out_none) return WEIR_OK;
  if (is_raw_key(messages)) {
    const struct wr_column *column = &batch->columns[config->key_fields[0]];
    *out_none = wr_column_is_null(column, row);
    if (*out_none) return WEIR_OK;
    const struct wr_view *view = &wr_column_views(column)[row];
    wr_bytes_put(&messages->text, wr_view_bytes(batch, view), (size_t)view->length);
    return WEIR_OK;
  }
  /* The same rows, seen through the key's schema. */
  struct wr_column columns[WR_FIELDS_MAX];
  for (uint32_t i = 0; i < config->key_count; i++)
    columns[i] = batch->columns[config->key_fields[i]];
  struct wr_batch keys = {.schema = messages->key_schema,
                          .row_count = batch->row_count,
                          .heap_count = batch->heap_count,
                          .heaps = batch->heaps,
                          .columns = columns};
  wr_json_encode_row(messages->key_encoder, &keys, row, &messages->text);
  return wr_bytes_check(&messages->text, error);
}

static enum weir_code put_message(struct wr_kafka_messages *messages, const struct wr_batch *batch, uint32_t row,
                                  bool is_tombstone, struct weir_error *error) {
  struct wr_kafka_message_place place = {.key_at = messages->text.length, .is_tombstone = is_tombstone};
  WR_TRY(put_key(messages, batch, row, &place.is_keyless, error));
  place.value_at = messages->text.length;
  place.key_length = place.value_at - place.key_at;
  if (!is_tombstone) wr_json_encode_row(messages->value_encoder, batch, row, &messages->text);
  place.value_length = messages->text.length - place.value_at;
  messages->places[messages->count++] = place;
  if (messages->count < MESSAGES_MAX && messages->text.length < TEXT_BYTES_FULL) return WEIR_OK;
  return hand_on(messages, error);
}

static enum weir_code insert(struct wr_kafka_messages *messages, const struct wr_batch *batch,
                             struct weir_error *error) {
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint32_t row = wr_batch_row(batch, i);
    enum weir_row_kind kind = wr_batch_row_kind(batch, row);
    if (kind == WEIR_UPDATE_BEFORE || kind == WEIR_DELETE)
      return WR_FAIL(error, WEIR_CONSTRAINT,
                     "sink \"%s\": a row takes an earlier one back, which topic %s cannot say without a key; give the "
                     "sink the key of the rows",
                     messages->context->uid, messages->config->topic);
    WR_TRY(put_message(messages, batch, row, false, error));
  }
  return WEIR_OK;
}

static enum weir_code empty_fold(struct wr_kafka_messages *messages, struct weir_error *error) {
  struct wr_upsert_fold *fold = &messages->fold;
  for (uint32_t i = 0; i < fold->change_count; i++) {
    const struct wr_fold_change *change = &fold->changes[i];
    const struct wr_batch *batch = fold->batches[change->batch];
    bool is_tombstone = wr_batch_row_kind(batch, change->row) == WEIR_DELETE;
    WR_TRY(put_message(messages, batch, change->row, is_tombstone, error));
  }
  wr_upsert_fold_clear(fold);
  return WEIR_OK;
}

enum weir_code wr_kafka_messages_add(struct wr_kafka_messages *messages, struct wr_batch *batch,
                                     struct weir_error *error) {
  WR_TRY(prepare(messages, error));
  if (!messages->config->is_upsert) return insert(messages, batch, error);
  WR_TRY(wr_upsert_fold_add(&messages->fold, batch, error));
  return wr_upsert_fold_is_full(&messages->fold) ? empty_fold(messages, error) : WEIR_OK;
}

enum weir_code wr_kafka_messages_flush(struct wr_kafka_messages *messages, struct weir_error *error) {
  WR_TRY(empty_fold(messages, error));
  return hand_on(messages, error);
}
