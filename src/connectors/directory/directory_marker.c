/* connectors/directory/directory_marker.c: see directory_marker.h. What it adds to connectors/file_marker.c:
 *
 *   u8       1: a manifest follows, whose files may not all have their final names; 0: none does
 *   u32      (manifest) number of files
 *   u64      (manifest) start number that wrote them
 *   block    (manifest) beginning of their names, up to the '-' before the number
 *   block    (manifest) end of their names, from the '.' on
 */
#include "connectors/directory/directory_marker.h"

static void put(struct wr_bytes *out, const struct wr_marker *marker) {
  const struct wr_directory_marker *self = (const struct wr_directory_marker *)marker;
  wr_bytes_put_u8(out, self->is_pending);
  if (!self->is_pending) return;
  wr_bytes_put_u32(out, self->manifest.part_count);
  wr_bytes_put_u64(out, self->manifest.staged_by);
  wr_bytes_put_string(out, self->manifest.base);
  wr_bytes_put_string(out, self->manifest.suffix);
}

static void read(struct wr_reader *reader, struct wr_marker *marker) {
  struct wr_directory_marker *self = (struct wr_directory_marker *)marker;
  self->is_pending = wr_read_u8(reader) != 0;
  if (!self->is_pending) return;
  self->manifest.part_count = wr_read_u32(reader);
  self->manifest.staged_by = wr_read_u64(reader);
  wr_file_marker_read_text(reader, self->manifest.base, sizeof self->manifest.base);
  wr_file_marker_read_text(reader, self->manifest.suffix, sizeof self->manifest.suffix);
}

const struct wr_file_marker_kind wr_directory_marker_kind = {.magic = "weirfold",
                                                             .what = "the marker of a folder sink",
                                                             .loss = "which epochs are in the folder",
                                                             .put = put,
                                                             .read = read};
