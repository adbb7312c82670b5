/* sim/sim_model.h: the durability model of the simulated disk: inodes, folders, what is visible and what is durable.
 *
 * Pure data: no time, no faults, no hand-over (sim_files.c has those). An inode lives while a visible name, a durable
 * name, an un-synced change or an open file refers to it. Host memory; a machine without memory ends the program.
 * Inside sim/ only. One thread.
 */
#ifndef WR_SIM_MODEL_H
#define WR_SIM_MODEL_H

#include "sim/sim_world.h"

struct sim_content {
  uint8_t *data;
  size_t size, capacity;
};

/* An un-synced change of a file. */
struct sim_pending {
  bool truncate;
  uint64_t offset; /* of a truncate: the new size */
  uint8_t *data;
  size_t length;
};

struct sim_entry {
  char *name;
  struct sim_inode *inode;
};
struct sim_entries {
  struct sim_entry *items; /* sorted by name */
  size_t count, capacity;
};

/* An un-synced change of a folder: `removed` goes, `added` becomes `inode`; a rename within a folder has both. */
struct sim_change {
  uint64_t serial; /* a rename from one folder into another is a change in each, with one serial */
  bool rename;
  bool forced; /* the other folder of a rename was synced: this side is durable too */
  char *removed, *added;
  struct sim_inode *inode;
};

struct sim_inode {
  uint64_t number;
  bool folder;
  uint64_t references;
  uint64_t links;                    /* visible names */
  uint64_t opens;                    /* open files */
  struct sim_inode *next, *previous; /* all inodes, oldest first */
  /* a file */
  struct sim_content visible, durable;
  struct sim_pending *pending;
  size_t pending_count, pending_capacity;
  struct wr_file *locker;
  struct sim_sqlite_node *sqlite; /* locks and shared memory of SQLite's connections; sim_sqlite.c's */
  /* a folder */
  struct sim_entries entries, durable_entries;
  struct sim_change *changes;
  size_t change_count, change_capacity;
};

struct sim_model {
  struct sim_inode *oldest, *newest;
  struct sim_inode *root;
  uint64_t inode_last, change_last; /* the newest numbers given out */
  uint64_t *fault_counts;           /* by enum sim_fault; the world's */
};

enum { SIM_PATH_BYTES = 4096, SIM_SECTOR_BYTES = 512 };

void *sim_host_alloc(size_t bytes); /* zeroed */
void *sim_host_resize(void *block, size_t bytes);
char *sim_host_copy(const char *string);

void sim_model_init(struct sim_model *model, uint64_t *fault_counts);
void sim_model_deinit(struct sim_model *model);

/* Folds a path; false when it is too long. The result begins with "/" and does not end with one, except the root. */
bool sim_path_fold(const char *path, char out[SIM_PATH_BYTES]);
/* NULL where there is none. */
struct sim_inode *sim_model_find(struct sim_model *model, const char *path);
/* The folder that holds `path`, and in *out_name the last part of it; NULL where there is no such folder, or for the
 * root. */
struct sim_inode *sim_model_parent(struct sim_model *model, const char *path, const char **out_name);
struct sim_inode *sim_entries_find(const struct sim_entries *entries, const char *name);

struct sim_inode *sim_model_create(struct sim_model *model, struct sim_inode *folder, const char *name, bool is_folder);
void sim_model_remove(struct sim_model *model, struct sim_inode *folder, const char *name);
void sim_model_rename(struct sim_model *model, struct sim_inode *from, const char *from_name, struct sim_inode *to,
                      const char *to_name);
void sim_model_sync_folder(struct sim_model *model, struct sim_inode *folder);

void sim_inode_ref(struct sim_inode *inode);
void sim_inode_unref(struct sim_model *model, struct sim_inode *inode);
void sim_inode_write(struct sim_inode *inode, uint64_t offset, const void *data, size_t length);
void sim_inode_truncate(struct sim_inode *inode, uint64_t size);
void sim_inode_sync(struct sim_inode *inode);
/* An fsync that fails: a part of what was un-synced becomes durable, the rest never will; the cache keeps showing it or
 * not. */
void sim_inode_sync_failed(struct sim_model *model, struct sim_inode *inode, struct wr_random *random);
bool sim_inode_is_durable(const struct sim_inode *inode);

/* The steps of a power cut: changes of what is durable, then the visible is made the same. */
void sim_content_write(struct sim_content *content, uint64_t offset, const void *data, size_t length);
void sim_content_apply(struct sim_content *content, const struct sim_pending *pending);
void sim_content_grow(struct sim_content *content, uint64_t size); /* with zeros; a smaller size changes nothing */
void sim_folder_apply(struct sim_model *model, struct sim_inode *folder, const struct sim_change *change);
void sim_inode_settle(struct sim_inode *inode);
void sim_folder_settle(struct sim_model *model, struct sim_inode *folder);

bool sim_model_path_is_durable(struct sim_model *model, const char *path);
uint64_t sim_model_used_bytes(const struct sim_model *model);
void sim_model_power_cut(struct sim_model *model, struct wr_random *random);

#endif
