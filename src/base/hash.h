/* base/hash.h: the two hashes of weir, and digests. Pure; any thread.
 *
 * wr_hash_key is XXH3-64 with seed 0: key groups depend on it, so it is part of the format and never changes.
 * wr_hash_index_* are seeded per process and serve the state's indexes only: nothing that is stored or sent depends on
 * them. wr_digest is XXH3-128 over whole files and blobs.
 */
#ifndef WR_BASE_HASH_H
#define WR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t wr_hash_key(const void *bytes, size_t length);
/* wr_hash_key of the eight bytes of `value`, little-endian. */
uint64_t wr_hash_key_u64(uint64_t value);
/* The same for `count` values: values[i], or values[rows[i]] where `rows` is not NULL. */
void wr_hash_keys_u64(const int64_t *values, const uint16_t *rows, size_t count, uint64_t *out_hashes);
/* XXH3-64 of a block on disk: the same function as wr_hash_key, named for its use. */
uint64_t wr_checksum(const void *bytes, size_t length);

uint64_t wr_hash_index(const void *bytes, size_t length, uint64_t seed);
/* The finaliser of MurmurHash3 over value ^ seed: a bijection, so two numbers never collide in all 64 bits. */
static inline uint64_t wr_hash_index_u64(uint64_t value, uint64_t seed) {
  uint64_t x = value ^ seed;
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

struct wr_digest {
  uint64_t low, high;
};
struct wr_digest wr_digest_of(const void *bytes, size_t length);

/* The same digest over pieces, in order. Holds about 600 bytes, inside; needs no release. */
struct wr_digest_stream {
  _Alignas(64) unsigned char state[640];
};
void wr_digest_start(struct wr_digest_stream *stream);
void wr_digest_add(struct wr_digest_stream *stream, const void *bytes, size_t length);
struct wr_digest wr_digest_end(const struct wr_digest_stream *stream);

#endif
