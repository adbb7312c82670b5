/* store/upload.c: a data file written by a task that never blocks.
 *
 * The task fills pieces of PIECE_BLOCKS blocks; full ones wait in a queue, and a call writes one after the other. Bytes
 * lie in a piece as they will lie in the file, with room in front of every block for its header; checksums and digest
 * are made in the call, off the task's thread. At the end whatever is left is written; only the last block of a file is
 * not full, so the size of the file follows from the length of its payload. A queue of state is long: what waits in it
 * was encoded once, and what could not be encoded yet would have to be copied before it changes.
 *
 *   the task:  append -> filling -> queue -> (step) -> writing -> the call
 *   the call:  open CREATE_NEW, header (the first time); blocks; at the end fsync, close
 *
 * No step of the call is repeated after an error but the ones that found the disk full, where the options ask for it:
 * creating the file (under the next serial: nobody knows whether the old name stands) and writing (the same bytes at
 * the same offset). An fsync or close that failed may have lost bytes for good, so it fails the upload.
 *
 * Between submit and done everything below "the call's" belongs to the call's thread, all else to the task's.
 */
#include "store/blob.h"

#include <inttypes.h>
#include <stdio.h>

enum {
  FRAME_BYTES = WR_BLOB_BLOCK_HEADER_BYTES + WR_BLOCK_BYTES_MAX,
  PIECE_BLOCKS = 3,
  PIECE_BYTES = PIECE_BLOCKS * FRAME_BYTES,
  PIECE_PAYLOAD = PIECE_BLOCKS * WR_BLOCK_BYTES_MAX,
  FIRST_PIECE_BYTES = 1024, /* grows */
  QUEUE_PIECES_EPOCH = 1,   /* FULL is said when so many wait */
  QUEUE_PIECES_STATE = 43,  /* 32 MiB */
  SPARE_PIECES_MAX = 16     /* kept for the next upload */
};
static const uint64_t space_retry_ns = 100 * 1000000ull;

struct piece {
  struct piece *next;
  size_t capacity; /* of `frames`: PIECE_BYTES, but in a file's first piece */
  size_t length;
  size_t payload; /* bytes without headers */
  uint8_t frames[];
};

struct wr_upload {
  struct wr_digest_stream digest; /* the call's: of the payload so far; first, it is aligned to 64 bytes */
  struct wr_call call;
  void *allocation; /* the block of memory that this lies in */
  struct wr_memory *memory;
  struct wr_files *files;
  struct wr_store *store;
  struct wr_blob_header header;
  enum wr_memory_tag tag;
  bool wait_for_space;

  /* the task's */
  enum wr_upload_state state;
  bool finishing; /* finish() was called */
  bool handle_taken;
  struct piece *filling;             /* behind the queue; NULL: nothing since the last full one */
  struct piece *first, *last_queued; /* full ones */
  uint32_t queued;
  struct piece *spare;          /* reserved by an append, or written */
  struct wr_upload_spare *kept; /* of the owner's uploads before; NULL: none */
  uint64_t length;              /* payload bytes so far, all of them */
  uint64_t retry_at_ns;         /* NO_SPACE: when to try again */
  struct wr_handle handle;      /* DONE: owned until taken */

  /* the call's */
  struct piece *writing; /* NULL: none */
  size_t written;        /* bytes of `writing` in the file */
  bool sealed;           /* headers of `writing` are filled */
  bool last;             /* then fsync and close */
  struct wr_file *file;  /* open from the first piece to the close */
  uint64_t header_bytes; /* length of the file's header, 0: not written yet */
  uint64_t position;     /* where `writing` begins in the file */
  uint64_t salt;
  bool out_of_space;   /* the call ended because the disk is full and may be made again */
  enum weir_code code; /* what the call ended with */
  struct weir_error error;
  char path[WR_PATH_BYTES_MAX];
};

/* ---- the call ---- */

static enum weir_code create(struct wr_upload *upload) {
  char name[WR_FILE_NAME_BYTES];
  wr_data_file_name(upload->header.start_number, upload->header.serial, name);
  int length = snprintf(upload->path, sizeof upload->path, "%s/%s", upload->store->folder, name);
  if (length < 0 || (size_t)length >= sizeof upload->path)
    return WR_FAIL(&upload->error, WEIR_LIMIT, "the path of %s is longer than %d bytes", name, WR_PATH_BYTES_MAX - 1);
  return upload->files->open(upload->files, upload->path, WR_FILE_CREATE_NEW, &upload->file, &upload->error);
}

static enum weir_code write_header(struct wr_upload *upload) {
  uint8_t bytes[WR_BLOB_HEADER_BYTES_MAX];
  size_t length = wr_blob_header_encode(&upload->header, bytes, &upload->salt);
  WR_TRY(wr_file_write_all(upload->files, upload->file, 0, bytes, length, NULL, &upload->error));
  upload->header_bytes = upload->position = length;
  return WEIR_OK;
}

static void seal(struct wr_upload *upload) {
  size_t left = upload->writing->payload;
  uint8_t *frame = upload->writing->frames;
  for (uint64_t position = upload->position; left > 0; position += FRAME_BYTES, frame += FRAME_BYTES) {
    uint32_t payload = left < WR_BLOCK_BYTES_MAX ? (uint32_t)left : WR_BLOCK_BYTES_MAX;
    wr_blob_block_seal(frame, payload, position, upload->salt);
    wr_digest_add(&upload->digest, frame + WR_BLOB_BLOCK_HEADER_BYTES, payload);
    left -= payload;
  }
  upload->sealed = true;
}

static enum weir_code write_frames(struct wr_upload *upload) {
  if (!upload->sealed) seal(upload);
  size_t count = 0;
  enum weir_code code = wr_file_write_all(upload->files, upload->file, upload->position + upload->written,
                                          upload->writing->frames + upload->written,
                                          upload->writing->length - upload->written, &count, &upload->error);
  upload->written += count;
  return code;
}

static enum weir_code sync_and_close(struct wr_upload *upload) {
  WR_TRY(upload->files->sync(upload->files, upload->file, &upload->error));
  struct wr_file *file = upload->file;
  upload->file = NULL;
  return upload->files->close(upload->files, file, &upload->error);
}

/* What may be made again when the disk is full. */
static enum weir_code write_piece(struct wr_upload *upload) {
  if (upload->file == NULL) WR_TRY(create(upload));
  if (upload->header_bytes == 0) WR_TRY(write_header(upload));
  return upload->writing == NULL ? WEIR_OK : write_frames(upload);
}

static void remove_file(struct wr_upload *upload, bool created) {
  if (upload->file != NULL) upload->files->close(upload->files, upload->file, NULL);
  upload->file = NULL;
  /* A name that CREATE_NEW refused is somebody else's. What cannot be removed is left for the folder's clean-up. */
  if (created) upload->files->remove(upload->files, upload->path, NULL);
}

static void run_call(struct wr_call *call) {
  struct wr_upload *upload = (struct wr_upload *)((char *)call - offsetof(struct wr_upload, call));
  upload->code = write_piece(upload);
  bool created = upload->file != NULL;
  upload->out_of_space = upload->code == WEIR_NO_SPACE && upload->wait_for_space;
  if (upload->out_of_space) return;
  if (upload->code == WEIR_OK && upload->last) upload->code = sync_and_close(upload);
  if (upload->code != WEIR_OK) remove_file(upload, created);
}

/* ---- the task ---- */

enum weir_code wr_upload_new(struct wr_store *store, const struct wr_upload_options *options, struct wr_waker *waker,
                             struct wr_upload **out_upload, struct weir_error *error) {
  size_t uid_length = strlen(options->uid);
  if (uid_length > WR_UID_BYTES_MAX)
    return WR_FAIL(error, WEIR_INVALID, "the uid \"%s\" is longer than %d bytes", options->uid, WR_UID_BYTES_MAX);
  struct wr_memory *memory = store->seams->memory;
  enum wr_memory_tag tag = options->kind == WR_BLOB_EPOCH ? WR_MEMORY_SINK : WR_MEMORY_SNAPSHOT;
  void *allocation = wr_alloc_zeroed(memory, 1, sizeof(struct wr_upload) + WR_BLOB_ALIGN_SLACK, tag);
  if (allocation == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for an upload of %s", options->uid);
  struct wr_upload *upload = wr_blob_align(allocation);
  upload->allocation = allocation;
  upload->memory = memory;
  upload->files = store->seams->files;
  upload->store = store;
  upload->tag = tag;
  upload->wait_for_space = options->wait_for_space;
  upload->kept = options->spare;
  upload->header.kind = options->kind;
  upload->header.subtask = options->subtask;
  upload->header.start_number = store->start_number;
  memcpy(upload->header.incarnation, store->incarnation, WR_INCARNATION_BYTES);
  memcpy(upload->header.uid, options->uid, uid_length);
  upload->call.run = run_call;
  upload->call.waker = waker;
  wr_digest_start(&upload->digest);
  *out_upload = upload;
  return WEIR_OK;
}

static struct piece *piece_new(struct wr_upload *upload, size_t capacity) {
  struct piece *piece = wr_alloc(upload->memory, sizeof *piece + capacity, upload->tag);
  if (piece != NULL) *piece = (struct piece){.capacity = capacity};
  return piece;
}

/* The piece being filled gets room for `length` bytes more, or as many as fit in it. */
static bool grow_filling(struct wr_upload *upload, size_t length) {
  struct piece *piece = upload->filling;
  uint64_t wanted = wr_blob_framed_bytes((uint64_t)piece->payload + length);
  if (wanted > PIECE_BYTES) wanted = PIECE_BYTES;
  if (wanted <= piece->capacity) return true;
  size_t capacity = piece->capacity * 2 < wanted ? (size_t)wanted : piece->capacity * 2;
  if (capacity > PIECE_BYTES) capacity = PIECE_BYTES;
  piece = wr_resize(upload->memory, piece, sizeof *piece + capacity, upload->tag);
  if (piece == NULL) return false;
  piece->capacity = capacity;
  upload->filling = piece;
  return true;
}

/* An empty piece of full size; NULL without memory. */
static struct piece *take_kept(struct wr_upload *upload) {
  struct wr_upload_spare *kept = upload->kept;
  if (kept == NULL || kept->pieces == NULL) return piece_new(upload, PIECE_BYTES);
  struct piece *piece = kept->pieces;
  kept->pieces = piece->next;
  kept->count--;
  *piece = (struct piece){.capacity = PIECE_BYTES};
  return piece;
}

/* Room for `length` bytes more, so that copying them cannot fail half way. */
static bool reserve(struct wr_upload *upload, size_t length) {
  if (upload->length == 0 && upload->filling == NULL) upload->filling = piece_new(upload, FIRST_PIECE_BYTES);
  if (upload->filling == NULL && upload->length == 0) return false;
  if (upload->filling != NULL && !grow_filling(upload, length)) return false;
  size_t room = upload->filling == NULL ? 0 : PIECE_PAYLOAD - upload->filling->payload;
  struct piece *spare = upload->spare;
  for (; room < length; room += PIECE_PAYLOAD) {
    struct piece *piece = spare;
    if (piece == NULL) {
      piece = take_kept(upload);
      if (piece == NULL) return false;
      piece->next = upload->spare;
      upload->spare = piece;
    } else {
      spare = spare->next;
    }
  }
  return true;
}

/* The piece that takes the next bytes. */
static struct piece *present_piece(struct wr_upload *upload) {
  if (upload->filling != NULL) return upload->filling;
  struct piece *piece = upload->spare;
  upload->spare = piece->next;
  piece->next = NULL;
  piece->length = piece->payload = 0;
  return upload->filling = piece;
}

static void queue_filled(struct wr_upload *upload) {
  if (upload->first == NULL) upload->first = upload->filling;
  if (upload->last_queued != NULL) upload->last_queued->next = upload->filling;
  upload->last_queued = upload->filling;
  upload->filling = NULL;
  upload->queued++;
}

enum weir_code wr_upload_append(struct wr_upload *upload, const void *bytes, size_t length, struct weir_error *error) {
  WR_ASSERT(!upload->finishing && upload->state == WR_UPLOAD_OPEN);
  if (!reserve(upload, length))
    return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the upload of %s (%zu bytes more)", upload->header.uid,
                   length);
  upload->length += length;
  for (const uint8_t *data = bytes; length > 0;) {
    struct piece *piece = present_piece(upload);
    size_t used = piece->payload % WR_BLOCK_BYTES_MAX;
    size_t count = WR_BLOCK_BYTES_MAX - used < length ? WR_BLOCK_BYTES_MAX - used : length;
    if (used == 0) {
      memset(piece->frames + piece->length, 0, WR_BLOB_BLOCK_HEADER_BYTES);
      piece->length += WR_BLOB_BLOCK_HEADER_BYTES;
    }
    memcpy(piece->frames + piece->length, data, count);
    piece->length += count;
    piece->payload += count;
    data += count;
    length -= count;
    if (piece->length == PIECE_BYTES) queue_filled(upload);
  }
  return WEIR_OK;
}

void wr_upload_finish(struct wr_upload *upload) {
  upload->finishing = true;
}

static void free_pieces(struct wr_upload *upload, struct piece **list) {
  while (*list != NULL) {
    struct piece *piece = *list;
    *list = piece->next;
    wr_free(upload->memory, piece);
  }
}

/* Those of full size are kept, as far as there is room. */
static void keep_spare(struct wr_upload *upload) {
  struct wr_upload_spare *kept = upload->kept;
  while (kept != NULL && upload->spare != NULL && kept->count < SPARE_PIECES_MAX) {
    struct piece *piece = upload->spare;
    upload->spare = piece->next;
    piece->next = kept->pieces;
    kept->pieces = piece;
    kept->count++;
  }
}

static void free_all_pieces(struct wr_upload *upload) {
  keep_spare(upload);
  free_pieces(upload, &upload->first);
  free_pieces(upload, &upload->filling);
  free_pieces(upload, &upload->writing);
  free_pieces(upload, &upload->spare);
  upload->last_queued = NULL;
  upload->queued = 0;
}

static enum wr_upload_state fail(struct wr_upload *upload) {
  free_all_pieces(upload);
  return upload->state = WR_UPLOAD_FAILED;
}

static void submit(struct wr_upload *upload) {
  if (upload->file == NULL) upload->header.serial = atomic_fetch_add(&upload->store->next_file_serial, 1);
  wr_call_submit(upload->store->seams->calls, &upload->call);
}

/* Hands the next piece to the call; at the end the one that is not full. */
static enum wr_upload_state write_next_piece(struct wr_upload *upload) {
  upload->writing = upload->first;
  if (upload->writing == NULL) {
    upload->writing = upload->filling;
    upload->filling = NULL;
  } else {
    upload->first = upload->writing->next;
    upload->writing->next = NULL;
    upload->queued--;
    if (upload->first == NULL) upload->last_queued = NULL;
  }
  upload->written = 0;
  upload->sealed = false;
  upload->last = upload->finishing && upload->first == NULL && upload->filling == NULL;
  submit(upload);
  return upload->finishing ? WR_UPLOAD_CLOSING : WR_UPLOAD_OPEN;
}

static enum wr_upload_state done(struct wr_upload *upload) {
  free_all_pieces(upload);
  return upload->state = WR_UPLOAD_DONE;
}

static enum wr_upload_state finish_inline(struct wr_upload *upload) {
  const uint8_t *payload = upload->length == 0 ? NULL : upload->filling->frames + WR_BLOB_BLOCK_HEADER_BYTES;
  enum weir_code code =
      wr_handle_of_bytes(upload->memory, payload, (size_t)upload->length, &upload->handle, &upload->error);
  return code == WEIR_OK ? done(upload) : fail(upload);
}

static enum wr_upload_state finish_file(struct wr_upload *upload) {
  upload->handle = (struct wr_handle){.offset = upload->header_bytes, .length = upload->length};
  wr_data_file_name(upload->header.start_number, upload->header.serial, upload->handle.file);
  upload->handle.digest = wr_digest_end(&upload->digest);
  return done(upload);
}

/* The call has ended: what follows from it. OPEN: nothing, go on. */
static enum wr_upload_state call_ended(struct wr_upload *upload, uint64_t now_ns) {
  if (upload->out_of_space) {
    upload->retry_at_ns = now_ns + space_retry_ns;
    return upload->state = WR_UPLOAD_NO_SPACE;
  }
  if (upload->code != WEIR_OK) return fail(upload);
  if (upload->last) return finish_file(upload);
  upload->position += upload->writing->length;
  struct piece *written = upload->writing;
  upload->writing = NULL;
  if (written->capacity == PIECE_BYTES && (upload->spare == NULL || upload->kept != NULL)) {
    written->next = upload->spare;
    upload->spare = written;
  } else {
    wr_free(upload->memory, written);
  }
  return upload->state = WR_UPLOAD_OPEN;
}

/* No call runs: submits the next one, if one is due. */
static enum wr_upload_state step_idle(struct wr_upload *upload) {
  bool begun = upload->file != NULL;
  if (upload->finishing && !begun && upload->length < WR_INLINE_STATE_BYTES_MAX) return finish_inline(upload);
  if (upload->finishing || upload->queued > 0) return upload->state = write_next_piece(upload);
  return upload->state = WR_UPLOAD_OPEN;
}

enum wr_upload_state wr_upload_step(struct wr_upload *upload, uint64_t now_ns, uint64_t *wake_at_ns) {
  if (upload->state == WR_UPLOAD_DONE || upload->state == WR_UPLOAD_FAILED) return upload->state;
  if (wr_call_take_done(&upload->call)) {
    enum wr_upload_state state = call_ended(upload, now_ns);
    if (state == WR_UPLOAD_DONE || state == WR_UPLOAD_FAILED) return state;
  }
  bool running = !wr_call_is_idle(&upload->call);
  if (!running && upload->state == WR_UPLOAD_NO_SPACE) {
    if (now_ns < upload->retry_at_ns) {
      if (upload->retry_at_ns < *wake_at_ns) *wake_at_ns = upload->retry_at_ns;
      return WR_UPLOAD_NO_SPACE;
    }
    submit(upload);
    return WR_UPLOAD_NO_SPACE;
  }
  if (!running) return step_idle(upload);
  /* A try for space that still runs has not ended the shortage. */
  if (upload->state == WR_UPLOAD_NO_SPACE) return WR_UPLOAD_NO_SPACE;
  if (upload->finishing) return upload->state = WR_UPLOAD_CLOSING;
  uint32_t limit = upload->header.kind == WR_BLOB_STATE ? QUEUE_PIECES_STATE : QUEUE_PIECES_EPOCH;
  return upload->state = upload->queued >= limit ? WR_UPLOAD_FULL : WR_UPLOAD_OPEN;
}

uint64_t wr_upload_length(const struct wr_upload *upload) {
  return upload->length;
}

void wr_upload_take_handle(struct wr_upload *upload, struct wr_handle *out_handle) {
  WR_ASSERT(upload->state == WR_UPLOAD_DONE && !upload->handle_taken);
  *out_handle = upload->handle;
  upload->handle = (struct wr_handle){0};
  upload->handle_taken = true;
}

const struct weir_error *wr_upload_error(const struct wr_upload *upload) {
  WR_ASSERT(upload->state == WR_UPLOAD_FAILED);
  return &upload->error;
}

bool wr_upload_is_idle(const struct wr_upload *upload) {
  /* A call that is done but was not taken yet no longer touches anything. */
  return atomic_load_explicit(&upload->call.state, memory_order_acquire) != WR_CALL_SUBMITTED;
}

void wr_upload_free(struct wr_upload *upload) {
  if (upload == NULL) return;
  WR_ASSERT(wr_upload_is_idle(upload));
  /* Given up half way: the file's bytes are worth nothing, so this close has nothing to wait for. */
  if (upload->file != NULL) upload->files->close(upload->files, upload->file, NULL);
  wr_handle_deinit(upload->memory, &upload->handle);
  free_all_pieces(upload);
  wr_free(upload->memory, upload->allocation);
}

void wr_upload_spare_deinit(struct wr_upload_spare *spare, struct wr_memory *memory) {
  while (spare->pieces != NULL) {
    struct piece *piece = spare->pieces;
    spare->pieces = piece->next;
    wr_free(memory, piece);
  }
  spare->count = 0;
}
