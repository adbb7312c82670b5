/* connectors/directory/directory_marker.h: the marker of a folder sink, PATH/.weir/<sink>.marker: reading and
 * publishing it, inside a call. */
#ifndef WR_CONNECTORS_DIRECTORY_DIRECTORY_MARKER_H
#define WR_CONNECTORS_DIRECTORY_DIRECTORY_MARKER_H

#include "runtime/sink.h"

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

/* Not there: not present. CORRUPT: damaged; FOREIGN: of another job or sink; NEWER. */
enum weir_code wr_directory_marker_load(const struct wr_target_context *context, const char *path,
                                        struct wr_directory_marker *out_marker, struct weir_error *error);
/* Durable when OK. IO: it may or may not have been published; publish again. */
enum weir_code wr_directory_marker_publish(const struct wr_target_context *context, const char *folder,
                                           const char *path, const struct wr_directory_marker *marker,
                                           struct weir_error *error);

#endif
