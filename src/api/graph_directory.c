/* api/graph_directory.c: a folder of finished files as a sink in a job graph, by a struct of options or by the command
 * line. One thread. */
#include "api/graph_int.h"
#include "connectors/directory/directory.h"

#include <string.h>

/* The settings as the connector reads them, copied. NULL: the builder's error is set. */
static struct wr_connector_setting *copy_settings(struct weir_job_builder *builder, const char *uid,
                                                  const struct weir_directory_options *options) {
  struct wr_connector_setting *settings = wr_builder_alloc(builder, (options->setting_count + 1) * sizeof *settings);
  for (uint32_t i = 0; settings != NULL && i < options->setting_count; i++) {
    const struct weir_setting *given = &options->settings[i];
    if (given->key == NULL || given->value == NULL) {
      wr_builder_invalid(builder, uid, "a setting of a folder sink has a key and a value");
      return NULL;
    }
    settings[i] = (struct wr_connector_setting){.key = wr_builder_copy(builder, given->key),
                                                .text = wr_builder_copy(builder, given->value)};
    if (settings[i].key == NULL || settings[i].text == NULL) return NULL;
  }
  return settings;
}

void weir_directory_sink(struct weir_stream *stream, const char *uid, const struct weir_directory_options *options) {
  if (!wr_check_sink_stream(stream, uid) ||
      !wr_source_check_size(stream->builder, uid, options->size, sizeof *options, "weir_directory_options"))
    return;
  struct weir_job_builder *builder = stream->builder;
  if (options->path == NULL || options->path[0] == 0) {
    wr_builder_invalid(builder, uid, "a folder sink needs the path of a folder");
    return;
  }
  const struct wr_connector_setting *settings = copy_settings(builder, uid, options);
  const char *path = wr_builder_copy(builder, options->path);
  struct wr_directory_config *config = wr_builder_alloc(builder, sizeof *config);
  struct wr_sink_config *sink = wr_builder_alloc(builder, sizeof *sink);
  if (settings == NULL || path == NULL || config == NULL || sink == NULL) return;
  struct weir_error error;
  uint32_t writer = 0;
  if (wr_directory_config_read(path, uid, stream->schema, settings, options->setting_count, config, &error) !=
          WEIR_OK ||
      wr_directory_sink_add(&builder->graph, uid, stream->schema, 0, config, sink, &writer, &error) != WEIR_OK) {
    wr_builder_fail(builder, &error);
    return;
  }
  builder->needs_folder = true;
  wr_stream_connect(stream, writer);
}

bool wr_read_setting(struct weir_job_builder *builder, const char *text, struct weir_setting *out_setting) {
  char *key = wr_builder_copy(builder, text);
  if (key == NULL) return false;
  char *equals = strchr(key, '=');
  if (equals == NULL || equals == key) {
    wr_builder_invalid(builder, NULL, "--sink-option is KEY=VALUE, not \"%.64s\"", text);
    return false;
  }
  *equals = 0;
  *out_setting = (struct weir_setting){.key = key, .value = equals + 1};
  return true;
}

void wr_directory_sink_of_options(struct weir_stream *stream, const char *uid, const char *path,
                                  const struct weir_options *options) {
  struct weir_job_builder *builder = stream->builder;
  uint32_t count = weir_options_count(options, "sink-option");
  struct weir_setting *settings = wr_builder_alloc(builder, (count + 1) * sizeof *settings);
  if (settings == NULL) return;
  for (uint32_t i = 0; i < count; i++)
    if (!wr_read_setting(builder, weir_options_item(options, "sink-option", i), &settings[i])) return;
  const struct weir_directory_options directory = {
      .size = sizeof directory, .path = path, .settings = settings, .setting_count = count};
  weir_directory_sink(stream, uid, &directory);
}
