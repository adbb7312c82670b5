/* weir/operator.h: an operator of your own: callbacks over batches, with keyed state and timers.
 *
 * Each subtask of the operator is one `struct weir_operator` with its own `instance`, its own share of the keys, their
 * state and their timers. Its callbacks are called one at a time, and never while one is running: an operator needs no
 * locks. They must not block: what one callback does should take about a millisecond at the most.
 *
 * What the operator must remember goes into keyed state. State is in every checkpoint; what lies in `instance` is lost
 * when the job is started again, and is for scratch only.
 *
 * An example: the last price per item, sent on only where it changed.
 *
 * ```c
 * static const struct weir_field price_fields[] = {{"price", WEIR_TYPE_BIGINT, false}};
 * static const struct weir_schema price_schema = {price_fields, 1};
 * static const struct weir_field item_fields[] = {{"item", WEIR_TYPE_STRING, false},
 *                                                 {"price", WEIR_TYPE_BIGINT, false}};
 * static const struct weir_schema item_schema = {item_fields, 2};
 *
 * static enum weir_code declare(struct weir_operator *op, struct weir_error *error) {
 *   return weir_operator_declare_state(op, "price", &price_schema, NULL, error);
 * }
 *
 * static enum weir_code send_changes(struct weir_operator *op, const struct weir_batch *batch,
 *                                    struct weir_error *error) {
 *   struct weir_state *prices = weir_operator_state(op, "price");
 *   for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
 *     int64_t price = weir_batch_bigint(batch, 1, row);
 *     const int64_t *known = weir_state_get(prices, row);
 *     if (known != NULL && *known == price) continue;
 *     *(int64_t *)weir_state_put(prices, row) = price;
 *     enum weir_code code = weir_emit_rows(op, batch, &row, 1, error);
 *     if (code != WEIR_OK) return code;
 *   }
 *   return WEIR_OK;
 * }
 *
 * static const struct weir_operator_definition changes = {
 *     .size = sizeof(struct weir_operator_definition),
 *     .name = "changes",
 *     .output = &item_schema,
 *     .open = declare,
 *     .process = send_changes,
 * };
 * ```
 */
#ifndef WEIR_OPERATOR_H
#define WEIR_OPERATOR_H

#include "weir/batch.h"
#include "weir/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_operator;
struct weir_state;

enum weir_time {
  WEIR_EVENT_TIME,     /* the records' own: a timer fires when the watermark reaches it */
  WEIR_PROCESSING_TIME /* the machine's clock, milliseconds since 1970, UTC */
};

/* What an operator is. Static, or living as long as the job. Every callback but `process` may be NULL. A callback that
 * fails returns a code and fills `error` (weir_fail); that ends the job, or, where the code is transient
 * (weir_code_is_transient), starts it again from its last checkpoint. */
struct weir_operator_definition {
  size_t size;                      /* sizeof(struct weir_operator_definition): says which version this is */
  const char *name;                 /* for messages */
  const struct weir_schema *output; /* of the rows that it emits; NULL: none go out */
  void *config; /* yours; weir_operator_config; shared by all subtasks: read only while a job runs */
  /* Once per subtask, first: declares states, makes the instance. No state can be read yet, nothing can be emitted. */
  enum weir_code (*open)(struct weir_operator *op, struct weir_error *error);
  /* A batch came. In a keyed operator the states hold its rows' keys: weir_state_get(state, row). */
  enum weir_code (*process)(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error);
  /* Timers are due, in order of time: row i of `keys` (the operator's key fields, in their order) at times_ms[i]. They
   * are gone; one that is to come again is registered again. The states hold the keys of these rows. A definition
   * without this callback can register no timers. */
  enum weir_code (*timers)(struct weir_operator *op, enum weir_time time, const struct weir_batch *keys,
                           const int64_t *times_ms, struct weir_error *error);
  /* The watermark rose to weir_operator_watermark_ms(); its timers have fired. No state can be read. */
  enum weir_code (*watermark)(struct weir_operator *op, struct weir_error *error);
  /* A checkpoint comes: rows that `instance` holds back must be emitted now, else a restart loses them. No state can be
   * read. */
  enum weir_code (*before_barrier)(struct weir_operator *op, struct weir_error *error);
  /* The input has ended: no batch will come. No state can be read. */
  enum weir_code (*end_input)(struct weir_operator *op, struct weir_error *error);
  /* Last, also after an error: frees the instance. Only after an `open` that went well. */
  void (*close)(struct weir_operator *op);
};

/* ---- where it runs ---- */

void *weir_operator_config(const struct weir_operator *op);
void weir_operator_set_instance(struct weir_operator *op, void *instance);
void *weir_operator_instance(const struct weir_operator *op);
const char *weir_operator_uid(const struct weir_operator *op);
uint32_t weir_operator_subtask(const struct weir_operator *op); /* 0 to parallelism - 1 */
uint32_t weir_operator_parallelism(const struct weir_operator *op);
/* No record before this event time will come any more, in milliseconds; INT64_MIN before the first watermark. */
int64_t weir_operator_watermark_ms(const struct weir_operator *op);
/* The machine's clock, milliseconds since 1970, UTC. The same within one callback. */
int64_t weir_operator_now_ms(const struct weir_operator *op);

/* ---- keyed state ---- */

/* Only in `open`, and only in a keyed operator (weir_process after weir_key_by). `name` is unique in the operator, is
 * part of what is stored, and does not begin with "weir."; the schema is copied, and must be the same at every start.
 * *out_state (may be NULL) lives as long as the operator. */
enum weir_code weir_operator_declare_state(struct weir_operator *op, const char *name, const struct weir_schema *value,
                                           struct weir_state **out_state, struct weir_error *error);
/* The declared state of this name; NULL: there is none. */
struct weir_state *weir_operator_state(struct weir_operator *op, const char *name);

/* In `process` and `timers`: the value of the key of row `row` of the batch at hand. A value is laid out as C lays out
 * a struct of the schema's fields in order: BOOLEAN uint8_t, INT int32_t, BIGINT int64_t, DOUBLE double, TIMESTAMP
 * struct weir_timestamp, STRING and BYTES 16 bytes that only weir_state_bytes and weir_state_set_bytes understand.
 * Pointers hold until the callback returns; rows with equal keys have the same value.
 *
 * NULL: the key has no value. */
const void *weir_state_get(const struct weir_state *state, uint32_t row);
/* The value to change; where the key had none, a new one of zero bytes (numbers 0, strings empty). */
void *weir_state_put(struct weir_state *state, uint32_t row);
/* The key has no value any more, and takes no room. */
void weir_state_clear(struct weir_state *state, uint32_t row);
/* A STRING or BYTES field of a value; no zero behind it. */
const char *weir_state_bytes(const struct weir_state *state, const void *value, uint32_t field, size_t *out_length);
/* Copies the bytes. Only for a value that weir_state_put gave. NO_MEMORY. */
enum weir_code weir_state_set_bytes(struct weir_state *state, void *value, uint32_t field, const void *bytes,
                                    size_t length, struct weir_error *error);
/* A nullable field. A new value's fields are not NULL. */
bool weir_state_is_null(const struct weir_state *state, const void *value, uint32_t field);
void weir_state_set_null(struct weir_state *state, void *value, uint32_t field, bool is_null);

/* ---- timers ---- */

/* In `process` and `timers`: calls `timers` at `time_ms` (milliseconds) for the key of row `row`. The same time and key
 * twice is once. Timers are in every checkpoint; those of processing time that fell due while the job was down fire
 * when it is up again. When the input has ended, all event-time timers fire, and no timer of processing time does any
 * more. */
enum weir_code weir_timer_register(struct weir_operator *op, enum weir_time time, int64_t time_ms, uint32_t row,
                                   struct weir_error *error);
/* No error where there is no such timer. */
enum weir_code weir_timer_delete(struct weir_operator *op, enum weir_time time, int64_t time_ms, uint32_t row,
                                 struct weir_error *error);

/* ---- output ---- */

/* The values of the row that is being made; weir_emit sends it. A nullable field that was not set is NULL, any other
 * zero bytes. A failure is remembered, and weir_emit returns it. In every callback but `open` and `close`. */
void weir_set_boolean(struct weir_operator *op, uint32_t field, bool value);
void weir_set_int(struct weir_operator *op, uint32_t field, int32_t value);
void weir_set_bigint(struct weir_operator *op, uint32_t field, int64_t value);
void weir_set_double(struct weir_operator *op, uint32_t field, double value);
void weir_set_timestamp(struct weir_operator *op, uint32_t field, struct weir_timestamp value);
void weir_set_bytes(struct weir_operator *op, uint32_t field, const void *bytes, size_t length);
/* Sends the row that was made. Rows leave in batches, at the latest when the callback returns. */
enum weir_code weir_emit(struct weir_operator *op, enum weir_row_kind kind, struct weir_error *error);
/* Sends rows of the batch at hand as they are, kinds too; the output's schema must be the batch's. */
enum weir_code weir_emit_rows(struct weir_operator *op, const struct weir_batch *batch, const uint32_t *rows,
                              uint32_t count, struct weir_error *error);

#ifdef __cplusplus
}
#endif

#endif
