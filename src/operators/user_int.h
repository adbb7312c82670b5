/* operators/user_int.h: what the files of the user operator share: user.c (life, calls), user_state.c (state and
 * timers), user_output.c. Nobody else includes it.
 *
 * The user never sees WAIT: before a callback that may touch state, all declared states are prepared for the keys at
 * hand. A prepare that must wait is tried again by the same call; what it inserted at the first try is remembered in
 * `fresh`, for the second finds it there. Timers that are due are taken out of their state first and then wait here, as
 * `due`, until their keys are prepared: no barrier passes meanwhile, since before_barrier fires them.
 */
#ifndef WR_OPERATORS_USER_INT_H
#define WR_OPERATORS_USER_INT_H

#include "base/limits.h"
#include "operators/key_columns.h"
#include "operators/user.h"

enum { USER_TIMES = 2 }; /* event time, processing time */

/* One declared state. */
struct weir_state {
  struct weir_operator *op;
  char *name;
  struct weir_schema *value;
  struct wr_state *state;
  struct wr_table *table;
  uint8_t *fresh;   /* by row at hand: its key had no value when the call began; only at the first row of a key */
  uint8_t *present; /* by number of the key at hand: it has a value now */
};

/* Timers that were taken and have not been told yet. */
struct user_due {
  enum weir_time time;
  uint32_t count;
  struct wr_timer *timers; /* WR_BATCH_ROWS_MAX; their keys are views of `bytes` */
  int64_t *times_ms;
  struct wr_bytes bytes;
  struct wr_batch_builder builder; /* of the batch of their keys */
};

struct weir_operator {
  struct wr_operator base; /* first */
  struct weir_operator_definition definition;
  void *instance;
  bool is_opening;                /* `open` runs: states may be declared */
  bool is_open;                   /* `open` went well: `close` is due */
  struct weir_schema *key_schema; /* NULL: not keyed */
  struct weir_state *states[WR_STATES_PER_OPERATOR_MAX];
  uint32_t state_count;
  struct wr_timers *timers[USER_TIMES]; /* NULL: there is no callback for them */
  struct user_due due;

  /* the rows at hand */
  uint32_t row_count;    /* 0: no callback that may touch state is running */
  bool is_retrying;      /* a prepare had to wait; the same keys come again */
  struct wr_key *keys;   /* WR_BATCH_ROWS_MAX of each of these */
  uint16_t *key_numbers; /* by row: the number of its key */
  uint16_t *key_rows;    /* by key number: its first row */
  uint32_t key_count;
  uint64_t *slots; /* SLOTS: row id in the upper half, key number plus 1 in the lower; 0: free */
  struct wr_bytes key_scratch;

  /* output */
  struct wr_batch_builder builder;
  const struct weir_schema *known_schema; /* of rows that were emitted as they are: equal to the output's */
  bool may_emit;
  bool row_begun;
  bool has_kinds;          /* of the batch being built: a row is no +I */
  enum weir_code row_code; /* what went wrong while the row was being made */
  struct weir_error row_error;
};

/* user_state.c */
enum weir_code user_state_new(struct weir_operator *op, struct weir_error *error);
void user_state_free(struct weir_operator *op);
enum weir_code user_timers_open(struct weir_operator *op, struct weir_error *error);
/* Prepares all states for op->keys[0..count); READY: row_count is set until user_state_end. */
enum wr_prepare user_state_begin(struct weir_operator *op, uint32_t count, struct weir_error *error);
void user_state_end(struct weir_operator *op);
/* Takes timers that are due into op->due, which is empty. */
enum weir_code user_timers_take(struct weir_operator *op, enum weir_time time, int64_t now_ms,
                                struct weir_error *error);
/* The keys of op->due as a batch. */
enum weir_code user_timers_batch(struct weir_operator *op, struct wr_batch **out_batch, struct weir_error *error);

/* user_output.c */
void user_output_new(struct weir_operator *op);
void user_output_free(struct weir_operator *op);
/* Sends what was built; forgets a row that was begun. */
enum weir_code user_output_flush(struct weir_operator *op, struct weir_error *error);

#endif
