/* state/load.h: reading chains of snapshots; shared by load.c, apply.c and restore.c only.
 *
 * A loader reads the streams of one chain in order and applies them by row id. Where row ids are kept (one chain of
 * exactly this backend's key groups) a row goes to its own place; else each old table has a map from old row id to the
 * row it became, and a row of somebody else's key group counts as a deletion. Without a target (a state that nobody
 * registered, or describing) the map says only which rows live.
 */
#ifndef WR_STATE_LOAD_H
#define WR_STATE_LOAD_H

#include "state/format.h"
#include "state/internal.h"

enum { ID_MAP_SHIFT = 10, ID_MAP_ROWS = 1 << ID_MAP_SHIFT };

/* A state of a chain. */
struct loaded_state {
  char *name;
  struct weir_schema key, value; /* fields and names are owned */
  enum group_rule group_rule;
  uint64_t time_to_live_ms;
  struct row_layout layout;
  struct wr_state *target; /* NULL: its rows are only counted */
  uint64_t stored_bytes;   /* of its row records */
};

/* A table of a chain. */
struct loaded_table {
  uint32_t state; /* in loader.states */
  int64_t name_space;
  uint64_t generation;
  struct wr_table *target; /* NULL as in its state */
  uint32_t **map;          /* old row id to new, by ID_MAP_ROWS; NO_ROW: does not live */
  uint32_t map_count, map_capacity;
  uint64_t live; /* rows of ours; with kept ids the target counts */
};

struct stream {
  struct wr_blob_reader *reader;
  const uint8_t *block;
  size_t block_length, block_position;
  uint64_t left;    /* payload bytes not yet taken */
  uint64_t taken;   /* for messages */
  const char *name; /* for messages */
  uint8_t *joined;  /* a record that lies in several blocks */
  size_t joined_capacity;
  uint32_t states[WR_STATES_PER_OPERATOR_MAX]; /* its numbers to the loader's */
  uint32_t state_count;
  bool is_base;
  bool has_ended; /* its end record was read */
  uint64_t checkpoint_id;
  uint64_t rows, deletions, drops;
  struct loaded_table *table; /* that the next rows belong to */
};

struct loader {
  struct wr_memory *memory;
  struct wr_store *store;
  struct wr_backend *backend; /* NULL: describes only */
  bool allow_non_restored;
  bool keeps_ids;
  struct wr_key_group_range range; /* ours */
  const struct wr_backend_chain *chain;
  uint32_t max_parallelism; /* of the chain; 0 before its first header */
  uint64_t checkpoint_id;   /* of the stream before */
  struct loaded_state states[WR_STATES_PER_OPERATOR_MAX];
  uint32_t state_count;
  struct loaded_table **tables; /* ascending by state, then namespace */
  uint32_t table_count, table_capacity;
  struct stream stream;
};

/* Damage found at the place where the stream stands. */
#define STREAM_DAMAGED(stream, error, what)                                                                            \
  WR_FAIL(error, WEIR_CORRUPT, "%s is damaged: at byte %llu of its content %s", (stream)->name,                        \
          (unsigned long long)(stream)->taken, what)
#define LOAD_NO_MEMORY(error) WR_FAIL(error, WEIR_NO_MEMORY, "out of memory while state is restored")

/* Reads one chain into the loader's target. */
enum weir_code wr_load_chain(struct loader *loader, struct weir_error *error);
void wr_load_deinit(struct loader *loader);

/* ---- apply.c ---- */

enum weir_code wr_load_begin_table(struct loader *loader, uint32_t state, int64_t name_space, uint64_t generation,
                                   struct weir_error *error);
enum weir_code wr_load_drop(struct loader *loader, uint32_t state, int64_t name_space, uint64_t generation,
                            struct weir_error *error);
/* `is_near`: the row ids are as in format 1. */
enum weir_code wr_load_rows(struct loader *loader, const uint8_t *data, uint64_t length, bool is_near,
                            struct weir_error *error);
enum weir_code wr_load_deletions(struct loader *loader, const uint8_t *data, uint64_t length, bool is_near,
                                 struct weir_error *error);
uint64_t wr_load_live_rows(const struct loader *loader, uint32_t state);
void wr_load_free_tables(struct loader *loader);
/* Larger array in plain memory. */
bool wr_load_grow(struct loader *loader, void *array_pointer, uint32_t *capacity, size_t element_bytes,
                  uint32_t wanted);

#endif
