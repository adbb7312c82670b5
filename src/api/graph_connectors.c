/* api/graph_connectors.c: sources and sinks in a job graph, and those that the options name. One thread. */
#include "api/graph_int.h"

#include "base/limits.h"
#include "connectors/blackhole/blackhole.h"
#include "connectors/deadletter/deadletter.h"
#include "connectors/files/files.h"
#include "connectors/generator/generator.h"
#include "connectors/print/print.h"
#include "connectors/sqlite/sqlite_target.h"

#include <stdio.h>
#include <string.h>

static const char dead_letter_name[] = "dead-letter.ndjson";

bool wr_source_check_uid(struct weir_job_builder *builder, const char *uid) {
  if (uid != NULL && uid[0] != 0 && strlen(uid) <= WR_UID_BYTES_MAX - 8) return true;
  wr_builder_invalid(builder, uid, "a source or sink needs a uid, of 1 to %d bytes", WR_UID_BYTES_MAX - 8);
  return false;
}

bool wr_source_check_size(struct weir_job_builder *builder, const char *uid, size_t size, size_t expected,
                          const char *what) {
  if (size == expected) return true;
  wr_builder_invalid(builder, uid, "set the field `size` of struct %s to its sizeof", what);
  return false;
}

/* Adds a node; false: the builder's error is set. */
static bool add_node(struct weir_job_builder *builder, const struct wr_node *node, uint32_t *out_index) {
  struct weir_error error;
  if (wr_graph_add_node(&builder->graph, node, out_index, &error) == WEIR_OK) return true;
  wr_builder_fail(builder, &error);
  return false;
}

/* ---- the files source ---- */

bool wr_source_find_field(struct weir_job_builder *builder, const char *uid, const struct weir_schema *schema,
                          const char *name, int32_t *out_field) {
  uint32_t field = 0;
  *out_field = WR_FILES_NO_FIELD;
  if (name == NULL) return true;
  if (!wr_find_field(builder, uid, schema, name, &field)) return false;
  *out_field = (int32_t)field;
  return true;
}

static struct wr_files_config *files_config(struct weir_job_builder *builder, const char *uid,
                                            const struct weir_files_options *options,
                                            struct wr_connector_value *out_dead_letter) {
  struct wr_settings settings;
  struct wr_connector_value values[WR_FILES_OPTION_COUNT];
  if (!wr_settings_init(&settings, builder, uid, options->settings, options->setting_count, 4) ||
      !wr_settings_put(&settings, wr_files_options[WR_FILES_PATH].key, options->folder) ||
      !wr_settings_put_number(&settings, wr_files_options[WR_FILES_IDLE_TIMEOUT].key, options->idle_timeout_ms, "ms") ||
      !wr_source_put_dead_letter(&settings, options->skip_bad_records, options->dead_letter) ||
      !wr_settings_read_source(&settings, wr_files_options, WR_FILES_OPTION_COUNT, "the files source", values,
                               out_dead_letter))
    return NULL;
  if (values[WR_FILES_PATH].text == NULL || options->schema == NULL || options->out_of_orderness_ms < 0) {
    wr_builder_invalid(builder, uid, "a files source needs a folder and a schema, and times that are not negative");
    return NULL;
  }
  struct wr_files_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL) return NULL;
  wr_files_config_read(values, config);
  config->on_error = out_dead_letter[WR_DEAD_LETTER_SKIP].number != 0 ? WR_FILES_SKIP : WR_FILES_FAIL;
  config->out_of_orderness_ms = options->out_of_orderness_ms;
  config->schema = wr_builder_keep(builder, wr_schema_copy(builder->memory, options->schema));
  if (config->schema == NULL) return NULL;
  bool found = wr_source_find_field(builder, uid, config->schema, options->partition_field, &config->partition_field) &&
               wr_source_find_field(builder, uid, config->schema, options->position_field, &config->position_field) &&
               wr_source_find_field(builder, uid, config->schema, options->event_time_field, &config->event_time_field);
  return found ? config : NULL;
}

struct weir_stream *wr_source_stream(struct weir_job_builder *builder, enum weir_code code, const struct wr_node *node,
                                     const struct weir_error *error) {
  uint32_t index = 0;
  if (code != WEIR_OK) wr_builder_fail(builder, error);
  return code == WEIR_OK && add_node(builder, node, &index) ? wr_stream_new(builder, index, 0) : NULL;
}

/* The job's one dead-letter sink, for the first source that skips. `path` NULL: its place comes with the folder. */
static bool make_dead_letter(struct weir_job_builder *builder, const char *path) {
  struct wr_dead_letter_config *config = wr_builder_alloc(builder, sizeof *config);
  struct wr_sink_config *sink = wr_builder_alloc(builder, sizeof *sink);
  char *own = wr_builder_alloc(builder, WR_PATH_BYTES_MAX);
  struct weir_error error;
  if (config == NULL || sink == NULL || own == NULL) return false;
  snprintf(own, WR_PATH_BYTES_MAX, "%s", path == NULL ? dead_letter_name : path);
  config->path = own;
  if (wr_dead_letter_add(&builder->graph, "dead-letter", config, sink, &builder->dead_letter_writer, &error) !=
      WEIR_OK) {
    wr_builder_fail(builder, &error);
    return false;
  }
  builder->dead_letter_path = own;
  builder->has_default_dead_letter = path == NULL;
  return true;
}

bool wr_source_put_dead_letter(struct wr_settings *settings, bool skips, const char *path) {
  return wr_settings_put(settings, wr_dead_letter_options[WR_DEAD_LETTER_SKIP].key, skips ? "true" : NULL) &&
         wr_settings_put(settings, wr_dead_letter_options[WR_DEAD_LETTER_PATH].key, path);
}

void wr_source_connect_dead_letter(const struct weir_stream *records, const char *uid,
                                   const struct wr_connector_value *values) {
  struct weir_job_builder *builder = records->builder;
  const char *path = values[WR_DEAD_LETTER_PATH].text;
  if (values[WR_DEAD_LETTER_SKIP].number == 0) return;
  if (path != NULL && strlen(path) >= WR_PATH_BYTES_MAX) {
    wr_builder_invalid(builder, uid, "the path of the dead-letter file is longer than %d bytes", WR_PATH_BYTES_MAX - 1);
    return;
  }
  if (builder->dead_letter_path == NULL && !make_dead_letter(builder, path)) return;
  if (strcmp(builder->dead_letter_path, path == NULL ? dead_letter_name : path) != 0) {
    wr_builder_invalid(builder, uid, "a job has one dead-letter file; another source writes to %s",
                       builder->dead_letter_path);
    return;
  }
  struct weir_stream *bad = wr_stream_new(builder, records->node, 1);
  if (bad == NULL) return;
  bad->exchange = WR_EXCHANGE_GATHER;
  wr_stream_connect(bad, builder->dead_letter_writer);
}

enum weir_code wr_builder_set_folder(struct weir_job_builder *builder, const char *folder, struct weir_error *error) {
  if (!builder->has_default_dead_letter) return WEIR_OK;
  int length = snprintf(builder->dead_letter_path, WR_PATH_BYTES_MAX, "%s/%s", folder, dead_letter_name);
  if (length >= 0 && length < WR_PATH_BYTES_MAX) return WEIR_OK;
  return WR_FAIL(error, WEIR_INVALID, "the path of the job's folder is too long");
}

struct weir_stream *weir_files_source(struct weir_job_builder *builder, const char *uid,
                                      const struct weir_files_options *options) {
  if (!wr_source_check_uid(builder, uid) ||
      !wr_source_check_size(builder, uid, options->size, sizeof *options, "weir_files_options"))
    return NULL;
  struct wr_connector_value dead_letter[WR_DEAD_LETTER_OPTION_COUNT];
  const struct wr_files_config *config = files_config(builder, uid, options, dead_letter);
  if (config == NULL) return NULL;
  struct weir_error error;
  struct wr_node node;
  struct weir_stream *records =
      wr_source_stream(builder, wr_files_source_node(config, uid, 0, &node, &error), &node, &error);
  if (records != NULL) wr_source_connect_dead_letter(records, uid, dead_letter);
  return records;
}

/* ---- the generator ---- */

static bool generator_values(struct weir_job_builder *builder, const char *uid,
                             const struct weir_generator_options *options, struct wr_connector_value *out_values) {
  const struct {
    enum wr_generator_option option;
    uint64_t number;
  } fields[] = {
      {WR_GENERATOR_ROW_COUNT, options->row_count},     {WR_GENERATOR_ROWS_PER_SECOND, options->rows_per_second},
      {WR_GENERATOR_KEY_COUNT, options->key_count},     {WR_GENERATOR_SEED, options->seed},
      {WR_GENERATOR_SPLIT_COUNT, options->split_count}, {WR_GENERATOR_TIME_STEP, options->time_step_ns}};
  enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };
  struct wr_settings settings;
  if (!wr_settings_init(&settings, builder, uid, options->settings, options->setting_count, FIELD_COUNT + 2) ||
      !wr_settings_put(&settings, wr_generator_options[WR_GENERATOR_KEY_SKEW].key,
                       options->is_skewed ? "true" : NULL) ||
      !wr_settings_put_number(&settings, wr_generator_options[WR_GENERATOR_START_TIME].key, options->start_time_ms, ""))
    return false;
  for (size_t i = 0; i < FIELD_COUNT; i++)
    if (!wr_settings_put_number(&settings, wr_generator_options[fields[i].option].key, (int64_t)fields[i].number, ""))
      return false;
  return wr_settings_read(&settings, wr_generator_options, WR_GENERATOR_OPTION_COUNT, "the generator", out_values);
}

struct weir_stream *weir_generator_source(struct weir_job_builder *builder, const char *uid,
                                          const struct weir_generator_options *options) {
  if (!wr_source_check_uid(builder, uid) ||
      !wr_source_check_size(builder, uid, options->size, sizeof *options, "weir_generator_options"))
    return NULL;
  if (options->schema == NULL) {
    wr_builder_invalid(builder, uid, "a generator needs a schema");
    return NULL;
  }
  struct wr_connector_value values[WR_GENERATOR_OPTION_COUNT];
  struct wr_generator_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL || !generator_values(builder, uid, options, values)) return NULL;
  wr_generator_config_read(values, config);
  config->schema = wr_builder_keep(builder, wr_schema_copy(builder->memory, options->schema));
  if (config->schema == NULL) return NULL;
  struct weir_error error;
  struct wr_node node;
  return wr_source_stream(builder, wr_generator_node(config, uid, 0, &node, &error), &node, &error);
}

/* ---- SQLite ---- */

static struct wr_sqlite_config *sqlite_config(struct weir_stream *stream, const char *uid,
                                              const struct weir_sqlite_options *options) {
  struct weir_job_builder *builder = stream->builder;
  struct wr_settings settings;
  struct wr_connector_value values[WR_SQLITE_OPTION_COUNT];
  if (!wr_settings_init(&settings, builder, uid, options->settings, options->setting_count, 2) ||
      !wr_settings_put(&settings, wr_sqlite_options[WR_SQLITE_PATH].key, options->path) ||
      !wr_settings_put(&settings, wr_sqlite_options[WR_SQLITE_TABLE].key, options->table) ||
      !wr_settings_read(&settings, wr_sqlite_options, WR_SQLITE_OPTION_COUNT, "the SQLite sink", values))
    return NULL;
  if (values[WR_SQLITE_PATH].text == NULL || values[WR_SQLITE_TABLE].text == NULL) {
    wr_builder_invalid(builder, uid, "an SQLite sink needs the path of a database and a table");
    return NULL;
  }
  struct wr_sqlite_config *config = wr_builder_alloc(builder, sizeof *config);
  uint32_t *fields = wr_builder_alloc(builder, (options->key_field_count + 1) * sizeof *fields);
  if (config == NULL || fields == NULL) return NULL;
  for (uint32_t i = 0; i < options->key_field_count; i++)
    if (!wr_find_field(builder, uid, stream->schema, options->key_fields[i], &fields[i])) return NULL;
  *config = (struct wr_sqlite_config){.path = values[WR_SQLITE_PATH].text,
                                      .table = values[WR_SQLITE_TABLE].text,
                                      .mode = options->key_field_count == 0 ? WR_SQLITE_INSERT : WR_SQLITE_UPSERT,
                                      .key_fields = options->key_field_count == 0 ? NULL : fields,
                                      .key_count = options->key_field_count};
  return config;
}

bool wr_check_sink_stream(struct weir_stream *stream, const char *uid) {
  if (stream == NULL || !wr_source_check_uid(stream->builder, uid)) return false;
  if (stream->schema != NULL) return true;
  wr_builder_invalid(stream->builder, uid, "what it is led from sends no rows out");
  return false;
}

void weir_sqlite_sink(struct weir_stream *stream, const char *uid, const struct weir_sqlite_options *options) {
  if (!wr_check_sink_stream(stream, uid) ||
      !wr_source_check_size(stream->builder, uid, options->size, sizeof *options, "weir_sqlite_options"))
    return;
  struct wr_sqlite_config *config = sqlite_config(stream, uid, options);
  struct weir_error error;
  if (config == NULL) return;
  if (wr_sqlite_config_check(config, stream->schema, &error) != WEIR_OK)
    wr_builder_fail(stream->builder, &error);
  else
    wr_two_phase_sink(stream, uid,
                      &(struct wr_two_phase_description){.config = config, .new_target = wr_sqlite_target_new});
}

/* ---- sinks without a target ---- */

/* Adds the node of a sink that `code` says is made. */
static void sink_node(struct weir_stream *stream, enum weir_code code, const struct wr_node *node,
                      const struct weir_error *error) {
  uint32_t index = 0;
  if (code != WEIR_OK)
    wr_builder_fail(stream->builder, error);
  else if (add_node(stream->builder, node, &index))
    wr_stream_connect(stream, index);
}

void weir_print_sink(struct weir_stream *stream, const char *uid) {
  struct weir_error error;
  struct wr_node node;
  if (!wr_check_sink_stream(stream, uid)) return;
  sink_node(stream, wr_print_node(uid, stream->schema, 0, wr_print_stdout(), &node, &error), &node, &error);
}

void weir_blackhole_sink(struct weir_stream *stream, const char *uid) {
  struct weir_error error;
  struct wr_node node;
  if (!wr_check_sink_stream(stream, uid)) return;
  sink_node(stream, wr_blackhole_node(uid, stream->schema, 0, &node, &error), &node, &error);
}

/* ---- by the options ---- */

static struct weir_stream *files_of_options(struct weir_job_builder *builder, const char *uid, const char *folder,
                                            const struct weir_record_options *records,
                                            const struct weir_options *options) {
  uint32_t count = 0;
  const struct weir_setting *settings = wr_settings_of_options(builder, options, "source-option", 0, &count);
  if (settings == NULL) return NULL;
  const struct weir_files_options files = {.size = sizeof files,
                                           .folder = folder,
                                           .settings = settings,
                                           .setting_count = count,
                                           .schema = records->schema,
                                           .partition_field = records->partition_field,
                                           .position_field = records->position_field,
                                           .event_time_field = records->event_time_field,
                                           .out_of_orderness_ms = records->out_of_orderness_ms,
                                           .idle_timeout_ms = records->idle_timeout_ms,
                                           .skip_bad_records = wr_source_skips(options),
                                           .dead_letter = weir_options_text(options, "dead-letter")};
  const char *sink = weir_options_text(options, "sink");
  if (weir_options_count(options, "kafka") == 0 || (sink != NULL && wr_kafka_is_address(sink)))
    return weir_files_source(builder, uid, &files);
  wr_builder_invalid(builder, NULL,
                     "--kafka goes with a Kafka topic, --source or --sink kafka://HOST:PORT/TOPIC, not with \"%.64s\"",
                     folder);
  return NULL;
}

bool wr_source_skips(const struct weir_options *options) {
  return strcmp(weir_options_text(options, "on-error"), "skip") == 0;
}

struct weir_stream *weir_source_of_options(struct weir_job_builder *builder, const char *uid,
                                           const struct weir_record_options *records,
                                           const struct weir_options *options) {
  if (!wr_source_check_size(builder, uid, records->size, sizeof *records, "weir_record_options")) return NULL;
  const char *source = weir_options_text(options, "source");
  if (source == NULL) {
    wr_builder_invalid(builder, NULL,
                       "--source is missing: a folder of *.ndjson files, or kafka://HOST:PORT[,HOST:PORT...]/TOPIC "
                       "(--help lists all options)");
    return NULL;
  }
  if (wr_kafka_is_address(source)) return wr_kafka_source_of_options(builder, uid, source, records, options);
  if (strstr(source, "://") == NULL) return files_of_options(builder, uid, source, records, options);
  wr_builder_invalid(
      builder, NULL,
      "--source is a folder of *.ndjson files, or kafka://HOST:PORT[,HOST:PORT...]/TOPIC, not \"%.128s\"", source);
  return NULL;
}

static bool is_sqlite(const char *sink) {
  return strncmp(sink, "sqlite:", 7) == 0 && sink[7] != 0;
}

/* A sink that can be plain. */
static bool can_be_plain(const char *sink) {
  return sink != NULL && (strncmp(sink, "dir:", 4) == 0 || strstr(sink, "://") != NULL);
}

static void sqlite_of_options(struct weir_stream *stream, const char *uid, const char *table,
                              const char *const *key_fields, uint32_t key_field_count,
                              const struct weir_options *options) {
  uint32_t count = 0;
  const struct weir_setting *settings = wr_settings_of_options(stream->builder, options, "sink-option", 0, &count);
  if (settings == NULL) return;
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(settings[i].key, wr_sqlite_options[WR_SQLITE_TABLE].key) == 0) table = NULL;
  const struct weir_sqlite_options sqlite = {.size = sizeof sqlite,
                                             .path = weir_options_text(options, "sink") + 7,
                                             .table = table,
                                             .key_fields = key_fields,
                                             .key_field_count = key_field_count,
                                             .settings = settings,
                                             .setting_count = count};
  weir_sqlite_sink(stream, uid, &sqlite);
}

void weir_sink_of_options(struct weir_stream *stream, const char *uid, const char *table, const char *const *key_fields,
                          uint32_t key_field_count, const struct weir_options *options) {
  if (stream == NULL) return;
  const char *sink = weir_options_text(options, "sink");
  static const char sinks[] = "sqlite:FILE, postgresql:// or mysql://USER@HOST:PORT/DATABASE, "
                              "kafka://HOST:PORT[,HOST:PORT...]/TOPIC, dir:PATH, print or blackhole";
  if (weir_options_count(options, "sink-option") != 0 && (sink == NULL || !(can_be_plain(sink) || is_sqlite(sink)))) {
    wr_builder_invalid(stream->builder, NULL,
                       "--sink-option goes with a folder sink, --sink dir:PATH, a topic, or one in a database");
  } else if (sink == NULL) {
    wr_builder_invalid(stream->builder, NULL, "--sink is missing: %s", sinks);
  } else if (weir_options_flag(options, "plain") && !can_be_plain(sink)) {
    wr_builder_invalid(stream->builder, NULL,
                       "--plain goes with postgresql:// or mysql://USER@HOST:PORT/DATABASE, "
                       "kafka://HOST:PORT[,HOST:PORT...]/TOPIC or dir:PATH, not with \"%.64s\"",
                       sink);
  } else if (strcmp(sink, "print") == 0) {
    weir_print_sink(stream, uid);
  } else if (strcmp(sink, "blackhole") == 0) {
    weir_blackhole_sink(stream, uid);
  } else if (is_sqlite(sink)) {
    sqlite_of_options(stream, uid, table, key_fields, key_field_count, options);
  } else if (strncmp(sink, "dir:", 4) == 0 && sink[4] != 0) {
    wr_directory_sink_of_options(stream, uid, sink + 4, options);
  } else if (wr_kafka_is_address(sink)) {
    wr_kafka_sink_of_options(stream, uid, sink, key_fields, key_field_count, options);
  } else if (!wr_database_sink_of_options(stream, uid, table, key_fields, key_field_count, options)) {
    wr_builder_invalid(stream->builder, NULL, "--sink is %s, not \"%.64s\"", sinks, sink);
  }
}
