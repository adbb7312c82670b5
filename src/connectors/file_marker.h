/* connectors/file_marker.h: the marker of a target that is files: a small file beside them, the same for all kinds but
 * for what each adds. Its byte table is in file_marker.c. Reading and publishing block; only inside a call.
 */
#ifndef WR_CONNECTORS_FILE_MARKER_H
#define WR_CONNECTORS_FILE_MARKER_H

#include "runtime/sink.h"

enum { WR_FILE_MARKER_MAGIC_BYTES = 8 };

struct wr_file_marker_kind {
  char magic[WR_FILE_MARKER_MAGIC_BYTES + 1];
  const char *what; /* in messages: "the marker of a folder sink" */
  const char *loss; /* what nobody knows without it: "which epochs are in the folder" */
  /* What the kind adds; `marker` is the first member of its own struct. A reader that has failed may have left rubbish.
   */
  void (*put)(struct wr_bytes *out, const struct wr_marker *marker);
  void (*read)(struct wr_reader *reader, struct wr_marker *marker);
};

/* `out_marker` is zeroed by the caller. Not there: not present. CORRUPT: damaged, or none of this kind; FOREIGN: of
 * another job or sink; NEWER. */
enum weir_code wr_file_marker_load(const struct wr_file_marker_kind *kind, const struct wr_target_context *context,
                                   const char *path, struct wr_marker *out_marker, struct weir_error *error);
/* Durable when OK. IO: it may or may not have been published; publish again. */
enum weir_code wr_file_marker_publish(const struct wr_file_marker_kind *kind, const struct wr_target_context *context,
                                      const char *folder, const char *path, const struct wr_marker *marker,
                                      struct weir_error *error);

/* A block as a text in `out`; it fails the reader where it does not fit. */
void wr_file_marker_read_text(struct wr_reader *reader, char *out, size_t size);

#endif
