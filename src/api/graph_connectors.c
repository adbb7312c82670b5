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
                                            const struct weir_files_options *options) {
  if (options->folder == NULL || options->schema == NULL || options->out_of_orderness_ms < 0 ||
      options->idle_timeout_ms < 0) {
    wr_builder_invalid(builder, uid, "a files source needs a folder and a schema, and times that are not negative");
    return NULL;
  }
  struct wr_files_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL) return NULL;
  *config = (struct wr_files_config){.suffix = ".ndjson",
                                     .on_error = options->skip_bad_records ? WR_FILES_SKIP : WR_FILES_FAIL,
                                     .out_of_orderness_ms = options->out_of_orderness_ms,
                                     .idle_timeout_ms = (uint64_t)options->idle_timeout_ms};
  config->folder = wr_builder_copy(builder, options->folder);
  config->schema = wr_builder_keep(builder, wr_schema_copy(builder->memory, options->schema));
  if (config->folder == NULL || config->schema == NULL) return NULL;
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

void wr_source_connect_dead_letter(const struct weir_stream *records, const char *uid, const char *path) {
  struct weir_job_builder *builder = records->builder;
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
  const struct wr_files_config *config = files_config(builder, uid, options);
  if (config == NULL) return NULL;
  struct weir_error error;
  struct wr_node node;
  struct weir_stream *records =
      wr_source_stream(builder, wr_files_source_node(config, uid, 0, &node, &error), &node, &error);
  if (records != NULL && options->skip_bad_records) wr_source_connect_dead_letter(records, uid, options->dead_letter);
  return records;
}

/* ---- the generator ---- */

struct weir_stream *weir_generator_source(struct weir_job_builder *builder, const char *uid,
                                          const struct weir_generator_options *options) {
  if (!wr_source_check_uid(builder, uid) ||
      !wr_source_check_size(builder, uid, options->size, sizeof *options, "weir_generator_options"))
    return NULL;
  if (options->schema == NULL) {
    wr_builder_invalid(builder, uid, "a generator needs a schema");
    return NULL;
  }
  struct wr_generator_config *config = wr_builder_alloc(builder, sizeof *config);
  if (config == NULL) return NULL;
  *config = (struct wr_generator_config){.seed = options->seed,
                                         .key_count = options->key_count,
                                         .is_skewed = options->is_skewed,
                                         .row_count = options->row_count,
                                         .rows_per_second = options->rows_per_second,
                                         .split_count = options->split_count == 0 ? 1 : options->split_count,
                                         .start_time_ms = options->start_time_ms,
                                         .time_step_ns = options->time_step_ns};
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
  if (options->path == NULL || options->table == NULL) {
    wr_builder_invalid(builder, uid, "an SQLite sink needs the path of a database and a table");
    return NULL;
  }
  struct wr_sqlite_config *config = wr_builder_alloc(builder, sizeof *config);
  uint32_t *fields = wr_builder_alloc(builder, (options->key_field_count + 1) * sizeof *fields);
  if (config == NULL || fields == NULL) return NULL;
  for (uint32_t i = 0; i < options->key_field_count; i++)
    if (!wr_find_field(builder, uid, stream->schema, options->key_fields[i], &fields[i])) return NULL;
  *config = (struct wr_sqlite_config){.path = wr_builder_copy(builder, options->path),
                                      .table = wr_builder_copy(builder, options->table),
                                      .mode = options->key_field_count == 0 ? WR_SQLITE_INSERT : WR_SQLITE_UPSERT,
                                      .key_fields = options->key_field_count == 0 ? NULL : fields,
                                      .key_count = options->key_field_count};
  return config->path == NULL || config->table == NULL ? NULL : config;
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
  const struct weir_files_options files = {.size = sizeof files,
                                           .folder = folder,
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

/* A sink that has options of its own. */
static bool takes_options(const char *sink) {
  return sink != NULL && (strncmp(sink, "dir:", 4) == 0 || strstr(sink, "://") != NULL);
}

void weir_sink_of_options(struct weir_stream *stream, const char *uid, const char *table, const char *const *key_fields,
                          uint32_t key_field_count, const struct weir_options *options) {
  if (stream == NULL) return;
  const char *sink = weir_options_text(options, "sink");
  static const char sinks[] = "sqlite:FILE, postgresql:// or mysql://USER@HOST:PORT/DATABASE, "
                              "kafka://HOST:PORT[,HOST:PORT...]/TOPIC, dir:PATH, print or blackhole";
  if (weir_options_count(options, "sink-option") != 0 && !takes_options(sink)) {
    wr_builder_invalid(stream->builder, NULL,
                       "--sink-option goes with a folder sink, --sink dir:PATH, a topic, or one on a database server");
  } else if (sink == NULL) {
    wr_builder_invalid(stream->builder, NULL, "--sink is missing: %s", sinks);
  } else if (weir_options_flag(options, "plain") && !takes_options(sink)) {
    wr_builder_invalid(stream->builder, NULL,
                       "--plain goes with postgresql:// or mysql://USER@HOST:PORT/DATABASE, "
                       "kafka://HOST:PORT[,HOST:PORT...]/TOPIC or dir:PATH, not with \"%.64s\"",
                       sink);
  } else if (strcmp(sink, "print") == 0) {
    weir_print_sink(stream, uid);
  } else if (strcmp(sink, "blackhole") == 0) {
    weir_blackhole_sink(stream, uid);
  } else if (strncmp(sink, "sqlite:", 7) == 0 && sink[7] != 0) {
    const struct weir_sqlite_options sqlite = {.size = sizeof sqlite,
                                               .path = sink + 7,
                                               .table = table,
                                               .key_fields = key_fields,
                                               .key_field_count = key_field_count};
    weir_sqlite_sink(stream, uid, &sqlite);
  } else if (strncmp(sink, "dir:", 4) == 0 && sink[4] != 0) {
    wr_directory_sink_of_options(stream, uid, sink + 4, options);
  } else if (wr_kafka_is_address(sink)) {
    wr_kafka_sink_of_options(stream, uid, sink, key_fields, key_field_count, options);
  } else if (!wr_database_sink_of_options(stream, uid, table, key_fields, key_field_count, options)) {
    wr_builder_invalid(stream->builder, NULL, "--sink is %s, not \"%.64s\"", sinks, sink);
  }
}
