/* connectors/sql/sql_changes.c: see sql_changes.h. */
#include "connectors/sql/sql_changes.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 256 * 1024, BATCH_BYTES_MAX = 64 * 1024 * 1024 };

/* What a row is put in order by. */
struct wr_sql_place {
  struct wr_sql_row row;
  const char *text; /* the key's first field, where it is a text */
  uint64_t number;  /* where it is none: as unsigned in the same order; of a text its length */
  uint32_t arrival;
};

void wr_sql_changes_init(struct wr_sql_changes *changes, const struct wr_sql_config *config, struct wr_memory *memory) {
  *changes = (struct wr_sql_changes){.config = config, .memory = memory};
  wr_upsert_fold_init(&changes->fold, memory,
                      (struct wr_key_fields){.fields = config->key_fields, .count = config->key_count});
}

void wr_sql_changes_clear(struct wr_sql_changes *changes) {
  wr_upsert_fold_clear(&changes->fold);
  for (uint32_t i = 0; i < changes->batch_count; i++)
    wr_batch_unref(changes->batches[i]);
  changes->batch_count = 0;
  changes->batch_bytes = 0;
  changes->row_count = 0;
}

void wr_sql_changes_deinit(struct wr_sql_changes *changes) {
  wr_sql_changes_clear(changes);
  wr_upsert_fold_deinit(&changes->fold);
  wr_free(changes->memory, changes->batches);
  wr_free(changes->memory, changes->rows);
  wr_free(changes->memory, changes->places);
  changes->batches = NULL;
  changes->rows = NULL;
  changes->places = NULL;
}

bool wr_sql_changes_is_full(const struct wr_sql_changes *changes) {
  return wr_upsert_fold_is_full(&changes->fold) || changes->row_count >= ROWS_MAX ||
         changes->batch_bytes >= BATCH_BYTES_MAX;
}

/* ---- room ---- */

static enum weir_code reserve_rows(struct wr_sql_changes *changes, uint32_t wanted, struct weir_error *error) {
  if (wanted <= changes->row_capacity) return WEIR_OK;
  uint32_t capacity = changes->row_capacity == 0 ? 1024 : changes->row_capacity;
  while (capacity < wanted)
    capacity *= 2;
  struct wr_sql_row *rows = wr_resize(changes->memory, changes->rows, capacity * sizeof *rows, WR_MEMORY_SINK);
  if (rows == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u rows of an epoch", wanted);
  changes->rows = rows;
  changes->row_capacity = capacity;
  return WEIR_OK;
}

static enum weir_code reserve_batch(struct wr_sql_changes *changes, struct weir_error *error) {
  if (changes->batch_count < changes->batch_capacity) return WEIR_OK;
  uint32_t capacity = changes->batch_capacity == 0 ? 64 : changes->batch_capacity * 2;
  struct wr_batch **batches =
      wr_resize(changes->memory, changes->batches, capacity * sizeof(struct wr_batch *), WR_MEMORY_SINK);
  if (batches == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the batches of an epoch");
  changes->batches = batches;
  changes->batch_capacity = capacity;
  return WEIR_OK;
}

/* ---- adding ---- */

static enum weir_code add_inserts(struct wr_sql_changes *changes, struct wr_batch *batch, struct weir_error *error) {
  WR_TRY(reserve_batch(changes, error));
  WR_TRY(reserve_rows(changes, changes->row_count + batch->selected_count, error));
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    uint32_t row = wr_batch_row(batch, i);
    enum weir_row_kind kind = wr_batch_row_kind(batch, row);
    if (kind != WEIR_INSERT && kind != WEIR_UPDATE_AFTER)
      return WR_FAIL(error, WEIR_CONSTRAINT,
                     "%s is only inserted into, but a row is to be taken back; give the sink a key",
                     changes->config->where);
    changes->rows[changes->row_count + i] = (struct wr_sql_row){.batch = batch, .row = row};
  }
  changes->row_count += batch->selected_count;
  changes->batches[changes->batch_count++] = wr_batch_ref(batch);
  changes->batch_bytes += batch->bytes;
  return WEIR_OK;
}

enum weir_code wr_sql_changes_add(struct wr_sql_changes *changes, struct wr_batch *batch, struct weir_error *error) {
  if (changes->config->mode == WR_SQL_INSERT) return add_inserts(changes, batch, error);
  return wr_upsert_fold_add(&changes->fold, batch, error);
}

/* ---- order ---- */

static struct wr_sql_place place_of(const struct wr_sql_row *row, uint32_t field, uint32_t arrival) {
  static const uint64_t sign = (uint64_t)1 << 63;
  struct wr_sql_place place = {.row = *row, .arrival = arrival};
  const struct wr_column *column = &row->batch->columns[field];
  const struct wr_view *view;
  uint64_t bits;
  switch (row->batch->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN:
    place.number = ((const uint8_t *)column->values)[row->row];
    break;
  case WEIR_TYPE_INT:
    place.number = (uint64_t)((const int32_t *)column->values)[row->row] ^ sign;
    break;
  case WEIR_TYPE_BIGINT:
    place.number = (uint64_t)((const int64_t *)column->values)[row->row] ^ sign;
    break;
  case WEIR_TYPE_DOUBLE:
    bits = ((const uint64_t *)column->values)[row->row];
    place.number = bits & sign ? ~bits : bits ^ sign;
    break;
  case WEIR_TYPE_TIMESTAMP:
    place.number = (uint64_t)((const struct weir_timestamp *)column->values)[row->row].milliseconds ^ sign;
    break;
  default:
    view = &wr_column_views(column)[row->row];
    place.text = wr_view_bytes(row->batch, view);
    place.number = (uint64_t)view->length;
  }
  return place;
}

static int compare_places(const void *a_place, const void *b_place) {
  const struct wr_sql_place *a = a_place, *b = b_place;
  if (a->text != NULL) {
    int order = memcmp(a->text, b->text, a->number < b->number ? a->number : b->number);
    if (order != 0) return order;
  }
  if (a->number != b->number) return a->number < b->number ? -1 : 1;
  return a->arrival < b->arrival ? -1 : 1;
}

static enum weir_code put_in_order(struct wr_sql_changes *changes, struct weir_error *error) {
  if (changes->place_capacity < changes->row_count) {
    struct wr_sql_place *places =
        wr_resize(changes->memory, changes->places, changes->row_capacity * sizeof *places, WR_MEMORY_SINK);
    if (places == NULL)
      return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u rows of an epoch", changes->row_count);
    changes->places = places;
    changes->place_capacity = changes->row_capacity;
  }
  for (uint32_t i = 0; i < changes->row_count; i++)
    changes->places[i] = place_of(&changes->rows[i], changes->config->key_fields[0], i);
  if (changes->row_count > 1) qsort(changes->places, changes->row_count, sizeof *changes->places, compare_places);
  for (uint32_t i = 0; i < changes->row_count; i++)
    changes->rows[i] = changes->places[i].row;
  return WEIR_OK;
}

enum weir_code wr_sql_changes_rows(struct wr_sql_changes *changes, enum wr_sql_change change,
                                   const struct wr_sql_row **out_rows, uint32_t *out_count, struct weir_error *error) {
  const struct wr_upsert_fold *fold = &changes->fold;
  if (changes->config->mode == WR_SQL_UPSERT) {
    changes->row_count = 0;
    WR_TRY(reserve_rows(changes, fold->change_count, error));
    for (uint32_t i = 0; i < fold->change_count; i++) {
      const struct wr_batch *batch = fold->batches[fold->changes[i].batch];
      uint32_t row = fold->changes[i].row;
      bool is_delete = wr_batch_row_kind(batch, row) == WEIR_DELETE;
      if (is_delete == (change == WR_SQL_DELETE))
        changes->rows[changes->row_count++] = (struct wr_sql_row){.batch = batch, .row = row};
    }
    WR_TRY(put_in_order(changes, error));
  }
  *out_rows = changes->rows;
  *out_count = changes->config->mode == WR_SQL_INSERT && change == WR_SQL_DELETE ? 0 : changes->row_count;
  return WEIR_OK;
}
