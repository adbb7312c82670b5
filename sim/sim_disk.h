/* sim/sim_disk.h: the simulated disk of a world, as the harness sees it.
 *
 * The engine sees it through `struct wr_files`, and through SQLite's vfs. Every file has a content that is durable and
 * a list of un-synced operations (writes, truncations); every folder has durable entries and a list of un-synced
 * changes (creations, renames, removals). What programs see is all of it applied.
 *
 *   file fsync     makes the content durable, not the name
 *   folder fsync   makes the names in it durable, not the contents
 *   process kill   everything visible stays visible; locks and open files end
 *   power cut      each un-synced write is kept, lost, or torn at sectors of 512 bytes, whatever happens to the others;
 *                  where a lost write had grown the file the size may stay, over zeros; each un-synced change of a name
 *                  is kept or lost, whatever happens to the others, a rename as a whole
 *   fsync error    un-synced writes never become durable by a later fsync, which says OK; some reach the disk, some are
 *                  lost, and the cache keeps showing them or goes back to what is on the disk; but an fsync of
 *                  SQLite's own files that fails loses nothing (see sim_sqlite.c)
 *
 * The functions below act at once, without time, faults or trace; what they change is durable at once unless said.
 * Paths are absolute; "//", "/./" and a "/" at the end are folded; there are no links and no "..". One thread.
 */
#ifndef WR_SIM_DISK_H
#define WR_SIM_DISK_H

#include "sim/sim_world.h"

/* X(NAME, text) */
#define SIM_OPERATIONS(X)                                                                                              \
  X(OPEN, "open")                                                                                                      \
  X(CREATE, "create")                                                                                                  \
  X(CLOSE, "close")                                                                                                    \
  X(READ, "read")                                                                                                      \
  X(WRITE, "write")                                                                                                    \
  X(SYNC, "sync")                                                                                                      \
  X(TRUNCATE, "truncate")                                                                                              \
  X(INFO, "info")                                                                                                      \
  X(LOCK, "lock")                                                                                                      \
  X(STAT, "stat")                                                                                                      \
  X(RENAME, "rename")                                                                                                  \
  X(REMOVE, "remove")                                                                                                  \
  X(REMOVE_FOLDER, "remove folder")                                                                                    \
  X(MAKE_FOLDER, "make folder")                                                                                        \
  X(SYNC_FOLDER, "sync folder")                                                                                        \
  X(LIST, "list")

enum sim_operation_kind {
#define SIM_OPERATION_ENUM(name, text) SIM_OPERATION_##name,
  SIM_OPERATIONS(SIM_OPERATION_ENUM)
#undef SIM_OPERATION_ENUM
      SIM_OPERATION_COUNT
};
const char *sim_operation_text(enum sim_operation_kind kind);

/* ---- orders: which operation fails or crashes; counted are the engine's file operations, SQLite's and the Kafka
 * client's too ---- */

/* How many there have been since the world began; how many of one kind. */
uint64_t sim_disk_operations(const struct sim_world *world);
uint64_t sim_disk_operations_of(const struct sim_world *world, enum sim_operation_kind kind);
/* The n-th operation from now fails with `code` (IO or NO_SPACE), and all after it when `for_ever`; 0 takes it back.
 * True once it has happened: sim_disk_failed. */
void sim_disk_fail_nth(struct sim_world *world, uint64_t n, enum weir_code code, bool for_ever);
bool sim_disk_failed(const struct sim_world *world);
/* The world crashes at the n-th operation from now, before or after it takes effect; 0 takes it back. */
enum sim_crash_side { SIM_CRASH_BEFORE, SIM_CRASH_AFTER };
void sim_disk_crash_at(struct sim_world *world, uint64_t n, enum sim_crash_side side);
/* All files together may not hold more bytes; writes beyond it are cut short, then NO_SPACE. 0: no end. */
void sim_disk_set_capacity(struct sim_world *world, uint64_t bytes);
uint64_t sim_disk_used_bytes(const struct sim_world *world);
/* Open files of the present generation, SQLite's too; 0 after a clean end. */
uint64_t sim_disk_open_files(const struct sim_world *world);

/* ---- the order monitor ---- */

struct sim_disk_event {
  enum sim_operation_kind kind;
  const char *path;
  const char *path_to; /* RENAME: the new name; else NULL */
  uint64_t offset;     /* READ, WRITE; TRUNCATE: the size */
  uint64_t length;     /* READ, WRITE: what was done */
  const void *data;    /* WRITE: what was written; else NULL */
};
/* `seen` is called for every operation of the engine (SQLite's too) that took effect, just after it did, before the
 * caller goes on. It may use everything in this file. One monitor; NULL: none. */
void sim_disk_monitor(struct sim_world *world, void (*seen)(void *context, const struct sim_disk_event *event),
                      void *context);
/* True when the file at `path`, with its present content, or the folder, would be there after any power cut now. */
bool sim_disk_is_durable(struct sim_world *world, const char *path);

/* ---- the harness' own hands ---- */

bool sim_disk_exists(struct sim_world *world, const char *path);
/* 0 where there is none. */
uint64_t sim_disk_size(struct sim_world *world, const char *path);
uint64_t sim_disk_inode(struct sim_world *world, const char *path);
/* The whole file, zero-ended, in memory for free(); NULL when there is none. */
uint8_t *sim_disk_read(struct sim_world *world, const char *path, size_t *out_length);
/* Folders above are made. `write` keeps the inode of an existing file, `replace` makes a new one. */
void sim_disk_make_folders(struct sim_world *world, const char *path);
void sim_disk_write(struct sim_world *world, const char *path, const void *data, size_t length);
void sim_disk_replace(struct sim_world *world, const char *path, const void *data, size_t length);
void sim_disk_append(struct sim_world *world, const char *path, const void *data, size_t length);
/* A file, or a folder with all in it; false when there is none. */
bool sim_disk_remove(struct sim_world *world, const char *path);
bool sim_disk_rename(struct sim_world *world, const char *from, const char *to);
/* A copy of a file, or of a folder with all in it, under a name that is free; false when `from` is not there. */
bool sim_disk_copy(struct sim_world *world, const char *from, const char *to);
/* Bit `bit` of the file (0 is the lowest of its first byte) is flipped; the file is cut to `size_bytes`. */
void sim_disk_flip_bit(struct sim_world *world, const char *path, uint64_t bit);
void sim_disk_cut(struct sim_world *world, const char *path, uint64_t size_bytes);
/* The names in a folder, sorted; empty when there is none. Release with sim_disk_list_free. */
struct wr_name_list sim_disk_list(struct sim_world *world, const char *path);
void sim_disk_list_free(struct wr_name_list *list);
/* Makes everything visible durable, as sync(1). */
void sim_disk_sync_all(struct sim_world *world);

#endif
