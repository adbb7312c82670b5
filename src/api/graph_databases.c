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

/* The settings, read by the table, as a server whose texts live as long as the builder. */
static struct wr_sql_server *server_of(struct weir_job_builder *builder, const char *uid,
                                       const struct database_kind *kind, const struct weir_database_options *options) {
  struct wr_sql_server *server = wr_builder_alloc(builder, sizeof *server);
  struct wr_settings settings;
  struct wr_connector_value values[WR_SQL_OPTION_COUNT];
  struct weir_error error;
  enum weir_code code = WEIR_OK;
  if (server == NULL || !wr_settings_init(&settings, builder, uid, options->settings, options->setting_count, 0) ||
      !wr_settings_read(&settings, wr_sql_options, WR_SQL_OPTION_COUNT, kind->name, values))
    return NULL;
  if (!wr_sink_check_interval(builder, uid, values[WR_SQL_FLUSH_INTERVAL].is_set, options->plain)) return NULL;
  if (code == WEIR_OK)
    code = wr_sql_server_init(server, builder->memory, values, kind->schemes, kind->default_port, &error);
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
  uint32_t *fields = wr_builder_alloc(builder, (options->key_field_count + 1) * sizeof *fields);
  if (server == NULL || config == NULL || fields == NULL) return;
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
  if (wr_sql_config_check(config, stream->schema, &error) != WEIR_OK)
    wr_builder_fail(builder, &error);
  else if (options->plain)
    wr_plain_sink(stream, uid,
                  &(struct wr_plain_description){.where = config->where,
                                                 .interval_ms = server->flush_interval_ms,
                                                 .config = config,
                                                 .new_target = wr_sql_plain_new});
  else
    wr_two_phase_sink(stream, uid,
                      &(struct wr_two_phase_description){.config = config, .new_target = wr_sql_target_new});
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
  uint32_t count = 0;
  struct weir_setting *settings = wr_settings_of_options(stream->builder, options, "sink-option", 2, &count);
  if (settings == NULL) return true;
  bool names_table = false;
  for (uint32_t i = 0; i < count; i++)
    names_table = names_table || strcmp(settings[i].key, "table-name") == 0;
  settings[count++] = (struct weir_setting){"url", url};
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
