/* checkpoint/identity.c: the bytes of file JOB. Pure; any thread.
 *
 * The frame around it is in frame.c; its magic is "WEIR-JOB", its version 1. The body, little-endian:
 *
 *   16   incarnation
 *   16   the incarnation it was begun from, zeros: none
 *   8    start number, the last one given out
 *   8    checkpoint ids below this may have been used
 *   8    the checkpoint of the parent that it goes on from, 0: none
 *   1    finished: 0 or 1
 *   1    in doubt: 0 or 1
 *   4+n  job name at the incarnation's birth, 1 to 255 bytes
 */
#include "checkpoint/identity.h"

#include "checkpoint/frame.h"

enum { IDENTITY_VERSION = 1 };
static const char magic[] = "WEIR-JOB";

enum weir_code wr_identity_encode(struct wr_bytes *out, const struct wr_identity *identity, struct weir_error *error) {
  WR_ASSERT(identity->job_name[0] != 0);
  wr_frame_begin(out, magic, IDENTITY_VERSION);
  wr_bytes_put(out, identity->incarnation, WR_INCARNATION_BYTES);
  wr_bytes_put(out, identity->parent, WR_INCARNATION_BYTES);
  wr_bytes_put_u64(out, identity->start_number);
  wr_bytes_put_u64(out, identity->checkpoint_id_limit);
  wr_bytes_put_u64(out, identity->resumed_from);
  wr_bytes_put_u8(out, identity->finished);
  wr_bytes_put_u8(out, identity->in_doubt);
  wr_bytes_put_string(out, identity->job_name);
  return wr_frame_end(out, error);
}

enum weir_code wr_identity_decode(const uint8_t *data, size_t length, const char *name,
                                  struct wr_identity *out_identity, struct weir_error *error) {
  struct wr_reader reader;
  *out_identity = (struct wr_identity){0};
  WR_TRY(wr_frame_open(data, length, magic, IDENTITY_VERSION, name, "the identity of a job", &reader, error));
  const uint8_t *incarnations = wr_read(&reader, 2 * WR_INCARNATION_BYTES);
  out_identity->start_number = wr_read_u64(&reader);
  out_identity->checkpoint_id_limit = wr_read_u64(&reader);
  out_identity->resumed_from = wr_read_u64(&reader);
  uint8_t finished = wr_read_u8(&reader), in_doubt = wr_read_u8(&reader);
  size_t name_length = 0;
  const uint8_t *job_name = wr_read_block(&reader, &name_length);
  if (reader.failed || finished > 1 || in_doubt > 1 || name_length == 0 || name_length > WR_NAME_BYTES_MAX ||
      memchr(job_name, 0, name_length) != NULL || reader.position != reader.length)
    return WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: its content makes no sense", name);
  memcpy(out_identity->incarnation, incarnations, WR_INCARNATION_BYTES);
  memcpy(out_identity->parent, incarnations + WR_INCARNATION_BYTES, WR_INCARNATION_BYTES);
  memcpy(out_identity->job_name, job_name, name_length);
  out_identity->finished = finished != 0;
  out_identity->in_doubt = in_doubt != 0;
  return WEIR_OK;
}
