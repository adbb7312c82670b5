/* connectors/directory/directory_marker.c: see directory_marker.h. The file, little-endian:
 *
 *   8 bytes  "weirfold"
 *   u32      version, 1
 *   block    name of the job (u32 length, bytes)
 *   block    uid of the sink
 *   16 bytes incarnation
 *   u64      start number
 *   u64      checkpoint id of the last committed epoch, 0: none
 *   u8       1: a manifest follows, whose files may not all have their final names; 0: none does
 *   u32      (manifest) number of files
 *   u64      (manifest) start number that wrote them
 *   block    (manifest) beginning of their names, up to the '-' before the number
 *   block    (manifest) end of their names, from the '.' on
 *   u64      checksum (XXH3-64) of everything before it
 */
#include "connectors/directory/directory_marker.h"

#include "base/hash.h"

#include <string.h>

static const char magic[] = "weirfold";
enum { MAGIC_BYTES = 8, VERSION = 1, MARKER_BYTES_MAX = 4096 };

static void encode(struct wr_bytes *out, const struct wr_target_context *context,
                   const struct wr_directory_marker *marker) {
  wr_bytes_put(out, magic, MAGIC_BYTES);
  wr_bytes_put_u32(out, VERSION);
  wr_bytes_put_string(out, context->job_name);
  wr_bytes_put_string(out, context->uid);
  wr_bytes_put(out, marker->marker.incarnation, WR_INCARNATION_BYTES);
  wr_bytes_put_u64(out, marker->marker.start_number);
  wr_bytes_put_u64(out, marker->marker.checkpoint_id);
  wr_bytes_put_u8(out, marker->is_pending);
  if (marker->is_pending) {
    wr_bytes_put_u32(out, marker->manifest.part_count);
    wr_bytes_put_u64(out, marker->manifest.staged_by);
    wr_bytes_put_string(out, marker->manifest.base);
    wr_bytes_put_string(out, marker->manifest.suffix);
  }
  wr_bytes_put_u64(out, wr_checksum(out->data, out->failed ? 0 : out->length));
}

static bool is_text(const uint8_t *bytes, size_t length, const char *text) {
  return bytes != NULL && length == strlen(text) && memcmp(bytes, text, length) == 0;
}

/* A block as a text in `out`; it fails the reader where it does not fit. */
static void read_text(struct wr_reader *reader, char *out, size_t size) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length >= size) {
    reader->failed = true;
    return;
  }
  memcpy(out, bytes, length);
  out[length] = 0;
}

static enum weir_code decode(const uint8_t *data, size_t length, const struct wr_target_context *context,
                             const char *path, struct wr_directory_marker *out_marker, struct weir_error *error) {
  struct wr_reader reader = wr_reader_of(data, length);
  const uint8_t *begin = wr_read(&reader, MAGIC_BYTES);
  if (begin == NULL || memcmp(begin, magic, MAGIC_BYTES) != 0)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is not the marker of a folder sink", path);
  uint32_t version = wr_read_u32(&reader);
  if (!reader.failed && version > VERSION)
    return WR_FAIL(error, WEIR_NEWER, "%s has version %u; this program knows up to %d", path, version, VERSION);
  size_t job_length = 0, uid_length = 0;
  const uint8_t *job = wr_read_block(&reader, &job_length), *uid = wr_read_block(&reader, &uid_length);
  const uint8_t *incarnation = wr_read(&reader, WR_INCARNATION_BYTES);
  struct wr_directory_marker marker = {.marker = {.present = true, .start_number = wr_read_u64(&reader)}};
  marker.marker.checkpoint_id = wr_read_u64(&reader);
  marker.is_pending = wr_read_u8(&reader) != 0;
  if (marker.is_pending) {
    marker.manifest.part_count = wr_read_u32(&reader);
    marker.manifest.staged_by = wr_read_u64(&reader);
    read_text(&reader, marker.manifest.base, sizeof marker.manifest.base);
    read_text(&reader, marker.manifest.suffix, sizeof marker.manifest.suffix);
  }
  size_t checked = reader.position;
  uint64_t checksum = wr_read_u64(&reader);
  if (reader.failed || reader.position != length || checksum != wr_checksum(data, checked))
    return WR_FAIL(error, WEIR_CORRUPT,
                   "%s is damaged; without it nobody knows which epochs are in the folder; put a whole copy back",
                   path);
  if (!is_text(job, job_length, context->job_name) || !is_text(uid, uid_length, context->uid))
    return WR_FAIL(error, WEIR_FOREIGN, "%s belongs to job \"%.*s\", sink \"%.*s\"; give another folder", path,
                   (int)job_length, (const char *)job, (int)uid_length, (const char *)uid);
  memcpy(marker.marker.incarnation, incarnation, WR_INCARNATION_BYTES);
  *out_marker = marker;
  return WEIR_OK;
}

enum weir_code wr_directory_marker_load(const struct wr_target_context *context, const char *path,
                                        struct wr_directory_marker *out_marker, struct weir_error *error) {
  uint8_t *data = NULL;
  size_t length = 0;
  *out_marker = (struct wr_directory_marker){0};
  enum weir_code code = wr_file_load(context->seams->files, path, MARKER_BYTES_MAX, context->memory, WR_MEMORY_SINK,
                                     &data, &length, error);
  if (code == WEIR_NOT_FOUND) return WEIR_OK;
  if (code == WEIR_LIMIT) return WR_FAIL(error, WEIR_CORRUPT, "%s is not the marker of a folder sink", path);
  if (code != WEIR_OK) return code;
  code = decode(data, length, context, path, out_marker, error);
  wr_free(context->memory, data);
  return code;
}

enum weir_code wr_directory_marker_publish(const struct wr_target_context *context, const char *folder,
                                           const char *path, const struct wr_directory_marker *marker,
                                           struct weir_error *error) {
  struct wr_bytes bytes;
  struct weir_error reason;
  wr_bytes_init(&bytes, context->memory, WR_MEMORY_SINK);
  encode(&bytes, context, marker);
  enum weir_code code = wr_bytes_check(&bytes, error);
  if (code == WEIR_OK &&
      wr_file_publish(context->seams->files, folder, path, bytes.data, bytes.length, &reason) != WR_PUBLISH_DURABLE) {
    code = reason.code;
    if (error != NULL) *error = reason;
  }
  wr_bytes_deinit(&bytes);
  return code;
}
