/* store/handle.c: handles and the names of data files. Pure; any thread.
 *
 * A stored handle:
 *
 *   u8   kind           1 inline, 2 in a file
 *   inline:
 *   u32  length         of the payload
 *   ...  payload        covered by the checksum of whatever the handle lies in
 *   in a file:
 *   u32  name length    then the name, "d-<start number>-<serial>", decimal, no leading zeros
 *   u64  offset         of the first block in the file
 *   u64  length         of the payload, without the blocks' headers; at least 1
 *   u64  digest low     XXH3-128 of the payload
 *   u64  digest high
 */
#include "store/blob.h"

#include <inttypes.h>
#include <stdio.h>

enum handle_kind { HANDLE_INLINE = 1, HANDLE_FILE = 2 };

void wr_data_file_name(uint64_t start_number, uint64_t serial, char out_name[WR_FILE_NAME_BYTES]) {
  snprintf(out_name, WR_FILE_NAME_BYTES, "d-%" PRIu64 "-%" PRIu64, start_number, serial);
}

/* Digits of a u64 without a leading zero; the first character after them, NULL when there is no such number. */
static const char *parse_number(const char *text, uint64_t *out_value) {
  if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9')) return NULL;
  uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; text++) {
    if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
      return NULL;
  }
  *out_value = value;
  return text;
}

bool wr_data_file_parse(const char *name, uint64_t *out_start_number, uint64_t *out_serial) {
  if (name[0] != 'd' || name[1] != '-') return false;
  const char *rest = parse_number(name + 2, out_start_number);
  if (rest == NULL || *rest != '-') return false;
  rest = parse_number(rest + 1, out_serial);
  return rest != NULL && *rest == 0;
}

uint64_t wr_handle_file_bytes(const struct wr_handle *handle) {
  return handle->file[0] == 0 ? 0 : handle->offset + wr_blob_framed_bytes(handle->length);
}

enum weir_code wr_handle_of_bytes(struct wr_memory *memory, const void *bytes, size_t length,
                                  struct wr_handle *out_handle, struct weir_error *error) {
  *out_handle = (struct wr_handle){.length = length, .digest = wr_digest_of(bytes, length)};
  if (length == 0) return WEIR_OK;
  out_handle->inline_bytes = wr_copy_bytes(memory, bytes, length, WR_MEMORY_SNAPSHOT);
  if (out_handle->inline_bytes == NULL) {
    *out_handle = (struct wr_handle){0};
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %zu bytes of small state", length);
  }
  return WEIR_OK;
}

enum weir_code wr_handle_copy(struct wr_memory *memory, const struct wr_handle *source, struct wr_handle *out_target,
                              struct weir_error *error) {
  *out_target = *source;
  if (source->inline_bytes == NULL) return WEIR_OK;
  out_target->inline_bytes = wr_copy_bytes(memory, source->inline_bytes, (size_t)source->length, WR_MEMORY_SNAPSHOT);
  if (out_target->inline_bytes == NULL) {
    *out_target = (struct wr_handle){0};
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %" PRIu64 " bytes of small state", source->length);
  }
  return WEIR_OK;
}

void wr_handle_deinit(struct wr_memory *memory, struct wr_handle *handle) {
  wr_free(memory, handle->inline_bytes);
  *handle = (struct wr_handle){0};
}

void wr_handle_put(struct wr_bytes *out, const struct wr_handle *handle) {
  if (handle->file[0] == 0) {
    wr_bytes_put_u8(out, HANDLE_INLINE);
    wr_bytes_put_block(out, handle->inline_bytes, (size_t)handle->length);
    return;
  }
  wr_bytes_put_u8(out, HANDLE_FILE);
  wr_bytes_put_string(out, handle->file);
  wr_bytes_put_u64(out, handle->offset);
  wr_bytes_put_u64(out, handle->length);
  wr_bytes_put_u64(out, handle->digest.low);
  wr_bytes_put_u64(out, handle->digest.high);
}

static enum weir_code read_inline(struct wr_reader *reader, struct wr_memory *memory, struct wr_handle *out_handle,
                                  size_t position, struct weir_error *error) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (reader->failed) return WR_FAIL(error, WEIR_CORRUPT, "the handle at byte %zu is cut short", position);
  return wr_handle_of_bytes(memory, bytes, length, out_handle, error);
}

static enum weir_code read_file(struct wr_reader *reader, struct wr_handle *out_handle, size_t position,
                                struct weir_error *error) {
  size_t name_length = 0;
  const uint8_t *name = wr_read_block(reader, &name_length);
  struct wr_handle handle = {.offset = wr_read_u64(reader), .length = wr_read_u64(reader)};
  handle.digest.low = wr_read_u64(reader);
  handle.digest.high = wr_read_u64(reader);
  if (reader->failed) return WR_FAIL(error, WEIR_CORRUPT, "the handle at byte %zu is cut short", position);
  uint64_t start_number, serial;
  bool good = name_length < sizeof handle.file && memchr(name, 0, name_length) == NULL;
  if (good) memcpy(handle.file, name, name_length);
  if (!good || !wr_data_file_parse(handle.file, &start_number, &serial))
    return WR_FAIL(error, WEIR_CORRUPT, "the handle at byte %zu does not name a data file", position);
  if (handle.offset < WR_BLOB_HEADER_BYTES_MIN || handle.offset > WR_BLOB_HEADER_BYTES_MAX || handle.length == 0 ||
      handle.length > INT64_MAX)
    return WR_FAIL(error, WEIR_CORRUPT, "the handle at byte %zu names an impossible place in %s", position,
                   handle.file);
  *out_handle = handle;
  return WEIR_OK;
}

enum weir_code wr_handle_read(struct wr_reader *reader, struct wr_memory *memory, struct wr_handle *out_handle,
                              struct weir_error *error) {
  size_t position = reader->position;
  uint8_t kind = wr_read_u8(reader);
  *out_handle = (struct wr_handle){0};
  if (reader->failed) return WR_FAIL(error, WEIR_CORRUPT, "the handle at byte %zu is cut short", position);
  if (kind == HANDLE_INLINE) return read_inline(reader, memory, out_handle, position, error);
  if (kind == HANDLE_FILE) return read_file(reader, out_handle, position, error);
  return WR_FAIL(error, WEIR_CORRUPT, "the handle at byte %zu is of the unknown kind %u", position, kind);
}
