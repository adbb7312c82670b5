/* connectors/files/file_input.c: see file_input.h. */
#include "connectors/files/file_input.h"

static void close_file(struct wr_file_input *input) {
  if (input->file != NULL) input->files->close(input->files, input->file, NULL);
  input->file = NULL;
}

static enum weir_code open_file(struct wr_file_input *input) {
  struct wr_files *files = input->files;
  struct wr_file_split *split = &input->split;
  struct wr_file_info info;
  close_file(input);
  enum weir_code code = files->open(files, input->path, WR_FILE_READ, &input->file, &input->error);
  if (code == WEIR_NOT_FOUND)
    return WR_FAIL(&input->error, WEIR_GONE, "%s vanished; put it back, or start over with --fresh", input->path);
  if (code != WEIR_OK) return code;
  WR_TRY(files->info(files, input->file, &info, &input->error));
  if (info.size_bytes < split->position)
    return wr_file_split_shrank(input->path, info.size_bytes, split->position, &input->error);
  split->device = info.device;
  split->inode = info.inode;
  return wr_file_split_check_tail(files, input->file, input->path, split, input->tail, &input->error);
}

static enum weir_code read_piece(struct wr_file_input *input) {
  struct wr_files *files = input->files;
  if (input->open) WR_TRY(open_file(input));
  if (input->open || input->split.head_count < WR_FILE_DIGEST_BYTES)
    WR_TRY(wr_file_split_check_head(files, input->file, input->path, &input->split, &input->error));
  WR_TRY(files->read(files, input->file, input->offset, input->buffer + WR_INPUT_HEADROOM_BYTES, WR_INPUT_PIECE_BYTES,
                     &input->length, &input->error));
  input->at_end = input->length < WR_INPUT_PIECE_BYTES;
  return WEIR_OK;
}

static void run_read(struct wr_call *call) {
  struct wr_file_input *input = (struct wr_file_input *)((char *)call - offsetof(struct wr_file_input, call));
  input->code = read_piece(input);
  if (input->code != WEIR_OK) close_file(input);
}

void wr_file_input_init(struct wr_file_input *input, struct wr_files *files, struct wr_waker *waker) {
  *input = (struct wr_file_input){.files = files};
  input->call.run = run_read;
  input->call.waker = waker;
}

void wr_file_input_deinit(struct wr_file_input *input) {
  close_file(input);
}
