/* api/builder.c: the builder of a job graph (weir/graph.h): memory, the first error, streams. One thread. */
#include "api/api_int.h"

#include "base/limits.h"
#include "operators/key_columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- memory and errors ---- */

void wr_builder_fail(struct weir_job_builder *builder, const struct weir_error *error) {
  WR_ASSERT(error->code != WEIR_OK);
  if (builder->error.code == WEIR_OK) builder->error = *error;
}

void wr_builder_invalid(struct weir_job_builder *builder, const char *uid, const char *format, ...) {
  struct weir_error error;
  char message[WEIR_ERROR_MESSAGE_BYTES / 2];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  (void)WR_FAIL(&error, WEIR_INVALID, "%s%s%s%s", uid == NULL ? "" : "'", uid == NULL ? "" : uid,
                uid == NULL ? "" : "': ", message);
  wr_builder_fail(builder, &error);
}

static void fail_memory(struct weir_job_builder *builder) {
  struct weir_error error;
  (void)WR_FAIL(&error, WEIR_NO_MEMORY, "no memory for the graph of job '%s'", builder->name);
  wr_builder_fail(builder, &error);
}

void *wr_builder_keep(struct weir_job_builder *builder, void *block) {
  struct wr_builder_block *kept = block == NULL ? NULL : wr_alloc(builder->memory, sizeof *kept, WR_MEMORY_ENGINE);
  if (kept == NULL) {
    wr_free(builder->memory, block);
    fail_memory(builder);
    return NULL;
  }
  *kept = (struct wr_builder_block){.next = builder->blocks, .block = block};
  builder->blocks = kept;
  return block;
}

void *wr_builder_alloc(struct weir_job_builder *builder, size_t bytes) {
  return wr_builder_keep(builder, wr_alloc_zeroed(builder->memory, 1, bytes, WR_MEMORY_ENGINE));
}

char *wr_builder_copy(struct weir_job_builder *builder, const char *text) {
  return wr_builder_keep(builder, wr_copy_string(builder->memory, text, WR_MEMORY_ENGINE));
}

/* ---- life ---- */

static bool is_name(const char *name) {
  if (name == NULL || name[0] == 0 || name[0] == '.' || strlen(name) > WR_NAME_BYTES_MAX) return false;
  for (const char *c = name; *c != 0; c++)
    if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' ||
          *c == '-'))
      return false;
  return true;
}

enum weir_code wr_builder_init(struct weir_job_builder *builder, struct wr_memory *memory, const char *name,
                               struct weir_error *error) {
  if (!is_name(name))
    return WR_FAIL(error, WEIR_INVALID,
                   "\"%.64s\" is no name for a job: it has 1 to %d of the characters A-Z a-z 0-9 . _ - and does not "
                   "begin with '.'",
                   name == NULL ? "" : name, WR_NAME_BYTES_MAX);
  *builder = (struct weir_job_builder){.memory = memory};
  memcpy(builder->name, name, strlen(name) + 1);
  wr_graph_init(&builder->graph, memory);
  return WEIR_OK;
}

void wr_builder_deinit(struct weir_job_builder *builder) {
  wr_graph_deinit(&builder->graph);
  while (builder->blocks != NULL) {
    struct wr_builder_block *kept = builder->blocks;
    builder->blocks = kept->next;
    wr_free(builder->memory, kept->block);
    wr_free(builder->memory, kept);
  }
}

enum weir_code weir_job_builder_new(const char *name, struct weir_job_builder **out_builder, struct weir_error *error) {
  struct weir_job_builder *builder = wr_api_block_new(sizeof *builder);
  if (builder == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a job");
  enum weir_code code = wr_builder_init(builder, NULL, name, error);
  if (code != WEIR_OK) {
    wr_api_block_free(builder);
    return code;
  }
  wr_heap_memory_init(&builder->heap, 0);
  builder->memory = builder->graph.memory = &builder->heap.memory;
  *out_builder = builder;
  return WEIR_OK;
}

void weir_job_builder_free(struct weir_job_builder **builder) {
  if (builder == NULL || *builder == NULL) return;
  wr_builder_deinit(*builder);
  wr_api_block_free(*builder);
  *builder = NULL;
}

enum weir_code wr_builder_finish(struct weir_job_builder *builder, const struct wr_graph **out_graph,
                                 struct weir_error *error) {
  if (builder->error.code != WEIR_OK) {
    if (error != NULL) *error = builder->error;
    return builder->error.code;
  }
  WR_TRY(wr_graph_check(&builder->graph, error));
  *out_graph = &builder->graph;
  return WEIR_OK;
}

enum weir_code weir_job_builder_check(struct weir_job_builder *builder, struct weir_error *error) {
  const struct wr_graph *graph = NULL;
  return wr_builder_finish(builder, &graph, error);
}

/* ---- streams ---- */

const struct weir_schema *weir_stream_schema(const struct weir_stream *stream) {
  return stream == NULL ? NULL : stream->schema;
}

struct weir_stream *wr_stream_new(struct weir_job_builder *builder, uint32_t node, uint32_t port) {
  struct weir_stream *stream = wr_builder_alloc(builder, sizeof *stream);
  if (stream == NULL) return NULL;
  const struct wr_node *from = &builder->graph.nodes[node];
  *stream = (struct weir_stream){.builder = builder,
                                 .node = node,
                                 .port = port,
                                 .schema = port < from->port_count ? from->port_schemas[port] : NULL,
                                 .exchange = WR_EXCHANGE_FORWARD};
  return stream;
}

void wr_stream_connect(const struct weir_stream *stream, uint32_t node) {
  struct weir_error error;
  const struct wr_edge edge = {.from_node = stream->node,
                               .from_port = stream->port,
                               .to_node = node,
                               .exchange = stream->exchange,
                               .key = stream->key,
                               /* What all subtasks send to one writer is exact in both modes, as to a committer. */
                               .always_aligned = stream->exchange == WR_EXCHANGE_GATHER};
  if (wr_graph_add_edge(&stream->builder->graph, &edge, &error) != WEIR_OK) wr_builder_fail(stream->builder, &error);
}

bool wr_find_field(struct weir_job_builder *builder, const char *uid, const struct weir_schema *schema,
                   const char *name, uint32_t *out_field) {
  for (uint32_t i = 0; name != NULL && i < schema->field_count; i++)
    if (strcmp(schema->fields[i].name, name) == 0) {
      *out_field = i;
      return true;
    }
  wr_builder_invalid(builder, uid, "there is no field \"%.64s\" in its rows", name == NULL ? "" : name);
  return false;
}

/* The same rows by another way. */
static struct weir_stream *redirect(struct weir_stream *stream, enum wr_exchange exchange) {
  struct weir_stream *copy = wr_builder_alloc(stream->builder, sizeof *copy);
  if (copy == NULL) return NULL;
  *copy = *stream;
  copy->exchange = exchange;
  copy->key = (struct wr_key_fields){0};
  return copy;
}

struct weir_stream *weir_key_by_fields(struct weir_stream *stream, const char *const *fields, uint32_t field_count) {
  if (stream == NULL) return NULL;
  struct weir_job_builder *builder = stream->builder;
  const char *uid = builder->graph.nodes[stream->node].uid;
  if (stream->schema == NULL || field_count == 0 || field_count > stream->schema->field_count) {
    wr_builder_invalid(builder, uid, "a key has 1 to %u fields here, not %u",
                       stream->schema == NULL ? 0 : stream->schema->field_count, field_count);
    return NULL;
  }
  uint32_t *numbers = wr_builder_alloc(builder, field_count * sizeof *numbers);
  if (numbers == NULL) return NULL;
  for (uint32_t i = 0; i < field_count; i++)
    if (!wr_find_field(builder, uid, stream->schema, fields[i], &numbers[i])) return NULL;
  struct weir_stream *keyed = redirect(stream, WR_EXCHANGE_HASH);
  if (keyed != NULL) keyed->key = (struct wr_key_fields){.fields = numbers, .count = field_count};
  return keyed;
}

struct weir_stream *weir_key_by(struct weir_stream *stream, const char *field) {
  return weir_key_by_fields(stream, &field, 1);
}

struct weir_stream *weir_message_key(struct weir_stream *stream, const char *field) {
  if (stream == NULL || stream->schema == NULL) return stream; /* what follows says what is wrong */
  struct weir_stream *keyed = wr_builder_alloc(stream->builder, sizeof *keyed);
  uint32_t number = 0;
  if (keyed == NULL || !wr_find_field(stream->builder, NULL, stream->schema, field, &number)) return NULL;
  *keyed = *stream;
  keyed->has_message_key = true;
  keyed->message_key = number;
  return keyed;
}

struct weir_stream *weir_rebalance(struct weir_stream *stream) {
  return stream == NULL ? NULL : redirect(stream, WR_EXCHANGE_REBALANCE);
}
