/* connectors/files/file_reader.h: the inside of the files reader, shared by its three files. One thread: the task's.
 *
 *   file_reader.c        the operator: what is emitted when, snapshots, splits coming in
 *   file_reader_slots.c  which files are read now: slots, read-ahead, looking for growth
 *   file_reader_lines.c  from text to rows: lines, stops, bad records
 */
#ifndef WR_CONNECTORS_FILES_FILE_READER_H
#define WR_CONNECTORS_FILES_FILE_READER_H

#include "base/limits.h"
#include "connectors/files/file_input.h"
#include "connectors/files/files.h"
#include "connectors/source_rows.h"

enum { WR_READER_SLOTS = 4 };

enum wr_file_state {
  WR_FILE_LOOKING, /* read to its end; looked at now and then whether it has grown */
  WR_FILE_QUEUED,  /* has more, waits for a slot */
  WR_FILE_ACTIVE,  /* in a slot */
  WR_FILE_ENDED    /* bounded: its stop is reached */
};

/* One file of this subtask. `split` is exactly as far as rows were built; what is before it in the builder counts. */
struct wr_reader_file {
  struct wr_file_split split;
  char *path;
  enum wr_file_state state;
  struct wr_reader_file *next_queued;
  bool reopen;                        /* the path leads to another inode than the one that is open */
  uint64_t other_since_ns;            /* the path has led to another inode since then; 0: it does not */
  uint64_t size_seen;                 /* where reading came to the end; below it the file shrank */
  uint8_t tail[WR_FILE_DIGEST_BYTES]; /* the bytes before the position, or before the slot's text; if was_opened */
  uint32_t tail_count;
  bool was_opened;        /* else split.tail is still as it came */
  uint64_t skipped_bytes; /* of a record that is too long and whose end was not found yet; 0: none is skipped */
  uint8_t *skipped_tail;  /* then: the last bytes of it */
  uint32_t skipped_tail_count;
  char *skipped_start; /* then: its excerpt */
  struct wr_split_time time;
  struct wr_file_info look_info; /* the answers of the look */
  enum weir_code look_code;
};

/* A file that is being read. Its text is [at, end) of `text`; [from, at) of it was taken. */
struct wr_reader_slot {
  struct wr_file_input input;
  struct wr_reader_file *file;    /* NULL: free */
  struct wr_reader_file *file_of; /* whose file input.file is */
  uint8_t *buffers[2];
  uint8_t *joined;  /* a record longer than the headroom: text of its own; NULL: text is in buffers[current] */
  unsigned current; /* the buffer of the text; the other one is read into */
  uint8_t *text;    /* NULL: none yet */
  size_t from, at, end;
  bool at_end;          /* the file ends behind the text */
  bool reading;         /* a call runs, or its answer was not taken yet */
  bool ready;           /* the other buffer holds the next piece: input.length, input.at_end */
  uint64_t read_offset; /* of the next piece */
  uint64_t turn_bytes;  /* read since it got the slot */
};

struct wr_files_reader {
  struct wr_operator op;
  const struct wr_files_config *config;
  struct wr_source_rows built;
  struct wr_reader_file **files;
  uint32_t file_count, file_capacity;
  uint32_t ended_count;
  struct wr_reader_file *first_queued, *last_queued;
  struct wr_reader_slot slots[WR_READER_SLOTS];
  uint32_t next_slot; /* round robin */
  bool no_more_splits;
  struct wr_call look;
  bool look_running;
  struct wr_reader_file **look_files; /* the call's */
  uint32_t look_count, look_capacity;
  uint64_t looked_at_ns, look_at_ns, look_delay_ns;
  struct wr_watch watch; /* of the folder, armed by each look before it looks */
  bool is_watched;       /* what arming said */
  struct weir_error look_error;
};

/* ---- slots ---- */

void wr_reader_queue(struct wr_files_reader *reader, struct wr_reader_file *file);
/* Takes the answers that have come, gives slots out, submits reads. *out_made: something happened. */
enum weir_code wr_reader_step_slots(struct wr_files_reader *reader, bool *out_made, struct weir_error *error);
/* The text was taken as far as it goes: goes on with the next piece, or gives the slot up. *out_more: there is new
 * text. */
enum weir_code wr_reader_next_text(struct wr_files_reader *reader, struct wr_reader_slot *slot, bool *out_more,
                                   struct weir_error *error);
/* The file leaves its slot. */
void wr_reader_release(struct wr_files_reader *reader, struct wr_reader_slot *slot, enum wr_file_state state);
/* `reader->look` is made ready. */
void wr_reader_init_look(struct wr_files_reader *reader);
/* Looks whether files have grown, when it is time. */
enum weir_code wr_reader_look(struct wr_files_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                              struct weir_error *error);
/* Nothing is read, and nothing waits to be. */
bool wr_reader_is_dry(const struct wr_files_reader *reader);
/* The split as of now, with its tail's digest. */
struct wr_file_split wr_reader_split(const struct wr_files_reader *reader, const struct wr_reader_file *file);
/* Moves the bytes into the rolling `tail`. */
void wr_reader_roll(uint8_t *tail, uint32_t *count, const uint8_t *bytes, size_t length);

/* ---- lines ---- */

/* Builds rows of the slot's text, a bounded piece of work. *out_wants: no whole line is left in the text. */
enum weir_code wr_reader_build(struct wr_files_reader *reader, struct wr_reader_slot *slot, bool *out_wants,
                               struct weir_error *error);

#endif
