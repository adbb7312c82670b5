/* connectors/deadletter/dead_letter_marker.c: see dead_letter_marker.h. What it adds to connectors/file_marker.c:
 *
 *   u64      bytes of the dead-letter file that are committed
 */
#include "connectors/deadletter/dead_letter_marker.h"

static void put(struct wr_bytes *out, const struct wr_marker *marker) {
  wr_bytes_put_u64(out, ((const struct wr_dead_letter_marker *)marker)->end_bytes);
}

static void read(struct wr_reader *reader, struct wr_marker *marker) {
  ((struct wr_dead_letter_marker *)marker)->end_bytes = wr_read_u64(reader);
}

const struct wr_file_marker_kind wr_dead_letter_marker_kind = {.magic = "weirdead",
                                                               .what = "the marker of a dead-letter file",
                                                               .loss = "how much of the dead-letter file is committed",
                                                               .put = put,
                                                               .read = read};
