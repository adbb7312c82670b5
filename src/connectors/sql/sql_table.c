/* connectors/sql/sql_table.c: see sql_table.h. */
#include "connectors/sql/sql_table.h"

#include "connectors/sql/sql_text.h"

#include <stdio.h>

void wr_sql_table_init(struct wr_sql_table *table, struct wr_memory *memory) {
  *table = (struct wr_sql_table){.memory = memory};
}

void wr_sql_table_deinit(struct wr_sql_table *table) {
  for (uint32_t i = 0; i < table->column_count; i++) {
    wr_free(table->memory, table->columns[i].name);
    wr_free(table->memory, table->columns[i].type);
  }
  for (uint32_t i = 0; i < table->index_count; i++)
    wr_free(table->memory, table->indexes[i].name);
  wr_free(table->memory, table->columns);
  wr_free(table->memory, table->indexes);
  wr_sql_table_init(table, table->memory);
}

static enum weir_code no_memory(struct weir_error *error) {
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the columns of a table");
}

enum weir_code wr_sql_table_add_column(struct wr_sql_table *table, const struct wr_sql_column *column, const char *name,
                                       const char *type, struct weir_error *error) {
  struct wr_sql_column *columns =
      wr_resize(table->memory, table->columns, (table->column_count + 1) * sizeof *columns, WR_MEMORY_SINK);
  if (columns == NULL) return no_memory(error);
  table->columns = columns;
  struct wr_sql_column *added = &columns[table->column_count++];
  *added = *column;
  added->name = wr_copy_string(table->memory, name, WR_MEMORY_SINK);
  added->type = wr_copy_string(table->memory, type, WR_MEMORY_SINK);
  return added->name == NULL || added->type == NULL ? no_memory(error) : WEIR_OK;
}

/* The number of the column of this name, or the count of columns. */
static uint32_t find_column(const struct wr_sql_table *table, const char *name) {
  uint32_t i = 0;
  while (i < table->column_count && strcmp(table->columns[i].name, name) != 0)
    i++;
  return i;
}

enum weir_code wr_sql_table_add_index_column(struct wr_sql_table *table, const char *index, const char *column,
                                             struct weir_error *error) {
  struct wr_sql_index *last = table->index_count == 0 ? NULL : &table->indexes[table->index_count - 1];
  if (last == NULL || strcmp(last->name, index) != 0) {
    struct wr_sql_index *indexes =
        wr_resize(table->memory, table->indexes, (table->index_count + 1) * sizeof *indexes, WR_MEMORY_SINK);
    if (indexes == NULL) return no_memory(error);
    table->indexes = indexes;
    last = &indexes[table->index_count++];
    *last = (struct wr_sql_index){.name = wr_copy_string(table->memory, index, WR_MEMORY_SINK)};
    if (last->name == NULL) return no_memory(error);
  }
  uint32_t number = find_column(table, column);
  if (last->column_count < WR_SQL_INDEX_COLUMNS_MAX) last->columns[last->column_count++] = number;
  return WEIR_OK;
}

/* ---- the check ---- */

static enum weir_code check_field(const struct wr_sql_table *table, const struct wr_sql_config *config,
                                  const struct weir_schema *schema, uint32_t field, uint32_t *out_column,
                                  struct weir_error *error) {
  const struct weir_field *row = &schema->fields[field];
  uint32_t number = find_column(table, row->name);
  if (number == table->column_count)
    return WR_FAIL(error, WEIR_CONSTRAINT, "%s has no column \"%s\" (%s); add it, or give the sink another table",
                   config->where, row->name, wr_type_text(row->type));
  const struct wr_sql_column *column = &table->columns[number];
  if (column->is_generated)
    return WR_FAIL(error, WEIR_CONSTRAINT, "column \"%s\" of %s is computed by the server and cannot be written",
                   column->name, config->where);
  if ((column->fits >> row->type & 1) == 0)
    return WR_FAIL(error, WEIR_CONSTRAINT,
                   "column \"%s\" of %s is of type %s, which does not take every %s of the sink", column->name,
                   config->where, column->type, wr_type_text(row->type));
  if (column->unfit_key != NULL && wr_sql_is_key(config, field))
    return WR_FAIL(error, WEIR_CONSTRAINT, "column \"%s\" of %s, of type %s, cannot be in the sink's key: %s",
                   column->name, config->where, column->type, column->unfit_key);
  *out_column = number;
  return WEIR_OK;
}

static bool is_written(const struct wr_sql_table *table, const struct weir_schema *schema, uint32_t column) {
  for (uint32_t i = 0; i < schema->field_count; i++)
    if (strcmp(schema->fields[i].name, table->columns[column].name) == 0) return true;
  return false;
}

static bool is_index_of_key(const struct wr_sql_index *index, const struct wr_sql_config *config,
                            const uint32_t *columns) {
  if (index->column_count != config->key_count) return false;
  for (uint32_t i = 0; i < config->key_count; i++) {
    bool has = false;
    for (uint32_t c = 0; c < index->column_count; c++)
      has = has || index->columns[c] == columns[config->key_fields[i]];
    if (!has) return false;
  }
  return true;
}

/* A value of the index is never one that is there already: the server makes a new one each time. */
static bool is_always_new(const struct wr_sql_table *table, const struct weir_schema *schema,
                          const struct wr_sql_index *index) {
  for (uint32_t c = 0; c < index->column_count; c++)
    if (index->columns[c] < table->column_count && table->columns[index->columns[c]].counts_up &&
        !is_written(table, schema, index->columns[c]))
      return true;
  return false;
}

static enum weir_code check_key(const struct wr_sql_table *table, const struct wr_sql_config *config,
                                const struct weir_schema *schema, const uint32_t *columns, struct weir_error *error) {
  bool has = false;
  for (uint32_t i = 0; i < table->index_count; i++) {
    const struct wr_sql_index *index = &table->indexes[i];
    if (is_index_of_key(index, config, columns))
      has = true;
    else if (table->updates_by_any_index && !is_always_new(table, schema, index))
      return WR_FAIL(
          error, WEIR_CONSTRAINT,
          "%s has another unique index, \"%s\": a row of one key that is equal to a row of another key there "
          "would change that one; drop the index, or write to a table without it",
          config->where, index->name);
  }
  if (has) return WEIR_OK;
  char names[256];
  size_t length = 0;
  names[0] = 0;
  for (uint32_t i = 0; i < config->key_count && length < sizeof names; i++)
    length += (size_t)snprintf(names + length, sizeof names - length, "%s\"%s\"", i == 0 ? "" : ", ",
                               schema->fields[config->key_fields[i]].name);
  return WR_FAIL(error, WEIR_CONSTRAINT,
                 "%s has no primary key or unique index over exactly (%s), the key of the sink, to update rows by; add "
                 "one",
                 config->where, names);
}

enum weir_code wr_sql_table_check(const struct wr_sql_table *table, const struct wr_sql_config *config,
                                  const struct weir_schema *schema, uint32_t *out_columns, struct weir_error *error) {
  for (uint32_t i = 0; i < schema->field_count; i++)
    WR_TRY(check_field(table, config, schema, i, &out_columns[i], error));
  for (uint32_t i = 0; i < table->column_count; i++)
    if (table->columns[i].wants_value && !is_written(table, schema, i))
      return WR_FAIL(error, WEIR_CONSTRAINT,
                     "column \"%s\" of %s must be given a value, and the sink has no such field; give it a default",
                     table->columns[i].name, config->where);
  return config->mode == WR_SQL_UPSERT ? check_key(table, config, schema, out_columns, error) : WEIR_OK;
}

/* ---- NULL ---- */

void wr_sql_nulls_note(struct wr_sql_nulls *nulls, const struct wr_sql_table *table, const struct weir_schema *schema,
                       const uint32_t *columns) {
  for (uint32_t i = 0; !nulls->is_known && i < schema->field_count; i++)
    nulls->taken[i] = !table->columns[columns[i]].refuses_null;
  nulls->is_known = true;
}

bool wr_sql_nulls_blames_table(const struct wr_sql_nulls *nulls, const struct wr_sql_config *config,
                               const struct weir_schema *schema, const char *column, struct weir_error *error) {
  uint32_t field = 0;
  while (field < schema->field_count && strcmp(schema->fields[field].name, column) != 0)
    field++;
  if (field < schema->field_count && !nulls->taken[field]) return false;
  if (field < schema->field_count)
    WR_FAIL(error, WEIR_NOT_FOUND,
            "column \"%s\" of %s takes no NULL any more, and a row has NULL there: the table was changed while the job "
            "runs; let the column take NULL again, or start the job again, for which such a row is then a bad one",
            column, config->where);
  else
    WR_FAIL(
        error, WEIR_NOT_FOUND,
        "column \"%s\" of %s must be given a value now, and the sink has no such field: the table was changed while "
        "the job runs; give the column a default",
        column, config->where);
  return true;
}

bool wr_sql_time_fits(const struct wr_sql_column *column, struct weir_timestamp time) {
  int64_t unit = 1;
  for (uint32_t digits = column->time_digits; digits < 9; digits++)
    unit *= 10;
  int64_t nanoseconds = (time.milliseconds % 1000 + 1000) % 1000 * 1000000 + time.nanoseconds;
  return nanoseconds % unit == 0;
}
