/* connectors/kafka/kafka_node.c: the Kafka source as a node of a graph; its configuration is checked here. Pure, but
 * for the driver's check, which may load its library. */
#include "connectors/bad_records.h"
#include "connectors/kafka/kafka_enumerator.h"
#include "connectors/kafka/kafka_reader.h"

#include <stdio.h>

static enum weir_code new_reader(void *config, struct wr_operator_context *context, struct wr_operator **out_operator,
                                 struct weir_error *error) {
  return wr_kafka_reader_new(config, context, out_operator, error);
}

static enum weir_code new_enumerator(void *config, const struct wr_enumerator_context *context,
                                     const struct wr_split *restored, uint32_t restored_count,
                                     struct wr_enumerator **out_enumerator, struct weir_error *error) {
  return wr_kafka_enumerator_new(config, context, restored, restored_count, out_enumerator, error);
}

struct wr_record_fields wr_kafka_fields(const struct wr_kafka_config *config) {
  return (struct wr_record_fields){.schema = config->schema,
                                   .partition_field = config->partition_field,
                                   .position_field = config->position_field,
                                   .event_time_field = config->event_time_field};
}

/* What a setting means, the driver knows. */
static enum weir_code check_settings(const struct wr_kafka_connection *connection, struct weir_error *error) {
  for (uint32_t i = 0; i < connection->setting_count; i++)
    for (uint32_t k = 0; k < i; k++)
      if (strcmp(connection->settings[i].key, connection->settings[k].key) == 0)
        return WR_FAIL(error, WEIR_INVALID, "source %s: the setting %.128s is given twice", connection->uid,
                       connection->settings[i].key);
  return WEIR_OK;
}

/* Is it host:port? An IPv6 address stands in brackets. */
static bool is_server(const char *text, size_t length) {
  size_t digits = 0, colon;
  uint32_t port = 0;
  while (digits < length && text[length - 1 - digits] >= '0' && text[length - 1 - digits] <= '9')
    digits++;
  if (digits == 0 || digits > 5 || digits + 2 > length) return false;
  colon = length - 1 - digits;
  for (size_t i = colon + 1; i < length; i++)
    port = port * 10 + (uint32_t)(text[i] - '0');
  if (text[colon] != ':' || port == 0 || port > 65535) return false;
  bool bracketed = text[0] == '[' && text[colon - 1] == ']';
  return bracketed || memchr(text, ':', colon) == NULL;
}

static enum weir_code check_servers(const char *servers, const char *uid, struct weir_error *error) {
  if (servers == NULL || servers[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "source %s: a Kafka source needs servers, as host:port", uid);
  for (const char *at = servers; at != NULL;) {
    const char *comma = strchr(at, ',');
    size_t length = comma == NULL ? strlen(at) : (size_t)(comma - at);
    if (!is_server(at, length))
      return WR_FAIL(error, WEIR_INVALID, "source %s: \"%.*s\" is no HOST:PORT; Kafka's port is 9092 as a rule", uid,
                     length > 128 ? 128 : (int)length, at);
    at = comma == NULL ? NULL : comma + 1;
  }
  return WEIR_OK;
}

static enum weir_code check_topic(const struct wr_kafka_config *config, const char *uid, struct weir_error *error) {
  const char *topic = config->topic;
  if (topic == NULL || topic[0] == 0)
    return WR_FAIL(error, WEIR_INVALID, "source %s: a Kafka source needs a topic", uid);
  size_t length = strlen(topic);
  bool good = length <= WR_KAFKA_TOPIC_BYTES_MAX && strcmp(topic, ".") != 0 && strcmp(topic, "..") != 0;
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (good && strspn(topic, allowed) == length) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID,
                 "source %s: \"%.250s\" is no name of a topic: it has 1 to %d of the characters A-Z a-z 0-9 . _ -", uid,
                 topic, WR_KAFKA_TOPIC_BYTES_MAX);
}

enum weir_code wr_kafka_source_node(const struct wr_kafka_config *config, const char *uid, uint32_t parallelism,
                                    struct wr_node *out_node, struct weir_error *error) {
  const struct wr_record_fields fields = wr_kafka_fields(config);
  bool skips = config->on_error == WR_KAFKA_SKIP;
  *out_node = (struct wr_node){.kind = WR_NODE_SOURCE,
                               .parallelism = parallelism,
                               .port_count = skips ? 2 : 1,
                               .port_schemas = {config->schema, skips ? &wr_dead_letter_schema : NULL},
                               .durable = true,
                               .config = (void *)config,
                               .new_operator = new_reader,
                               .new_enumerator = new_enumerator};
  int length = snprintf(out_node->uid, sizeof out_node->uid, "%s", uid == NULL ? "" : uid);
  if (length <= 0 || (size_t)length >= sizeof out_node->uid)
    return WR_FAIL(error, WEIR_INVALID, "the uid of a source has 1 to %d bytes", WR_UID_BYTES_MAX);
  struct wr_kafka_connection connection = config->connection;
  connection.uid = uid;
  WR_TRY(check_servers(connection.servers, uid, error));
  WR_TRY(check_topic(config, uid, error));
  WR_TRY(wr_record_fields_check(&fields, "a Kafka source", error));
  WR_TRY(check_settings(&connection, error));
  return config->driver->check(config->driver, &connection, error);
}
