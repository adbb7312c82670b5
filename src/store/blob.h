/* store/blob.h: the layout of a data file, for those who write (upload.c) and read it (blob.c). The byte table is in
 * blob.c. Pure; any thread. */
#ifndef WR_STORE_BLOB_H
#define WR_STORE_BLOB_H

#include "store/store.h"

enum {
  WR_BLOB_HEADER_BYTES_MIN = 68,
  WR_BLOB_HEADER_BYTES_MAX = WR_BLOB_HEADER_BYTES_MIN + WR_UID_BYTES_MAX,
  WR_BLOB_BLOCK_HEADER_BYTES = 24,
  WR_BLOB_ALIGN_SLACK = 48 /* see wr_blob_align */
};

/* Where a struct with a digest stream in it, aligned to 64 bytes, begins in memory of the seam, which is aligned to 16
 * and was asked for with WR_BLOB_ALIGN_SLACK bytes more. */
static inline void *wr_blob_align(void *allocation) {
  return (void *)(((uintptr_t)allocation + 63) & ~(uintptr_t)63);
}

/* What the header of a data file says. */
struct wr_blob_header {
  enum wr_blob_kind kind;
  uint32_t subtask;
  uint64_t start_number;
  uint64_t serial;
  uint8_t incarnation[WR_INCARNATION_BYTES];
  char uid[WR_UID_BYTES_MAX + 1];
};

/* How many bytes blocks with `payload_bytes` in them take: all are full but the last. */
static inline uint64_t wr_blob_framed_bytes(uint64_t payload_bytes) {
  uint64_t blocks = payload_bytes / WR_BLOCK_BYTES_MAX + (payload_bytes % WR_BLOCK_BYTES_MAX != 0);
  return payload_bytes + blocks * WR_BLOB_BLOCK_HEADER_BYTES;
}

/* Fills `out` (WR_BLOB_HEADER_BYTES_MAX bytes); returns the header's length. *out_salt is the salt of the file's
 * blocks. */
size_t wr_blob_header_encode(const struct wr_blob_header *header, uint8_t *out, uint64_t *out_salt);
/* `data` must be the header, exactly. `path` is for the messages. */
enum weir_code wr_blob_header_decode(const uint8_t *data, size_t length, const char *path,
                                     struct wr_blob_header *out_header, uint64_t *out_salt, struct weir_error *error);
/* Fills the header of a block: `block` has room for it in front of `payload_bytes` of payload. */
void wr_blob_block_seal(uint8_t *block, uint32_t payload_bytes, uint64_t file_offset, uint64_t salt);
/* Is this the block of `payload_bytes` at `file_offset`? Changes nothing that stays. */
enum weir_code wr_blob_block_check(uint8_t *block, uint32_t payload_bytes, uint64_t file_offset, uint64_t salt,
                                   const char *path, struct weir_error *error);

#endif
