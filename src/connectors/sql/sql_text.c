/* connectors/sql/sql_text.c: see sql_text.h. */
#include "connectors/sql/sql_text.h"

void wr_sql_put(struct wr_bytes *sql, const char *text) {
  wr_bytes_put(sql, text, strlen(text));
}

static void put_name_bytes(struct wr_bytes *sql, const char *name, size_t length, char quote) {
  wr_bytes_put_u8(sql, (uint8_t)quote);
  for (size_t i = 0; i < length; i++) {
    if (name[i] == quote) wr_bytes_put_u8(sql, (uint8_t)quote);
    wr_bytes_put_u8(sql, (uint8_t)name[i]);
  }
  wr_bytes_put_u8(sql, (uint8_t)quote);
}

void wr_sql_put_name(struct wr_bytes *sql, const char *name, char quote) {
  put_name_bytes(sql, name, strlen(name), quote);
}

void wr_sql_put_table(struct wr_bytes *sql, const char *table, char quote) {
  const char *dot = strchr(table, '.');
  if (dot != NULL) {
    put_name_bytes(sql, table, (size_t)(dot - table), quote);
    wr_sql_put(sql, ".");
  }
  wr_sql_put_name(sql, dot == NULL ? table : dot + 1, quote);
}

void wr_sql_put_fields(struct wr_bytes *sql, const struct weir_schema *schema, const uint32_t *fields, uint32_t count,
                       const char *separator, char quote) {
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) wr_sql_put(sql, separator);
    wr_sql_put_name(sql, schema->fields[fields == NULL ? i : fields[i]].name, quote);
  }
}

bool wr_sql_is_key(const struct wr_sql_config *config, uint32_t field) {
  for (uint32_t i = 0; i < config->key_count; i++)
    if (config->key_fields[i] == field) return true;
  return false;
}

static const char *type_of(const struct weir_schema *schema, uint32_t field, bool is_key,
                           const struct wr_sql_dialect *dialect) {
  enum weir_type type = schema->fields[field].type;
  if (is_key && type == WEIR_TYPE_STRING) return dialect->key_string_type;
  if (is_key && type == WEIR_TYPE_BYTES) return dialect->key_bytes_type;
  return dialect->types[type];
}

void wr_sql_put_create(struct wr_bytes *sql, const char *table, const struct weir_schema *schema,
                       const struct wr_sql_config *config, const struct wr_sql_dialect *dialect) {
  wr_sql_put(sql, "CREATE TABLE ");
  wr_sql_put_table(sql, table, dialect->quote);
  wr_sql_put(sql, " (");
  for (uint32_t i = 0; i < schema->field_count; i++) {
    if (i > 0) wr_sql_put(sql, ", ");
    wr_sql_put_name(sql, schema->fields[i].name, dialect->quote);
    wr_sql_put(sql, " ");
    wr_sql_put(sql, type_of(schema, i, wr_sql_is_key(config, i), dialect));
    if (wr_sql_is_key(config, i)) wr_sql_put(sql, " NOT NULL");
  }
  if (config->key_count > 0) {
    wr_sql_put(sql, ", PRIMARY KEY (");
    wr_sql_put_fields(sql, schema, config->key_fields, config->key_count, ", ", dialect->quote);
    wr_sql_put(sql, ")");
  }
  wr_sql_put(sql, ")");
  wr_sql_put(sql, dialect->after_table);
}

const char *wr_sql_text(struct wr_bytes *sql) {
  wr_bytes_put_u8(sql, 0);
  if (sql->failed) return NULL;
  sql->length--;
  return (const char *)sql->data;
}
