/* base/hash_wide.h: hash.c's checksums once more, for processors with AVX2: the same values, more than twice as fast.
 *
 * hash_wide.c alone is compiled for such processors, so nothing of it may be called where wr_hash_has_wide says no.
 */
#ifndef WR_BASE_HASH_WIDE_H
#define WR_BASE_HASH_WIDE_H

#include "base/hash.h"

#include <stdbool.h>

static inline bool wr_hash_has_wide(void) {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx2") != 0;
#else
  return false;
#endif
}

uint64_t wr_checksum_wide(const void *bytes, size_t length);
void wr_digest_add_wide(struct wr_digest_stream *stream, const void *bytes, size_t length);

#endif
