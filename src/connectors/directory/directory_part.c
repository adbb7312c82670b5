/* connectors/directory/directory_part.c: see directory_part.h. The record, little-endian:
 *
 *   8 bytes  "weirpart"
 *   u32      version, 1
 *   16 bytes incarnation that staged it
 *   u64      start number that staged it
 *   u64      ordinal of the stage, within start and subtask
 *   u32      format: 0 JSON, 1 CSV
 *   u32      number of files
 *   u64      bytes in them
 *
 * In a manifest stand before it u64 prepared_for and u32 subtask. An epoch's part of other sinks begins with the length
 * of a batch, which is never that large, so that one is told from the other.
 */
#include "connectors/directory/directory_part.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>

enum { VERSION = 1, MAGIC_BYTES = 8, SHOWN_BYTES = 8, SHOWN_TEXT_BYTES = 2 * SHOWN_BYTES + 1 };
static const char magic[] = "weirpart";

/* ---- the record ---- */

void wr_directory_record_put(struct wr_bytes *out, const struct wr_directory_part *part) {
  wr_bytes_put(out, magic, MAGIC_BYTES);
  wr_bytes_put_u32(out, VERSION);
  wr_bytes_put(out, part->incarnation, WR_INCARNATION_BYTES);
  wr_bytes_put_u64(out, part->start_number);
  wr_bytes_put_u64(out, part->ordinal);
  wr_bytes_put_u32(out, (uint32_t)part->format);
  wr_bytes_put_u32(out, part->file_count);
  wr_bytes_put_u64(out, part->bytes);
}

/* Behind magic and version. */
static void read_fields(struct wr_reader *reader, struct wr_directory_part *part) {
  const uint8_t *incarnation = wr_read(reader, WR_INCARNATION_BYTES);
  if (incarnation != NULL) memcpy(part->incarnation, incarnation, WR_INCARNATION_BYTES);
  part->start_number = wr_read_u64(reader);
  part->ordinal = wr_read_u64(reader);
  part->format = (enum wr_directory_format)wr_read_u32(reader);
  part->file_count = wr_read_u32(reader);
  part->bytes = wr_read_u64(reader);
  if (part->format != WR_DIRECTORY_JSON && part->format != WR_DIRECTORY_CSV) reader->failed = true;
}

static bool reads_magic(struct wr_reader *reader) {
  const uint8_t *begin = wr_read(reader, MAGIC_BYTES);
  return begin != NULL && memcmp(begin, magic, MAGIC_BYTES) == 0;
}

enum weir_code wr_directory_part_of(const struct wr_part *from, struct wr_directory_part *out_part,
                                    struct weir_error *error) {
  size_t length = from->handle.file[0] == 0 ? (size_t)from->handle.length : 0;
  struct wr_reader reader = wr_reader_of(from->handle.inline_bytes, length);
  *out_part = (struct wr_directory_part){.prepared_for = from->prepared_for, .subtask = from->subtask};
  if (!reads_magic(&reader))
    return WR_FAIL(error, WEIR_CORRUPT,
                   "the part of subtask %" PRIu32 " that was prepared for checkpoint %" PRIu64
                   " names no staged files: an earlier version of this program has made it; let that version commit "
                   "it, by a stop, before this one goes on",
                   from->subtask, from->prepared_for);
  uint32_t version = wr_read_u32(&reader);
  if (!reader.failed && version > VERSION)
    return WR_FAIL(error, WEIR_NEWER,
                   "the part of subtask %" PRIu32 " that was prepared for checkpoint %" PRIu64 " has version %" PRIu32
                   "; this program knows up to %d",
                   from->subtask, from->prepared_for, version, VERSION);
  read_fields(&reader, out_part);
  if (!reader.failed && reader.position == reader.length) return WEIR_OK;
  return WR_FAIL(error, WEIR_CORRUPT,
                 "the part of subtask %" PRIu32 " that was prepared for checkpoint %" PRIu64 " is no record",
                 from->subtask, from->prepared_for);
}

void wr_directory_part_put(struct wr_bytes *out, const struct wr_directory_part *part) {
  wr_bytes_put_u64(out, part->prepared_for);
  wr_bytes_put_u32(out, part->subtask);
  wr_directory_record_put(out, part);
}

void wr_directory_part_read(struct wr_reader *reader, struct wr_directory_part *out_part) {
  *out_part = (struct wr_directory_part){.prepared_for = wr_read_u64(reader), .subtask = wr_read_u32(reader)};
  if (!reads_magic(reader) || wr_read_u32(reader) != VERSION) reader->failed = true;
  read_fields(reader, out_part);
}

/* ---- names ---- */

uint64_t wr_directory_hash(const char *job_name, const char *uid) {
  char key[WR_NAME_BYTES_MAX + WR_UID_BYTES_MAX + 4];
  int length = snprintf(key, sizeof key, "%s/%s", job_name, uid);
  WR_ASSERT(length > 0 && (size_t)length < sizeof key);
  return wr_checksum(key, (size_t)length);
}

const char *wr_directory_suffix(enum wr_directory_format format) {
  return format == WR_DIRECTORY_CSV ? ".csv" : ".ndjson";
}

enum weir_code wr_directory_check_length(int length, const char *folder, struct weir_error *error) {
  if (length >= 0 && length < WR_PATH_BYTES_MAX) return WEIR_OK;
  return WR_FAIL(error, WEIR_LIMIT, "the path of a file in %s is longer than %d bytes", folder, WR_PATH_BYTES_MAX - 1);
}

static void show(const uint8_t *incarnation, char out[SHOWN_TEXT_BYTES]) {
  for (int i = 0; i < SHOWN_BYTES; i++)
    snprintf(out + 2 * i, 3, "%02x", incarnation[i]);
}

void wr_directory_prefix(const char *uid, const uint8_t *incarnation, char out[WR_DIRECTORY_PREFIX_BYTES]) {
  char shown[SHOWN_TEXT_BYTES];
  show(incarnation, shown);
  int length = snprintf(out, WR_DIRECTORY_PREFIX_BYTES, "part-%s-%s", uid, shown);
  WR_ASSERT(length > 0 && length < WR_DIRECTORY_PREFIX_BYTES);
}

enum weir_code wr_directory_staged_base(const struct wr_directory_place *place, const struct wr_directory_part *part,
                                        char *out_base, struct weir_error *error) {
  char shown[SHOWN_TEXT_BYTES];
  show(part->incarnation, shown);
  int length =
      snprintf(out_base, WR_PATH_BYTES_MAX, "%s/part-%s-%016" PRIx64 "-%s-%" PRIu64 "-%04" PRIu32 "-%" PRIu64,
               place->folder, place->uid, place->hash, shown, part->start_number, part->subtask, part->ordinal);
  return wr_directory_check_length(length, place->folder, error);
}

enum weir_code wr_directory_numbered_path(const char *base, uint32_t number, const char *suffix, char *out_path,
                                          struct weir_error *error) {
  return wr_directory_check_length(snprintf(out_path, WR_PATH_BYTES_MAX, "%s-%04" PRIu32 "%s", base, number, suffix),
                                   base, error);
}

enum weir_code wr_directory_staged_path(const struct wr_directory_place *place, const struct wr_directory_part *part,
                                        uint32_t number, char *out_path, struct weir_error *error) {
  char base[WR_PATH_BYTES_MAX];
  WR_TRY(wr_directory_staged_base(place, part, base, error));
  return wr_directory_numbered_path(base, number, wr_directory_suffix(part->format), out_path, error);
}

enum weir_code wr_directory_final_path(const struct wr_directory_place *place, const struct wr_directory_part *part,
                                       uint32_t number, char *out_path, struct weir_error *error) {
  char prefix[WR_DIRECTORY_PREFIX_BYTES];
  wr_directory_prefix(place->uid, part->incarnation, prefix);
  int length = snprintf(out_path, WR_PATH_BYTES_MAX, "%s/%s-%010" PRIu64 "-%04" PRIu32 "-%04" PRIu32 "%s", place->path,
                        prefix, part->prepared_for, part->subtask, number, wr_directory_suffix(part->format));
  return wr_directory_check_length(length, place->path, error);
}

/* Digits, and what follows them; NULL: there are none. */
static const char *skip_digits(const char *at, uint64_t *out_value) {
  if (*at < '0' || *at > '9') return NULL;
  for (*out_value = 0; *at >= '0' && *at <= '9'; at++)
    *out_value = *out_value * 10 + (uint64_t)(*at - '0');
  return at;
}

bool wr_directory_is_left_over(const struct wr_directory_place *place, const uint8_t *incarnation,
                               uint64_t start_number, const char *name) {
  enum { FIELDS = 4 }; /* start number, subtask, ordinal, number */
  char prefix[WR_UID_BYTES_MAX + 40], shown[SHOWN_TEXT_BYTES];
  uint64_t fields[FIELDS];
  int length = snprintf(prefix, sizeof prefix, "part-%s-%016" PRIx64 "-", place->uid, place->hash);
  WR_ASSERT(length > 0 && (size_t)length < sizeof prefix);
  if (strncmp(name, prefix, (size_t)length) != 0) return false;
  const char *own = name + length, *at = own + strspn(own, "0123456789abcdef");
  if (at - own != SHOWN_TEXT_BYTES - 1) return false;
  for (int i = 0; i < FIELDS; i++) {
    at = *at == '-' ? skip_digits(at + 1, &fields[i]) : NULL;
    if (at == NULL) return false;
  }
  if (strcmp(at, wr_directory_suffix(WR_DIRECTORY_JSON)) != 0 && strcmp(at, wr_directory_suffix(WR_DIRECTORY_CSV)) != 0)
    return false;
  show(incarnation, shown);
  return fields[0] != start_number || strncmp(own, shown, SHOWN_TEXT_BYTES - 1) != 0;
}
