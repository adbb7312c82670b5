/* api/graph_directory.c: files in a folder as a sink in a job graph, by a struct of options or by the command line. One
 * thread. */
#include "api/graph_int.h"
#include "connectors/directory/directory.h"

static struct wr_directory_config *make_config(struct weir_stream *stream, const char *uid,
                                               const struct weir_directory_options *options) {
  struct weir_job_builder *builder = stream->builder;
  if (options->path == NULL || options->path[0] == 0) {
    wr_builder_invalid(builder, uid, "a folder sink needs the path of a folder");
    return NULL;
  }
  struct wr_settings settings;
  if (!wr_settings_init(&settings, builder, uid, options->settings, options->setting_count, 0)) return NULL;
  const char *path = wr_builder_copy(builder, options->path),
             *own_uid = wr_builder_copy(builder, uid == NULL ? "" : uid);
  struct wr_directory_config *config = wr_builder_alloc(builder, sizeof *config);
  if (path == NULL || own_uid == NULL || config == NULL) return NULL;
  struct weir_error error;
  if (wr_directory_config_read(path, own_uid, stream->schema, settings.items, settings.count, config, &error) !=
      WEIR_OK) {
    wr_builder_fail(builder, &error);
    return NULL;
  }
  return wr_sink_check_interval(builder, uid, config->has_flush_interval, options->plain) ? config : NULL;
}

void weir_directory_sink(struct weir_stream *stream, const char *uid, const struct weir_directory_options *options) {
  if (!wr_check_sink_stream(stream, uid) ||
      !wr_source_check_size(stream->builder, uid, options->size, sizeof *options, "weir_directory_options"))
    return;
  struct wr_directory_config *config = make_config(stream, uid, options);
  if (config == NULL) return;
  if (options->plain)
    wr_plain_sink(stream, uid,
                  &(struct wr_plain_description){.where = config->path,
                                                 .interval_ms = config->flush_interval_ms,
                                                 .config = config,
                                                 .new_target = wr_directory_plain_new});
  else
    wr_two_phase_sink(stream, uid,
                      &(struct wr_two_phase_description){.config = config,
                                                         .new_target = wr_directory_target_new,
                                                         .new_stage = wr_directory_stage_new});
}

void wr_directory_sink_of_options(struct weir_stream *stream, const char *uid, const char *path,
                                  const struct weir_options *options) {
  struct weir_directory_options directory = {
      .size = sizeof directory, .path = path, .plain = weir_options_flag(options, "plain")};
  directory.settings = wr_settings_of_options(stream->builder, options, "sink-option", 0, &directory.setting_count);
  if (directory.settings != NULL) weir_directory_sink(stream, uid, &directory);
}
