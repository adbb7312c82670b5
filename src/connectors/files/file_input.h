/* connectors/files/file_input.h: reads a file piece by piece, ahead of its reader. One open file, one call at a time.
 *
 * The owner (a slot of the reader) fills the request, submits, and finds the answer when the call is done. In between
 * everything here is the call's. A piece lies in its buffer behind some headroom, into which the owner copies what was
 * left of the piece before, so that a record that was cut in two is whole again.
 */
#ifndef WR_CONNECTORS_FILES_FILE_INPUT_H
#define WR_CONNECTORS_FILES_FILE_INPUT_H

#include "connectors/files/file_split.h"

enum { WR_INPUT_HEADROOM_BYTES = 64 * 1024, WR_INPUT_PIECE_BYTES = 512 * 1024 };

struct wr_file_input {
  struct wr_call call;
  struct wr_files *files;
  struct wr_file *file; /* open; NULL: none */
  /* the request */
  bool open;                  /* first close what is open, open `path`, and check that it is what `split` says */
  const char *path;           /* borrowed */
  struct wr_file_split split; /* as of now, `name` not set; its head, device and inode are answers too */
  uint64_t offset;            /* where the piece begins */
  uint8_t *buffer;            /* the piece goes behind WR_INPUT_HEADROOM_BYTES of it */
  /* the answer */
  size_t length;
  bool at_end;                        /* the file ended there */
  uint8_t tail[WR_FILE_DIGEST_BYTES]; /* with `open`: the bytes before split.position */
  enum weir_code code;
  struct weir_error error;
};

void wr_file_input_init(struct wr_file_input *input, struct wr_files *files, struct wr_waker *waker);
/* No call runs. Closes the file, which was only read: nothing can be lost. */
void wr_file_input_deinit(struct wr_file_input *input);

#endif
