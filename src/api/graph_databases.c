/* api/graph_databases.c: sinks on database servers in a job graph. One thread. */
#include "api/graph_int.h"

#include "base/option_values.h"
#include "connectors/mysql/mysql.h"
#include "connectors/postgres/postgres.h"

#include <string.h>

struct database_kind {
  const char *name;    /* in messages */
  const char *schemes; /* that a URL begins with */
  uint16_t default_port;
  enum weir_code (*new_driver)(const struct wr_sql_config *config, const struct wr_target_context *context,
                               struct wr_sql_driver **out_driver, struct weir_error *error);
};

static const struct database_kind postgres_kind = {.name = "the PostgreSQL sink",
                                                   .schemes = "postgresql|postgres",
                                                   .default_port = 5432,
                                                   .new_driver = wr_postgres_driver_new};

static const struct database_kind mysql_kind = {
    .name = "the MySQL sink", .schemes = "mysql|mariadb", .default_port = 3306, .new_driver = wr_mysql_driver_new};

static const struct database_kind *const kinds[] = {&postgres_kind, &mysql_kind};

enum { SETTINGS_MAX = 64 };

/* The settings, read by the table, as a server whose texts live as long as the builder. */
static struct wr_sql_server *server_of(struct weir_job_builder *builder, const char *uid,
                                       const struct database_kind *kind, const struct weir_database_options *options) {
  struct wr_sql_server *server = wr_builder_alloc(builder, sizeof *server);
  struct wr_connector_setting settings[SETTINGS_MAX + 2];
  struct wr_connector_value values[WR_SQL_OPTION_COUNT];
  struct weir_error error;
  if (server == NULL) return NULL;
  if (options->setting_count > SETTINGS_MAX + 2) {
    wr_builder_invalid(builder, uid, "a sink has at most %d options", SETTINGS_MAX);
    return NULL;
  }
  for (uint32_t i = 0; i < options->setting_count; i++) {
    settings[i].key = wr_builder_copy(builder, options->settings[i].key);
    settings[i].text = wr_builder_copy(builder, options->settings[i].value);
    if (settings[i].key == NULL || settings[i].text == NULL) return NULL;
  }
  enum weir_code code = wr_connector_options_read(wr_sql_options, WR_SQL_OPTION_COUNT, settings, options->setting_count,
                                                  kind->name, values, &error);
  if (code == WEIR_OK)
    code = wr_sql_server_init(server, builder->memory, values, kind->schemes, kind->default_port, &error);
  if (code == WEIR_OK && values[WR_SQL_FLUSH_INTERVAL].is_set && !options->plain) {
    wr_sql_server_deinit(server, builder->memory);
    code = WR_FAIL(
        &error, WEIR_INVALID,
        "%s: sink.buffer-flush.interval goes with --plain; without it rows are committed with each checkpoint", uid);
  }
  if (code == WEIR_OK && server->leaves_out && options->plain) {
    wr_sql_server_deinit(server, builder->memory);
    code = WR_FAIL(&error, WEIR_INVALID,
                   "%s: failure-handler=dead-letter does not go with --plain: its rows belong to no checkpoint", uid);
  }
  if (code != WEIR_OK) {
    wr_builder_fail(builder, &error);
    return NULL;
  }
  bool kept = wr_builder_keep(builder, server->host) != NULL;
  kept = wr_builder_keep(builder, server->database) != NULL && kept;
  kept = wr_builder_keep(builder, server->where) != NULL && kept;
  if (server->user != NULL) kept = wr_builder_keep(builder, server->user) != NULL && kept;
  return kept ? server : NULL;
}

static void database_sink(struct weir_stream *stream, const char *uid, const struct database_kind *kind,
                          const struct weir_database_options *options) {
  struct weir_job_builder *builder = stream->builder;
  const struct wr_sql_server *server = server_of(builder, uid, kind, options);
  struct wr_sql_config *config = wr_builder_alloc(builder, sizeof *config);
  struct wr_sink_config *sink = wr_builder_alloc(builder, sizeof *sink);
  struct wr_plain_sink_config *plain = wr_builder_alloc(builder, sizeof *plain);
  uint32_t *fields = wr_builder_alloc(builder, (options->key_field_count + 1) * sizeof *fields);
  if (server == NULL || config == NULL || sink == NULL || plain == NULL || fields == NULL) return;
  for (uint32_t i = 0; i < options->key_field_count; i++)
    if (!wr_find_field(builder, uid, stream->schema, options->key_fields[i], &fields[i])) return;
  *config = (struct wr_sql_config){.where = server->where,
                                   .mode = options->key_field_count == 0 ? WR_SQL_INSERT : WR_SQL_UPSERT,
                                   .key_fields = options->key_field_count == 0 ? NULL : fields,
                                   .key_count = options->key_field_count,
                                   .leaves_out = server->leaves_out,
                                   .driver_config = (void *)server,
                                   .new_driver = kind->new_driver};
  struct weir_error error;
  uint32_t node = 0;
  enum weir_code code = options->plain
                            ? wr_sql_plain_add(&builder->graph, uid, stream->schema, 0, config,
                                               server->flush_interval_ms, plain, &node, &error)
                            : wr_sql_sink_add(&builder->graph, uid, stream->schema, 0, config, sink, &node, &error);
  if (code != WEIR_OK) {
    wr_builder_fail(builder, &error);
    return;
  }
  builder->needs_folder = true;
  wr_stream_connect(stream, node);
}

static bool check(struct weir_stream *stream, const char *uid, const struct weir_database_options *options) {
  if (!wr_check_sink_stream(stream, uid)) return false;
  if (options->size == sizeof *options) return true;
  wr_builder_invalid(stream->builder, uid, "set the field `size` of struct weir_database_options to its sizeof");
  return false;
}

void weir_postgres_sink(struct weir_stream *stream, const char *uid, const struct weir_database_options *options) {
  if (check(stream, uid, options)) database_sink(stream, uid, &postgres_kind, options);
}

void weir_mysql_sink(struct weir_stream *stream, const char *uid, const struct weir_database_options *options) {
  if (check(stream, uid, options)) database_sink(stream, uid, &mysql_kind, options);
}

/* ---- by the options ---- */

static const struct database_kind *kind_of(const char *url) {
  char scheme[32] = {0};
  const char *rest = strncmp(url, "jdbc:", 5) == 0 ? url + 5 : url, *colon = strstr(rest, "://");
  if (colon == NULL || (size_t)(colon - rest) >= sizeof scheme) return NULL;
  memcpy(scheme, rest, (size_t)(colon - rest));
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (wr_find_choice(kinds[i]->schemes, scheme) >= 0) return kinds[i];
  return NULL;
}

bool wr_database_sink_of_options(struct weir_stream *stream, const char *uid, const char *table,
                                 const char *const *key_fields, uint32_t key_field_count,
                                 const struct weir_options *options) {
  const char *url = weir_options_text(options, "sink");
  const struct database_kind *kind = kind_of(url);
  if (kind == NULL) return false;
  struct weir_setting settings[SETTINGS_MAX + 2] = {{"url", url}};
  uint32_t count = 1, given = weir_options_count(options, "sink-option");
  bool names_table = false;
  for (uint32_t i = 0; i < given && i < SETTINGS_MAX; i++) {
    if (!wr_read_setting(stream->builder, weir_options_item(options, "sink-option", i), &settings[count])) return true;
    names_table = names_table || strcmp(settings[count].key, "table-name") == 0;
    count++;
  }
  if (!names_table) settings[count++] = (struct weir_setting){"table-name", table};
  const struct weir_database_options database = {.size = sizeof database,
                                                 .settings = settings,
                                                 .setting_count = count,
                                                 .key_fields = key_fields,
                                                 .key_field_count = key_field_count,
                                                 .plain = weir_options_flag(options, "plain")};
  if (check(stream, uid, &database)) database_sink(stream, uid, kind, &database);
  return true;
}
