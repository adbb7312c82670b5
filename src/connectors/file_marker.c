/* connectors/file_marker.c: see file_marker.h. The file, little-endian:
 *
 *   8 bytes  the kind: "weirfold" (directory_marker.c), "weirdead" (dead_letter_marker.c)
 *   u32      version, 1
 *   block    name of the job (u32 length, bytes)
 *   block    uid of the sink
 *   16 bytes incarnation
 *   u64      start number
 *   u64      checkpoint id of the last committed epoch, 0: none
 *   ...      what the kind adds
 *   u64      checksum (XXH3-64) of everything before it
 */
#include "connectors/file_marker.h"

#include "base/hash.h"

#include <string.h>

enum { VERSION = 1, MARKER_BYTES_MAX = 16 * 1024 * 1024 };

static void encode(const struct wr_file_marker_kind *kind, const struct wr_target_context *context,
                   const struct wr_marker *marker, struct wr_bytes *out) {
  wr_bytes_put(out, kind->magic, WR_FILE_MARKER_MAGIC_BYTES);
  wr_bytes_put_u32(out, VERSION);
  wr_bytes_put_string(out, context->job_name);
  wr_bytes_put_string(out, context->uid);
  wr_bytes_put(out, marker->incarnation, WR_INCARNATION_BYTES);
  wr_bytes_put_u64(out, marker->start_number);
  wr_bytes_put_u64(out, marker->checkpoint_id);
  kind->put(out, marker);
  wr_bytes_put_u64(out, wr_checksum(out->data, out->failed ? 0 : out->length));
}

static bool is_text(const uint8_t *bytes, size_t length, const char *text) {
  return bytes != NULL && length == strlen(text) && memcmp(bytes, text, length) == 0;
}

void wr_file_marker_read_text(struct wr_reader *reader, char *out, size_t size) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length >= size) {
    reader->failed = true;
    return;
  }
  memcpy(out, bytes, length);
  out[length] = 0;
}

static enum weir_code decode(const struct wr_file_marker_kind *kind, const struct wr_target_context *context,
                             const char *path, struct wr_reader reader, struct wr_marker *out_marker,
                             struct weir_error *error) {
  const uint8_t *begin = wr_read(&reader, WR_FILE_MARKER_MAGIC_BYTES);
  if (begin == NULL || memcmp(begin, kind->magic, WR_FILE_MARKER_MAGIC_BYTES) != 0)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is not %s", path, kind->what);
  uint32_t version = wr_read_u32(&reader);
  if (!reader.failed && version > VERSION)
    return WR_FAIL(error, WEIR_NEWER, "%s has version %u; this program knows up to %d", path, version, VERSION);
  size_t job_length = 0, uid_length = 0;
  const uint8_t *job = wr_read_block(&reader, &job_length), *uid = wr_read_block(&reader, &uid_length);
  const uint8_t *incarnation = wr_read(&reader, WR_INCARNATION_BYTES);
  out_marker->start_number = wr_read_u64(&reader);
  out_marker->checkpoint_id = wr_read_u64(&reader);
  kind->read(&reader, out_marker);
  size_t checked = reader.position;
  uint64_t checksum = wr_read_u64(&reader);
  if (reader.failed || reader.position != reader.length || checksum != wr_checksum(reader.data, checked))
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged; without it nobody knows %s; put a whole copy back", path,
                   kind->loss);
  if (!is_text(job, job_length, context->job_name) || !is_text(uid, uid_length, context->uid))
    return WR_FAIL(error, WEIR_FOREIGN, "%s belongs to job \"%.*s\", sink \"%.*s\"; give another path", path,
                   (int)job_length, (const char *)job, (int)uid_length, (const char *)uid);
  memcpy(out_marker->incarnation, incarnation, WR_INCARNATION_BYTES);
  out_marker->present = true;
  return WEIR_OK;
}

enum weir_code wr_file_marker_load(const struct wr_file_marker_kind *kind, const struct wr_target_context *context,
                                   const char *path, struct wr_marker *out_marker, struct weir_error *error) {
  uint8_t *data = NULL;
  size_t length = 0;
  enum weir_code code = wr_file_load(context->seams->files, path, MARKER_BYTES_MAX, context->memory, WR_MEMORY_SINK,
                                     &data, &length, error);
  if (code == WEIR_NOT_FOUND) return WEIR_OK;
  if (code == WEIR_LIMIT) return WR_FAIL(error, WEIR_CORRUPT, "%s is not %s", path, kind->what);
  if (code != WEIR_OK) return code;
  code = decode(kind, context, path, wr_reader_of(data, length), out_marker, error);
  wr_free(context->memory, data);
  return code;
}

enum weir_code wr_file_marker_publish(const struct wr_file_marker_kind *kind, const struct wr_target_context *context,
                                      const char *folder, const char *path, const struct wr_marker *marker,
                                      struct weir_error *error) {
  struct wr_bytes bytes;
  struct weir_error reason;
  wr_bytes_init(&bytes, context->memory, WR_MEMORY_SINK);
  encode(kind, context, marker, &bytes);
  enum weir_code code = wr_bytes_check(&bytes, error);
  if (code == WEIR_OK &&
      wr_file_publish(context->seams->files, folder, path, bytes.data, bytes.length, &reason) != WR_PUBLISH_DURABLE) {
    code = reason.code;
    if (error != NULL) *error = reason;
  }
  wr_bytes_deinit(&bytes);
  return code;
}
