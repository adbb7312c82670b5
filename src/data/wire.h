/* data/wire.h: the wire form of a batch: what an epoch's file, and later a channel between machines, holds.
 *
 * One encoded batch stands alone except for its schema, which both sides know. Selected rows only, densely. The byte
 * table is in wire.c. Encoding never loses a row kind, a NULL, or a byte of a string. Pure; any thread.
 */
#ifndef WR_DATA_WIRE_H
#define WR_DATA_WIRE_H

#include "base/bytes.h"
#include "data/batch.h"

/* Appends one encoded batch (u32 length of what follows first). Failure shows in wr_bytes_check(out). */
void wr_wire_put_batch(struct wr_bytes *out, const struct wr_batch *batch);
/* Reads one. CORRUPT with position when it is cut short or breaks a rule (every length, view and kind is checked:
 * the bytes may come from a damaged disk). */
enum weir_code wr_wire_read_batch(struct wr_reader *reader, const struct weir_schema *schema, struct wr_memory *memory,
                                  struct wr_batch **out_batch, struct weir_error *error);
/* A schema's wire form, for files that describe themselves. */
void wr_wire_put_schema(struct wr_bytes *out, const struct weir_schema *schema);
/* The schema is one block (release with wr_free). */
enum weir_code wr_wire_read_schema(struct wr_reader *reader, struct wr_memory *memory, struct weir_schema **out_schema,
                                   struct weir_error *error);

#endif
