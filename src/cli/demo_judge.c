/* cli/demo_judge.c: a job's table beside what a straight count over the files gave.
 *
 * A row lost is one that the files have and the table has not, a row doubled one that the table has more often than the
 * files; in the table of counts each view is a row. Foreign is what the files do not have at all. */
#include "cli/demo.h"

#include <sqlite3.h>
#include <string.h>

struct table {
  sqlite3 *database;
  sqlite3_stmt *rows;
};

static enum weir_code open_table(const char *path, const char *sql, struct table *table, struct weir_error *error) {
  *table = (struct table){0};
  if (sqlite3_open_v2(path, &table->database, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
      sqlite3_prepare_v2(table->database, sql, -1, &table->rows, NULL) == SQLITE_OK)
    return WEIR_OK;
  enum weir_code code = WR_FAIL(error, WEIR_IO, "%s cannot be read: %s", path, sqlite3_errmsg(table->database));
  sqlite3_close(table->database);
  return code;
}

static enum weir_code close_table(struct table *table, const char *path, int last, struct weir_error *error) {
  enum weir_code code = WEIR_OK;
  if (last != SQLITE_DONE)
    code = WR_FAIL(error, WEIR_IO, "%s cannot be read: %s", path, sqlite3_errmsg(table->database));
  sqlite3_finalize(table->rows);
  sqlite3_close(table->database);
  return code;
}

static uint32_t column_app(sqlite3_stmt *rows, int column) {
  const char *name = (const char *)sqlite3_column_text(rows, column);
  return name == NULL ? UINT32_MAX : demo_app_number(name, (size_t)sqlite3_column_bytes(rows, column));
}

/* ---- pv ---- */

static void judge_count(const struct demo_truth *truth, uint64_t *counts, struct demo_verdict *verdict) {
  for (uint32_t app = 0; app < DEMO_APPS; app++) {
    if (counts[app] < truth->counts[app])
      verdict->lost += truth->counts[app] - counts[app];
    else
      verdict->doubled += counts[app] - truth->counts[app];
  }
}

enum weir_code demo_judge_pv(struct demo *demo, const char *database, const struct demo_truth *truth,
                             struct demo_verdict *out_verdict, struct weir_error *error) {
  struct table table;
  *out_verdict = (struct demo_verdict){0};
  uint64_t *counts = wr_alloc_zeroed(&demo->heap.memory, DEMO_APPS, sizeof *counts, WR_MEMORY_USER);
  if (counts == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory to read the table");
  enum weir_code code = open_table(database, "SELECT app_id, pv FROM pv", &table, error);
  if (code == WEIR_OK) {
    int step;
    while ((step = sqlite3_step(table.rows)) == SQLITE_ROW) {
      uint32_t app = column_app(table.rows, 0);
      uint64_t count = (uint64_t)sqlite3_column_int64(table.rows, 1);
      out_verdict->rows += count;
      if (app == UINT32_MAX)
        out_verdict->foreign++;
      else
        counts[app] += count;
    }
    code = close_table(&table, database, step, error);
    judge_count(truth, counts, out_verdict);
  }
  wr_free(&demo->heap.memory, counts);
  return code;
}

/* ---- seen ---- */

static void judge_place(const struct demo_truth *truth, uint8_t *const *seen, sqlite3_stmt *rows,
                        struct demo_verdict *verdict) {
  const char *name = (const char *)sqlite3_column_text(rows, 0);
  int64_t position = sqlite3_column_int64(rows, 1);
  verdict->rows++;
  for (int p = 0; p < DEMO_PARTITIONS && name != NULL; p++) {
    char partition[16];
    demo_path(partition, sizeof partition, truth->is_of_topic ? "%d" : "p%d.ndjson", p);
    if (strcmp(name, partition) != 0) continue;
    if (position < 0 || (uint64_t)position >= truth->positions[p]) break;
    if (truth->apps[p][position] != column_app(rows, 2)) break;
    if (seen[p][position] != 0) verdict->doubled++;
    seen[p][position] = 1;
    return;
  }
  verdict->foreign++;
}

enum weir_code demo_judge_seen(struct demo *demo, const char *database, const struct demo_truth *truth,
                               struct demo_verdict *out_verdict, struct weir_error *error) {
  struct table table;
  uint8_t *seen[DEMO_PARTITIONS] = {NULL};
  enum weir_code code = WEIR_OK;
  *out_verdict = (struct demo_verdict){0};
  for (int p = 0; p < DEMO_PARTITIONS; p++) {
    seen[p] = wr_alloc_zeroed(&demo->heap.memory, (size_t)truth->positions[p] + 1, 1, WR_MEMORY_USER);
    if (seen[p] == NULL) code = WR_FAIL(error, WEIR_NO_MEMORY, "no memory to read the table");
  }
  if (code == WEIR_OK) code = open_table(database, "SELECT partition, position, app_id FROM seen", &table, error);
  if (code == WEIR_OK) {
    int step;
    while ((step = sqlite3_step(table.rows)) == SQLITE_ROW)
      judge_place(truth, seen, table.rows, out_verdict);
    code = close_table(&table, database, step, error);
    for (int p = 0; p < DEMO_PARTITIONS; p++)
      for (uint64_t i = 0; i < truth->positions[p]; i++)
        out_verdict->lost += seen[p][i] == 0;
  }
  for (int p = 0; p < DEMO_PARTITIONS; p++)
    wr_free(&demo->heap.memory, seen[p]);
  return code;
}
