/* api/graph_kafka.c: a Kafka topic as a source in a job graph, by a struct of options or by its address on the command
 * line. One thread. */
#include "api/graph_int.h"
#include "base/limits.h"
#include "base/option_values.h"
#include "connectors/kafka/kafka.h"
#include "connectors/kafka/kafka_rdkafka.h"

#include <stdio.h>
#include <string.h>

static const char scheme[] = "kafka:";
static const char form[] = "kafka://HOST:PORT[,HOST:PORT...]/TOPIC";

/* ---- settings ---- */

/* A setting that the source acts on too. False: the builder's error is set. */
static bool heed(struct weir_job_builder *builder, const char *uid, struct wr_kafka_config *config,
                 const struct wr_kafka_setting *setting) {
  int64_t interval_ms = 0;
  if (strcmp(setting->key, "group.id") == 0) config->connection.group = setting->value;
  if (strcmp(setting->key, "topic.metadata.refresh.interval.ms") != 0) return true;
  if (!wr_parse_number(setting->value, 1, 24ll * 60 * 60 * 1000, &interval_ms)) {
    wr_builder_invalid(builder, uid, "%s is a whole number of milliseconds, from 1 to a day, not \"%.32s\"",
                       setting->key, setting->value);
    return false;
  }
  config->discovery_interval_ms = (uint64_t)interval_ms;
  return true;
}

static bool copy_settings(struct weir_job_builder *builder, const char *uid, struct wr_kafka_config *config,
                          const struct weir_kafka_options *options) {
  struct wr_kafka_setting *settings = wr_builder_alloc(builder, (options->setting_count + 1) * sizeof *settings);
  if (settings == NULL) return false;
  config->connection.settings = settings;
  for (uint32_t i = 0; i < options->setting_count; i++) {
    const struct weir_kafka_setting *given = &options->settings[i];
    if (given->key == NULL || given->key[0] == 0 || given->value == NULL) {
      wr_builder_invalid(builder, uid, "a setting of a Kafka source has a key and a value");
      return false;
    }
    settings[i] = (struct wr_kafka_setting){.key = wr_builder_copy(builder, given->key),
                                            .value = wr_builder_copy(builder, given->value)};
    if (settings[i].key == NULL || settings[i].value == NULL || !heed(builder, uid, config, &settings[i])) return false;
  }
  config->connection.setting_count = options->setting_count;
  return true;
}

/* ---- the source ---- */

/* The group that offsets are shown to, unless a setting names one. */
static char *default_group(struct weir_job_builder *builder) {
  size_t size = sizeof "weir-" + strlen(builder->name);
  char *group = wr_builder_alloc(builder, size);
  if (group != NULL) snprintf(group, size, "weir-%s", builder->name);
  return group;
}

static struct wr_kafka_config *make_config(struct weir_job_builder *builder, const char *uid,
                                           const struct weir_kafka_options *options,
                                           const struct wr_kafka_driver *driver) {
  if (options->servers == NULL || options->topic == NULL || options->schema == NULL ||
      options->out_of_orderness_ms < 0 || options->idle_timeout_ms < 0) {
    wr_builder_invalid(builder, uid,
                       "a Kafka source needs servers, a topic and a schema, and times that are not negative");
    return NULL;
  }
  struct wr_kafka_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL) return NULL;
  *config = (struct wr_kafka_config){.driver = driver,
                                     .on_error = options->skip_bad_records ? WR_KAFKA_SKIP : WR_KAFKA_FAIL,
                                     .out_of_orderness_ms = options->out_of_orderness_ms,
                                     .idle_timeout_ms = (uint64_t)options->idle_timeout_ms};
  config->connection.servers = wr_builder_copy(builder, options->servers);
  config->connection.group = default_group(builder);
  config->topic = wr_builder_copy(builder, options->topic);
  config->schema = wr_builder_keep(builder, wr_schema_copy(builder->memory, options->schema));
  if (config->connection.servers == NULL || config->connection.group == NULL || config->topic == NULL ||
      config->schema == NULL || !copy_settings(builder, uid, config, options))
    return NULL;
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
  const struct wr_kafka_config *config = make_config(builder, uid, options, driver);
  if (config == NULL) return NULL;
  struct weir_error error;
  struct wr_node node;
  struct weir_stream *records =
      wr_source_stream(builder, wr_kafka_source_node(config, uid, 0, &node, &error), &node, &error);
  if (records != NULL && options->skip_bad_records) wr_source_connect_dead_letter(records, uid, options->dead_letter);
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
  return weir_kafka_source(builder, uid, &kafka);
}
