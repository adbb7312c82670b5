/* connectors/postgres/postgres_table.c: see postgres_table.h. Needs the catalogue of PostgreSQL 12 or later. */
#include "connectors/postgres/postgres_table.h"

#include "connectors/sql/sql_text.h"

#include <stdlib.h>

#define BIT(type) (1u << WEIR_TYPE_##type)

static const struct wr_sql_dialect dialect = {.quote = '"',
                                              .types = {[WEIR_TYPE_BOOLEAN] = "boolean",
                                                        [WEIR_TYPE_INT] = "integer",
                                                        [WEIR_TYPE_BIGINT] = "bigint",
                                                        [WEIR_TYPE_DOUBLE] = "double precision",
                                                        [WEIR_TYPE_STRING] = "text",
                                                        [WEIR_TYPE_BYTES] = "bytea",
                                                        [WEIR_TYPE_TIMESTAMP] = "timestamp"},
                                              .key_string_type = "text",
                                              .key_bytes_type = "bytea",
                                              .after_table = ""};

/* Which fields a type takes, by its name in pg_type. */
static const struct {
  const char *name;
  uint32_t fits;
} types[] = {{"bool", BIT(BOOLEAN)},
             {"int4", BIT(INT)},
             {"int8", BIT(INT) | BIT(BIGINT)},
             {"numeric", BIT(INT) | BIT(BIGINT)},
             {"float8", BIT(INT) | BIT(DOUBLE)},
             {"text", BIT(STRING) | BIT(TIMESTAMP)},
             {"varchar", BIT(STRING) | BIT(TIMESTAMP)},
             {"bpchar", BIT(STRING)},
             {"json", BIT(STRING)},
             {"jsonb", BIT(STRING)},
             {"uuid", BIT(STRING)},
             {"bytea", BIT(BYTES)},
             {"timestamp", BIT(TIMESTAMP)},
             {"timestamptz", BIT(TIMESTAMP)}};

static enum wr_sql_outcome failed(void) {
  return WR_SQL_FAILED;
}

/* A statement with one value, the quoted name of a table. */
static enum wr_sql_outcome ask(struct wr_postgres_session *session, const char *sql, const char *table,
                               PGresult **out_result, struct weir_error *error) {
  struct wr_bytes name;
  wr_bytes_init(&name, session->memory, WR_MEMORY_SINK);
  wr_sql_put_table(&name, table, '"');
  const char *text = wr_sql_text(&name);
  enum wr_sql_outcome outcome = WR_SQL_FAILED;
  if (text == NULL)
    WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the name of table %s", table);
  else
    outcome = wr_postgres_run(session, sql, &(struct wr_postgres_values){.count = 1, .values = &text},
                              "read the catalogue", out_result, error);
  wr_bytes_deinit(&name);
  return outcome;
}

/* ---- kinds of tables ---- */

/* Rows that are not in the log are gone after a crash, with the marker still there, or the other way round. */
static enum wr_sql_outcome check_kind(const struct wr_postgres_session *session, const char *table, const char *kind,
                                      const char *persistence, const char *parts, struct weir_error *error) {
  const char *what = NULL;
  if (kind[0] == 'v' || kind[0] == 'm') what = "a view";
  if (kind[0] == 'f' || parts[0] == 'f') what = "a foreign table, whose rows are in another server's transactions";
  if (persistence[0] == 'u' || parts[0] == 'u') what = "UNLOGGED: a crash of the server empties it";
  if (persistence[0] == 't') what = "a temporary table";
  if (what == NULL && strchr("rp", kind[0]) == NULL) what = "no table";
  if (what == NULL) return WR_SQL_DONE;
  WR_FAIL(error, WEIR_CONSTRAINT, "%s: \"%s\" is %s; rows can be written exactly once only into a plain, logged table",
          session->server->where, table, what);
  return failed();
}

/* $1 is the quoted name; one row where there is such a thing. Column 3: what the worst of its partitions is. */
static const char kind_sql[] =
    "SELECT c.relkind, c.relpersistence, coalesce((SELECT CASE WHEN bool_or(p.relkind = 'f') THEN 'f' WHEN "
    "bool_or(p.relpersistence <> 'p') THEN 'u' ELSE '' END FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = "
    "t.relid), ''), has_any_column_privilege(c.oid, 'INSERT'), has_any_column_privilege(c.oid, 'UPDATE') AND "
    "has_any_column_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE'), "
    "NOT c.relhasrules AND NOT row_security_active(c.oid) "
    "FROM pg_class c WHERE c.oid = to_regclass($1)";

static enum wr_sql_outcome missing(struct wr_postgres_session *session, const struct wr_sql_config *config,
                                   const struct weir_schema *schema, struct weir_error *error) {
  struct wr_bytes sql;
  wr_bytes_init(&sql, session->memory, WR_MEMORY_SINK);
  wr_sql_put_create(&sql, session->server->table, schema, config, &dialect);
  const char *text = wr_sql_text(&sql);
  WR_FAIL(error, WEIR_NOT_FOUND, "%s is not there; make it, for example by: %s", config->where,
          text == NULL ? "CREATE TABLE" : text);
  wr_bytes_deinit(&sql);
  return failed();
}

/* COPY knows no rules, and refuses where the rows that this user may write are limited. */
static enum wr_sql_outcome check_table(struct wr_postgres_session *session, const struct wr_sql_config *config,
                                       const struct weir_schema *schema, struct wr_sql_table *table,
                                       struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  PGresult *result = NULL;
  enum wr_sql_outcome outcome = ask(session, kind_sql, session->server->table, &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  if (pq->PQntuples(result) == 0) {
    outcome = missing(session, config, schema, error);
  } else {
    outcome = check_kind(session, session->server->table, pq->PQgetvalue(result, 0, 0), pq->PQgetvalue(result, 0, 1),
                         pq->PQgetvalue(result, 0, 2), error);
    table->has_partitions = pq->PQgetvalue(result, 0, 0)[0] == 'p';
    table->takes_copy = pq->PQgetvalue(result, 0, 5)[0] == 't';
    bool may_insert = pq->PQgetvalue(result, 0, 3)[0] == 't', may_change = pq->PQgetvalue(result, 0, 4)[0] == 't';
    bool changes = config->mode == WR_SQL_UPSERT;
    if (outcome == WR_SQL_DONE && (!may_insert || (changes && !may_change))) {
      WR_FAIL(error, WEIR_DENIED, "%s: this user may not write to it; GRANT %s ON it to the user", config->where,
              changes ? "SELECT, INSERT, UPDATE, DELETE" : "INSERT");
      outcome = failed();
    }
  }
  pq->PQclear(result);
  return outcome;
}

enum wr_sql_outcome wr_postgres_look_for_markers(struct wr_postgres_session *session, bool *out_has,
                                                 struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  PGresult *result = NULL;
  enum wr_sql_outcome outcome = ask(session, kind_sql, session->server->marker_table, &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  *out_has = pq->PQntuples(result) != 0;
  if (*out_has)
    outcome = check_kind(session, session->server->marker_table, pq->PQgetvalue(result, 0, 0),
                         pq->PQgetvalue(result, 0, 1), pq->PQgetvalue(result, 0, 2), error);
  pq->PQclear(result);
  return outcome;
}

/* ---- columns ---- */

static const char columns_sql[] =
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname, a.atttypmod, "
    "a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', a.attgenerated <> '' OR a.attidentity = 'a', "
    "a.attidentity <> '', coalesce(NOT co.collisdeterministic, false), "
    "a.attnotnull "
    "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation co ON co.oid = a.attcollation "
    "WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

static struct wr_sql_column column_of(const struct wr_libpq *pq, const PGresult *result, int row) {
  const char *name = pq->PQgetvalue(result, row, 2);
  long modifier = strtol(pq->PQgetvalue(result, row, 3), NULL, 10);
  struct wr_sql_column column = {.wants_value = pq->PQgetvalue(result, row, 4)[0] == 't',
                                 .refuses_null = pq->PQgetvalue(result, row, 8)[0] == 't',
                                 .is_generated = pq->PQgetvalue(result, row, 5)[0] == 't',
                                 .counts_up = pq->PQgetvalue(result, row, 6)[0] == 't'};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (strcmp(types[i].name, name) == 0) column.fits = types[i].fits;
  bool is_time = strcmp(name, "timestamp") == 0 || strcmp(name, "timestamptz") == 0;
  column.time_digits = !is_time ? 9 : modifier < 0 ? 6 : (uint32_t)modifier;
  if (strcmp(name, "bpchar") == 0) column.unfit_key = "it takes texts that differ in spaces at their end for equal";
  if (pq->PQgetvalue(result, row, 7)[0] == 't') column.unfit_key = "its collation takes texts that differ for equal";
  return column;
}

static enum wr_sql_outcome read_columns(struct wr_postgres_session *session, struct wr_sql_table *table,
                                        struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  PGresult *result = NULL;
  enum wr_sql_outcome outcome = ask(session, columns_sql, session->server->table, &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  for (int i = 0; i < pq->PQntuples(result) && outcome == WR_SQL_DONE; i++) {
    struct wr_sql_column column = column_of(pq, result, i);
    if (wr_sql_table_add_column(table, &column, pq->PQgetvalue(result, i, 0), pq->PQgetvalue(result, i, 1), error) !=
        WEIR_OK)
      outcome = failed();
  }
  pq->PQclear(result);
  return outcome;
}

/* Unique indexes that ON CONFLICT can go by: whole columns, all rows, checked at once. */
static const char indexes_sql[] =
    "SELECT i.indexrelid::regclass::text, a.attname FROM pg_index i "
    "CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place) "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate "
    "AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts ORDER BY 1, k.place";

static enum wr_sql_outcome read_indexes(struct wr_postgres_session *session, struct wr_sql_table *table,
                                        struct weir_error *error) {
  const struct wr_libpq *pq = &session->pq;
  PGresult *result = NULL;
  enum wr_sql_outcome outcome = ask(session, indexes_sql, session->server->table, &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  for (int i = 0; i < pq->PQntuples(result) && outcome == WR_SQL_DONE; i++)
    if (wr_sql_table_add_index_column(table, pq->PQgetvalue(result, i, 0), pq->PQgetvalue(result, i, 1), error) !=
        WEIR_OK)
      outcome = failed();
  pq->PQclear(result);
  return outcome;
}

enum wr_sql_outcome wr_postgres_read_table(struct wr_postgres_session *session, const struct wr_sql_config *config,
                                           const struct weir_schema *schema, struct wr_sql_table *table,
                                           struct weir_error *error) {
  wr_sql_table_deinit(table);
  enum wr_sql_outcome outcome = check_table(session, config, schema, table, error);
  if (outcome == WR_SQL_DONE) outcome = read_columns(session, table, error);
  return outcome == WR_SQL_DONE ? read_indexes(session, table, error) : outcome;
}
