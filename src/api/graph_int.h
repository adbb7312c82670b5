/* api/graph_int.h: what the files of sources and sinks share: graph_connectors.c, graph_kafka.c, graph_kafka_sink.c,
 * graph_directory.c, graph_databases.c, graph_sinks.c, graph_settings.c. One thread. */
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
/* What the fields of a source's struct say of bad records; two settings at most. */
struct wr_settings;
bool wr_source_put_dead_letter(struct wr_settings *settings, bool skips, const char *path);
/* Leads the bad records of a source, if it skips any, to the dead-letter file; `values` are those of
 * wr_dead_letter_options. */
void wr_source_connect_dead_letter(const struct weir_stream *records, const char *uid,
                                   const struct wr_connector_value *values);
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
/* The client's settings among those of a Kafka connector, whose table this is. NULL: the builder's error is set. */
struct wr_kafka_setting *wr_kafka_settings_of(const struct wr_settings *settings,
                                              const struct wr_connector_option *table, uint32_t table_count,
                                              uint32_t *out_count);
/* The settings of struct weir_kafka_options and struct weir_kafka_sink_options, each as the option "properties.KEY". */
bool wr_kafka_put_client_settings(struct wr_settings *settings, const struct weir_kafka_setting *client,
                                  uint32_t count);
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

/* ---- options on their way to the table of a connector (graph_settings.c) ---- */

/* What a program gives as settings, and what the fields of its struct say, as one list: so both are checked alike. All
 * texts are copies of the builder. Functions that return false have set the builder's error. */
struct wr_settings {
  struct weir_job_builder *builder;
  const char *uid;
  struct wr_connector_setting *items;
  uint32_t count, room;
};
/* Those that are given, with room for `more`. */
bool wr_settings_init(struct wr_settings *settings, struct weir_job_builder *builder, const char *uid,
                      const struct weir_setting *given, uint32_t count, uint32_t more);
/* What a field says; a NULL says nothing. */
bool wr_settings_put(struct wr_settings *settings, const char *key, const char *text);
/* The same of a number, with its unit behind it ("ms" or ""); 0 says nothing. */
bool wr_settings_put_number(struct wr_settings *settings, const char *key, int64_t number, const char *unit);
/* The options by a table; `kind` ("the files source") and the uid are in messages. */
bool wr_settings_read(const struct wr_settings *settings, const struct wr_connector_option *table, uint32_t count,
                      const char *kind, struct wr_connector_value *out_values);
/* The same of a source, that may have those of the dead-letter file too. */
bool wr_settings_read_source(const struct wr_settings *settings, const struct wr_connector_option *table,
                             uint32_t count, const char *kind, struct wr_connector_value *out_values,
                             struct wr_connector_value *out_dead_letter);
/* Those of --`option`, a list of KEY=VALUE, with room for `more` behind them. NULL: the builder's error is set. */
struct weir_setting *wr_settings_of_options(struct weir_job_builder *builder, const struct weir_options *options,
                                            const char *option, uint32_t more, uint32_t *out_count);
/* False: this option holds a secret, which the command line must not have. */
bool wr_settings_check_secret(struct weir_job_builder *builder, const char *option, const char *key);

/* ---- what sinks share (graph_sinks.c) ---- */

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
