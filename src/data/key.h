/* data/key.h: canonical key bytes, key hashes and key groups. Pure; any thread.
 *
 * A key is one or more fields of a record. Its canonical bytes decide its key group and its identity in state, so they
 * are part of the format (docs/keys.md has the table and golden vectors):
 *
 *   BOOLEAN  1 byte, 0 or 1            INT  4 bytes          BIGINT  8 bytes          (little-endian)
 *   DOUBLE   8 bytes; -0.0 as 0.0, every NaN as 0x7ff8000000000000
 *   TIMESTAMP  8 bytes milliseconds, 4 bytes nanoseconds
 *   STRING, BYTES  the bytes; in a key of several fields after their u32 length
 *
 * A key of one field is the bytes of that field, and a NULL is the empty key with the null mark set. In a key
 * of several fields each field has one byte in front of it, 1 where the value is there and 0 where it is NULL (then
 * nothing of it follows). Key group = XXH3-64 (seed 0) of the canonical bytes, modulo the maximum parallelism. A NULL
 * key of one field has the hash of no bytes.
 */
#ifndef WR_DATA_KEY_H
#define WR_DATA_KEY_H

#include "base/bytes.h"
#include "data/batch.h"

/* Which fields of a schema are the key. */
struct wr_key_fields {
  const uint32_t *fields;
  uint32_t count; /* 0: not keyed */
};

/* One key's canonical bytes, as a view: of the batch itself (one STRING or BYTES field), or of the scratch. */
struct wr_key {
  const uint8_t *bytes;
  uint32_t length;
  bool is_null; /* a key of one field that is NULL; length is 0 */
};

/* The keys of a batch's selected rows. Fills out_keys[0..selected_count). `scratch` is cleared and holds what needs
 * room; the views hold until it is used again or the batch goes. LIMIT when a key is over WR_KEY_BYTES_MAX. */
enum weir_code wr_keys_of_batch(const struct wr_batch *batch, const struct wr_key_fields *key, struct wr_bytes *scratch,
                                struct wr_key *out_keys, struct weir_error *error);
/* True when the key is one BIGINT field without NULLs: then wr_keys_* is not needed, the column is the keys. */
bool wr_key_is_bigint(const struct weir_schema *schema, const struct wr_key_fields *key);
/* Key hashes of the selected rows: out_hashes[0..selected_count). One pass per column; BIGINT keys take the fast path.
 */
enum weir_code wr_key_hashes(const struct wr_batch *batch, const struct wr_key_fields *key, struct wr_bytes *scratch,
                             uint64_t *out_hashes, struct weir_error *error);

static inline uint32_t wr_key_group(uint64_t key_hash, uint32_t max_parallelism) {
  return (uint32_t)(key_hash % max_parallelism);
}
/* Which subtask owns a key group: group * parallelism / max_parallelism (Flink's rule). */
static inline uint32_t wr_key_group_subtask(uint32_t group, uint32_t parallelism, uint32_t max_parallelism) {
  return (uint32_t)((uint64_t)group * parallelism / max_parallelism);
}
/* The groups [first, end) of one subtask. */
struct wr_key_group_range {
  uint32_t first, end;
};
static inline struct wr_key_group_range wr_key_group_range_of(uint32_t subtask, uint32_t parallelism,
                                                              uint32_t max_parallelism) {
  struct wr_key_group_range range;
  range.first = (uint32_t)(((uint64_t)subtask * max_parallelism + parallelism - 1) / parallelism);
  range.end = (uint32_t)((((uint64_t)subtask + 1) * max_parallelism + parallelism - 1) / parallelism);
  return range;
}

#endif
