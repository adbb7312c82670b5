/* operators/sink_nodes.c: see sink_nodes.h. Pure; used while a graph is built. */
#include "operators/sink_nodes.h"

#include "operators/committer.h"
#include "operators/sink_writer.h"

#include <stdio.h>

static enum weir_code new_writer(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                 struct weir_error *error) {
  const struct wr_sink_config *sink = config;
  return wr_sink_writer_new(context, sink->new_stage, sink->stage_config, out_operator, error);
}

static enum weir_code new_committer(void *config, struct wr_operator_context *context,
                                    struct wr_operator **out_operator, struct weir_error *error) {
  const struct wr_sink_config *sink = config;
  return wr_committer_new(context, &sink->limits, out_operator, error);
}

static enum weir_code new_target(void *config, const struct wr_target_context *context, struct wr_target **out_target,
                                 struct weir_error *error) {
  const struct wr_sink_config *sink = config;
  return sink->new_target(sink->target_config, context, out_target, error);
}

static enum weir_code put_uid(struct wr_node *node, const char *uid, const char *suffix, struct weir_error *error) {
  int length = uid == NULL ? -1 : snprintf(node->uid, sizeof node->uid, "%s%s", uid, suffix);
  if (length > 0 && (size_t)length < sizeof node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a sink has 1 to %zu bytes, not \"%s\"",
                 (size_t)WR_UID_BYTES_MAX - strlen(".writer"), uid == NULL ? "" : uid);
}

enum weir_code wr_sink_nodes(const struct wr_sink_description *sink, struct wr_node *out_writer,
                             struct wr_node *out_committer, struct weir_error *error) {
  struct wr_sink_config *config = sink->config;
  *config = (struct wr_sink_config){.limits = sink->limits,
                                    .new_stage = sink->new_stage == NULL ? wr_rows_stage_new : sink->new_stage,
                                    .stage_config = sink->stage_config,
                                    .target_config = sink->target_config,
                                    .new_target = sink->new_target};
  if (config->limits.epochs_max == 0) config->limits.epochs_max = WR_EPOCHS_WAITING_MAX;
  if (config->limits.bytes_max == 0) config->limits.bytes_max = WR_EPOCH_BYTES_WAITING_MAX;
  *out_writer = (struct wr_node){.kind = WR_NODE_SINK,
                                 .parallelism = sink->parallelism,
                                 .port_count = 1,
                                 .port_schemas = {&wr_part_schema},
                                 .input_count = 1,
                                 .input_schemas = {sink->schema},
                                 .chain = true,
                                 .durable = true,
                                 .config = config,
                                 .new_operator = new_writer};
  *out_committer = (struct wr_node){.kind = WR_NODE_COMMITTER,
                                    .parallelism = 1,
                                    .input_count = 1,
                                    .input_schemas = {&wr_part_schema},
                                    .durable = true,
                                    .config = config,
                                    .new_operator = new_committer,
                                    .new_target = new_target,
                                    .commit_limits = config->limits};
  WR_TRY(put_uid(out_writer, sink->uid, ".writer", error));
  return put_uid(out_committer, sink->uid, "", error);
}

enum weir_code wr_sink_add(struct wr_graph *graph, const struct wr_sink_description *sink, uint32_t *out_writer,
                           struct weir_error *error) {
  struct wr_node writer, committer;
  uint32_t committer_index = 0;
  WR_TRY(wr_sink_nodes(sink, &writer, &committer, error));
  WR_TRY(wr_graph_add_node(graph, &writer, out_writer, error));
  WR_TRY(wr_graph_add_node(graph, &committer, &committer_index, error));
  const struct wr_edge edge = {
      .from_node = *out_writer, .to_node = committer_index, .exchange = WR_EXCHANGE_GATHER, .always_aligned = true};
  return wr_graph_add_edge(graph, &edge, error);
}
