/* checkpoint/frame.c: see frame.h.
 *
 *   0    8   magic, the file's kind
 *   8    4   version
 *   12   8   length of the whole file
 *   20   n   body, by kind and version
 *   end  16  XXH3-128 of all before it, low half first
 *
 * Everything but the body is the same in every version, so that a version that is too high can be told from damage.
 */
#include "checkpoint/frame.h"

#include "base/hash.h"

#include <inttypes.h>

enum { HEAD_BYTES = 20, DIGEST_BYTES = 16 };

void wr_frame_begin(struct wr_bytes *out, const char *magic, uint32_t version) {
  WR_ASSERT(out->length == 0 && strlen(magic) == WR_FRAME_MAGIC_BYTES);
  wr_bytes_put(out, magic, WR_FRAME_MAGIC_BYTES);
  wr_bytes_put_u32(out, version);
  wr_bytes_put_u64(out, 0);
}

enum weir_code wr_frame_end(struct wr_bytes *out, struct weir_error *error) {
  WR_TRY(wr_bytes_check(out, error));
  uint64_t length = (uint64_t)out->length + DIGEST_BYTES;
  for (int i = 0; i < 8; i++)
    out->data[12 + i] = (uint8_t)(length >> (8 * i));
  struct wr_digest digest = wr_digest_of(out->data, out->length);
  wr_bytes_put_u64(out, digest.low);
  wr_bytes_put_u64(out, digest.high);
  return wr_bytes_check(out, error);
}

enum weir_code wr_frame_open(const uint8_t *data, size_t length, const char *magic, uint32_t version, const char *name,
                             const char *what, struct wr_reader *out_body, struct weir_error *error) {
  struct wr_reader head = wr_reader_of(data, length);
  const uint8_t *found = wr_read(&head, WR_FRAME_MAGIC_BYTES);
  uint32_t found_version = wr_read_u32(&head);
  uint64_t found_length = wr_read_u64(&head);
  if (length < HEAD_BYTES + DIGEST_BYTES)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it has only %zu bytes", name, length);
  if (memcmp(found, magic, WR_FRAME_MAGIC_BYTES) != 0)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it does not begin as %s of weir", name, what);
  if (found_length != length)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it has %zu bytes and says that it has %" PRIu64, name, length,
                   found_length);
  struct wr_reader tail = wr_reader_of(data + length - DIGEST_BYTES, DIGEST_BYTES);
  uint64_t low = wr_read_u64(&tail), high = wr_read_u64(&tail);
  struct wr_digest digest = wr_digest_of(data, length - DIGEST_BYTES);
  if (digest.low != low || digest.high != high)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: the digest of its %zu bytes is wrong", name, length);
  if (found_version > version)
    return WR_FAIL(
        error, WEIR_NEWER,
        "%s was written by a newer weir: it has format version %u, and this weir reads versions up to %u; use "
        "the newer weir",
        name, found_version, version);
  if (found_version == 0) return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it has format version 0", name);
  *out_body = wr_reader_of(data, length - DIGEST_BYTES);
  out_body->position = HEAD_BYTES;
  return WEIR_OK;
}
