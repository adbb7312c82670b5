/* connectors/sql/sql_table.h: what the server's catalogue says about the user's table, and whether rows fit it. Pure.
 *
 * A driver fills it in connect(), from its own catalogue; the check is the same for all. One thread.
 */
#ifndef WR_CONNECTORS_SQL_SQL_TABLE_H
#define WR_CONNECTORS_SQL_SQL_TABLE_H

#include "base/limits.h"
#include "connectors/sql/sql_target.h"

struct wr_sql_column {
  char *name, *type;       /* as the server says them */
  uint32_t fits;           /* bit t set: takes a field of enum weir_type t */
  uint32_t time_digits;    /* of a second, that a column of points in time keeps */
  bool refuses_null;       /* NOT NULL */
  bool wants_value;        /* NOT NULL and without a default */
  bool is_generated;       /* computed by the server, and not to be written */
  bool counts_up;          /* gives itself a new number */
  bool ignores_end_spaces; /* 'a' and 'a ' are equal */
  const char *unfit_key;   /* why it cannot be in a key: static text; NULL: it can */
};

enum { WR_SQL_INDEX_COLUMNS_MAX = 32 };

/* A unique index over all rows. */
struct wr_sql_index {
  char *name;
  uint32_t column_count;
  uint32_t columns[WR_SQL_INDEX_COLUMNS_MAX]; /* numbers of wr_sql_table.columns; its count: none of them */
};

struct wr_sql_table {
  struct wr_memory *memory;
  struct wr_sql_column *columns;
  uint32_t column_count;
  struct wr_sql_index *indexes;
  uint32_t index_count;
  bool has_partitions;       /* it is made of other tables */
  bool takes_copy;           /* PostgreSQL's COPY does to it what INSERT does */
  bool updates_by_any_index; /* an upsert goes by whichever unique index is met first, not by the one that was meant */
};

/* Which fields' columns took NULL when the table was first seen. It outlives the table's being read anew. */
struct wr_sql_nulls {
  bool is_known;
  uint8_t taken[WR_FIELDS_MAX]; /* by field */
};

void wr_sql_table_init(struct wr_sql_table *table, struct wr_memory *memory);
/* Forgets all columns and indexes. */
void wr_sql_table_deinit(struct wr_sql_table *table);
/* `column` with copies of the two texts. */
enum weir_code wr_sql_table_add_column(struct wr_sql_table *table, const struct wr_sql_column *column, const char *name,
                                       const char *type, struct weir_error *error);
/* One more column of the index of this name, which is made with its first. A name that is no column stands
 * for something else that the index is over, as a part of a column. */
enum weir_code wr_sql_table_add_index_column(struct wr_sql_table *table, const char *index, const char *column,
                                             struct weir_error *error);
/* CONSTRAINT, with both types, names, and what to do: a column is missing or of a type that does not fit, one that must
 * be given is not among the fields, upsert has no unique index over exactly its key. out_columns[field]: its column. */
enum weir_code wr_sql_table_check(const struct wr_sql_table *table, const struct wr_sql_config *config,
                                  const struct weir_schema *schema, uint32_t *out_columns, struct weir_error *error);
/* Notes it, the first time; `columns` as the check has filled it. */
void wr_sql_nulls_note(struct wr_sql_nulls *nulls, const struct wr_sql_table *table, const struct weir_schema *schema,
                       const uint32_t *columns);
/* A row was not taken, since this column of the table would be NULL. False: that is the row's fault. Else the table was
 * changed under the job, which no row is to be blamed for: NOT_FOUND, with a sentence. */
bool wr_sql_nulls_blames_table(const struct wr_sql_nulls *nulls, const struct wr_sql_config *config,
                               const struct weir_schema *schema, const char *column, struct weir_error *error);
/* Have all digits of the time room in the column? */
bool wr_sql_time_fits(const struct wr_sql_column *column, struct weir_timestamp time);

#endif
