/* connectors/blackhole/blackhole.c: see blackhole.h. */
#include "connectors/blackhole/blackhole.h"

#include <stdio.h>

static enum wr_result process(struct wr_operator *op, uint32_t input, struct wr_batch *batch, uint64_t *wake_at_ns) {
  (void)op;
  (void)input;
  (void)batch;
  (void)wake_at_ns;
  return WR_RESULT_OK;
}

static void free_blackhole(struct wr_operator *op) {
  wr_free(op->context->memory, op);
}

static const struct wr_operator_vtable vtable = {.name = "blackhole", .process = process, .free = free_blackhole};

static enum weir_code new_blackhole(void *config, struct wr_operator_context *context,
                                    struct wr_operator **out_operator, struct weir_error *error) {
  (void)config;
  *out_operator = wr_alloc(context->memory, sizeof **out_operator, WR_MEMORY_SINK);
  if (*out_operator == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for sink %s", context->uid);
  **out_operator = (struct wr_operator){.vtable = &vtable, .context = context};
  return WEIR_OK;
}

enum weir_code wr_blackhole_node(const char *uid, const struct weir_schema *schema, uint32_t parallelism,
                                 struct wr_node *out_node, struct weir_error *error) {
  *out_node = (struct wr_node){.kind = WR_NODE_OPERATOR,
                               .parallelism = parallelism,
                               .input_count = 1,
                               .input_schemas = {schema},
                               .chain = true,
                               .new_operator = new_blackhole};
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length > 0 && (size_t)length < sizeof out_node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a blackhole sink has 1 to %d bytes", WR_UID_BYTES_MAX);
}
