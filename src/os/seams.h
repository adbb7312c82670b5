/* os/seams.h: everything through which the engine reaches the outside, as small tables of functions given at its start.
 *
 *   memory    base/memory.h
 *   clock     monotonic and wall time
 *   entropy   random bytes (ids, index seeds, jitter)
 *   files     blocking file operations, allowed only inside a call
 *   calls     runs a blocking function elsewhere and answers by a completion
 *   watches   tells when files in a folder change, where the system can tell
 *   log       base/log.h
 *
 * Tasks never block: whatever can block (a file, a database driver) is put into a `struct wr_call` and submitted; the
 * owner is woken when it is done and finds it so at its next step. In production calls run on a pool of threads and
 * files are POSIX; in the simulator each call runs on a stack of its own that hands over at every file operation, and
 * time is virtual, so that a crash, a time-out or a thousand batches fall within one fsync. (The network gets its seam
 * with the first connector of ours that speaks on a socket itself.)
 *
 * Ownership: the tables outlive the engine. No mutable globals: several engines live in one process.
 */
#ifndef WR_OS_SEAMS_H
#define WR_OS_SEAMS_H

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdatomic.h>

/* ---- clock and entropy: any thread ---- */

struct wr_clock {
  uint64_t (*monotonic_ns)(struct wr_clock *clock);
  int64_t (*wall_ms)(struct wr_clock *clock); /* milliseconds since 1970, UTC */
};

struct wr_entropy {
  void (*fill)(struct wr_entropy *entropy, void *bytes, size_t length);
};

/* ---- wakers: how somebody who parked is told that there is something to do ---- */

/* wake() may be called from any thread, any number of times, also when its owner is awake. What was written before it
 * is seen by the owner after it. */
struct wr_waker {
  void (*wake)(struct wr_waker *waker);
};

/* ---- files: blocking; only inside a call (or before an engine exists) ---- */

struct wr_file; /* an open file; the table's own */

enum wr_file_mode {
  WR_FILE_READ,       /* must exist */
  WR_FILE_CREATE_NEW, /* must not exist (O_EXCL); read and write; nobody but its owner may read it */
  WR_FILE_CREATE_OUT, /* the same, for what is handed out: others may read it as the process' umask says */
  WR_FILE_WRITE,      /* created where missing, kept otherwise; read and write */
};

struct wr_file_info {
  uint64_t size_bytes;
  uint64_t device, inode; /* together the identity of a file, whatever its name */
  bool folder;
  bool special; /* neither a file nor a folder: a pipe, a device */
};

struct wr_name_list {
  char **names; /* without "." and "..", in no order */
  size_t count;
};

/* Codes: NOT_FOUND (no such file), DENIED, NO_SPACE (ENOSPC, EDQUOT), IN_USE (lock held, or CREATE_NEW on an existing
 * file), IO for the rest. Messages name the operation, the path and the system's reason. An interrupted system call
 * (EINTR) is tried again below this table. */
struct wr_files {
  enum weir_code (*open)(struct wr_files *files, const char *path, enum wr_file_mode mode, struct wr_file **out_file,
                         struct weir_error *error);
  /* Always releases the file, also when it reports an error (a failed close can mean lost writes). */
  enum weir_code (*close)(struct wr_files *files, struct wr_file *file, struct weir_error *error);
  /* *out_length below `length` only at the end of the file. */
  enum weir_code (*read)(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data, size_t length,
                         size_t *out_length, struct weir_error *error);
  /* May write less than `length` (at least one byte, or an error): *out_length says how much. Use wr_file_write_all. */
  enum weir_code (*write)(struct wr_files *files, struct wr_file *file, uint64_t offset, const void *data,
                          size_t length, size_t *out_length, struct weir_error *error);
  /* fsync: data and size. After an error the file's un-synced bytes are lost for good; it is never tried again. */
  enum weir_code (*sync)(struct wr_files *files, struct wr_file *file, struct weir_error *error);
  enum weir_code (*truncate)(struct wr_files *files, struct wr_file *file, uint64_t size_bytes,
                             struct weir_error *error);
  enum weir_code (*info)(struct wr_files *files, struct wr_file *file, struct wr_file_info *out_info,
                         struct weir_error *error);
  /* Takes an exclusive lock that ends with the file or the process; IN_USE at once when another has it. */
  enum weir_code (*lock)(struct wr_files *files, struct wr_file *file, struct weir_error *error);

  enum weir_code (*stat)(struct wr_files *files, const char *path, struct wr_file_info *out_info,
                         struct weir_error *error);
  enum weir_code (*rename)(struct wr_files *files, const char *from, const char *to, struct weir_error *error);
  enum weir_code (*remove)(struct wr_files *files, const char *path, struct weir_error *error);        /* a file */
  enum weir_code (*remove_folder)(struct wr_files *files, const char *path, struct weir_error *error); /* empty */
  /* One level; an existing folder is fine. The parent is not synced. */
  enum weir_code (*make_folder)(struct wr_files *files, const char *path, struct weir_error *error);
  /* fsync of the folder: makes creations, renames and removals in it durable. */
  enum weir_code (*sync_folder)(struct wr_files *files, const char *path, struct weir_error *error);
  /* The names in a folder, in memory of `memory` (release with wr_name_list_deinit). */
  enum weir_code (*list)(struct wr_files *files, const char *path, struct wr_memory *memory,
                         struct wr_name_list *out_list, struct weir_error *error);
};

void wr_name_list_deinit(struct wr_name_list *list, struct wr_memory *memory);

/* Writes all of it, in as many writes as it takes. *out_written (may be NULL) is how far it came, also on an error. */
enum weir_code wr_file_write_all(struct wr_files *files, struct wr_file *file, uint64_t offset, const void *data,
                                 size_t length, size_t *out_written, struct weir_error *error);
/* Reads exactly `length` bytes; CORRUPT when the file ends before. */
enum weir_code wr_file_read_all(struct wr_files *files, struct wr_file *file, uint64_t offset, void *data,
                                size_t length, struct weir_error *error);
/* A whole file into new memory (one zero byte after it, not counted). LIMIT above `limit` bytes. */
enum weir_code wr_file_load(struct wr_files *files, const char *path, size_t limit, struct wr_memory *memory,
                            enum wr_memory_tag tag, uint8_t **out_data, size_t *out_length, struct weir_error *error);

/* What became of a publish. UNKNOWN: the new name may or may not survive a crash. */
enum wr_publish_outcome { WR_PUBLISH_DURABLE, WR_PUBLISH_FAILED, WR_PUBLISH_UNKNOWN };

/* The one way a named file comes to be: write `path`.tmp, fsync, close, rename to `path`, fsync of `folder`. A reader
 * sees the old file or the new one, whole. FAILED: nothing was renamed, `path`.tmp is removed as far as possible.
 * UNKNOWN: the rename was done (or may have been) and the fsync of the folder failed. `error` says why it is not
 * DURABLE. */
enum wr_publish_outcome wr_file_publish(struct wr_files *files, const char *folder, const char *path, const void *data,
                                        size_t length, struct weir_error *error);

/* ---- calls ---- */

enum wr_call_state { WR_CALL_IDLE, WR_CALL_SUBMITTED, WR_CALL_DONE };

/* A blocking piece of work. The owner embeds it in its own struct, sets `run` and `waker`, submits it, does not touch
 * what `run` uses until it is done, and may then use it again. It must not be freed between submit and done. */
struct wr_call {
  void (*run)(struct wr_call *call);
  struct wr_waker *waker; /* woken after the call is done; may be NULL */
  _Atomic int state;      /* enum wr_call_state */
  struct wr_call *next;   /* the table's own */
};

struct wr_calls {
  void (*submit)(struct wr_calls *calls, struct wr_call *call);
  /* `handle` is a thing outside the engine's memory (a database connection) that must be closed by `release` even when
   * the engine is dropped as a whole. Production: does nothing. */
  void (*adopt)(struct wr_calls *calls, void *handle, void (*release)(void *handle));
  void (*disown)(struct wr_calls *calls, void *handle);
};

static inline void wr_call_submit(struct wr_calls *calls, struct wr_call *call) {
  WR_ASSERT(atomic_load_explicit(&call->state, memory_order_relaxed) == WR_CALL_IDLE);
  atomic_store_explicit(&call->state, WR_CALL_SUBMITTED, memory_order_relaxed);
  calls->submit(calls, call);
}
/* True once: the call has run, what it wrote is seen here, and it is idle again. */
static inline bool wr_call_take_done(struct wr_call *call) {
  if (atomic_load_explicit(&call->state, memory_order_acquire) != WR_CALL_DONE) return false;
  atomic_store_explicit(&call->state, WR_CALL_IDLE, memory_order_relaxed);
  return true;
}
static inline bool wr_call_is_idle(const struct wr_call *call) {
  return atomic_load_explicit(&call->state, memory_order_acquire) == WR_CALL_IDLE;
}
/* For whoever runs calls: the last touch of `call` (its owner may free it at once), then the waker. */
static inline void wr_call_finish(struct wr_call *call) {
  struct wr_waker *waker = call->waker;
  atomic_store_explicit(&call->state, WR_CALL_DONE, memory_order_release);
  if (waker != NULL) waker->wake(waker);
}

/* ---- watches: being told, instead of looking by the clock ---- */

/* Whoever watches a folder embeds one, zeroed but for `waker`. */
struct wr_watch {
  struct wr_waker *waker;
  _Atomic bool is_touched; /* something has changed since it was armed; its owner clears it */
  uint32_t slot;           /* the table's own; 0: none */
};

/* A hint and no more: a change may go untold (a mapped file, a link that leads elsewhere), and a touch may mean
 * nothing, so the owner looks by the clock as well, only less often. */
struct wr_watches {
  /* The first change of a file in `folder` from now on touches the watch and wakes its owner; then it is armed again.
   * False: nothing will be told. Blocks: only inside a call. */
  bool (*arm)(struct wr_watches *watches, struct wr_watch *watch, const char *folder);
  /* After it nothing is told. Also for a watch that was never armed. */
  void (*drop)(struct wr_watches *watches, struct wr_watch *watch);
};

/* ---- all of them ---- */

struct wr_seams {
  struct wr_memory *memory;
  struct wr_clock *clock;
  struct wr_entropy *entropy;
  struct wr_files *files;
  struct wr_calls *calls;
  struct wr_watches *watches; /* NULL: nothing is told */
  struct wr_log *log;
  const char
      *sqlite_vfs; /* the sqlite3_vfs that SQLite opens files with; NULL is SQLite's own. The simulator has one. */
};

#endif
