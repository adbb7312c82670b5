/* base/bytes.h: a growable run of bytes to encode into, and a bounds-checked reader over one.
 *
 * All formats of weir are little-endian. A writer remembers its first failure (no memory, over the limit) and ignores
 * what comes after, so that an encoder checks once, at its end; a reader does the same with "past the end". Not shared
 * between threads.
 */
#ifndef WR_BASE_BYTES_H
#define WR_BASE_BYTES_H

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* The four bytes of a number, little-endian, wherever they lie. */
static inline void wr_store_u32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
  at[2] = (uint8_t)(value >> 16);
  at[3] = (uint8_t)(value >> 24);
}
static inline uint32_t wr_load_u32(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

struct wr_bytes {
  struct wr_memory *memory;
  enum wr_memory_tag tag;
  uint8_t *data;
  size_t length;
  size_t capacity;
  bool failed; /* an append found no memory; `data` holds what came before it */
};

void wr_bytes_init(struct wr_bytes *bytes, struct wr_memory *memory, enum wr_memory_tag tag);
void wr_bytes_deinit(struct wr_bytes *bytes);
/* Empties it; keeps the memory. */
void wr_bytes_clear(struct wr_bytes *bytes);
/* Room for `more` bytes after `length`, when there is not enough: for wr_bytes_reserve. */
uint8_t *wr_bytes_grow(struct wr_bytes *bytes, size_t more);
/* Room for `more` bytes after `length`; NULL (and `failed`) when there is none. The caller then adds to `length`. */
static inline uint8_t *wr_bytes_reserve(struct wr_bytes *bytes, size_t more) {
  if (bytes->failed || more > bytes->capacity - bytes->length) return wr_bytes_grow(bytes, more);
  return bytes->data + bytes->length;
}
static inline void wr_bytes_put(struct wr_bytes *bytes, const void *data, size_t length) {
  if (length == 0) return;
  uint8_t *room = wr_bytes_reserve(bytes, length);
  if (room == NULL) return;
  memcpy(room, data, length);
  bytes->length += length;
}
static inline void wr_bytes_put_u8(struct wr_bytes *bytes, uint8_t value) {
  uint8_t *room = wr_bytes_reserve(bytes, 1);
  if (room == NULL) return;
  *room = value;
  bytes->length++;
}
void wr_bytes_put_u16(struct wr_bytes *bytes, uint16_t value);
void wr_bytes_put_u32(struct wr_bytes *bytes, uint32_t value);
void wr_bytes_put_u64(struct wr_bytes *bytes, uint64_t value);
/* u32 length, then the bytes. */
void wr_bytes_put_block(struct wr_bytes *bytes, const void *data, size_t length);
void wr_bytes_put_string(struct wr_bytes *bytes, const char *string);
/* Hands the memory over to the caller, who frees it; the writer is empty afterwards. */
uint8_t *wr_bytes_take(struct wr_bytes *bytes, size_t *out_length);
/* NO_MEMORY when an append failed. */
enum weir_code wr_bytes_check(const struct wr_bytes *bytes, struct weir_error *error);

struct wr_reader {
  const uint8_t *data;
  size_t length;
  size_t position;
  bool failed; /* a read went past the end; it and all after it gave zeros */
};

static inline struct wr_reader wr_reader_of(const void *data, size_t length) {
  return (struct wr_reader){.data = data, .length = length};
}
/* A view of the next `length` bytes; NULL when there are fewer. */
const uint8_t *wr_read(struct wr_reader *reader, size_t length);
uint8_t wr_read_u8(struct wr_reader *reader);
uint16_t wr_read_u16(struct wr_reader *reader);
uint32_t wr_read_u32(struct wr_reader *reader);
uint64_t wr_read_u64(struct wr_reader *reader);
/* Reads a block of wr_bytes_put_block; a view, not a copy. */
const uint8_t *wr_read_block(struct wr_reader *reader, size_t *out_length);
/* As wr_read_block, copied with a zero after it; NULL and `failed` past the end, over `limit`, or without memory. */
char *wr_read_string(struct wr_reader *reader, struct wr_memory *memory, enum wr_memory_tag tag, size_t limit);

#endif
