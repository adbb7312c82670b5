/* sim/sim_sqlite.c: the sqlite3_vfs of a world: the real SQLite on the simulated disk; declared in sim_internal.h.
 *
 * Every file call goes through the world's `struct wr_files`, so it hands over, fails and crashes as all others do, and
 * is seen by the order monitor. Locks and shared memory (the index of a write-ahead log) belong to the process, not to
 * the disk: they hang at the inode of the database file, and a kill forgets them. There is no "-shm" file.
 *
 * An fsync of SQLite's that fails loses nothing: SQLite reads its log back from a cache that may show what the disk has
 * lost, so on a disk that does lose, a later transaction that was acknowledged can be lost with it, and no user of
 * SQLite can help that. It still has to bear the error.
 *
 * As SQLite's own vfs on Unix does, the first sync of a journal or log also syncs its folder; unlike it, a failure of
 * that is reported. SQLite's generator of random numbers is seeded with the world. One thread. */
#include "sim/sim_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHARED_LOCKS = SQLITE_SHM_NLOCK };

/* What the connections to one database file share. Lives as long as one of them is open. */
struct sim_sqlite_node {
  struct sim_inode *inode;                /* NULL: the process was killed; only to be let go */
  uint64_t files;                         /* open connections */
  uint64_t shared_count;                  /* connections at SHARED or above */
  struct sqlite_file *reserved, *pending; /* at RESERVED or above; at PENDING or above */
  unsigned char **regions;
  int region_count;
  uint64_t mapped;                    /* connections that have the shared memory mapped */
  uint64_t lock_shared[SHARED_LOCKS]; /* connections */
  struct sqlite_file *lock_exclusive[SHARED_LOCKS];
};

struct sqlite_file {
  sqlite3_file base; /* first: SQLite's part */
  struct sim_world *world;
  struct wr_file *file;
  struct sim_sqlite_node *node; /* of a main database; else NULL */
  char *folder;                 /* to be synced at the first sync; NULL: nothing to do */
  int level;                    /* SQLITE_LOCK_* */
  bool mapped;
  unsigned lock_shared, lock_exclusive; /* bits of the shared memory's locks that it holds */
};

static int code_or(enum weir_code code, int otherwise) {
  if (code == WEIR_OK) return SQLITE_OK;
  return code == WEIR_NO_SPACE ? SQLITE_FULL : otherwise;
}

/* ---- the node ---- */

static struct sim_sqlite_node *node_of(struct sim_inode *inode) {
  if (inode->sqlite == NULL) {
    inode->sqlite = sim_host_alloc(sizeof *inode->sqlite);
    inode->sqlite->inode = inode;
    sim_inode_ref(inode);
  }
  inode->sqlite->files++;
  return inode->sqlite;
}

static void regions_free(struct sim_sqlite_node *node) {
  for (int i = 0; i < node->region_count; i++)
    free(node->regions[i]);
  free(node->regions);
  node->regions = NULL;
  node->region_count = 0;
}

static void node_detach(struct sim_world *world, struct sim_sqlite_node *node) {
  struct sim_inode *inode = node->inode;
  if (inode == NULL) return;
  node->inode = NULL;
  inode->sqlite = NULL;
  sim_inode_unref(&world->model, inode);
}

static void node_release(struct sim_world *world, struct sim_sqlite_node *node) {
  if (--node->files > 0) return;
  node_detach(world, node);
  regions_free(node);
  free(node);
}

void sim_sqlite_forget(struct sim_world *world) {
  for (struct sim_inode *inode = world->model.oldest, *next; inode != NULL; inode = next) {
    next = inode->next;
    if (inode->sqlite != NULL) node_detach(world, inode->sqlite);
  }
}

/* ---- reading and writing ---- */

static int file_unlock(sqlite3_file *base, int level);
static int file_unmap(sqlite3_file *base, int delete);

static int file_close(sqlite3_file *base) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  if (file->node != NULL) {
    file_unmap(base, 0);
    file_unlock(base, SQLITE_LOCK_NONE);
    node_release(file->world, file->node);
  }
  enum weir_code code = file->world->files.close(&file->world->files, file->file, NULL);
  free(file->folder);
  base->pMethods = NULL;
  return code_or(code, SQLITE_IOERR_CLOSE);
}

static int file_read(sqlite3_file *base, void *data, int length, sqlite3_int64 offset) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  size_t count = 0;
  enum weir_code code =
      file->world->files.read(&file->world->files, file->file, (uint64_t)offset, data, (size_t)length, &count, NULL);
  if (code != WEIR_OK) return SQLITE_IOERR_READ;
  if (count == (size_t)length) return SQLITE_OK;
  memset((char *)data + count, 0, (size_t)length - count);
  return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *data, int length, sqlite3_int64 offset) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  enum weir_code code =
      wr_file_write_all(&file->world->files, file->file, (uint64_t)offset, data, (size_t)length, NULL, NULL);
  return code_or(code, SQLITE_IOERR_WRITE);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  return code_or(file->world->files.truncate(&file->world->files, file->file, (uint64_t)size, NULL),
                 SQLITE_IOERR_TRUNCATE);
}

static int file_sync(sqlite3_file *base, int flags) {
  (void)flags;
  struct sqlite_file *file = (struct sqlite_file *)base;
  struct wr_files *files = &file->world->files;
  if (files->sync(files, file->file, NULL) != WEIR_OK) return SQLITE_IOERR_FSYNC;
  if (file->folder == NULL) return SQLITE_OK;
  if (files->sync_folder(files, file->folder, NULL) != WEIR_OK) return SQLITE_IOERR_DIR_FSYNC;
  free(file->folder);
  file->folder = NULL;
  return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out_size) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  struct wr_file_info info;
  if (file->world->files.info(&file->world->files, file->file, &info, NULL) != WEIR_OK) return SQLITE_IOERR_FSTAT;
  *out_size = (sqlite3_int64)info.size_bytes;
  return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int operation, void *argument) {
  (void)base;
  (void)operation;
  (void)argument;
  return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base) {
  (void)base;
  return 4096;
}

/* A torn write never touches bytes outside of it, as on the disks that SQLite's own vfs takes for granted. */
static int file_characteristics(sqlite3_file *base) {
  (void)base;
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- locks on the database file ---- */

static bool file_is_dead(const struct sqlite_file *file) {
  const struct sim_world *world = file->world;
  return sim_is_dead(world) || (file->file->generation != 0 && file->file->generation != world->generation);
}

static int lock_exclusive(struct sqlite_file *file) {
  struct sim_sqlite_node *node = file->node;
  if (node->pending != NULL && node->pending != file) return SQLITE_BUSY;
  if (node->reserved != NULL && node->reserved != file) return SQLITE_BUSY;
  node->reserved = file; /* a hot journal is rolled back from SHARED straight to EXCLUSIVE */
  node->pending = file;
  file->level = SQLITE_LOCK_PENDING;
  if (node->shared_count > 1) return SQLITE_BUSY;
  file->level = SQLITE_LOCK_EXCLUSIVE;
  return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  struct sim_sqlite_node *node = file->node;
  if (node == NULL || file->level >= level) return SQLITE_OK;
  if (file_is_dead(file)) return SQLITE_IOERR_LOCK;
  if (level == SQLITE_LOCK_SHARED) {
    if (node->pending != NULL) return SQLITE_BUSY;
    node->shared_count++;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (node->reserved != NULL) return SQLITE_BUSY;
    node->reserved = file;
  } else {
    return lock_exclusive(file);
  }
  file->level = level;
  return SQLITE_OK;
}

static int file_unlock(sqlite3_file *base, int level) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  struct sim_sqlite_node *node = file->node;
  if (node == NULL || file->level <= level) return SQLITE_OK;
  if (node->pending == file) node->pending = NULL;
  if (node->reserved == file) node->reserved = NULL;
  if (level == SQLITE_LOCK_NONE) node->shared_count--;
  file->level = level;
  return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *out_reserved) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  *out_reserved = file->node != NULL && file->node->reserved != NULL;
  return SQLITE_OK;
}

/* ---- shared memory ---- */

static int file_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **out_memory) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  struct sim_sqlite_node *node = file->node;
  *out_memory = NULL;
  if (node == NULL || file_is_dead(file)) return SQLITE_IOERR_SHMMAP;
  if (!file->mapped) node->mapped++;
  file->mapped = true;
  if (region >= node->region_count) {
    if (!extend) return SQLITE_OK;
    node->regions = sim_host_resize(node->regions, (size_t)(region + 1) * sizeof *node->regions);
    while (node->region_count <= region)
      node->regions[node->region_count++] = sim_host_alloc((size_t)bytes);
  }
  *out_memory = node->regions[region];
  return SQLITE_OK;
}

static void shared_unlock(struct sqlite_file *file, int first, int count) {
  for (int i = first; i < first + count; i++) {
    unsigned bit = 1u << i;
    if (file->lock_shared & bit) file->node->lock_shared[i]--;
    if (file->lock_exclusive & bit) file->node->lock_exclusive[i] = NULL;
    file->lock_shared &= ~bit;
    file->lock_exclusive &= ~bit;
  }
}

static int file_shared_lock(sqlite3_file *base, int first, int count, int flags) {
  struct sqlite_file *file = (struct sqlite_file *)base;
  struct sim_sqlite_node *node = file->node;
  if (flags & SQLITE_SHM_UNLOCK) {
    shared_unlock(file, first, count);
    return SQLITE_OK;
  }
  if (file_is_dead(file)) return SQLITE_IOERR_SHMLOCK;
  for (int i = first; i < first + count; i++) {
    unsigned bit = 1u << i;
    if (node->lock_exclusive[i] != NULL && node->lock_exclusive[i] != file) return SQLITE_BUSY;
    uint64_t mine = (file->lock_shared & bit) != 0;
    if ((flags & SQLITE_SHM_EXCLUSIVE) && node->lock_shared[i] > mine) return SQLITE_BUSY;
  }
  for (int i = first; i < first + count; i++) {
    unsigned bit = 1u << i;
    if (flags & SQLITE_SHM_EXCLUSIVE) {
      node->lock_exclusive[i] = file;
      file->lock_exclusive |= bit;
    } else if (!(file->lock_shared & bit)) {
      node->lock_shared[i]++;
      file->lock_shared |= bit;
    }
  }
  return SQLITE_OK;
}

static void file_barrier(sqlite3_file *base) {
  (void)base; /* One thread: what was written is seen. */
}

static int file_unmap(sqlite3_file *base, int delete) {
  (void)delete; /* There is no file to delete; the last to unmap forgets the memory. */
  struct sqlite_file *file = (struct sqlite_file *)base;
  if (file->node == NULL || !file->mapped) return SQLITE_OK;
  shared_unlock(file, 0, SHARED_LOCKS);
  file->mapped = false;
  if (--file->node->mapped == 0) regions_free(file->node);
  return SQLITE_OK;
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_map,
    .xShmLock = file_shared_lock,
    .xShmBarrier = file_barrier,
    .xShmUnmap = file_unmap,
};

/* ---- the vfs ---- */

static struct sim_world *world_of(sqlite3_vfs *vfs) {
  return vfs->pAppData;
}

static char *folder_of(const char *path) {
  char *folder = sim_host_copy(path);
  char *slash = strrchr(folder, '/');
  WR_ASSERT(slash != NULL);
  slash[slash == folder] = 0;
  return folder;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags) {
  struct sim_world *world = world_of(vfs);
  struct wr_files *files = &world->files;
  struct sqlite_file *file = (struct sqlite_file *)base;
  memset(file, 0, sizeof *file);
  file->world = world;
  char temporary[64];
  if (name == NULL) {
    snprintf(temporary, sizeof temporary, "/sqlite-temporary-%" PRIu64, ++world->sqlite_serial);
    name = temporary;
  }
  enum wr_file_mode mode = WR_FILE_READ;
  if (flags & SQLITE_OPEN_READWRITE) mode = WR_FILE_WRITE;
  if (mode == WR_FILE_WRITE && !(flags & SQLITE_OPEN_CREATE)) {
    struct wr_file_info info;
    if (files->stat(files, name, &info, NULL) != WEIR_OK) return SQLITE_CANTOPEN;
  }
  enum weir_code code = files->open(files, name, mode, &file->file, NULL);
  if (code != WEIR_OK) return code == WEIR_NO_SPACE ? SQLITE_FULL : SQLITE_CANTOPEN;
  file->file->loses_nothing = true;
  if (flags & SQLITE_OPEN_MAIN_DB) file->node = node_of(file->file->inode);
  int synced_with_folder = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  if ((flags & SQLITE_OPEN_CREATE) && (flags & synced_with_folder)) file->folder = folder_of(name);
  if (flags & SQLITE_OPEN_DELETEONCLOSE) files->remove(files, name, NULL);
  if (out_flags != NULL) *out_flags = flags;
  base->pMethods = &file_methods;
  return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder) {
  struct wr_files *files = &world_of(vfs)->files;
  enum weir_code code = files->remove(files, name, NULL);
  if (code == WEIR_NOT_FOUND) return SQLITE_IOERR_DELETE_NOENT;
  if (code != WEIR_OK) return SQLITE_IOERR_DELETE;
  if (!sync_folder) return SQLITE_OK;
  char *folder = folder_of(name);
  code = files->sync_folder(files, folder, NULL);
  free(folder);
  return code == WEIR_OK ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out_result) {
  struct wr_files *files = &world_of(vfs)->files;
  struct wr_file_info info;
  enum weir_code code = files->stat(files, name, &info, NULL);
  /* An empty journal is none, as in SQLite's own vfs. */
  *out_result = code == WEIR_OK && (flags != SQLITE_ACCESS_EXISTS || info.size_bytes > 0);
  return code == WEIR_OK || code == WEIR_NOT_FOUND ? SQLITE_OK : SQLITE_IOERR_ACCESS;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int bytes, char *out) {
  (void)vfs;
  char folded[SIM_PATH_BYTES];
  if (!sim_path_fold(name, folded) || strlen(folded) >= (size_t)bytes) return SQLITE_CANTOPEN;
  memcpy(out, folded, strlen(folded) + 1);
  return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int bytes, char *out) {
  struct wr_entropy *entropy = &world_of(vfs)->entropy;
  entropy->fill(entropy, out, (size_t)bytes);
  return bytes;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
  struct sim_world *world = world_of(vfs);
  if (world->current != NULL && world->direct == 0) sim_coroutine_sleep(world, (uint64_t)us * 1000);
  return us;
}

/* Milliseconds since the Julian epoch. */
static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out_ms) {
  struct wr_clock *clock = &world_of(vfs)->clock;
  *out_ms = 210866760000000 + clock->wall_ms(clock);
  return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *vfs, double *out_days) {
  sqlite3_int64 ms;
  vfs_time_ms(vfs, &ms);
  *out_days = (double)ms / 86400000.0;
  return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int bytes, char *out) {
  (void)vfs;
  if (bytes > 0) out[0] = 0;
  return 0;
}

/* Sets off SQLite's own generator anew; 0: from the default vfs. */
static void sqlite_seed(int seed) {
  WR_ASSERT(sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, seed, (sqlite3 *)NULL) == SQLITE_OK);
}

void sim_sqlite_init(struct sim_world *world) {
  unsigned number = 1;
  do
    snprintf(world->vfs_name, sizeof world->vfs_name, "weir-sim-%u", number++);
  while (sqlite3_vfs_find(world->vfs_name) != NULL);
  world->vfs = (sqlite3_vfs){.iVersion = 2,
                             .szOsFile = sizeof(struct sqlite_file),
                             .mxPathname = SIM_PATH_BYTES - 64,
                             .zName = world->vfs_name,
                             .pAppData = world,
                             .xOpen = vfs_open,
                             .xDelete = vfs_delete,
                             .xAccess = vfs_access,
                             .xFullPathname = vfs_full_path,
                             .xRandomness = vfs_randomness,
                             .xSleep = vfs_sleep,
                             .xCurrentTime = vfs_time_days,
                             .xGetLastError = vfs_last_error,
                             .xCurrentTimeInt64 = vfs_time_ms};
  WR_ASSERT(sqlite3_vfs_register(&world->vfs, 0) == SQLITE_OK);
  sqlite_seed((int)(world->options.seed & 0x7fffffff) | 1);
}

void sim_sqlite_deinit(struct sim_world *world) {
  sim_sqlite_forget(world);
  sqlite3_vfs_unregister(&world->vfs);
  sqlite_seed(0);
}
