/* sim/sim_held.h: the operators of the job "held": rows that wait for timers, and rows that wait for the end.
 *
 *   hold   keyed: every record lies in state until its own timer fires, of event time (the record's position) or of
 *          processing time; one more timer, which only the end of the input can reach, lets out what is left
 *   pass   keeps some rows in its instance, and sends them before a barrier and at the end of the input; its subtask 0
 *          sends the row (SIM_HELD_END, 0, "end") there
 *
 * So a timer that is lost or fires twice, an end of input that is lost or comes twice, and rows that a barrier
 * overtakes are rows lost or doubled. A timer that fires too early, or with nothing to let out, fails the job. Host
 * memory. One thread.
 */
#ifndef WR_SIM_HELD_H
#define WR_SIM_HELD_H

#include "weir/weir.h"

#define SIM_HELD_END "end"

struct sim_held_buffer;

struct sim_held {
  struct weir_operator_definition hold, pass;
  struct sim_held_buffer *buffers; /* all that were made; a kill leaves them */
};

/* Leads the stream, of (partition, position, app_id), through both. `held` lives as long as the job. */
struct weir_stream *sim_held_build(struct sim_held *held, struct weir_stream *rows);
void sim_held_deinit(struct sim_held *held);

#endif
