/* api/graph_operators.c: operators in a job graph: the count, and operators of the user's program. One thread. */
#include "api/api_int.h"

#include "operators/count.h"
#include "operators/key_columns.h"
#include "operators/user.h"

#include <stdio.h>
#include <string.h>

/* Adds an operator of one input behind `stream` and returns its output. */
static struct weir_stream *add_operator(struct weir_stream *stream, const char *uid, struct wr_node *node) {
  struct weir_job_builder *builder = stream->builder;
  struct weir_error error;
  uint32_t index = 0;
  if (uid == NULL || strlen(uid) > WR_UID_BYTES_MAX) {
    wr_builder_invalid(builder, uid == NULL ? "" : "operator", "a uid has 1 to %d bytes", WR_UID_BYTES_MAX);
    return NULL;
  }
  memcpy(node->uid, uid, strlen(uid) + 1);
  node->kind = WR_NODE_OPERATOR;
  node->input_count = 1;
  node->input_schemas[0] = stream->schema;
  node->chain = true;
  if (wr_graph_add_node(&builder->graph, node, &index, &error) != WEIR_OK) {
    wr_builder_fail(builder, &error);
    return NULL;
  }
  wr_stream_connect(stream, index);
  return wr_stream_new(builder, index, 0);
}

static enum weir_code new_count(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                struct weir_error *error) {
  (void)config;
  return wr_count_new(context, out_operator, error);
}

struct weir_stream *weir_count(struct weir_stream *keyed, const char *uid, const char *count_field) {
  if (keyed == NULL) return NULL;
  struct weir_job_builder *builder = keyed->builder;
  if (keyed->key.count == 0) {
    wr_builder_invalid(builder, uid, "rows are counted per key; put weir_key_by in front of it");
    return NULL;
  }
  const struct weir_field field = {.name = count_field == NULL ? "" : count_field, .type = WEIR_TYPE_BIGINT};
  const struct weir_schema counted = {.fields = &field, .field_count = 1};
  struct weir_schema *output =
      wr_builder_keep(builder, wr_key_schema(builder->memory, keyed->schema, &keyed->key, &counted));
  if (output == NULL) return NULL;
  struct wr_node node = {.port_count = 1, .port_schemas = {output}, .new_operator = new_count};
  return add_operator(keyed, uid, &node);
}

static enum weir_code new_user(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                               struct weir_error *error) {
  return wr_user_new(config, context, out_operator, error);
}

struct weir_stream *weir_process(struct weir_stream *stream, const char *uid,
                                 const struct weir_operator_definition *definition) {
  if (stream == NULL) return NULL;
  struct weir_error error;
  if (wr_user_check(definition, &error) != WEIR_OK) {
    wr_builder_invalid(stream->builder, uid, "%s", error.message);
    return NULL;
  }
  struct wr_node node = {.port_count = definition->output != NULL,
                         .port_schemas = {definition->output},
                         .config = (void *)definition,
                         .new_operator = new_user};
  return add_operator(stream, uid, &node);
}
