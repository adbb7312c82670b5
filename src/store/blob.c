/* store/blob.c: the layout of a data file, and the reader.
 *
 * A data file "d-<start number>-<serial>" is written once and never changed: a header, then blocks. All integers are
 * little-endian.
 *
 *   header
 *   0    8   magic "WEIRDATA"
 *   8    4   version, 1
 *   12   4   length of this header with its checksum: 68 + n
 *   16   4   kind: 1 state, 2 epoch
 *   20   4   subtask that wrote it
 *   24   8   start number       the two numbers of the name
 *   32   8   serial
 *   40   16  incarnation that wrote it
 *   56   4   n
 *   60   n   uid of the operator
 *   60+n 8   XXH3-64 of all before it; it is also the salt of the blocks
 *   Magic, version, length and the place of the checksum are the same in every version.
 *
 *   block, from the end of the header to the end of the file; all have a payload of 256 KiB but the last
 *   0    4   magic "WBLK"
 *   4    4   m, length of the payload, 1 to 256 KiB
 *   8    8   where this block begins in the file
 *   16   8   XXH3-64 of the whole block, 24 + m bytes, with the salt in this place
 *   24   m   payload
 *
 * The checksum covers the block's length and place, and through the salt the start number and serial: bytes that an
 * older file left on the disk, or that lie at a wrong place, are never taken for good. The digest of the joined
 * payloads and their length lie outside, in the handle: a file swapped for another sound one is noticed too.
 *
 * A reader belongs to one thread at a time and blocks: use it inside a call.
 */
#include "store/blob.h"

#include <inttypes.h>
#include <stdio.h>

enum { BLOB_VERSION = 1 };
static const uint8_t header_magic[8] = "WEIRDATA";
static const uint8_t block_magic[4] = "WBLK";

static void store_u32(uint8_t *out, uint32_t value) {
  for (int i = 0; i < 4; i++)
    out[i] = (uint8_t)(value >> (8 * i));
}

static void store_u64(uint8_t *out, uint64_t value) {
  for (int i = 0; i < 8; i++)
    out[i] = (uint8_t)(value >> (8 * i));
}

/* ---- layout ---- */

size_t wr_blob_header_encode(const struct wr_blob_header *header, uint8_t *out, uint64_t *out_salt) {
  size_t uid_length = strlen(header->uid);
  memcpy(out, header_magic, sizeof header_magic);
  store_u32(out + 8, BLOB_VERSION);
  store_u32(out + 12, (uint32_t)(WR_BLOB_HEADER_BYTES_MIN + uid_length));
  store_u32(out + 16, (uint32_t)header->kind);
  store_u32(out + 20, header->subtask);
  store_u64(out + 24, header->start_number);
  store_u64(out + 32, header->serial);
  memcpy(out + 40, header->incarnation, WR_INCARNATION_BYTES);
  store_u32(out + 56, (uint32_t)uid_length);
  memcpy(out + 60, header->uid, uid_length);
  *out_salt = wr_checksum(out, 60 + uid_length);
  store_u64(out + 60 + uid_length, *out_salt);
  return WR_BLOB_HEADER_BYTES_MIN + uid_length;
}

enum weir_code wr_blob_header_decode(const uint8_t *data, size_t length, const char *path,
                                     struct wr_blob_header *out_header, uint64_t *out_salt, struct weir_error *error) {
  *out_header = (struct wr_blob_header){0};
  struct wr_reader reader = wr_reader_of(data, length);
  const uint8_t *magic = wr_read(&reader, sizeof header_magic);
  if (magic == NULL || memcmp(magic, header_magic, sizeof header_magic) != 0)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it does not begin as a data file of weir", path);
  uint32_t version = wr_read_u32(&reader);
  if (wr_read_u32(&reader) != length || length < WR_BLOB_HEADER_BYTES_MIN)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: the length of its header is wrong", path);
  struct wr_reader tail = wr_reader_of(data + length - 8, 8);
  *out_salt = wr_read_u64(&tail);
  if (*out_salt != wr_checksum(data, length - 8))
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: the checksum of its header is wrong", path);
  if (version > BLOB_VERSION)
    return WR_FAIL(error, WEIR_NEWER, "%s has format version %u; this weir reads versions up to %u: use a newer weir",
                   path, version, BLOB_VERSION);
  uint32_t kind = wr_read_u32(&reader);
  out_header->kind = (enum wr_blob_kind)kind;
  out_header->subtask = wr_read_u32(&reader);
  out_header->start_number = wr_read_u64(&reader);
  out_header->serial = wr_read_u64(&reader);
  const uint8_t *incarnation = wr_read(&reader, WR_INCARNATION_BYTES);
  size_t uid_length = 0;
  const uint8_t *uid = wr_read_block(&reader, &uid_length);
  if (version == 0 || (kind != WR_BLOB_STATE && kind != WR_BLOB_EPOCH) || uid == NULL ||
      uid_length > WR_UID_BYTES_MAX || reader.position != length - 8)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: its header makes no sense", path);
  memcpy(out_header->incarnation, incarnation, WR_INCARNATION_BYTES);
  memcpy(out_header->uid, uid, uid_length);
  return WEIR_OK;
}

void wr_blob_block_seal(uint8_t *block, uint32_t payload_bytes, uint64_t file_offset, uint64_t salt) {
  memcpy(block, block_magic, sizeof block_magic);
  store_u32(block + 4, payload_bytes);
  store_u64(block + 8, file_offset);
  store_u64(block + 16, salt);
  store_u64(block + 16, wr_checksum(block, WR_BLOB_BLOCK_HEADER_BYTES + (size_t)payload_bytes));
}

enum weir_code wr_blob_block_check(uint8_t *block, uint32_t payload_bytes, uint64_t file_offset, uint64_t salt,
                                   const char *path, struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(block, WR_BLOB_BLOCK_HEADER_BYTES);
  const uint8_t *magic = wr_read(&reader, sizeof block_magic);
  uint32_t length = wr_read_u32(&reader);
  uint64_t offset = wr_read_u64(&reader);
  uint64_t checksum = wr_read_u64(&reader);
  if (memcmp(magic, block_magic, sizeof block_magic) != 0 || length != payload_bytes || offset != file_offset)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: no block of %u bytes begins at byte %" PRIu64, path,
                   payload_bytes, file_offset);
  store_u64(block + 16, salt);
  uint64_t actual = wr_checksum(block, WR_BLOB_BLOCK_HEADER_BYTES + (size_t)payload_bytes);
  store_u64(block + 16, checksum);
  if (actual != checksum)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: the checksum of the block at byte %" PRIu64 " is wrong", path,
                   file_offset);
  return WEIR_OK;
}

/* ---- reader ---- */

struct wr_blob_reader {
  struct wr_digest_stream digest; /* of the payload so far; first, it is aligned to 64 bytes */
  struct wr_digest expected;
  void *allocation; /* the block of memory that this lies in */
  struct wr_memory *memory;
  struct wr_files *files;
  struct wr_file *file; /* NULL: an inline handle */
  uint8_t *buffer;      /* one block with its header; inline: the payload, the handle's */
  uint64_t salt;
  uint64_t position;            /* of the next block in the file */
  uint64_t left;                /* payload bytes not yet given out */
  char path[WR_PATH_BYTES_MAX]; /* for opening and for messages */
};

static enum weir_code reader_new(struct wr_store *store, const struct wr_handle *handle,
                                 struct wr_blob_reader **out_reader, struct weir_error *error) {
  struct wr_memory *memory = store->seams->memory;
  void *allocation =
      wr_alloc_zeroed(memory, 1, sizeof(struct wr_blob_reader) + WR_BLOB_ALIGN_SLACK, WR_MEMORY_SNAPSHOT);
  if (allocation == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for reading %s", handle->file);
  struct wr_blob_reader *reader = wr_blob_align(allocation);
  reader->allocation = allocation;
  reader->memory = memory;
  reader->files = store->seams->files;
  reader->expected = handle->digest;
  reader->left = handle->length;
  reader->position = handle->offset;
  wr_digest_start(&reader->digest);
  *out_reader = reader;
  return WEIR_OK;
}

static enum weir_code check_size(struct wr_blob_reader *reader, const struct wr_handle *handle,
                                 struct weir_error *error) {
  struct wr_file_info info;
  WR_TRY(reader->files->info(reader->files, reader->file, &info, error));
  uint64_t expected = wr_handle_file_bytes(handle);
  if (info.size_bytes == expected) return WEIR_OK;
  return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: it has %" PRIu64 " bytes and should have %" PRIu64, reader->path,
                 info.size_bytes, expected);
}

static enum weir_code open_file(struct wr_blob_reader *reader, const char *folder, const struct wr_handle *handle,
                                struct weir_error *error) {
  int length = snprintf(reader->path, sizeof reader->path, "%s/%s", folder, handle->file);
  if (length < 0 || (size_t)length >= sizeof reader->path)
    return WR_FAIL(error, WEIR_LIMIT, "the path of %s is longer than %d bytes", handle->file, WR_PATH_BYTES_MAX - 1);
  enum weir_code code = reader->files->open(reader->files, reader->path, WR_FILE_READ, &reader->file, error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is missing, but a checkpoint names it", reader->path);
  WR_TRY(code);
  WR_TRY(check_size(reader, handle, error));
  uint8_t bytes[WR_BLOB_HEADER_BYTES_MAX];
  WR_ASSERT(handle->offset <= sizeof bytes);
  WR_TRY(wr_file_read_all(reader->files, reader->file, 0, bytes, (size_t)handle->offset, error));
  struct wr_blob_header header;
  WR_TRY(wr_blob_header_decode(bytes, (size_t)handle->offset, reader->path, &header, &reader->salt, error));
  char name[WR_FILE_NAME_BYTES];
  wr_data_file_name(header.start_number, header.serial, name);
  if (strcmp(name, handle->file) != 0)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: its header says that it is %s", reader->path, name);
  size_t room = reader->left < WR_BLOCK_BYTES_MAX ? (size_t)reader->left : WR_BLOCK_BYTES_MAX;
  reader->buffer = wr_alloc(reader->memory, WR_BLOB_BLOCK_HEADER_BYTES + room, WR_MEMORY_SNAPSHOT);
  if (reader->buffer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for reading %s", reader->path);
  return WEIR_OK;
}

enum weir_code wr_blob_open(struct wr_store *store, const struct wr_handle *handle, struct wr_blob_reader **out_reader,
                            struct weir_error *error) {
  struct wr_blob_reader *reader = NULL;
  WR_TRY(reader_new(store, handle, &reader, error));
  if (handle->file[0] == 0) {
    reader->buffer = handle->inline_bytes;
  } else {
    enum weir_code code = open_file(reader, store->folder, handle, error);
    if (code != WEIR_OK) {
      wr_blob_close(reader);
      return code;
    }
  }
  *out_reader = reader;
  return WEIR_OK;
}

static enum weir_code check_end(struct wr_blob_reader *reader, struct weir_error *error) {
  if (reader->file == NULL) return WEIR_OK;
  struct wr_digest digest = wr_digest_end(&reader->digest);
  if (digest.low != reader->expected.low || digest.high != reader->expected.high)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: its content is not what the checkpoint says", reader->path);
  return WEIR_OK;
}

enum weir_code wr_blob_next(struct wr_blob_reader *reader, const uint8_t **out_data, size_t *out_length,
                            struct weir_error *error) {
  *out_data = NULL;
  *out_length = 0;
  if (reader->left == 0) return check_end(reader, error);
  if (reader->file == NULL) {
    *out_data = reader->buffer;
    *out_length = (size_t)reader->left;
    reader->left = 0;
    return WEIR_OK;
  }
  uint32_t length = reader->left < WR_BLOCK_BYTES_MAX ? (uint32_t)reader->left : WR_BLOCK_BYTES_MAX;
  enum weir_code code = wr_file_read_all(reader->files, reader->file, reader->position, reader->buffer,
                                         WR_BLOB_BLOCK_HEADER_BYTES + (size_t)length, error);
  if (code == WEIR_CORRUPT && error != NULL) wr_error_prefix(error, "%s is damaged", reader->path);
  WR_TRY(code);
  WR_TRY(wr_blob_block_check(reader->buffer, length, reader->position, reader->salt, reader->path, error));
  *out_data = reader->buffer + WR_BLOB_BLOCK_HEADER_BYTES;
  *out_length = length;
  wr_digest_add(&reader->digest, *out_data, length);
  reader->left -= length;
  reader->position += WR_BLOB_BLOCK_HEADER_BYTES + (uint64_t)length;
  return WEIR_OK;
}

void wr_blob_close(struct wr_blob_reader *reader) {
  if (reader == NULL) return;
  /* Nothing was written: what a close reports does not matter. */
  if (reader->file != NULL) reader->files->close(reader->files, reader->file, NULL);
  bool is_inline = reader->path[0] == 0;
  if (!is_inline) wr_free(reader->memory, reader->buffer);
  wr_free(reader->memory, reader->allocation);
}

enum weir_code wr_blob_load(struct wr_store *store, const struct wr_handle *handle, size_t limit, uint8_t **out_data,
                            size_t *out_length, struct weir_error *error) {
  if (handle->length > limit)
    return WR_FAIL(error, WEIR_LIMIT, "%s holds %" PRIu64 " bytes; the limit is %zu", handle->file, handle->length,
                   limit);
  struct wr_memory *memory = store->seams->memory;
  size_t total = (size_t)handle->length, done = 0, length = 0;
  uint8_t *data = wr_alloc(memory, total, WR_MEMORY_SNAPSHOT);
  if (data == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for reading %zu bytes of %s", total, handle->file);
  struct wr_blob_reader *reader = NULL;
  enum weir_code code = wr_blob_open(store, handle, &reader, error);
  while (code == WEIR_OK) {
    const uint8_t *piece;
    code = wr_blob_next(reader, &piece, &length, error);
    if (code != WEIR_OK || length == 0) break;
    memcpy(data + done, piece, length);
    done += length;
  }
  wr_blob_close(reader);
  if (code != WEIR_OK) {
    wr_free(memory, data);
    return code;
  }
  WR_ASSERT(done == total);
  *out_data = data;
  *out_length = total;
  return WEIR_OK;
}

enum weir_code wr_blob_verify(struct wr_store *store, const struct wr_handle *handle, struct weir_error *error) {
  struct wr_blob_reader *reader = NULL;
  WR_TRY(wr_blob_open(store, handle, &reader, error));
  const uint8_t *piece;
  size_t length = 1;
  enum weir_code code = WEIR_OK;
  while (code == WEIR_OK && length != 0)
    code = wr_blob_next(reader, &piece, &length, error);
  wr_blob_close(reader);
  return code;
}
