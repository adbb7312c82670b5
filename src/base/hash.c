/* base/hash.c: xxHash behind hash.h; it and hash_wide.c are the only files that include it. */
#include "base/hash_wide.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "columns are hashed and stored as they lie in memory");
_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct wr_digest_stream), "the stream holds xxHash's state");
_Static_assert(_Alignof(XXH3_state_t) <= 64, "the stream is aligned for xxHash's state");

enum { WIDE_BYTES_MIN = 1024 }; /* fewer are quick in any case */

uint64_t wr_hash_key(const void *bytes, size_t length) {
  return XXH3_64bits(bytes, length);
}

uint64_t wr_hash_key_u64(uint64_t value) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(value >> (8 * i));
  return XXH3_64bits(bytes, sizeof bytes);
}

void wr_hash_keys_u64(const int64_t *values, const uint16_t *rows, size_t count, uint64_t *out_hashes) {
  if (rows == NULL) {
    for (size_t i = 0; i < count; i++)
      out_hashes[i] = XXH3_64bits(&values[i], sizeof values[i]);
  } else {
    for (size_t i = 0; i < count; i++)
      out_hashes[i] = XXH3_64bits(&values[rows[i]], sizeof values[0]);
  }
}

uint64_t wr_checksum(const void *bytes, size_t length) {
  if (length >= WIDE_BYTES_MIN && wr_hash_has_wide()) return wr_checksum_wide(bytes, length);
  return XXH3_64bits(bytes, length);
}

uint64_t wr_hash_index(const void *bytes, size_t length, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes, length, seed);
}

static struct wr_digest from_xxh(XXH128_hash_t hash) {
  return (struct wr_digest){.low = hash.low64, .high = hash.high64};
}

struct wr_digest wr_digest_of(const void *bytes, size_t length) {
  return from_xxh(XXH3_128bits(bytes, length));
}

void wr_digest_start(struct wr_digest_stream *stream) {
  memset(stream->state, 0, sizeof stream->state);
  XXH3_128bits_reset((XXH3_state_t *)stream->state);
}

void wr_digest_add(struct wr_digest_stream *stream, const void *bytes, size_t length) {
  if (length >= WIDE_BYTES_MIN && wr_hash_has_wide()) {
    wr_digest_add_wide(stream, bytes, length);
    return;
  }
  XXH3_128bits_update((XXH3_state_t *)stream->state, bytes, length);
}

struct wr_digest wr_digest_end(const struct wr_digest_stream *stream) {
  return from_xxh(XXH3_128bits_digest((const XXH3_state_t *)stream->state));
}
