/* base/bytes.c: see bytes.h. Integers are stored byte by byte, so the machine's own order does not matter. */
#include "base/bytes.h"

void wr_bytes_init(struct wr_bytes *bytes, struct wr_memory *memory, enum wr_memory_tag tag) {
  *bytes = (struct wr_bytes){.memory = memory, .tag = tag};
}

void wr_bytes_deinit(struct wr_bytes *bytes) {
  if (bytes->memory != NULL) wr_free(bytes->memory, bytes->data);
  *bytes = (struct wr_bytes){.memory = bytes->memory, .tag = bytes->tag};
}

void wr_bytes_clear(struct wr_bytes *bytes) {
  bytes->length = 0;
  bytes->failed = false;
}

uint8_t *wr_bytes_grow(struct wr_bytes *bytes, size_t more) {
  if (bytes->failed) return NULL;
  size_t capacity = bytes->capacity < 64 ? 64 : bytes->capacity;
  while (capacity - bytes->length < more) {
    if (capacity > SIZE_MAX / 2) {
      bytes->failed = true;
      return NULL;
    }
    capacity *= 2;
  }
  uint8_t *data = wr_resize(bytes->memory, bytes->data, capacity, bytes->tag);
  if (data == NULL) {
    bytes->failed = true;
    return NULL;
  }
  bytes->data = data;
  bytes->capacity = capacity;
  return bytes->data + bytes->length;
}

static void put_little_endian(struct wr_bytes *bytes, uint64_t value, size_t width) {
  uint8_t *room = wr_bytes_reserve(bytes, width);
  if (room == NULL) return;
  for (size_t i = 0; i < width; i++)
    room[i] = (uint8_t)(value >> (8 * i));
  bytes->length += width;
}

void wr_bytes_put_u16(struct wr_bytes *bytes, uint16_t value) {
  put_little_endian(bytes, value, 2);
}

void wr_bytes_put_u32(struct wr_bytes *bytes, uint32_t value) {
  put_little_endian(bytes, value, 4);
}

void wr_bytes_put_u64(struct wr_bytes *bytes, uint64_t value) {
  put_little_endian(bytes, value, 8);
}

void wr_bytes_put_block(struct wr_bytes *bytes, const void *data, size_t length) {
  WR_ASSERT(length <= UINT32_MAX);
  wr_bytes_put_u32(bytes, (uint32_t)length);
  wr_bytes_put(bytes, data, length);
}

void wr_bytes_put_string(struct wr_bytes *bytes, const char *string) {
  wr_bytes_put_block(bytes, string, strlen(string));
}

uint8_t *wr_bytes_take(struct wr_bytes *bytes, size_t *out_length) {
  uint8_t *data = bytes->data;
  *out_length = bytes->length;
  bytes->data = NULL;
  bytes->length = bytes->capacity = 0;
  return data;
}

enum weir_code wr_bytes_check(const struct wr_bytes *bytes, struct weir_error *error) {
  if (bytes->failed)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while encoding (%zu bytes so far)", bytes->length);
  return WEIR_OK;
}

const uint8_t *wr_read(struct wr_reader *reader, size_t length) {
  if (reader->failed || length > reader->length - reader->position) {
    reader->failed = true;
    return NULL;
  }
  const uint8_t *data = reader->data + reader->position;
  reader->position += length;
  return data;
}

static uint64_t read_little_endian(struct wr_reader *reader, size_t width) {
  const uint8_t *data = wr_read(reader, width);
  if (data == NULL) return 0;
  uint64_t value = 0;
  for (size_t i = 0; i < width; i++)
    value |= (uint64_t)data[i] << (8 * i);
  return value;
}

uint8_t wr_read_u8(struct wr_reader *reader) {
  return (uint8_t)read_little_endian(reader, 1);
}

uint16_t wr_read_u16(struct wr_reader *reader) {
  return (uint16_t)read_little_endian(reader, 2);
}

uint32_t wr_read_u32(struct wr_reader *reader) {
  return (uint32_t)read_little_endian(reader, 4);
}

uint64_t wr_read_u64(struct wr_reader *reader) {
  return read_little_endian(reader, 8);
}

const uint8_t *wr_read_block(struct wr_reader *reader, size_t *out_length) {
  size_t length = wr_read_u32(reader);
  const uint8_t *data = wr_read(reader, length);
  *out_length = data == NULL ? 0 : length;
  return data;
}

char *wr_read_string(struct wr_reader *reader, struct wr_memory *memory, enum wr_memory_tag tag, size_t limit) {
  size_t length = 0;
  const uint8_t *data = wr_read_block(reader, &length);
  if (data == NULL || length > limit) {
    reader->failed = true;
    return NULL;
  }
  char *string = wr_copy_bytes(memory, data, length, tag);
  if (string == NULL) reader->failed = true;
  return string;
}
