/* api/graph_kafka.c: a Kafka topic as a source in a job graph, by a struct of options or by its address on the command
 * line. One thread. */
#include "api/graph_int.h"
#include "connectors/deadletter/deadletter.h"
#include "connectors/kafka/kafka_options.h"
#include "connectors/kafka/kafka_rdkafka.h"

#include <stdio.h>
#include <string.h>

static const char scheme[] = "kafka:";
static const char form[] = "kafka://HOST:PORT[,HOST:PORT...]/TOPIC";

/* ---- settings ---- */

bool wr_kafka_put_client_settings(struct wr_settings *settings, const struct weir_kafka_setting *client,
                                  uint32_t count) {
  static const char open[] = "properties.%s";
  for (uint32_t i = 0; i < count; i++) {
    if (client[i].key == NULL || client[i].key[0] == 0 || client[i].value == NULL) {
      wr_builder_invalid(settings->builder, settings->uid, "a client's setting has a key and a value");
      return false;
    }
    size_t size = sizeof open + strlen(client[i].key);
    char *key = wr_builder_alloc(settings->builder, size);
    if (key == NULL) return false;
    snprintf(key, size, open, client[i].key);
    if (!wr_settings_put(settings, key, client[i].value)) return false;
  }
  return true;
}

struct wr_kafka_setting *wr_kafka_settings_of(const struct wr_settings *settings,
                                              const struct wr_connector_option *table, uint32_t table_count,
                                              uint32_t *out_count) {
  struct wr_kafka_setting *client = wr_builder_alloc(settings->builder, (settings->count + 1) * sizeof *client);
  if (client != NULL)
    *out_count = wr_kafka_client_settings(table, table_count, settings->items, settings->count, client);
  return client;
}

/* ---- the source ---- */

/* The group that offsets are shown to, unless a setting names one. */
static char *default_group(struct weir_job_builder *builder) {
  size_t size = sizeof "weir-" + strlen(builder->name);
  char *group = wr_builder_alloc(builder, size);
  if (group != NULL) snprintf(group, size, "weir-%s", builder->name);
  return group;
}

static bool read_values(struct weir_job_builder *builder, const char *uid, const struct weir_kafka_options *options,
                        struct wr_kafka_config *out_config, struct wr_connector_value *out_dead_letter) {
  struct wr_settings settings;
  struct wr_connector_value values[WR_KAFKA_OPTION_COUNT];
  struct weir_error error;
  uint32_t count = 0;
  if (!wr_settings_init(&settings, builder, uid, options->options, options->option_count, options->setting_count + 5) ||
      !wr_settings_put(&settings, wr_kafka_options[WR_KAFKA_SERVERS].key, options->servers) ||
      !wr_settings_put(&settings, wr_kafka_options[WR_KAFKA_TOPIC].key, options->topic) ||
      !wr_settings_put_number(&settings, wr_kafka_options[WR_KAFKA_IDLE_TIMEOUT].key, options->idle_timeout_ms, "ms") ||
      !wr_source_put_dead_letter(&settings, options->skip_bad_records, options->dead_letter) ||
      !wr_kafka_put_client_settings(&settings, options->settings, options->setting_count) ||
      !wr_settings_read_source(&settings, wr_kafka_options, WR_KAFKA_OPTION_COUNT, "the Kafka source", values,
                               out_dead_letter))
    return false;
  const struct wr_kafka_setting *client =
      wr_kafka_settings_of(&settings, wr_kafka_options, WR_KAFKA_OPTION_COUNT, &count);
  if (client == NULL) return false;
  if (wr_kafka_config_read(values, client, count, out_config, &error) == WEIR_OK) return true;
  wr_error_prefix(&error, "the Kafka source \"%s\"", uid);
  wr_builder_fail(builder, &error);
  return false;
}

static struct wr_kafka_config *make_config(struct weir_job_builder *builder, const char *uid,
                                           const struct weir_kafka_options *options,
                                           const struct wr_kafka_driver *driver,
                                           struct wr_connector_value *out_dead_letter) {
  struct wr_kafka_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL || !read_values(builder, uid, options, config, out_dead_letter)) return NULL;
  if (config->connection.servers == NULL || config->topic == NULL || options->schema == NULL ||
      options->out_of_orderness_ms < 0) {
    wr_builder_invalid(builder, uid,
                       "a Kafka source needs servers, a topic and a schema, and times that are not negative");
    return NULL;
  }
  config->driver = driver;
  config->on_error = out_dead_letter[WR_DEAD_LETTER_SKIP].number != 0 ? WR_KAFKA_SKIP : WR_KAFKA_FAIL;
  config->out_of_orderness_ms = options->out_of_orderness_ms;
  if (config->connection.group == NULL) config->connection.group = default_group(builder);
  config->schema = wr_builder_keep(builder, wr_schema_copy(builder->memory, options->schema));
  if (config->connection.group == NULL || config->schema == NULL) return NULL;
  bool found = wr_source_find_field(builder, uid, config->schema, options->partition_field, &config->partition_field) &&
               wr_source_find_field(builder, uid, config->schema, options->position_field, &config->position_field) &&
               wr_source_find_field(builder, uid, config->schema, options->event_time_field, &config->event_time_field);
  return found ? config : NULL;
}

struct weir_stream *wr_kafka_source_with(struct weir_job_builder *builder, const char *uid,
                                         const struct weir_kafka_options *options,
                                         const struct wr_kafka_driver *driver) {
  if (!wr_source_check_uid(builder, uid) ||
      !wr_source_check_size(builder, uid, options->size, sizeof *options, "weir_kafka_options"))
    return NULL;
  struct wr_connector_value dead_letter[WR_DEAD_LETTER_OPTION_COUNT];
  const struct wr_kafka_config *config = make_config(builder, uid, options, driver, dead_letter);
  if (config == NULL) return NULL;
  struct weir_error error;
  struct wr_node node;
  struct weir_stream *records =
      wr_source_stream(builder, wr_kafka_source_node(config, uid, 0, &node, &error), &node, &error);
  if (records != NULL) wr_source_connect_dead_letter(records, uid, dead_letter);
  return records;
}

struct weir_stream *weir_kafka_source(struct weir_job_builder *builder, const char *uid,
                                      const struct weir_kafka_options *options) {
  return wr_kafka_source_with(builder, uid, options, wr_kafka_rdkafka());
}

/* ---- by the options of the command line ---- */

bool wr_kafka_is_address(const char *source) {
  return strncmp(source, scheme, sizeof scheme - 1) == 0;
}

bool wr_kafka_read_address(struct weir_job_builder *builder, const char *option, const char *address,
                           const char **out_servers, const char **out_topic) {
  const char *servers = address + sizeof scheme - 1;
  bool has_slashes = strncmp(servers, "//", 2) == 0;
  if (has_slashes) servers += 2;
  const char *slash = strchr(servers, '/');
  if (!has_slashes || slash == servers) {
    wr_builder_invalid(builder, NULL, "--%s %.128s: a Kafka topic is %s", option, address, form);
    return false;
  }
  if (slash == NULL || slash[1] == 0) {
    wr_builder_invalid(builder, NULL, "--%s %.128s names no topic: it is %s", option, address, form);
    return false;
  }
  size_t length = (size_t)(slash - servers);
  char *copy = wr_builder_alloc(builder, length + 1);
  if (copy == NULL) return false;
  memcpy(copy, servers, length);
  *out_servers = copy;
  *out_topic = slash + 1;
  return true;
}

/* The values may be secrets: no message has them. */
bool wr_kafka_read_settings(struct weir_job_builder *builder, const struct weir_options *options,
                            const struct weir_kafka_setting **out_settings, uint32_t *out_count) {
  uint32_t count = weir_options_count(options, "kafka");
  struct weir_kafka_setting *settings = wr_builder_alloc(builder, (count + 1) * sizeof *settings);
  if (settings == NULL) return false;
  for (uint32_t i = 0; i < count; i++) {
    char *text = wr_builder_copy(builder, weir_options_item(options, "kafka", i));
    if (text == NULL) return false;
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
      wr_builder_invalid(builder, NULL, "--kafka is KEY=VALUE, a setting of librdkafka, as security.protocol=ssl");
      return false;
    }
    *equals = 0;
    settings[i] = (struct weir_kafka_setting){.key = text, .value = equals + 1};
    if (!wr_settings_check_secret(builder, "kafka", text)) return false;
  }
  *out_settings = settings;
  *out_count = count;
  return true;
}

struct weir_stream *wr_kafka_source_of_options(struct weir_job_builder *builder, const char *uid, const char *address,
                                               const struct weir_record_options *records,
                                               const struct weir_options *options) {
  struct weir_kafka_options kafka = {.size = sizeof kafka,
                                     .schema = records->schema,
                                     .partition_field = records->partition_field,
                                     .position_field = records->position_field,
                                     .event_time_field = records->event_time_field,
                                     .out_of_orderness_ms = records->out_of_orderness_ms,
                                     .idle_timeout_ms = records->idle_timeout_ms,
                                     .skip_bad_records = wr_source_skips(options),
                                     .dead_letter = weir_options_text(options, "dead-letter")};
  if (!wr_kafka_read_address(builder, "source", address, &kafka.servers, &kafka.topic) ||
      !wr_kafka_read_settings(builder, options, &kafka.settings, &kafka.setting_count))
    return NULL;
  kafka.options = wr_settings_of_options(builder, options, "source-option", 0, &kafka.option_count);
  if (kafka.options == NULL) return NULL;
  return weir_kafka_source(builder, uid, &kafka);
}
