/* api/graph_sinks.c: what the sinks in a job graph share: the nodes of a two-phase and of a plain one. One thread. */
#include "api/graph_int.h"
#include "operators/sink_nodes.h"

/* Leads the stream to the sink's first node, which `code` says is made. */
static void lead(struct weir_stream *stream, enum weir_code code, uint32_t node, const struct weir_error *error) {
  if (code != WEIR_OK) {
    wr_builder_fail(stream->builder, error);
    return;
  }
  stream->builder->needs_folder = true;
  wr_stream_connect(stream, node);
}

void wr_two_phase_sink(struct weir_stream *stream, const char *uid, const struct wr_two_phase_description *sink) {
  struct wr_sink_config *config = wr_builder_alloc(stream->builder, sizeof *config);
  if (config == NULL) return;
  const struct wr_sink_description description = {.uid = uid,
                                                  .schema = stream->schema,
                                                  .new_stage = sink->new_stage,
                                                  .stage_config = sink->config,
                                                  .config = config,
                                                  .target_config = sink->config,
                                                  .new_target = sink->new_target};
  struct weir_error error;
  uint32_t writer = 0;
  enum weir_code code = wr_sink_add(&stream->builder->graph, &description, &writer, &error);
  lead(stream, code, writer, &error);
}

void wr_plain_sink(struct weir_stream *stream, const char *uid, const struct wr_plain_description *sink) {
  struct wr_plain_sink_config *plain = wr_builder_alloc(stream->builder, sizeof *plain);
  if (plain == NULL) return;
  *plain = (struct wr_plain_sink_config){.where = sink->where,
                                         .interval_ns = (uint64_t)sink->interval_ms * 1000 * 1000,
                                         .target_config = sink->config,
                                         .new_target = sink->new_target};
  struct weir_error error;
  struct wr_node node;
  uint32_t index = 0;
  enum weir_code code = wr_plain_sink_node(uid, stream->schema, 0, plain, &node, &error);
  if (code == WEIR_OK) code = wr_graph_add_node(&stream->builder->graph, &node, &index, &error);
  lead(stream, code, index, &error);
}

bool wr_sink_check_interval(struct weir_job_builder *builder, const char *uid, bool is_given, bool is_plain) {
  if (is_plain || !is_given) return true;
  wr_builder_invalid(
      builder, uid, "sink.buffer-flush.interval goes with --plain; without it rows are committed with each checkpoint");
  return false;
}
