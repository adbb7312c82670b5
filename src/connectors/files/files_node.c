/* connectors/files/files_node.c: the files source as a node of a graph; its configuration is checked here. Pure. */
#include "connectors/bad_records.h"
#include "connectors/files/files.h"
#include "connectors/record_fields.h"

#include <stdio.h>

static enum weir_code new_reader(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                 struct weir_error *error) {
  return wr_files_reader_new(config, context, out_operator, error);
}

static enum weir_code new_enumerator(void *config, const struct wr_enumerator_context *context,
                                     const struct wr_split *restored, uint32_t restored_count,
                                     struct wr_enumerator **out_enumerator, struct weir_error *error) {
  return wr_files_enumerator_new(config, context, restored, restored_count, out_enumerator, error);
}

enum weir_code wr_files_source_node(const struct wr_files_config *config, const char *uid, uint32_t parallelism,
                                    struct wr_node *out_node, struct weir_error *error) {
  if (config->folder == NULL || config->folder[0] == 0 || config->suffix == NULL || config->suffix[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "a files source needs a folder, and the suffix of the files that it reads");
  const struct wr_record_fields fields = {.schema = config->schema,
                                          .partition_field = config->partition_field,
                                          .position_field = config->position_field,
                                          .event_time_field = config->event_time_field};
  WR_TRY(wr_record_fields_check(&fields, "a files source", error));
  bool skips = config->on_error == WR_FILES_SKIP;
  *out_node = (struct wr_node){.kind = WR_NODE_SOURCE,
                               .parallelism = parallelism,
                               .port_count = skips ? 2 : 1,
                               .port_schemas = {config->schema, skips ? &wr_dead_letter_schema : NULL},
                               .durable = true,
                               .config = (void *)config,
                               .new_operator = new_reader,
                               .new_enumerator = new_enumerator};
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length > 0 && (size_t)length < sizeof out_node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a source has 1 to %d bytes", WR_UID_BYTES_MAX);
}
