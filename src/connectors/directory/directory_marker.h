/* connectors/directory/directory_marker.h: what the marker of a folder sink, PATH/.weir/<sink>.marker, says. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_MARKER_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_MARKER_H

#include "connectors/file_marker.h"

struct wr_directory_marker {
  struct wr_marker marker;
  bool is_pending;          /* the epoch is committed, but not all files of its manifest may have their final names */
  struct wr_bytes manifest; /* its parts, in their order (wr_directory_part_put) */
};
void wr_directory_marker_init(struct wr_directory_marker *marker, struct wr_memory *memory);
void wr_directory_marker_deinit(struct wr_directory_marker *marker);

/* Of struct wr_directory_marker. Without memory for the manifest, that has failed. */
extern const struct wr_file_marker_kind wr_directory_marker_kind;

#endif
