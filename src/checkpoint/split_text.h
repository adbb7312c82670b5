/* checkpoint/split_text.h: what a source's split says about itself to a person. Its bytes are its connector's, but for
 * their beginning: a block that names the kind and a block of text (docs/formats.md). Blocks; inside a call. */
#ifndef WR_CHECKPOINT_SPLIT_TEXT_H
#define WR_CHECKPOINT_SPLIT_TEXT_H

#include "store/store.h"

struct wr_split_text {
  char kind[32];
  char text[768]; /* "N bytes" when the split does not begin as it should; longer text is cut */
};

enum weir_code wr_split_text_load(struct wr_store *store, const struct wr_handle *handle,
                                  struct wr_split_text *out_text, struct weir_error *error);

#endif
