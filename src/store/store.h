/* store/store.h: where bytes that outlive the process lie: handles, uploads, blob readers.
 *
 * A *handle* says where bytes are: inline (small state, inside the metadata) or {file, offset, length, digest} in the
 * job's folder. A data file is written once, by one upload, and never changed; its name holds the start number and a
 * serial, so that no two uploads of a job ever share a name. It describes itself: header, then checksummed blocks (byte
 * table in blob.c). File names are relative to the job's folder.
 *
 * Durability: an upload that answers DONE with a file has written and fsynced it; its *entry in the folder* is made
 * durable by whoever publishes the name (wr_folder_publish_checkpoint syncs the folder before the metadata is renamed).
 */
#ifndef WR_STORE_STORE_H
#define WR_STORE_STORE_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/limits.h"
#include "os/seams.h"

enum { WR_FILE_NAME_BYTES = 48, WR_INCARNATION_BYTES = 16 };

/* One job folder in use by one start of the job. Lives as long as the job's runtime. */
struct wr_store {
  struct wr_seams *seams;
  const char *folder;   /* path of the job's folder */
  const char *job_name; /* at the incarnation's birth */
  uint8_t incarnation[WR_INCARNATION_BYTES];
  uint64_t start_number;             /* also the attempt: grows at every start and every restart within the process */
  _Atomic uint64_t next_file_serial; /* of this start number; set back to 0 when start_number grows */
};

enum wr_blob_kind { WR_BLOB_STATE = 1, WR_BLOB_EPOCH = 2 };

/* Where bytes are. Copied with wr_handle_copy, released with wr_handle_deinit (inline bytes are owned). */
struct wr_handle {
  char file[WR_FILE_NAME_BYTES]; /* "" when inline */
  uint64_t offset;               /* of the first payload block's header in the file */
  uint64_t length;               /* payload bytes, blocks joined, without headers */
  struct wr_digest digest;       /* of the payload */
  uint8_t *inline_bytes;         /* `length` bytes when inline (NULL when length is 0) */
};

/* The name of data file `serial` of a start, and the way back: false where `name` is not exactly such a name. */
void wr_data_file_name(uint64_t start_number, uint64_t serial, char out_name[WR_FILE_NAME_BYTES]);
bool wr_data_file_parse(const char *name, uint64_t *out_start_number, uint64_t *out_serial);
/* How many bytes a file has whose one payload is this handle's. 0 for an inline handle. */
uint64_t wr_handle_file_bytes(const struct wr_handle *handle);
/* An inline handle of a copy of the bytes. */
enum weir_code wr_handle_of_bytes(struct wr_memory *memory, const void *bytes, size_t length,
                                  struct wr_handle *out_handle, struct weir_error *error);
enum weir_code wr_handle_copy(struct wr_memory *memory, const struct wr_handle *source, struct wr_handle *out_target,
                              struct weir_error *error);
void wr_handle_deinit(struct wr_memory *memory, struct wr_handle *handle);
void wr_handle_put(struct wr_bytes *out, const struct wr_handle *handle);
/* CORRUPT where the bytes are no handle or end too early. The digest of an inline handle is made anew, not stored. */
enum weir_code wr_handle_read(struct wr_reader *reader, struct wr_memory *memory, struct wr_handle *out_handle,
                              struct weir_error *error);

/* ---- upload: a file written by a task that never blocks ---- */

/* An upload takes bytes in any pieces and writes them in the background, in blocks; a few of an epoch, up to 32 MiB of
 * state may wait to be written. While less than WR_INLINE_STATE_BYTES_MAX have come it writes nothing; if it is
 * finished by then, its handle is inline. One task's; the waker is the task's. It must not be freed while its call
 * runs: see wr_upload_is_idle. */
struct wr_upload;

/* Buffers of ended uploads, for the next ones: memory that was just given back costs a fault for each of its pages when
 * it is taken again. Zeroed at first; one thread, and there until its last upload is freed. */
struct wr_upload_spare {
  struct piece *pieces;
  uint32_t count;
};
void wr_upload_spare_deinit(struct wr_upload_spare *spare, struct wr_memory *memory);

struct wr_upload_options {
  enum wr_blob_kind kind;
  const char *uid; /* of the operator, borrowed; goes into the file's header */
  uint32_t subtask;
  bool wait_for_space; /* true: ENOSPC is back-pressure: the same write is tried again, at the same offset, every
                          100 ms (epochs); false: it fails the upload (state) */
  struct wr_upload_spare *spare; /* NULL: none */
};

enum weir_code wr_upload_new(struct wr_store *store, const struct wr_upload_options *options, struct wr_waker *waker,
                             struct wr_upload **out_upload, struct weir_error *error);

enum wr_upload_state {
  WR_UPLOAD_OPEN,     /* takes bytes */
  WR_UPLOAD_FULL,     /* takes none until a write has finished (the waker is called then) */
  WR_UPLOAD_NO_SPACE, /* as FULL; the disk is full and the write is tried again at wake_at */
  WR_UPLOAD_CLOSING,  /* finish() was called, the end is being written and synced */
  WR_UPLOAD_DONE,     /* the handle is there */
  WR_UPLOAD_FAILED    /* for good; the error is there, the file is removed as far as possible */
};
/* Advances it (submits what is due, looks at finished calls). Call at every step of the owner. *wake_at_ns is lowered
 * to the time of the next try, if it waits for one. */
enum wr_upload_state wr_upload_step(struct wr_upload *upload, uint64_t now_ns, uint64_t *wake_at_ns);
/* Appends bytes; only while OPEN. They are copied; the upload may run over its soft limit by one append. */
enum weir_code wr_upload_append(struct wr_upload *upload, const void *bytes, size_t length, struct weir_error *error);
/* No more bytes. */
void wr_upload_finish(struct wr_upload *upload);
/* Bytes so far. */
uint64_t wr_upload_length(const struct wr_upload *upload);
/* DONE: moves the handle out. */
void wr_upload_take_handle(struct wr_upload *upload, struct wr_handle *out_handle);
/* FAILED: why. */
const struct weir_error *wr_upload_error(const struct wr_upload *upload);
/* No call of it runs: it can be freed. */
bool wr_upload_is_idle(const struct wr_upload *upload);
/* Frees it. A file whose handle was not taken is left for the next clean-up of the folder. NULL is fine. */
void wr_upload_free(struct wr_upload *upload);

/* ---- blobs: reading, inside a call ---- */

/* Reads a handle's payload front to back, verifying every block as it comes and the digest at the end. */
struct wr_blob_reader;
enum weir_code wr_blob_open(struct wr_store *store, const struct wr_handle *handle, struct wr_blob_reader **out_reader,
                            struct weir_error *error);
/* The next block's payload, a view until the next call; *out_length 0 at the end (after the digest was found right).
 * CORRUPT names file and offset. */
enum weir_code wr_blob_next(struct wr_blob_reader *reader, const uint8_t **out_data, size_t *out_length,
                            struct weir_error *error);
void wr_blob_close(struct wr_blob_reader *reader); /* NULL is fine */
/* Reads a whole payload into new memory (LIMIT above `limit`). */
enum weir_code wr_blob_load(struct wr_store *store, const struct wr_handle *handle, size_t limit, uint8_t **out_data,
                            size_t *out_length, struct weir_error *error);
/* Reads it all and throws it away: is it sound? */
enum weir_code wr_blob_verify(struct wr_store *store, const struct wr_handle *handle, struct weir_error *error);

#endif
