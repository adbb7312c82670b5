/* sim/sim_power.c: a power cut: what becomes of un-synced changes of files and folders; declared in sim_model.h.
 *
 * For each file, and once for all changes of names, one of four ways is drawn: all lost, all kept, a prefix in order
 * (what a journal does), or each by itself (what nothing forbids). Inside a file a change may also be torn. */
#include "sim/sim_model.h"

#include "base/hash.h"

enum way { ALL_LOST, ALL_KEPT, PREFIX, EACH, WAY_COUNT };
enum fate { LOST, KEPT, TORN };

/* Where a lost or torn write would have grown the file: half of the time the new size is there, over zeros. */
static void perhaps_zeros(struct sim_model *model, struct sim_inode *inode, const struct sim_pending *pending,
                          struct wr_random *random) {
  uint64_t end = pending->offset + pending->length;
  if (end <= inode->durable.size || wr_random_one_in(random, 2)) return;
  sim_content_grow(&inode->durable, end);
  model->fault_counts[SIM_FAULT_WRITE_ZEROED]++;
}

/* Keeps the first few sectors, or any of them. */
static void write_torn(struct sim_model *model, struct sim_inode *inode, const struct sim_pending *pending,
                       struct wr_random *random) {
  uint64_t first = pending->offset / SIM_SECTOR_BYTES;
  uint64_t sectors = (pending->offset + pending->length - 1) / SIM_SECTOR_BYTES - first + 1;
  bool any = wr_random_one_in(random, 2);
  uint64_t prefix = wr_random_below(random, sectors + 1), kept_count = 0;
  for (uint64_t i = 0; i < sectors; i++) {
    if (!(any ? wr_random_one_in(random, 2) : i < prefix)) continue;
    uint64_t begin = (first + i) * SIM_SECTOR_BYTES, end = begin + SIM_SECTOR_BYTES;
    if (begin < pending->offset) begin = pending->offset;
    if (end > pending->offset + pending->length) end = pending->offset + pending->length;
    sim_content_write(&inode->durable, begin, pending->data + (begin - pending->offset), end - begin);
    kept_count++;
  }
  if (kept_count < sectors) perhaps_zeros(model, inode, pending, random);
  model->fault_counts[kept_count == 0 ? SIM_FAULT_WRITE_LOST : SIM_FAULT_WRITE_TORN] += kept_count < sectors;
}

static enum fate fate_of(enum way way, size_t index, size_t prefix, struct wr_random *random) {
  switch (way) {
  case ALL_LOST:
    return LOST;
  case ALL_KEPT:
    return KEPT;
  case PREFIX:
    return index < prefix ? KEPT : index == prefix ? TORN : LOST;
  default:
    return (enum fate)wr_random_below(random, 3);
  }
}

static void file_cut(struct sim_model *model, struct sim_inode *inode, struct wr_random *random) {
  enum way way = (enum way)wr_random_below(random, WAY_COUNT);
  size_t prefix = wr_random_below(random, inode->pending_count + 1);
  bool lost_before = false;
  for (size_t i = 0; i < inode->pending_count; i++) {
    struct sim_pending *pending = &inode->pending[i];
    enum fate fate = fate_of(way, i, prefix, random);
    if (fate == TORN && (pending->truncate || pending->length == 0)) fate = LOST;
    if (fate != LOST && lost_before) model->fault_counts[SIM_FAULT_WRITE_REORDERED]++;
    if (fate == TORN) {
      write_torn(model, inode, pending, random);
    } else if (fate == KEPT) {
      sim_content_apply(&inode->durable, pending);
    } else {
      model->fault_counts[SIM_FAULT_WRITE_LOST]++;
      if (!pending->truncate) perhaps_zeros(model, inode, pending, random);
    }
    lost_before = lost_before || fate == LOST;
  }
  sim_inode_settle(inode);
}

struct name_cut {
  enum way way;
  uint64_t prefix; /* PREFIX: serials up to this one are kept */
  uint64_t salt;
};

/* A function of the serial alone, so that both sides of a rename have the same fate. */
static bool change_kept(const struct name_cut *cut, const struct sim_change *change) {
  if (change->forced || cut->way == ALL_KEPT) return true;
  if (cut->way == PREFIX) return change->serial <= cut->prefix;
  return cut->way == EACH && wr_hash_index_u64(change->serial, cut->salt) % 2 == 0;
}

static void folder_cut(struct sim_model *model, struct sim_inode *folder, const struct name_cut *cut) {
  for (size_t i = 0; i < folder->change_count; i++) {
    const struct sim_change *change = &folder->changes[i];
    if (change_kept(cut, change))
      sim_folder_apply(model, folder, change);
    else
      model->fault_counts[change->rename ? SIM_FAULT_RENAME_LOST : SIM_FAULT_ENTRY_LOST]++;
  }
}

static struct name_cut name_cut_of(const struct sim_model *model, struct wr_random *random) {
  uint64_t oldest = model->change_last + 1;
  for (const struct sim_inode *inode = model->oldest; inode != NULL; inode = inode->next)
    if (inode->change_count > 0 && inode->changes[0].serial < oldest) oldest = inode->changes[0].serial;
  struct name_cut cut = {.way = (enum way)wr_random_below(random, WAY_COUNT), .salt = wr_random_next(random)};
  cut.prefix = oldest - 1 + wr_random_below(random, model->change_last - oldest + 2);
  return cut;
}

void sim_model_power_cut(struct sim_model *model, struct wr_random *random) {
  struct name_cut cut = name_cut_of(model, random);
  /* Nothing is freed while the list is walked: every inode is held until the end. */
  for (struct sim_inode *inode = model->oldest; inode != NULL; inode = inode->next)
    sim_inode_ref(inode);
  for (struct sim_inode *inode = model->oldest; inode != NULL; inode = inode->next) {
    if (inode->folder)
      folder_cut(model, inode, &cut);
    else
      file_cut(model, inode, random);
  }
  for (struct sim_inode *inode = model->oldest; inode != NULL; inode = inode->next)
    if (inode->folder) sim_folder_settle(model, inode);
  for (struct sim_inode *inode = model->oldest, *next; inode != NULL; inode = next) {
    next = inode->next;
    sim_inode_unref(model, inode);
  }
}
