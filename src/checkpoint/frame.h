/* checkpoint/frame.h: what the small files of a job's folder (JOB, chk-N) have in common: magic, version, length, and a
 * digest over all. Pure; any thread. */
#ifndef WR_CHECKPOINT_FRAME_H
#define WR_CHECKPOINT_FRAME_H

#include "base/bytes.h"

enum { WR_FRAME_MAGIC_BYTES = 8 };

/* Begins a file in the empty `out`. */
void wr_frame_begin(struct wr_bytes *out, const char *magic, uint32_t version);
/* Ends it: fills in the length and adds the digest. */
enum weir_code wr_frame_end(struct wr_bytes *out, struct weir_error *error);
/* Checks a whole file; *out_body reads what lies between. `name` (a path) and `what` ("a checkpoint") are for messages.
 * CORRUPT; NEWER when it is sound and its version is above `version`. */
enum weir_code wr_frame_open(const uint8_t *data, size_t length, const char *magic, uint32_t version, const char *name,
                             const char *what, struct wr_reader *out_body, struct weir_error *error);

#endif
