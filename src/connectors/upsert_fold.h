/* connectors/upsert_fold.h: folds the changes of an epoch to the last one per key. Pure; one thread.
 *
 * Batches go in, in order; out come their rows that still count, each key once, in the order in which keys first came,
 * so that what is written does not depend on the order of a hash table. +I and +U say "is this now", -D "is gone"; -U
 * says nothing, for a +U or -D of the same key follows it. Holds references to the batches until it is cleared.
 */
#ifndef WR_CONNECTORS_UPSERT_FOLD_H
#define WR_CONNECTORS_UPSERT_FOLD_H

#include "data/key.h"

struct wr_fold_change {
  uint32_t batch; /* index into `batches` */
  uint32_t row;   /* of the batch: its last change of this key */
  uint32_t key_length;
  uint64_t key_offset; /* into `keys` */
  uint64_t hash;
};

struct wr_upsert_fold {
  struct wr_memory *memory;
  struct wr_key_fields key;
  bool skips_null_keys;      /* set by the owner: rows with a NULL in their key are passed over, and are the owner's */
  struct wr_batch **batches; /* one reference each */
  uint32_t batch_count, batch_capacity;
  size_t batch_bytes; /* what they hold */
  struct wr_fold_change *changes;
  uint32_t change_count, change_capacity;
  uint32_t *slots;      /* open addressing: number of a change plus 1; 0: free */
  uint32_t slot_count;  /* a power of two, 0 before the first batch */
  struct wr_bytes keys; /* canonical bytes of all keys */
  struct wr_bytes scratch;
  struct wr_key *batch_keys; /* WR_BATCH_ROWS_MAX of them */
};

/* `key` is borrowed. */
void wr_upsert_fold_init(struct wr_upsert_fold *fold, struct wr_memory *memory, struct wr_key_fields key);
void wr_upsert_fold_deinit(struct wr_upsert_fold *fold);
/* Forgets all changes; keeps the memory. */
void wr_upsert_fold_clear(struct wr_upsert_fold *fold);
/* CONSTRAINT when a key has a NULL, unless such rows are skipped: it could never be found again. */
enum weir_code wr_upsert_fold_add(struct wr_upsert_fold *fold, struct wr_batch *batch, struct weir_error *error);
bool wr_upsert_fold_has_null_key(const struct wr_upsert_fold *fold, const struct wr_batch *batch, uint32_t row);
/* So much is held that it should be written out before the next batch. */
bool wr_upsert_fold_is_full(const struct wr_upsert_fold *fold);

#endif
