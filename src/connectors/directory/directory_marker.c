/* connectors/directory/directory_marker.c: see directory_marker.h. What it adds to connectors/file_marker.c:
 *
 *   u8       2: a manifest follows, whose files may not all have their final names; 0: none does
 *   block    (manifest) its parts, byte by byte as in directory_part.c
 */
#include "connectors/directory/directory_marker.h"

#include "connectors/directory/directory_part.h"

enum { NO_MANIFEST = 0, MANIFEST = 2 };

void wr_directory_marker_init(struct wr_directory_marker *marker, struct wr_memory *memory) {
  *marker = (struct wr_directory_marker){.is_pending = false};
  wr_bytes_init(&marker->manifest, memory, WR_MEMORY_SINK);
}

void wr_directory_marker_deinit(struct wr_directory_marker *marker) {
  wr_bytes_deinit(&marker->manifest);
}

static void put(struct wr_bytes *out, const struct wr_marker *marker) {
  const struct wr_directory_marker *self = (const struct wr_directory_marker *)marker;
  wr_bytes_put_u8(out, self->is_pending ? MANIFEST : NO_MANIFEST);
  if (self->is_pending) wr_bytes_put_block(out, self->manifest.data, self->manifest.length);
}

static void read(struct wr_reader *reader, struct wr_marker *marker) {
  struct wr_directory_marker *self = (struct wr_directory_marker *)marker;
  uint8_t kind = wr_read_u8(reader);
  self->is_pending = kind == MANIFEST;
  if (kind != NO_MANIFEST && kind != MANIFEST) reader->failed = true;
  if (!self->is_pending) return;
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL) return;
  struct wr_reader parts = wr_reader_of(bytes, length);
  struct wr_directory_part part;
  while (parts.position < parts.length && !parts.failed)
    wr_directory_part_read(&parts, &part);
  reader->failed = reader->failed || parts.failed;
  wr_bytes_put(&self->manifest, bytes, length);
}

const struct wr_file_marker_kind wr_directory_marker_kind = {.magic = "weirfold",
                                                             .what = "the marker of a folder sink",
                                                             .loss = "which epochs are in the folder",
                                                             .put = put,
                                                             .read = read};
