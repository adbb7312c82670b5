/* state/blobs.h: the bytes of a table's long keys and long STRING and BYTES values.
 *
 * A row holds a *bytes reference* of 16 bytes: up to 12 bytes lie in it (the rest of it zero), more lie in a blob. A
 * blob is immutable; setting a value makes a new one. Blobs come from the table's pool in size classes (16 bytes apart
 * up to 128, then four to a doubling, up to 4 KiB; above that each is a block of its own), so that dropping a table
 * frees a few chunks and never walks rows. Each blob has a link of 8 bytes in front: for the list of free ones, and for
 * those that were freed while a running snapshot can still read them (held), whose content must stay.
 */
#ifndef WR_STATE_BLOBS_H
#define WR_STATE_BLOBS_H

#include "base/memory.h"

#include <stdbool.h>

struct wr_backend;

enum {
  REFERENCE_INLINE_MAX = 12,
  BLOB_CLASSES = 28,
  BLOB_CLASS_BYTES_MAX = 4096,
  BLOB_CHUNK_FIRST_BYTES = 4 * 1024 + 64,
  BLOB_CHUNK_BYTES = 64 * 1024,
};
#define REFERENCE_NULL UINT32_MAX /* length of the key that is NULL */

struct blob {
  struct blob *next;
  uint8_t data[];
};

union bytes_reference {
  struct {
    uint32_t length;
    uint8_t bytes[REFERENCE_INLINE_MAX];
  } near;
  struct {
    uint32_t length;
    uint32_t epoch; /* of the backend when the blob was made */
    struct blob *blob;
  } far;
};
_Static_assert(sizeof(union bytes_reference) == 16, "a bytes reference is 16 bytes");

struct blob_pool {
  struct wr_backend *backend;
  struct blob_lists *lists;  /* NULL until the first blob */
  struct blob_chunk *chunks; /* the newest first */
  struct blob_large *large;  /* ring of the large ones */
};

void wr_blobs_init(struct blob_pool *pool, struct wr_backend *backend);
/* Frees about `*blocks` blocks and lowers that; true when nothing is left. */
bool wr_blobs_free_some(struct blob_pool *pool, uint32_t *blocks);
/* Room for `length` bytes (more than REFERENCE_INLINE_MAX); NULL: no memory. */
struct blob *wr_blobs_take(struct blob_pool *pool, uint32_t length);
/* Frees a blob of that length; `is_held`: only when wr_blobs_release_held comes. */
void wr_blobs_give(struct blob_pool *pool, struct blob *blob, uint32_t length, bool is_held);
/* The snapshot has ended: what was held is free. O(classes) and large ones. */
void wr_blobs_release_held(struct blob_pool *pool);

static inline bool reference_is_far(const union bytes_reference *reference) {
  return reference->near.length > REFERENCE_INLINE_MAX && reference->near.length != REFERENCE_NULL;
}
static inline const uint8_t *reference_bytes(const union bytes_reference *reference) {
  return reference_is_far(reference) ? reference->far.blob->data : reference->near.bytes;
}

#endif
