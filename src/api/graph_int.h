/* api/graph_int.h: what the files of sources and sinks share: graph_connectors.c, graph_kafka.c, graph_kafka_sink.c,
 * graph_directory.c, graph_databases.c, graph_sinks.c. One thread. */
#ifndef WR_API_GRAPH_INT_H
#define WR_API_GRAPH_INT_H

#include "api/api_int.h"
#include "connectors/connector_options.h"
#include "operators/plain_sink.h"

/* False, and the builder's error is set: no uid; a struct of another size. */
bool wr_source_check_uid(struct weir_job_builder *builder, const char *uid);
bool wr_source_check_size(struct weir_job_builder *builder, const char *uid, size_t size, size_t expected,
                          const char *what);
/* The number of a field; -1 where `name` is NULL. False, and the builder's error is set: there is none of this name. */
bool wr_source_find_field(struct weir_job_builder *builder, const char *uid, const struct weir_schema *schema,
                          const char *name, int32_t *out_field);
/* Adds the node of a source that `code` says is made, and returns its stream. */
struct weir_stream *wr_source_stream(struct weir_job_builder *builder, enum weir_code code, const struct wr_node *node,
                                     const struct weir_error *error);
/* Leads the bad records of a source to the dead-letter file. */
void wr_source_connect_dead_letter(const struct weir_stream *records, const char *uid, const char *path);
/* What --on-error says. */
bool wr_source_skips(const struct weir_options *options);
/* The sink of --sink dir:PATH, with what --sink-option says. */
void wr_directory_sink_of_options(struct weir_stream *stream, const char *uid, const char *path,
                                  const struct weir_options *options);

/* Is it the address of a topic, well formed or not? */
bool wr_kafka_is_address(const char *source);
/* The source of --source `address` and --kafka. */
struct weir_stream *wr_kafka_source_of_options(struct weir_job_builder *builder, const char *uid, const char *address,
                                               const struct weir_record_options *records,
                                               const struct weir_options *options);
/* Takes the address apart that --`option` gives. False, and the builder's error is set: it is none. */
bool wr_kafka_read_address(struct weir_job_builder *builder, const char *option, const char *address,
                           const char **out_servers, const char **out_topic);
/* The settings of --kafka. */
bool wr_kafka_read_settings(struct weir_job_builder *builder, const struct weir_options *options,
                            const struct weir_kafka_setting **out_settings, uint32_t *out_count);
/* The sink of --sink `address`, --kafka and --sink-option. Key fields as in weir_sink_of_options. */
void wr_kafka_sink_of_options(struct weir_stream *stream, const char *uid, const char *address,
                              const char *const *key_fields, uint32_t key_field_count,
                              const struct weir_options *options);

/* A stream that a sink can take: it has rows. False, and the builder's error is set: it has none, or the uid is bad. */
bool wr_check_sink_stream(struct weir_stream *stream, const char *uid);
/* Does --sink name a database server? Then the sink is made; `table` and key as in weir_sink_of_options. */
bool wr_database_sink_of_options(struct weir_stream *stream, const char *uid, const char *table,
                                 const char *const *key_fields, uint32_t key_field_count,
                                 const struct weir_options *options);

/* ---- what sinks share (graph_sinks.c) ---- */

/* The settings as a connector reads them, copied. NULL: the builder's error is set. */
struct wr_connector_setting *wr_sink_copy_settings(struct weir_job_builder *builder, const char *uid,
                                                   const struct weir_setting *settings, uint32_t count);
/* Those of --sink-option, KEY=VALUE each, with room for `more` behind them. NULL: the builder's error is set. */
struct weir_setting *wr_sink_settings_of_options(struct weir_job_builder *builder, const struct weir_options *options,
                                                 uint32_t more, uint32_t *out_count);

struct wr_plain_description {
  const char *where; /* as of struct wr_plain_sink_config */
  int64_t interval_ms;
  void *config; /* outlives the jobs */
  wr_new_plain_target *new_target;
};
/* The node of a plain sink, and the stream led to it. */
void wr_plain_sink(struct weir_stream *stream, const char *uid, const struct wr_plain_description *sink);
/* False, and the builder's error is set: an interval was given to a sink that commits with the checkpoints. */
bool wr_sink_check_interval(struct weir_job_builder *builder, const char *uid, bool is_given, bool is_plain);

#endif
