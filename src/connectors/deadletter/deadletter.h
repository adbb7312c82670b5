/* connectors/deadletter/deadletter.h: the file of records that could not be read, as a two-phase sink.
 *
 * One JSON line a record: {"source":..,"partition":..,"position":..,"byte":..,"error":..,"record":..}. One writer task
 * of parallelism 1 gathers the bad records of all subtasks (GATHER edges to the node that wr_dead_letter_add gives). An
 * epoch's lines are written when its checkpoint has completed, at a place in the file that is fixed before, so that a
 * second try writes the same bytes at the same place. Lines of earlier runs stay in front.
 *
 * Beside FILE lies FILE.weir-marker, which says up to where the file is committed. While a job uses them nobody else
 * may change the two; a file that was taken away or cut is noticed.
 */
#ifndef WR_CONNECTORS_DEADLETTER_DEADLETTER_H
#define WR_CONNECTORS_DEADLETTER_DEADLETTER_H

#include "connectors/connector_options.h"
#include "operators/sink_nodes.h"

/* Options of every source whose bad records can go there. */
enum wr_dead_letter_option { WR_DEAD_LETTER_SKIP, WR_DEAD_LETTER_PATH, WR_DEAD_LETTER_OPTION_COUNT };
extern const struct wr_connector_option wr_dead_letter_options[WR_DEAD_LETTER_OPTION_COUNT];

/* Borrowed by the job, with all it points to. */
struct wr_dead_letter_config {
  const char *path;
};

/* By a struct wr_dead_letter_config. */
wr_new_target wr_dead_letter_target_new;
/* The sink's two nodes: as wr_sink_add with this target, parallelism 1, rows of wr_dead_letter_schema. */
enum weir_code wr_dead_letter_add(struct wr_graph *graph, const char *uid, const struct wr_dead_letter_config *config,
                                  struct wr_sink_config *sink, uint32_t *out_writer, struct weir_error *error);

#endif
