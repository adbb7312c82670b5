/* connectors/files/files_node.c: the files source as a node of a graph; its configuration is checked here. Pure. */
#include "connectors/files/files.h"

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

/* A field with a part to play must be of one of two types. */
static enum weir_code check_field(const struct weir_schema *schema, int32_t field, enum weir_type type,
                                  enum weir_type other_type, const char *part, struct weir_error *error) {
  if (field < 0) return WEIR_OK;
  if ((uint32_t)field >= schema->field_count)
    return WR_FAIL(error, WEIR_INVALID, "the %s of a files source is field %d; there are %u", part, field,
                   schema->field_count);
  enum weir_type found = schema->fields[field].type;
  if (found == type || found == other_type) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "field \"%s\" cannot be the %s of a files source: it is %s, not %s",
                 schema->fields[field].name, part, wr_type_text(found), wr_type_text(type));
}

enum weir_code wr_files_source_node(const struct wr_files_config *config, const char *uid, uint32_t parallelism,
                                    struct wr_node *out_node, struct weir_error *error) {
  if (config->folder == NULL || config->folder[0] == 0 || config->suffix == NULL || config->suffix[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "a files source needs a folder, and the suffix of the files that it reads");
  const struct weir_schema *schema = config->schema;
  WR_TRY(check_field(schema, config->partition_field, WEIR_TYPE_STRING, WEIR_TYPE_STRING, "partition", error));
  WR_TRY(check_field(schema, config->position_field, WEIR_TYPE_BIGINT, WEIR_TYPE_BIGINT, "position", error));
  WR_TRY(check_field(schema, config->event_time_field, WEIR_TYPE_TIMESTAMP, WEIR_TYPE_BIGINT, "event time", error));
  bool same = config->partition_field >= 0 && config->partition_field == config->position_field;
  uint32_t places = (config->partition_field >= 0 ? 1u : 0u) + (config->position_field >= 0 ? 1u : 0u);
  if (same || places >= schema->field_count)
    return WR_FAIL(error, WEIR_INVALID, "a files source needs at least one field that comes from the record");
  bool skips = config->on_error == WR_FILES_SKIP;
  *out_node = (struct wr_node){.kind = WR_NODE_SOURCE,
                               .parallelism = parallelism,
                               .port_count = skips ? 2 : 1,
                               .port_schemas = {schema, skips ? &wr_dead_letter_schema : NULL},
                               .durable = true,
                               .config = (void *)config,
                               .new_operator = new_reader,
                               .new_enumerator = new_enumerator};
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length > 0 && (size_t)length < sizeof out_node->uid) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the uid of a source has 1 to %d bytes", WR_UID_BYTES_MAX);
}
