/* checkpoint/identity.h: the bytes of a folder's identity, file JOB. Pure; any thread. */
#ifndef WR_CHECKPOINT_IDENTITY_H
#define WR_CHECKPOINT_IDENTITY_H

#include "checkpoint/folder.h"

enum { WR_IDENTITY_BYTES_MAX = 1024 };

/* The whole file's bytes. */
enum weir_code wr_identity_encode(struct wr_bytes *out, const struct wr_identity *identity, struct weir_error *error);
/* CORRUPT, NEWER. `name` is for the messages. */
enum weir_code wr_identity_decode(const uint8_t *data, size_t length, const char *name,
                                  struct wr_identity *out_identity, struct weir_error *error);

#endif
