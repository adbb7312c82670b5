/* connectors/deadletter/dead_letter_marker.h: what the marker beside a dead-letter file says. */
#ifndef WR_CONNECTORS_DEADLETTER_DEAD_LETTER_MARKER_H
#define WR_CONNECTORS_DEADLETTER_DEAD_LETTER_MARKER_H

#include "connectors/file_marker.h"

struct wr_dead_letter_marker {
  struct wr_marker marker;
  uint64_t end_bytes; /* the file up to here is committed */
};

/* Of struct wr_dead_letter_marker. */
extern const struct wr_file_marker_kind wr_dead_letter_marker_kind;

#endif
