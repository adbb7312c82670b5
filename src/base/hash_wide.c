/* base/hash_wide.c: see hash_wide.h. The state of a stream is the same as that of hash.c's. */
#include "base/hash_wide.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

uint64_t wr_checksum_wide(const void *bytes, size_t length) {
  return XXH3_64bits(bytes, length);
}

void wr_digest_add_wide(struct wr_digest_stream *stream, const void *bytes, size_t length) {
  XXH3_128bits_update((XXH3_state_t *)stream->state, bytes, length);
}
