/* connectors/deadletter/dead_letter_marker.h: the marker beside a dead-letter file: reading and publishing it, inside a
 * call. */
#ifndef WR_CONNECTORS_DEADLETTER_DEAD_LETTER_MARKER_H
#define WR_CONNECTORS_DEADLETTER_DEAD_LETTER_MARKER_H

#include "runtime/sink.h"

struct wr_dead_letter_marker {
  struct wr_marker marker;
  uint64_t end_bytes; /* the file up to here is committed */
};

/* Not there: not present. CORRUPT: damaged; FOREIGN: of another job or sink; NEWER. */
enum weir_code wr_dead_letter_marker_load(const struct wr_target_context *context, const char *path,
                                          struct wr_dead_letter_marker *out_marker, struct weir_error *error);
/* Durable when OK. IO: it may or may not have been published; publish again. */
enum weir_code wr_dead_letter_marker_publish(const struct wr_target_context *context, const char *folder,
                                             const char *path, const struct wr_dead_letter_marker *marker,
                                             struct weir_error *error);

#endif
