/* connectors/directory/directory_marker.h: what the marker of a folder sink, PATH/.weir/<sink>.marker, says. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_MARKER_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_MARKER_H

#include "connectors/file_marker.h"

enum { WR_DIRECTORY_BASE_BYTES = 208, WR_DIRECTORY_SUFFIX_BYTES = 16 };

/* The files of an epoch: from 0 to part_count - 1, PATH/<base>-<number><suffix> in the end, and until it is renamed
 * PATH/.weir/<base>-<number><suffix>.<staged_by>. */
struct wr_directory_manifest {
  uint32_t part_count;
  uint64_t staged_by; /* start number that wrote them; 0: they have their final names at once */
  char base[WR_DIRECTORY_BASE_BYTES];
  char suffix[WR_DIRECTORY_SUFFIX_BYTES];
};

struct wr_directory_marker {
  struct wr_marker marker;
  bool is_pending; /* the epoch is committed, but not all files of its manifest may have their final names */
  struct wr_directory_manifest manifest;
};

/* Of struct wr_directory_marker. */
extern const struct wr_file_marker_kind wr_directory_marker_kind;

#endif
