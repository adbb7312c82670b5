/* state/chain.c: which snapshots stand, and what becomes of F(N). The task's thread.
 *
 * `chain` is the chain of the last checkpoint that is known to be completed (or was restored), base first. The snapshot
 * frozen last is *open* until its outcome is known. Its handle, once uploaded, lies behind the completed ones (a delta)
 * or in `next_chain`: a base alone, a cumulative delta behind a copy of the base's handle. completed() takes it over,
 * everything else throws it away and unites F(N) with the marks since.
 */
#include "state/internal.h"

void wr_handles_clear(struct wr_backend *backend, struct handle_list *list) {
  for (uint32_t i = 0; i < list->count; i++)
    wr_handle_deinit(backend->memory, &list->handles[i]);
  wr_state_release(backend, list->handles, list->capacity * sizeof(struct wr_handle));
  *list = (struct handle_list){0};
}

void wr_drops_add(struct drop_list *list, struct drop_record *record) {
  record->next = NULL;
  if (list->last != NULL) list->last->next = record;
  if (list->first == NULL) list->first = record;
  list->last = record;
}

void wr_drops_free(struct wr_backend *backend, struct drop_list *list) {
  while (list->first != NULL) {
    struct drop_record *record = list->first;
    list->first = record->next;
    wr_state_release(backend, record, sizeof *record);
  }
  list->last = NULL;
}

/* The list that the handle of the open snapshot goes behind. */
static struct handle_list *open_list(struct wr_backend *backend) {
  return backend->frozen_is_base || backend->frozen_is_cumulative ? &backend->next_chain : &backend->chain;
}

void wr_backend_unite(struct wr_backend *backend) {
  WR_ASSERT(!backend->snapshot.is_running);
  if (!backend->outcome_open) return;
  for (uint32_t s = 0; s < backend->state_count; s++)
    for (uint32_t t = 0; t < backend->states[s]->table_count; t++)
      wr_table_unite_marks(backend->states[s]->tables[t]);
  if (backend->frozen_drops.first != NULL) {
    backend->frozen_drops.last->next = backend->drops.first;
    if (backend->drops.first == NULL) backend->drops.last = backend->frozen_drops.last;
    backend->drops.first = backend->frozen_drops.first;
    backend->frozen_drops = (struct drop_list){0};
  }
  if (backend->uploaded && !backend->frozen_is_empty) {
    struct handle_list *list = open_list(backend);
    wr_handle_deinit(backend->memory, &list->handles[list->count]);
  }
  /* The lists keep their room: a freeze that calls this has just made it. */
  while (backend->next_chain.count > 0)
    wr_handle_deinit(backend->memory, &backend->next_chain.handles[--backend->next_chain.count]);
  backend->uploaded = false;
  backend->outcome_open = false;
}

void wr_backend_snapshot_uploaded(struct wr_backend *backend, uint64_t checkpoint_id, struct wr_handle *handle) {
  WR_ASSERT(!backend->snapshot.is_running);
  if (!backend->outcome_open || backend->uploaded || checkpoint_id != backend->frozen_checkpoint ||
      backend->frozen_is_empty) {
    backend->uploaded |= backend->outcome_open && checkpoint_id == backend->frozen_checkpoint;
    wr_handle_deinit(backend->memory, handle);
    return;
  }
  /* The freeze made room in both lists. */
  struct handle_list *list = open_list(backend);
  list->handles[list->count] = *handle;
  memset(handle, 0, sizeof *handle);
  backend->uploaded = true;
}

const struct wr_handle *wr_backend_chain(const struct wr_backend *backend, uint32_t *out_count) {
  *out_count = backend->chain.count;
  if (!backend->uploaded || backend->frozen_is_empty) return backend->chain.handles;
  bool is_next = backend->frozen_is_base || backend->frozen_is_cumulative;
  const struct handle_list *list = is_next ? &backend->next_chain : &backend->chain;
  *out_count = list->count + 1;
  return list->handles;
}

/* A later cumulative delta says again what became of tables that the base may hold. */
static void keep_drops(struct wr_backend *backend) {
  struct drop_list drops = backend->frozen_drops, made_since = {0};
  backend->frozen_drops = (struct drop_list){0};
  for (struct drop_record *record = drops.first, *next; record != NULL; record = next) {
    next = record->next;
    wr_drops_add(record->generation < backend->base_generation ? &backend->chain_drops : &made_since, record);
  }
  wr_drops_free(backend, &made_since);
}

static void take_over(struct wr_backend *backend) {
  const struct snapshot *snapshot = &backend->snapshot;
  uint64_t written = snapshot->rows_written + snapshot->deletions_written;
  open_list(backend)->count++;
  if (backend->frozen_is_base || backend->frozen_is_cumulative) {
    wr_handles_clear(backend, &backend->chain);
    backend->chain = backend->next_chain;
    backend->next_chain = (struct handle_list){0};
    backend->delta_rows = 0;
  }
  backend->chain_checkpoint = backend->frozen_checkpoint;
  if (!backend->frozen_is_base) {
    backend->delta_rows += written;
    keep_drops(backend);
    return;
  }
  backend->base_checkpoint = backend->frozen_checkpoint;
  backend->base_generation = backend->frozen_generation;
  backend->base_rows = written;
  backend->set_tag[MARKS_OF_CHAIN] = backend->next_tag++;
  wr_drops_free(backend, &backend->chain_drops);
}

void wr_backend_completed(struct wr_backend *backend, uint64_t checkpoint_id) {
  if (!backend->uploaded || checkpoint_id != backend->frozen_checkpoint) return;
  if (!backend->frozen_is_empty) take_over(backend);
  wr_drops_free(backend, &backend->frozen_drops);
  backend->uploaded = false;
  backend->outcome_open = false;
}

void wr_backend_aborted(struct wr_backend *backend, uint64_t checkpoint_id) {
  if (!backend->outcome_open || checkpoint_id != backend->frozen_checkpoint) return;
  wr_backend_snapshot_cancel(backend);
  wr_backend_unite(backend);
}
