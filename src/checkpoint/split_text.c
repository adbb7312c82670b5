/* checkpoint/split_text.c: see split_text.h. */
#include "checkpoint/split_text.h"

#include <inttypes.h>
#include <stdio.h>

/* Copies a block of printable text, cut at `size`; false when it is none. */
static bool copy_text(struct wr_reader *reader, char *out_text, size_t size) {
  size_t length = 0;
  const uint8_t *bytes = wr_read_block(reader, &length);
  if (bytes == NULL || length == 0) return false;
  for (size_t i = 0; i < length; i++)
    if (bytes[i] < 0x20 || bytes[i] == 0x7f) return false;
  size_t count = length < size ? length : size - 1;
  memcpy(out_text, bytes, count);
  out_text[count] = 0;
  return true;
}

enum weir_code wr_split_text_load(struct wr_store *store, const struct wr_handle *handle,
                                  struct wr_split_text *out_text, struct weir_error *error) {
  uint8_t *data = NULL;
  size_t length = 0;
  WR_TRY(wr_blob_load(store, handle, WR_METADATA_BYTES_MAX, &data, &length, error));
  struct wr_reader reader = wr_reader_of(data, length);
  if (!copy_text(&reader, out_text->kind, sizeof out_text->kind) ||
      !copy_text(&reader, out_text->text, sizeof out_text->text)) {
    snprintf(out_text->kind, sizeof out_text->kind, "unknown");
    snprintf(out_text->text, sizeof out_text->text, "%zu bytes", length);
  }
  wr_free(store->seams->memory, data);
  return WEIR_OK;
}
