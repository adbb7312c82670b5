/* connectors/print/print.h: a sink that prints records as Flink's print connector does: "+I[a, 1]", one a line.
 *
 * At-least-once: what was printed cannot be taken back, so records after the last checkpoint are printed again after a
 * restart; the log says so once. Nothing of a checkpoint is missing on the stream: at a barrier the sink waits until
 * all was written. Each batch is one write, made in a call, for a full pipe blocks.
 */
#ifndef WR_CONNECTORS_PRINT_PRINT_H
#define WR_CONNECTORS_PRINT_PRINT_H

#include "base/bytes.h"
#include "runtime/graph.h"

/* Where it is printed. write() may be called from any thread, by several subtasks at a time; it writes all or fails. */
struct wr_print_stream {
  enum weir_code (*write)(struct wr_print_stream *stream, const void *text, size_t length, struct weir_error *error);
};

/* The standard output of the process. */
struct wr_print_stream *wr_print_stdout(void);

/* `schema` is borrowed until the node is in the graph; `stream` outlives the job. INVALID: the uid is missing. */
enum weir_code wr_print_node(const char *uid, const struct weir_schema *schema, uint32_t parallelism,
                             struct wr_print_stream *stream, struct wr_node *out_node, struct weir_error *error);

/* One row as a line, newline included. Used by tests, and by whoever shows rows to a person. */
void wr_print_put_row(struct wr_bytes *out, const struct wr_batch *batch, uint32_t row);

#endif
