/* state/timers.h: timers of one operator subtask, in event time or in processing time.
 *
 * A timer is (time, key): registering it twice is once. Timers are rows of a state like any other, so they are
 * snapshotted and restored with it; only the heap over them is rebuilt. They fire in order of time, then of key bytes
 * (so that no output depends on hash order). One thread.
 */
#ifndef WR_STATE_TIMERS_H
#define WR_STATE_TIMERS_H

#include "state/state.h"

struct wr_timers;

/* Registers the state `name` in the backend. `key` is the operator's key schema (borrowed until then). */
enum weir_code wr_timers_new(struct wr_backend *backend, struct wr_memory *memory, const char *name,
                             const struct weir_schema *key, struct wr_timers **out_timers, struct weir_error *error);
void wr_timers_free(struct wr_timers *timers);
/* After the backend was restored, before the first use: builds the heap. */
enum weir_code wr_timers_restored(struct wr_timers *timers, struct weir_error *error);

enum weir_code wr_timers_register(struct wr_timers *timers, int64_t time_ms, const struct wr_key *key,
                                  struct weir_error *error);
enum weir_code wr_timers_delete(struct wr_timers *timers, int64_t time_ms, const struct wr_key *key,
                                struct weir_error *error);
/* The earliest timer's time; INT64_MAX when there is none. */
int64_t wr_timers_next_time(const struct wr_timers *timers);

struct wr_timer {
  int64_t time_ms;
  struct wr_key key; /* a view until the next call on these timers */
};
/* Takes up to `limit` timers that are due (time <= now_ms), in order, and deletes them. */
enum weir_code wr_timers_take_due(struct wr_timers *timers, int64_t now_ms, struct wr_timer *out_timers, uint32_t limit,
                                  uint32_t *out_count, struct weir_error *error);
uint64_t wr_timers_count(const struct wr_timers *timers);

#endif
