/* state/internal.h: what the files of src/state share. Nobody else includes it.
 *
 * A table's rows lie in *pages* of a fixed number of slots: first a byte per slot (1: a row lives there), then the
 * rows. Pages are found through *page groups* (16 pages, and their marks). A row never moves while it lives, so a
 * pointer to it holds until it is deleted.
 *
 *   row: key (8 bytes: one BIGINT without NULL; else a bytes reference), value, zero bytes up to a multiple of 8
 *
 * Copy-on-write is by row. There are three sets of *marks*, one bit per slot: the rows changed since the last
 * freeze; F(N), the rows changed before it; and the rows that differ from the chain's base. The first change of a row
 * after a freeze sets its mark, and if the running snapshot still needs the row, copies it first (saved.c): as much is
 * copied as is changed, not whole pages. A copy goes to the snapshot by itself, so the slot's mark says from then on
 * that the snapshot wants nothing more of it. A set of marks is emptied by giving it a new tag: marks of a group with
 * another tag count as clear. So a freeze and the end of a checkpoint touch no page.
 *
 * The third set takes F(N) in while delta N is written, page by page. If N then fails it says too much, never too
 * little: F(N) is united with the new marks all the same. It begins anew when a base is completed. From it a
 * *cumulative* delta is written: all that differs from the base, so that it can take the place of all deltas before it.
 *
 * A slot that was never marked since the freeze holds exactly what it held then: that is what the snapshot relies on.
 */
#ifndef WR_STATE_INTERNAL_H
#define WR_STATE_INTERNAL_H

#include "base/random.h"
#include "state/blobs.h"
#include "state/index.h"
#include "state/state.h"

enum {
  PAGE_BYTES = 16 * 1024,
  PAGE_SLOTS_MAX = 1024,
  GROUP_PAGES_SHIFT = 4,
  GROUP_PAGES = 1 << GROUP_PAGES_SHIFT,
  KEY_BYTES_MAX = WR_KEY_BYTES_MAX + 64, /* a timer's key holds the operator's */
  SAVED_CHUNK_BYTES = 4 * 1024 - 64,
  CHAIN_HANDLES_MAX = 64, /* then a cumulative delta is written, so that the metadata stays small */
  MARK_SETS = 3,          /* two take turns: changes since the freeze, and F(N) */
  MARKS_OF_CHAIN = 2,     /* the third: what differs from the chain's base */
  WAITED_MAX = 256,
  SWEEP_PER_CALL = 64, /* blocks of dropped tables freed by one call */
};

/* How a row lies in memory, from the schemas alone. */
struct row_layout {
  bool is_bigint;        /* the key is one BIGINT without NULL */
  bool has_null_key;     /* the key is one nullable field */
  uint32_t value_offset; /* in the row; the bytes before it are the key */
  uint32_t value_size;
  uint32_t row_size;
  uint32_t field_count;    /* of the value */
  uint32_t *field_offsets; /* in the value; one block with the three below */
  uint32_t *null_offsets;  /* in the value; UINT32_MAX: the field is not nullable */
  uint32_t *blob_offsets;  /* in the row: where bytes references lie, the key's first */
  uint32_t blob_count;
  uint32_t gap_count;
  struct row_gap {
    uint32_t offset, length;
  } * gaps; /* in the row: bytes of no field, stored as zeros whatever the owner left in them */
  size_t block_bytes;
};

enum group_rule {
  GROUP_OF_KEY = 0,   /* hash of the key's canonical bytes */
  GROUP_OF_TIMER = 1, /* hash of the second field's bytes: a timer lives with its key */
};
enum { TIMER_KEY_OFFSET = 14 }; /* canonical bytes of (BIGINT, BYTES): 1, time, 1, u32 length, then the bytes */

/* Rows as they were at the freeze; see saved.c. One that is full of living rows lies as a record does. */
struct saved_chunk {
  struct saved_chunk *next;
  size_t bytes;      /* of the whole block */
  uint32_t living;   /* from the front */
  uint32_t deleted;  /* from the back */
  uint32_t capacity; /* even, so that the rows are aligned */
  uint32_t unused;
  uint8_t data[]; /* for each of `capacity` a u32 row id; then the rows */
};

/* What is kept for 16 pages. Where the rows lie is close together, and so are the marks of one set: changes look at one
 * set most of the time, and of a large state that much stays in the caches. */
struct group_block {
  uint8_t *rows[GROUP_PAGES]; /* a page's; NULL: a hole, all slots free (after a restore) */
  uint64_t marks[];           /* [set][page][word] */
};

struct page_group {
  struct group_block *block; /* NULL: the group has no page */
  uint32_t tags[MARK_SETS];  /* the marks of a set are its own where the tag is the set's */
};

struct wr_table {
  struct wr_backend *backend;
  struct wr_state *state;
  int64_t name_space;
  uint64_t generation;

  struct page_group *groups;
  uint32_t group_count;
  uint32_t group_capacity;
  uint32_t page_count;           /* pages from here on do not exist */
  uint32_t next_hole;            /* no hole is below */
  uint32_t fresh_row, fresh_end; /* slots of the newest page that were never used */
  uint32_t free_row;             /* head of the deleted slots, linked through their first four bytes; NO_ROW: none */
  uint64_t row_count;
  struct index index;
  struct blob_pool blobs;

  /* the last prepare */
  void **rows;
  uint32_t *row_ids;
  uint8_t *row_is_new;
  uint32_t result_count;
  uint32_t write_epoch; /* of the backend when it was a WRITE; 0: it was a READ */
  uint32_t result_capacity;

  /* snapshots */
  uint64_t changed_count[MARK_SETS]; /* marks per set, valid with the tag */
  uint32_t changed_tag[MARK_SETS];
  bool is_known;                                     /* some snapshot may hold it: its drop must be recorded */
  bool snapshot_needs;                               /* the running snapshot has rows of it yet to write */
  bool is_dropped;                                   /* while the running snapshot needs it */
  uint32_t frozen_pages;                             /* page_count at the freeze */
  uint64_t frozen_rows;                              /* row_count at the freeze */
  uint64_t cursor;                                   /* next row id that the snapshot looks at */
  struct saved_chunk *open_chunk;                    /* takes the next copies; NULL: none yet */
  struct saved_chunk *full_chunks, *last_full_chunk; /* the snapshot writes them, the oldest first */

  struct wr_table *next_garbage;
};

struct wr_state {
  struct wr_backend *backend;
  uint32_t number; /* in the backend, in order of registration */
  char *name;
  struct weir_schema *key;
  struct weir_schema *value;
  uint64_t time_to_live_ms;
  enum group_rule group_rule;
  struct row_layout layout;
  uint32_t page_shift; /* slots of a page, as a power of two */
  uint32_t page_slots;
  uint32_t mark_words;      /* of a page, in each set */
  uint32_t rows_offset;     /* of the first row in a page */
  struct wr_table **tables; /* ascending by namespace */
  uint32_t table_count;
  uint32_t table_capacity;
};

struct drop_record {
  struct drop_record *next;
  uint32_t state;
  int64_t name_space;
  uint64_t generation;
};
struct drop_list {
  struct drop_record *first, *last;
};

struct handle_list {
  struct wr_handle *handles;
  uint32_t count;
  uint32_t capacity;
};

/* What one record lists. */
struct listed_rows {
  uint32_t count;
  uint32_t ids[PAGE_SLOTS_MAX];
};

struct snapshot {
  bool is_running;
  bool is_base, is_cumulative; /* neither: a delta of F(N) alone */
  bool is_empty;               /* says nothing that its chain does not say already */
  uint32_t phase;              /* see snapshot.c */
  uint64_t checkpoint_id;
  struct wr_table **tables;
  uint32_t table_count, table_capacity;
  uint32_t next_table;
  bool table_begun; /* the record of the next table is written */
  struct drop_record *next_drop;
  uint64_t rows_written, deletions_written, drops_written, frozen_rows;
  uint32_t fetched_end;     /* rows of the pages before it were fetched in this slice */
  uint64_t rows_left;       /* of a delta, about: those not written and not saved */
  uint32_t saved_rows;      /* copied since the last slice */
  uint32_t held_slices;     /* this one, if more than 0, and so many less one after it leave the pages alone */
  struct wr_bytes out;      /* of the slice, as far as it was not appended */
  struct wr_upload *upload; /* during a slice; NULL from where an append has failed */
  struct weir_error *error; /* of it */
  struct listed_rows living, deleted; /* for the records of one page or chunk */
  const uint8_t *living_rows[PAGE_SLOTS_MAX];
};

struct wr_backend {
  struct wr_memory *memory;
  struct wr_backend_options options;
  uint64_t bytes; /* living, all blocks of the backend */
  uint64_t row_count;
  struct wr_state *states[WR_STATES_PER_OPERATOR_MAX];
  uint32_t state_count;
  uint64_t next_generation;

  uint32_t set; /* the set of marks that takes changes; 1 - set is F(N) */
  uint32_t set_tag[MARK_SETS];
  uint32_t next_tag;
  uint32_t epoch;                /* grows at every freeze */
  struct drop_list drops;        /* since the last freeze */
  struct drop_list frozen_drops; /* of F(N) */
  struct drop_list chain_drops;  /* of the chain's deltas, as far as its base may hold the table */

  bool outcome_open; /* F(N) exists */
  uint64_t frozen_checkpoint;
  bool frozen_is_base, frozen_is_cumulative;
  bool uploaded; /* the handle of `frozen_checkpoint` is there */
  bool frozen_is_empty;
  uint64_t frozen_generation; /* tables that the frozen base can hold have a lower one */

  struct handle_list chain; /* of the last completed checkpoint; an uploaded delta lies behind `count` */
  struct handle_list
      next_chain;            /* takes its place: nothing or its base; the uploaded base or cumulative delta behind */
  uint64_t chain_checkpoint; /* the checkpoint that `chain` stands for */
  uint64_t base_checkpoint;  /* of its base */
  uint64_t base_generation;  /* tables that its base can hold have a lower one */
  uint64_t base_rows;        /* in its base */
  uint64_t delta_rows;       /* and deletions, in all its deltas */

  struct snapshot snapshot;
  struct wr_table *garbage;         /* dropped tables, freed a few blocks at a time */
  struct saved_chunk *spare_chunks; /* of ended snapshots; used again, or freed a few at a time */
  uint64_t waited[WAITED_MAX];      /* prepares that were told to wait; a ring */
  uint32_t waited_next;
  uint32_t tags[WR_BATCH_ROWS_MAX];
};

/* ---- memory (backend.c): as wr_alloc, counted; frees dropped tables before it gives up ---- */

void *wr_state_alloc(struct wr_backend *backend, size_t bytes, enum wr_memory_tag tag);
void wr_state_release(struct wr_backend *backend, void *block, size_t bytes);
/* A larger array; `*capacity` counts elements. The old one stays on failure. */
bool wr_state_grow(struct wr_backend *backend, void *array_pointer, uint32_t *capacity, size_t element_bytes,
                   uint32_t wanted);
enum weir_code wr_state_no_memory(const struct wr_state *state, struct weir_error *error);
enum weir_code wr_backend_register_rule(struct wr_backend *backend, const struct wr_state_descriptor *descriptor,
                                        enum group_rule rule, struct wr_state **out_state, struct weir_error *error);
/* Frees up to `blocks` blocks of dropped tables and ended snapshots. */
void wr_backend_sweep(struct wr_backend *backend, uint32_t blocks);

/* ---- layout.c ---- */

enum weir_code wr_layout_init(struct row_layout *layout, struct wr_memory *memory, const struct weir_schema *key,
                              const struct weir_schema *value, struct weir_error *error);
void wr_layout_deinit(struct row_layout *layout, struct wr_memory *memory);
/* "app_id STRING NOT NULL, count BIGINT" */
void wr_layout_put_schema(struct wr_bytes *out, const struct weir_schema *schema);

/* ---- table.c: pages, slots, marks ---- */

struct wr_table *wr_table_new(struct wr_state *state, int64_t name_space);
void wr_table_free(struct wr_table *table);
/* Frees about `*blocks` blocks of it and lowers that; true when all is gone but the struct itself. */
bool wr_table_free_some(struct wr_table *table, uint32_t *blocks);
/* Makes the page of a row id where it is missing (restore). */
bool wr_table_make_page(struct wr_table *table, uint32_t page_number);
/* A free slot, marked as changed; NO_ROW without memory. Nothing is live there until its header is set. */
uint32_t wr_table_take_slot(struct wr_table *table);
/* As wr_table_take_slot without the mark (restore). */
uint32_t wr_table_take_slot_unmarked(struct wr_table *table);
void wr_table_give_slot(struct wr_table *table, uint32_t row_id);
/* Sets the mark of a row for the first time, after saving what a running snapshot needs; false without memory. */
bool wr_table_mark_slow(struct wr_table *table, uint32_t row_id, bool is_live);
/* Adds the frozen marks of a page to those of the chain. */
void wr_table_mark_chain(struct wr_table *table, uint32_t page_number);
/* The row is not what the chain's base says (restore). Its page exists. */
void wr_table_mark_restored(struct wr_table *table, uint32_t row_id);
/* Unites the marks of the frozen set into the current one. */
void wr_table_unite_marks(struct wr_table *table);
/* Ends what the running snapshot holds of it. */
void wr_table_end_snapshot(struct wr_table *table);
/* The row is gone from index and page; its blobs are freed or left to the snapshot. It must be marked (or need none).
 */
void wr_table_remove_row(struct wr_table *table, uint32_t row_id);
/* As wr_table_prepare, never WAIT. */
enum wr_prepare wr_table_prepare_now(struct wr_table *table, const struct wr_key *keys, uint32_t n,
                                     enum wr_access access, struct weir_error *error);
uint32_t wr_table_tag_of_row(const struct wr_table *table, const uint8_t *row);
bool wr_table_rows_equal(const struct wr_table *table, uint32_t a, uint32_t b);
struct wr_key wr_row_key(const struct row_layout *layout, const uint8_t *row);
uint32_t wr_row_key_group(enum group_rule rule, uint32_t max_parallelism, const struct wr_key *key);
/* Frees the blobs of a row, or leaves them to the snapshot. */
void wr_table_give_blobs(struct wr_table *table, const uint8_t *row);

/* ---- saved.c: rows that the running snapshot needs as they were ---- */

/* Copies what the snapshot needs of a row that is about to change; false without memory. */
bool wr_saved_add(struct wr_table *table, uint32_t row_id, bool is_live);
/* Nothing more will be saved: what there is can be written. */
void wr_saved_close(struct wr_table *table);
/* The oldest full chunk has been written: it is used again. */
void wr_saved_end_chunk(struct wr_table *table);
void wr_saved_end(struct wr_table *table);
/* Frees up to `*blocks` chunks that nothing is in, and lowers that. */
void wr_saved_free_spare(struct wr_backend *backend, uint32_t *blocks);

/* ---- chain.c: what is completed ---- */

/* Adds the frozen marks and drops back to the current ones. */
void wr_backend_unite(struct wr_backend *backend);
void wr_handles_clear(struct wr_backend *backend, struct handle_list *list);
void wr_drops_add(struct drop_list *list, struct drop_record *record);
void wr_drops_free(struct wr_backend *backend, struct drop_list *list);

/* Of the marks of a group's pages in one set. */
static inline size_t set_bytes(const struct wr_state *state) {
  return (size_t)GROUP_PAGES * state->mark_words * sizeof(uint64_t);
}
static inline size_t block_bytes(const struct wr_state *state) {
  return sizeof(struct group_block) + MARK_SETS * set_bytes(state);
}
static inline struct page_group *group_of(const struct wr_table *table, uint32_t page_number) {
  return &table->groups[page_number >> GROUP_PAGES_SHIFT];
}
/* The page's group has a block. */
static inline uint8_t **page_place(const struct wr_table *table, uint32_t page_number) {
  return &group_of(table, page_number)->block->rows[page_number & (GROUP_PAGES - 1)];
}
/* NULL: there is no such page. */
static inline uint8_t *page_of(const struct wr_table *table, uint32_t page_number) {
  return group_of(table, page_number)->block == NULL ? NULL : *page_place(table, page_number);
}
/* Of one set, a bit for each slot; they count where marks_present says so. */
static inline uint64_t *marks_of(const struct wr_table *table, uint32_t page_number, uint32_t set) {
  size_t page = (size_t)set * GROUP_PAGES + (page_number & (GROUP_PAGES - 1));
  return group_of(table, page_number)->block->marks + page * table->state->mark_words;
}
static inline bool marks_present(const struct wr_table *table, uint32_t page_number, uint32_t set) {
  return group_of(table, page_number)->tags[set] == table->backend->set_tag[set];
}
/* The page exists. */
static inline uint8_t *row_of(const struct wr_table *table, uint32_t row_id) {
  const struct wr_state *state = table->state;
  return *page_place(table, row_id >> state->page_shift) + state->rows_offset +
         (size_t)(row_id & (state->page_slots - 1)) * state->layout.row_size;
}
/* 1: a row lives there. The page exists. */
static inline uint8_t *life_of(const struct wr_table *table, uint32_t row_id) {
  const struct wr_state *state = table->state;
  return *page_place(table, row_id >> state->page_shift) + (row_id & (state->page_slots - 1));
}
static inline bool wr_table_is_marked(const struct wr_table *table, uint32_t row_id, uint32_t set) {
  uint32_t page_number = row_id >> table->state->page_shift, slot = row_id & (table->state->page_slots - 1);
  return marks_present(table, page_number, set) &&
         (marks_of(table, page_number, set)[slot / 64] >> (slot % 64) & 1) != 0;
}
static inline bool wr_table_mark(struct wr_table *table, uint32_t row_id, bool is_live) {
  return wr_table_is_marked(table, row_id, table->backend->set) || wr_table_mark_slow(table, row_id, is_live);
}
static inline uint32_t *saved_ids(struct saved_chunk *chunk) {
  return (uint32_t *)(void *)chunk->data;
}
static inline uint8_t *saved_rows(struct saved_chunk *chunk) {
  return (uint8_t *)(saved_ids(chunk) + chunk->capacity);
}
/* A blob that a running snapshot may still read: made before the freeze, of a table not yet written. */
static inline bool blob_is_held(const struct wr_table *table, const union bytes_reference *reference) {
  return table->snapshot_needs && reference->far.epoch != table->backend->epoch;
}

#endif
