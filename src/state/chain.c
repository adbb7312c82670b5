/* state/chain.c: which snapshots stand, and what becomes of F(N). The task's thread.
 *
 * `chain` is the chain of the last checkpoint that is known to be completed (or was restored), base first. The snapshot
 * frozen last is *open* until its outcome is known. Its handle, once uploaded, lies behind the completed ones (a delta)
 * or in `base`; completed() takes it over, everything else throws it away and unites F(N) with the marks since.
 */
#include "state/internal.h"

void wr_handles_clear(struct wr_backend *backend, struct handle_list *list) {
  for (uint32_t i = 0; i < list->count; i++)
    wr_handle_deinit(backend->memory, &list->handles[i]);
  wr_state_release(backend, list->handles, list->capacity * sizeof(struct wr_handle));
  *list = (struct handle_list){0};
}

void wr_drops_free(struct wr_backend *backend, struct drop_list *list) {
  while (list->first != NULL) {
    struct drop_record *record = list->first;
    list->first = record->next;
    wr_state_release(backend, record, sizeof *record);
  }
  list->last = NULL;
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
    /* The lists keep their room: a freeze that calls this has just made it. */
    struct handle_list *list = backend->frozen_is_base ? &backend->base : &backend->chain;
    if (backend->frozen_is_base) list->count = 0;
    wr_handle_deinit(backend->memory, &list->handles[list->count]);
  }
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
  struct handle_list *list = backend->frozen_is_base ? &backend->base : &backend->chain;
  list->handles[list->count] = *handle;
  if (backend->frozen_is_base) list->count = 1;
  memset(handle, 0, sizeof *handle);
  backend->uploaded = true;
}

const struct wr_handle *wr_backend_chain(const struct wr_backend *backend, uint32_t *out_count) {
  *out_count = backend->chain.count;
  if (!backend->uploaded || backend->frozen_is_empty) return backend->chain.handles;
  if (backend->frozen_is_base) {
    *out_count = 1;
    return backend->base.handles;
  }
  *out_count = backend->chain.count + 1;
  return backend->chain.handles;
}

void wr_backend_completed(struct wr_backend *backend, uint64_t checkpoint_id) {
  if (!backend->uploaded || checkpoint_id != backend->frozen_checkpoint) return;
  if (!backend->frozen_is_empty) {
    if (backend->frozen_is_base) {
      wr_handles_clear(backend, &backend->chain);
      backend->chain = backend->base;
      backend->base = (struct handle_list){0};
    } else {
      backend->chain.count++;
    }
    backend->chain_checkpoint = checkpoint_id;
  }
  wr_drops_free(backend, &backend->frozen_drops);
  backend->uploaded = false;
  backend->outcome_open = false;
}

void wr_backend_aborted(struct wr_backend *backend, uint64_t checkpoint_id) {
  if (!backend->outcome_open || checkpoint_id != backend->frozen_checkpoint) return;
  wr_backend_snapshot_cancel(backend);
  wr_backend_unite(backend);
}
