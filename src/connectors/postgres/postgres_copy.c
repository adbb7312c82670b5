/* connectors/postgres/postgres_copy.c: see postgres_copy.h. Lines are sent while the next ones are made, so that the
 * server works at the same time. */
#include "connectors/postgres/postgres_copy.h"

#include "connectors/sql/sql_text.h"
#include "formats/civil_time.h"
#include "formats/value_text.h"

/* A statement ends well before its time limit on a slow server. */
enum { SEND_BYTES = 64 * 1024, STATEMENT_BYTES_MAX = 16 * 1024 * 1024 };

static const char doing[] = "write rows";

/* ---- values ---- */

/* What stands behind the backslash of an escape; 0: the byte stands for itself. */
static const char escapes[256] = {['\\'] = '\\', ['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};

static enum weir_code put_text(struct wr_bytes *out, const char *name, const char *text, size_t length,
                               struct weir_error *error) {
  char *at = (char *)wr_bytes_reserve(out, 2 * length);
  const char *begin = at;
  for (size_t i = 0; at != NULL && i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (byte == 0) return wr_postgres_refuse_nul(name, error);
    if (escapes[byte] != 0) *at++ = '\\';
    *at++ = escapes[byte] != 0 ? escapes[byte] : (char)byte;
  }
  if (at != NULL) out->length += (size_t)(at - begin);
  return WEIR_OK;
}

static void put_hex(struct wr_bytes *out, const char *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  wr_sql_put(out, "\\\\x");
  char *at = (char *)wr_bytes_reserve(out, 2 * length);
  for (size_t i = 0; at != NULL && i < length; i++) {
    at[2 * i] = digits[(unsigned char)bytes[i] >> 4];
    at[2 * i + 1] = digits[(unsigned char)bytes[i] & 15];
  }
  if (at != NULL) out->length += 2 * length;
}

static enum weir_code put_time(struct wr_bytes *out, const struct wr_sql_column *column, struct weir_timestamp time,
                               struct weir_error *error) {
  char text[WR_TIMESTAMP_TEXT_BYTES];
  int length = wr_timestamp_text(time, text);
  WR_TRY(wr_postgres_check_time(column, time, error));
  if (column->time_digits < 9) length -= 3; /* to microseconds; what is cut is 0 */
  wr_bytes_put(out, text, (size_t)length);
  return WEIR_OK;
}

static enum weir_code put_field(struct wr_bytes *out, const struct wr_postgres_rows *rows, const struct wr_sql_row *at,
                                uint32_t field, struct weir_error *error) {
  const struct wr_column *column = &at->batch->columns[field];
  const struct weir_field *kind = &rows->schema->fields[field];
  char text[WR_DOUBLE_TEXT_MAX + WR_BIGINT_TEXT_MAX];
  size_t length = 0;
  if (wr_column_is_null(column, at->row)) {
    wr_sql_put(out, "\\N");
    return WEIR_OK;
  }
  switch (kind->type) {
  case WEIR_TYPE_BOOLEAN:
    text[length++] = ((const uint8_t *)column->values)[at->row] != 0 ? 't' : 'f';
    break;
  case WEIR_TYPE_INT:
    length = wr_text_of_bigint(((const int32_t *)column->values)[at->row], text);
    break;
  case WEIR_TYPE_BIGINT:
    length = wr_text_of_bigint(wr_column_bigints(column)[at->row], text);
    break;
  case WEIR_TYPE_DOUBLE:
    length = wr_text_of_double(((const double *)column->values)[at->row], text);
    break;
  case WEIR_TYPE_TIMESTAMP:
    return put_time(out, &rows->table->columns[rows->columns[field]],
                    ((const struct weir_timestamp *)column->values)[at->row], error);
  default: {
    const struct wr_view *view = &wr_column_views(column)[at->row];
    const char *bytes = wr_view_bytes(at->batch, view);
    if (kind->type == WEIR_TYPE_STRING) return put_text(out, kind->name, bytes, (size_t)view->length, error);
    put_hex(out, bytes, (size_t)view->length);
    return WEIR_OK;
  }
  }
  wr_bytes_put(out, text, length);
  return WEIR_OK;
}

enum weir_code wr_postgres_copy_line(struct wr_bytes *out, const struct wr_postgres_rows *rows,
                                     const struct wr_sql_row *at, struct weir_error *error) {
  for (uint32_t i = 0; i < rows->schema->field_count; i++) {
    if (i > 0) wr_bytes_put_u8(out, '\t');
    WR_TRY(put_field(out, rows, at, i, error));
  }
  wr_bytes_put_u8(out, '\n');
  return wr_bytes_check(out, error);
}

/* ---- statements ---- */

/* The server is to forget the statement; what it says to that matters only where the session did not outlive it. */
static enum wr_sql_outcome give_up(struct wr_postgres_session *session, struct weir_error *error) {
  struct weir_error said;
  enum wr_sql_outcome outcome = wr_postgres_copy_end(session, "given up by the client", doing, &said);
  if (outcome != WR_SQL_GONE) return WR_SQL_FAILED;
  *error = said;
  return WR_SQL_GONE;
}

/* One statement, of the first rows; *out_taken: how many. */
static enum wr_sql_outcome copy(struct wr_postgres_rows *rows, struct wr_postgres_session *session,
                                const struct wr_sql_row *all, uint32_t count, uint32_t *out_taken,
                                struct weir_error *error) {
  struct wr_bytes *lines = &rows->arrays[0];
  size_t sent = 0;
  enum wr_sql_outcome outcome = wr_postgres_copy_begin(session, (const char *)rows->write_sql.data, doing, error);
  for (uint32_t i = 0; outcome == WR_SQL_DONE && i < count && sent < STATEMENT_BYTES_MAX;) {
    wr_bytes_clear(lines);
    for (; i < count && lines->length < SEND_BYTES; i++)
      if (wr_postgres_copy_line(lines, rows, &all[i], error) != WEIR_OK) return give_up(session, error);
    outcome = wr_postgres_copy_put(session, lines->data, lines->length, doing, error);
    sent += lines->length;
    *out_taken = i;
  }
  return outcome == WR_SQL_DONE ? wr_postgres_copy_end(session, NULL, doing, error) : outcome;
}

enum wr_sql_outcome wr_postgres_copy_rows(struct wr_postgres_rows *rows, struct wr_postgres_session *session,
                                          const struct wr_sql_row *all, uint32_t count, struct weir_error *error) {
  for (uint32_t done = 0; done < count;) {
    uint32_t taken = 0;
    enum wr_sql_outcome outcome = copy(rows, session, all + done, count - done, &taken, error);
    if (outcome != WR_SQL_DONE) return outcome;
    done += taken;
  }
  return WR_SQL_DONE;
}
