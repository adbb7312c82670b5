/* connectors/files/file_split.c: see file_split.h. A split's bytes, little-endian, checked by the checksum of what they
 * lie in:
 *
 *   block  "files" (u32 length, bytes)
 *   block  a line for people: "name=p0.ndjson position=1234 record=10"
 *   u8     version, 1
 *   block  name of the file
 *   u64    device
 *   u64    inode
 *   u32    head: how many bytes its digest covers, 0 to 4,096
 *   u64 x2 head: digest, low and high
 *   u64 x2 tail: digest of the last min(position, 4,096) bytes before the position
 *   u64    position in bytes
 *   u64    record number
 *   u8     flags: 1 stop, 2 ended, 4 open line
 *   u64    stop; 0 without flag 1
 */
#include "connectors/files/file_split.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char kind[] = "files";
enum { VERSION = 1, FLAG_STOP = 1, FLAG_ENDED = 2, FLAG_OPEN_LINE = 4, FLAGS_ALL = 7 };

void wr_file_split_deinit(struct wr_file_split *split, struct wr_memory *memory) {
  wr_free(memory, split->name);
  split->name = NULL;
}

static void put_digest(struct wr_bytes *out, struct wr_digest digest) {
  wr_bytes_put_u64(out, digest.low);
  wr_bytes_put_u64(out, digest.high);
}

void wr_file_split_put(struct wr_bytes *out, const struct wr_file_split *split) {
  char line[WR_NAME_BYTES_MAX + 128];
  int length = snprintf(line, sizeof line, "name=%s position=%" PRIu64 " record=%" PRIu64 "%s", split->name,
                        split->position, split->record, split->ended ? " ended" : "");
  wr_bytes_put_string(out, kind);
  wr_bytes_put_block(out, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
  wr_bytes_put_u8(out, VERSION);
  wr_bytes_put_string(out, split->name);
  wr_bytes_put_u64(out, split->device);
  wr_bytes_put_u64(out, split->inode);
  wr_bytes_put_u32(out, split->head_count);
  put_digest(out, split->head);
  put_digest(out, split->tail);
  wr_bytes_put_u64(out, split->position);
  wr_bytes_put_u64(out, split->record);
  wr_bytes_put_u8(out, (uint8_t)((split->has_stop ? FLAG_STOP : 0) | (split->ended ? FLAG_ENDED : 0) |
                                 (split->open_line ? FLAG_OPEN_LINE : 0)));
  wr_bytes_put_u64(out, split->has_stop ? split->stop : 0);
}

static struct wr_digest read_digest(struct wr_reader *reader) {
  struct wr_digest digest = {.low = wr_read_u64(reader)};
  digest.high = wr_read_u64(reader);
  return digest;
}

static enum weir_code read_kind(struct wr_reader *reader, struct weir_error *error) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length != strlen(kind) || memcmp(bytes, kind, length) != 0)
    return WR_FAIL(error, WEIR_FOREIGN,
                   "the stored split \"%.*s\" is not one of a files source; was the source changed?",
                   length > 64 || bytes == NULL ? 0 : (int)length, (const char *)bytes);
  wr_read_block(reader, &length);
  uint8_t version = wr_read_u8(reader);
  if (!reader->failed && version > VERSION)
    return WR_FAIL(error, WEIR_NEWER, "a stored split of a files source has version %u; this program knows up to %d",
                   version, VERSION);
  return WEIR_OK;
}

static bool is_sound(const struct wr_file_split *split, uint8_t flags) {
  return split->name[0] != 0 && strchr(split->name, '/') == NULL && split->head_count <= WR_FILE_DIGEST_BYTES &&
         (flags & ~FLAGS_ALL) == 0 && (!split->ended || split->has_stop);
}

enum weir_code wr_file_split_read(const uint8_t *bytes, size_t length, struct wr_memory *memory,
                                  struct wr_file_split *out_split, struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(bytes, length);
  WR_TRY(read_kind(&reader, error));
  struct wr_file_split split = {.name = wr_read_string(&reader, memory, WR_MEMORY_SOURCE, WR_NAME_BYTES_MAX)};
  if (split.name == NULL && reader.position < reader.length)
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a split of a files source");
  split.device = wr_read_u64(&reader);
  split.inode = wr_read_u64(&reader);
  split.head_count = wr_read_u32(&reader);
  split.head = read_digest(&reader);
  split.tail = read_digest(&reader);
  split.position = wr_read_u64(&reader);
  split.record = wr_read_u64(&reader);
  uint8_t flags = wr_read_u8(&reader);
  split.has_stop = (flags & FLAG_STOP) != 0;
  split.ended = (flags & FLAG_ENDED) != 0;
  split.open_line = (flags & FLAG_OPEN_LINE) != 0;
  split.stop = wr_read_u64(&reader);
  if (split.name == NULL || reader.failed || reader.position != length || !is_sound(&split, flags)) {
    wr_file_split_deinit(&split, memory);
    return WR_FAIL(error, WEIR_CORRUPT, "a stored split of a files source is damaged near byte %zu", reader.position);
  }
  *out_split = split;
  return WEIR_OK;
}

/* ---- against the file ---- */

static const char advice[] = "put the file back as it was, or start over with --fresh";

enum weir_code wr_file_split_shrank(const char *path, uint64_t size_bytes, uint64_t seen_bytes,
                                    struct weir_error *error) {
  return WR_FAIL(error, WEIR_GONE, "%s shrank: it has %" PRIu64 " bytes, but had %" PRIu64 " before; %s", path,
                 size_bytes, seen_bytes, advice);
}

static bool digest_equal(struct wr_digest a, struct wr_digest b) {
  return a.low == b.low && a.high == b.high;
}

enum weir_code wr_file_split_check_head(struct wr_files *files, struct wr_file *file, const char *path,
                                        struct wr_file_split *split, struct weir_error *error) {
  uint8_t bytes[WR_FILE_DIGEST_BYTES];
  size_t length = 0;
  WR_TRY(files->read(files, file, 0, bytes, sizeof bytes, &length, error));
  if (length < split->head_count) return wr_file_split_shrank(path, length, split->head_count, error);
  if (!digest_equal(wr_digest_of(bytes, split->head_count), split->head))
    return WR_FAIL(error, WEIR_GONE, "%s was replaced: its first %" PRIu32 " bytes are not what they were; %s", path,
                   split->head_count, advice);
  split->head_count = (uint32_t)length;
  split->head = wr_digest_of(bytes, length);
  return WEIR_OK;
}

enum weir_code wr_file_split_check_tail(struct wr_files *files, struct wr_file *file, const char *path,
                                        const struct wr_file_split *split, uint8_t *out_tail,
                                        struct weir_error *error) {
  uint32_t count = wr_file_split_tail_count(split);
  size_t length = 0;
  WR_TRY(files->read(files, file, split->position - count, out_tail, count, &length, error));
  if (length < count) return wr_file_split_shrank(path, split->position - count + length, split->position, error);
  if (digest_equal(wr_digest_of(out_tail, count), split->tail)) return WEIR_OK;
  return WR_FAIL(error, WEIR_GONE,
                 "%s was replaced or rewritten: the %" PRIu32 " bytes before byte %" PRIu64
                 ", up to which it was read, are not what they were; %s",
                 path, count, split->position, advice);
}
