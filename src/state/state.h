/* state/state.h: keyed state: the state backend of one operator subtask, in memory, paged and copy-on-write.
 *
 * A *backend* holds the states of one operator subtask; a *state* is one declared kind of state (name, key, value
 * schema); a *table* is one namespace of a state (windows use one per slice; without windows it is namespace 0); a
 * *row* is one key's value. A row's id is page number and slot; it holds until the row is deleted or restored.
 *
 * Access is by batch and can say "not yet": prepare() answers READY or WAIT; after READY, rows() cannot fail and its
 * pointers hold until the operator returns to the task. WRITE finds or inserts and has done all copying before it hands
 * out a pointer; READ finds. What a WRITE handed out counts as changed.
 *
 * Snapshots are incremental. freeze(N) is the synchronous part: O(tables), it moves the marks of changed and deleted
 * rows aside as F(N). snapshot_step() then writes base or delta in slices, between which rows may change: the first
 * write to a row that the snapshot still needs copies that row first, and the copy is the snapshot's. F(N) lives until
 * N's outcome is known: completed(N) drops it, aborted(N) unites it with the new marks; freeze(N+1) with N's outcome
 * unknown does as aborted(N), and the delta then stands on the last completed checkpoint. Where nothing changed nothing
 * is written, and the chain stays as it is.
 *
 * A delta is *cumulative*, holds all that differs from the base and takes the place of the deltas before it, when half
 * of what those hold was replaced since (rows that change again and again), and when the chain has 64 handles. A base
 * is written when there is none, when the deltas' bytes exceed half of its, when more than half of the rows changed,
 * and when it holds more than twice the rows that there are.
 *
 * One thread (the task's), except restore, which runs inside a call before the task starts.
 */
#ifndef WR_STATE_STATE_H
#define WR_STATE_STATE_H

#include "data/key.h"
#include "store/store.h"

struct wr_backend;
struct wr_state;
struct wr_table;

struct wr_backend_options {
  struct wr_memory *memory;
  struct wr_key_group_range range; /* key groups of this subtask */
  uint32_t max_parallelism;
  uint64_t index_seed;
  uint32_t wait_one_in; /* 0: prepare is always READY; n: one in n answers WAIT first (simulator) */
  uint64_t wait_seed;
};

struct wr_state_descriptor {
  const char *name;                /* unique within the operator; borrowed until registered */
  const struct weir_schema *key;   /* key fields' types; a single BIGINT key has the fast path */
  const struct weir_schema *value; /* fields of the value; there may be none */
  uint64_t time_to_live_ms;        /* 0: none; recorded with the state; the backend itself expires nothing */
};

enum weir_code wr_backend_new(const struct wr_backend_options *options, struct wr_backend **out_backend,
                              struct weir_error *error);
void wr_backend_free(struct wr_backend *backend); /* NULL is fine */
/* Before restore and before the first use. INVALID when the name is taken. */
enum weir_code wr_backend_register(struct wr_backend *backend, const struct wr_state_descriptor *descriptor,
                                   struct wr_state **out_state, struct weir_error *error);

/* The registered state of this name; NULL: there is none. */
struct wr_state *wr_backend_find(const struct wr_backend *backend, const char *name);
/* As it was registered; the state's own. */
const struct weir_schema *wr_state_value_schema(const struct wr_state *state);

/* ---- values ---- */

/* Values are laid out as C would lay out a struct of the fields in order (offsets from wr_state_value_offset): BOOLEAN
 * uint8_t, INT int32_t, BIGINT int64_t, DOUBLE double, TIMESTAMP struct weir_timestamp; STRING and BYTES are opaque 16
 * bytes, read and set by the functions below. A new row is all zero bytes (empty strings). A nullable field has a byte
 * of its own in front of the struct's end: see wr_value_is_null. */
uint32_t wr_state_value_offset(const struct wr_state *state, uint32_t field);
uint32_t wr_state_value_size(const struct wr_state *state);
const char *wr_value_bytes(const struct wr_table *table, const void *value, uint32_t field, size_t *out_length);
/* Copies `bytes` into the table. Only for a value that a WRITE handed out. */
enum weir_code wr_value_set_bytes(struct wr_table *table, void *value, uint32_t field, const void *bytes, size_t length,
                                  struct weir_error *error);
bool wr_value_is_null(const struct wr_table *table, const void *value, uint32_t field);
void wr_value_set_null(struct wr_table *table, void *value, uint32_t field, bool is_null);

/* ---- tables ---- */

/* The table of a namespace (not INT64_MIN), made where missing. NULL: no memory. */
struct wr_table *wr_state_table(struct wr_state *state, int64_t name_space);
/* Forgets a namespace with all its rows: O(1) in rows as far as the allocator allows. A table made again is new. */
enum weir_code wr_state_drop(struct wr_state *state, int64_t name_space, struct weir_error *error);
/* Calls for every namespace there is, ascending, starting after `*cursor`; false at the end. Start with INT64_MIN. */
bool wr_state_next_namespace(struct wr_state *state, int64_t *cursor, struct wr_table **out_table);

enum wr_access { WR_ACCESS_READ, WR_ACCESS_WRITE };
enum wr_prepare { WR_PREPARE_READY, WR_PREPARE_WAIT, WR_PREPARE_FAILED };

/* For a state whose key is one non-NULL BIGINT. n at most WR_BATCH_ROWS_MAX. */
enum wr_prepare wr_table_prepare_bigints(struct wr_table *table, const int64_t *keys, uint32_t n, enum wr_access access,
                                         struct weir_error *error);
/* For any state; keys as wr_keys_of_batch makes them. */
enum wr_prepare wr_table_prepare(struct wr_table *table, const struct wr_key *keys, uint32_t n, enum wr_access access,
                                 struct weir_error *error);
/* After READY, until the next prepare on this table: the values of keys 0..n-1, NULL where READ found none. Equal keys
 * give equal pointers. */
void *const *wr_table_rows(const struct wr_table *table);
/* Row ids beside them (UINT32_MAX where absent). */
const uint32_t *wr_table_row_ids(const struct wr_table *table);
/* 1 where this prepare inserted the row; for equal keys only at the first. */
const uint8_t *wr_table_row_is_new(const struct wr_table *table);
/* Deletes the row of key i of the last prepare (WRITE). Twice is fine. */
void wr_table_delete(struct wr_table *table, uint32_t i);
/* Deletes by row id, without a prepare. NO_MEMORY only where a running snapshot needs a copy; then nothing changed. */
enum weir_code wr_table_delete_row(struct wr_table *table, uint32_t row_id, struct weir_error *error);

/* Walks the rows in id order, read only: *cursor starts at 0; false at the end. */
bool wr_table_next(struct wr_table *table, uint32_t *cursor, uint32_t *out_row_id, struct wr_key *out_key,
                   const void **out_value);
uint64_t wr_table_row_count(const struct wr_table *table);
/* Key and value of a living row id (timers, reading state from outside). */
const void *wr_table_row(struct wr_table *table, uint32_t row_id, struct wr_key *out_key);

/* Memory of all of the backend, and rows in all tables. */
uint64_t wr_backend_bytes(const struct wr_backend *backend);
uint64_t wr_backend_row_count(const struct wr_backend *backend);

/* ---- snapshots ---- */

enum wr_snapshot_progress {
  WR_SNAPSHOT_MORE,
  WR_SNAPSHOT_LATER, /* more, and cheaper once the next rows have changed; to go on at once is fine */
  WR_SNAPSHOT_WRITTEN,
  WR_SNAPSHOT_FAILED
};

/* The synchronous part at barrier N. `full` asks for a base. No snapshot may be running. On NO_MEMORY nothing
 * changed. */
enum weir_code wr_backend_freeze(struct wr_backend *backend, uint64_t checkpoint_id, bool full,
                                 struct weir_error *error);
/* Writes the next slice, about `budget_bytes`, into `upload` (which must be OPEN). WRITTEN: all of it (which may be no
 * byte at all); finish the upload. After FAILED only wr_backend_snapshot_cancel or wr_backend_aborted. */
enum wr_snapshot_progress wr_backend_snapshot_step(struct wr_backend *backend, struct wr_upload *upload,
                                                   size_t budget_bytes, struct weir_error *error);
/* The upload's handle, taken over: the chain of checkpoint N is now known. */
void wr_backend_snapshot_uploaded(struct wr_backend *backend, uint64_t checkpoint_id, struct wr_handle *handle);
/* The chain of the snapshot last uploaded, base first; a view. Count 0: no state and nothing to restore. */
const struct wr_handle *wr_backend_chain(const struct wr_backend *backend, uint32_t *out_count);
/* Ends a running snapshot: its pages are freed, its marks united with the new ones. Fine when none runs. */
void wr_backend_snapshot_cancel(struct wr_backend *backend);
/* N's outcome. Ids that are not the last frozen one are ignored (late or repeated notices). */
void wr_backend_completed(struct wr_backend *backend, uint64_t checkpoint_id);
void wr_backend_aborted(struct wr_backend *backend, uint64_t checkpoint_id);

/* ---- restore: inside a call ---- */

/* What one subtask of the operator had stored. */
struct wr_backend_chain {
  const struct wr_handle *handles; /* base first */
  uint32_t count;
  struct wr_key_group_range range;
};
/* Fills an empty backend, all states registered, with the rows of its key groups. One chain of exactly its range keeps
 * its row ids, and the next snapshot is a delta on it; otherwise rows get new ids and the next snapshot is a base.
 * CORRUPT, or INVALID naming the state when a stored schema differs from the registered one or nobody registered it
 * (unless `allow_non_restored`: then *out_dropped_rows counts). After a failure the backend can only be freed. */
enum weir_code wr_backend_restore(struct wr_backend *backend, struct wr_store *store,
                                  const struct wr_backend_chain *chains, uint32_t chain_count, bool allow_non_restored,
                                  uint64_t *out_dropped_rows, struct weir_error *error);

/* For `weir check`: one line of text per state of a chain (name, key, value, rows, bytes), through `line`. */
enum weir_code wr_backend_describe(struct wr_store *store, const struct wr_backend_chain *chain,
                                   struct wr_memory *memory, void (*line)(void *argument, const char *text),
                                   void *argument, struct weir_error *error);

#endif
