/* api/graph_kafka_sink.c: a Kafka topic as a sink in a job graph, by a struct of options or by its address on the
 * command line. One thread. */
#include "api/graph_int.h"
#include "base/limits.h"
#include "connectors/kafka/kafka_options.h"
#include "connectors/kafka/kafka_plain.h"
#include "connectors/kafka/kafka_rdkafka.h"

#include <stdio.h>
#include <string.h>

/* ---- the key ---- */

static bool add_key_field(struct weir_stream *stream, const char *uid, const char *name, uint32_t *fields,
                          struct wr_kafka_sink_config *config) {
  if (config->key_count == WR_FIELDS_MAX) {
    wr_builder_invalid(stream->builder, uid, "a key has at most %d fields", WR_FIELDS_MAX);
    return false;
  }
  return wr_find_field(stream->builder, uid, stream->schema, name, &fields[config->key_count++]);
}

/* key.fields: "a;b". */
static bool read_key_fields(struct weir_stream *stream, const char *uid, const char *text, uint32_t *fields,
                            struct wr_kafka_sink_config *config) {
  char *rest = wr_builder_copy(stream->builder, text);
  if (rest == NULL) return false;
  for (bool is_last = false; !is_last;) {
    size_t length = strcspn(rest, ";");
    is_last = rest[length] == 0;
    rest[length] = 0;
    if (!add_key_field(stream, uid, rest, fields, config)) return false;
    rest += length + 1;
  }
  return true;
}

/* What the rows are keyed by; else what the option says; else what the program has named. */
static bool find_key(struct weir_stream *stream, const char *uid, const struct weir_kafka_sink_options *options,
                     const char *key_fields, struct wr_kafka_sink_config *config) {
  uint32_t *fields = wr_builder_alloc(stream->builder, WR_FIELDS_MAX * sizeof *fields);
  if (fields == NULL) return false;
  config->key_fields = fields;
  if (key_fields != NULL && options->is_upsert) {
    wr_builder_invalid(stream->builder, uid,
                       "the rows have a key, which is that of the messages; leave key.fields out");
    return false;
  }
  if (key_fields != NULL) return read_key_fields(stream, uid, key_fields, fields, config);
  for (uint32_t i = 0; i < options->key_field_count; i++)
    if (!add_key_field(stream, uid, options->key_fields[i], fields, config)) return false;
  if (options->key_field_count == 0 && stream->has_message_key) fields[config->key_count++] = stream->message_key;
  return true;
}

/* ---- the sink ---- */

static bool read_values(struct weir_job_builder *builder, const char *uid,
                        const struct weir_kafka_sink_options *options, struct wr_kafka_sink_config *out_config,
                        const char **out_key_fields) {
  struct wr_settings settings;
  struct wr_connector_value values[WR_KAFKA_SINK_OPTION_COUNT];
  uint32_t count = 0;
  if (!wr_settings_init(&settings, builder, uid, options->settings, options->setting_count,
                        options->client_setting_count + 2) ||
      !wr_settings_put(&settings, wr_kafka_sink_options[WR_KAFKA_SINK_SERVERS].key, options->servers) ||
      !wr_settings_put(&settings, wr_kafka_sink_options[WR_KAFKA_SINK_TOPIC].key, options->topic) ||
      !wr_kafka_put_client_settings(&settings, options->client_settings, options->client_setting_count) ||
      !wr_settings_read(&settings, wr_kafka_sink_options, WR_KAFKA_SINK_OPTION_COUNT, "the Kafka sink", values))
    return false;
  const struct wr_kafka_setting *client =
      wr_kafka_settings_of(&settings, wr_kafka_sink_options, WR_KAFKA_SINK_OPTION_COUNT, &count);
  if (client == NULL) return false;
  wr_kafka_sink_config_read(values, client, count, out_config);
  *out_key_fields = values[WR_KAFKA_SINK_KEY_FIELDS].text;
  return true;
}

static struct wr_kafka_sink_config *make_config(struct weir_stream *stream, const char *uid,
                                                const struct weir_kafka_sink_options *options,
                                                const struct wr_kafka_producer_driver *driver) {
  struct weir_job_builder *builder = stream->builder;
  const char *key_fields = NULL;
  struct wr_kafka_sink_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL || !read_values(builder, uid, options, config, &key_fields)) return NULL;
  if (config->connection.servers == NULL || config->topic == NULL) {
    wr_builder_invalid(builder, uid, "a Kafka sink needs servers and a topic");
    return NULL;
  }
  config->driver = driver;
  config->is_upsert = options->is_upsert;
  if (!wr_sink_check_interval(builder, uid, config->has_flush_interval, options->plain) ||
      !find_key(stream, uid, options, key_fields, config))
    return NULL;
  struct weir_error error;
  if (wr_kafka_sink_check(config, stream->schema, &error) == WEIR_OK) return config;
  wr_builder_fail(builder, &error);
  return NULL;
}

static void plain_sink(struct weir_stream *stream, const char *uid, struct wr_kafka_sink_config *config) {
  static const char format[] = "topic %s at %s";
  size_t bytes = sizeof format + strlen(config->topic) + strlen(config->connection.servers);
  char *where = wr_builder_alloc(stream->builder, bytes);
  if (where == NULL) return;
  snprintf(where, bytes, format, config->topic, config->connection.servers);
  wr_plain_sink(stream, uid,
                &(struct wr_plain_description){.where = where,
                                               .interval_ms = config->flush_interval_ms,
                                               .config = config,
                                               .new_target = wr_kafka_plain_new});
}

void wr_kafka_sink_with(struct weir_stream *stream, const char *uid, const struct weir_kafka_sink_options *options,
                        const struct wr_kafka_producer_driver *driver) {
  if (!wr_check_sink_stream(stream, uid) ||
      !wr_source_check_size(stream->builder, uid, options->size, sizeof *options, "weir_kafka_sink_options"))
    return;
  struct wr_kafka_sink_config *config = make_config(stream, uid, options, driver);
  if (config == NULL) return;
  if (options->plain)
    plain_sink(stream, uid, config);
  else
    wr_two_phase_sink(stream, uid,
                      &(struct wr_two_phase_description){.config = config, .new_target = wr_kafka_target_new});
}

void weir_kafka_sink(struct weir_stream *stream, const char *uid, const struct weir_kafka_sink_options *options) {
  wr_kafka_sink_with(stream, uid, options, wr_kafka_rdkafka_producer());
}

/* ---- by the options of the command line ---- */

void wr_kafka_sink_of_options(struct weir_stream *stream, const char *uid, const char *address,
                              const char *const *key_fields, uint32_t key_field_count,
                              const struct weir_options *options) {
  struct weir_job_builder *builder = stream->builder;
  struct weir_kafka_sink_options kafka = {.size = sizeof kafka,
                                          .key_fields = key_fields,
                                          .key_field_count = key_field_count,
                                          .is_upsert = key_field_count != 0,
                                          .plain = weir_options_flag(options, "plain")};
  if (!wr_kafka_read_address(builder, "sink", address, &kafka.servers, &kafka.topic) ||
      !wr_kafka_read_settings(builder, options, &kafka.client_settings, &kafka.client_setting_count))
    return;
  kafka.settings = wr_settings_of_options(builder, options, "sink-option", 0, &kafka.setting_count);
  if (kafka.settings != NULL) weir_kafka_sink(stream, uid, &kafka);
}
