/* runtime/recovery.h: the blocking half of a start: functions that run inside calls, in this order.
 *
 * open()     locks the folder, reads the identity and the metadata of R, the newest checkpoint that can be read whole.
 * verify()   reads every data file that R names, byte by byte. Several calls may run it at once: they share the files.
 *            Where one finds damage, pass_over() gives R up, and open() looks for an older one.
 * compare()  looks at R's options and uids, connects to every target, reads its marker and compares. Up to here nothing
 *            is changed that outlives it: a refusal leaves folder and targets as they were. Where R carries what is
 *            not staged beside its target any more, it is given up like one that is damaged, if there is an older one.
 * claim()    publishes the identity with the next start number and a reserved block of checkpoint ids (and, where one
 *            begins, the new incarnation), publishes R again so that it is durable beyond doubt, cleans up, and claims
 *            every target. From here on an older start can neither commit nor publish. In the folder's identity nothing
 *            is in doubt after a clean stop until all targets are claimed that may forget their markers.
 *
 * All run again at every restart within the process. What is asked for once (fresh, accept_*) counts until the first
 * claim of all targets has succeeded. But for verify() the struct is touched by one call at a time, and by the master
 * in between.
 */
#ifndef WR_RUNTIME_RECOVERY_H
#define WR_RUNTIME_RECOVERY_H

#include "checkpoint/folder.h"
#include "runtime/graph.h"

/* What recovery knows of one committer. */
struct wr_recovery_sink {
  uint32_t node;
  struct wr_target *target;
  struct wr_target_context context;
  struct wr_marker seen;
  enum wr_compare verdict;
  uint64_t marker_checkpoint_id; /* what counts as committed already */
};

struct wr_recovery {
  /* set by the master */
  struct wr_seams *seams;
  struct wr_store *store; /* incarnation and start number are filled by claim */
  const struct wr_graph *graph;
  const char *folder_path;
  const char *job_name;
  uint32_t max_parallelism;                                       /* asked for; 0: any */
  bool fresh, accept_duplicates, accept_loss, allow_non_restored; /* the first three are cleared by claim */
  bool fresh_begun; /* `fresh`: the new incarnation is durable, but not every target is claimed for it yet */
  bool bounded;
  _Atomic uint64_t *rejected_rows; /* for the targets */

  /* found */
  struct wr_folder *folder;    /* open and locked from the first open on */
  struct wr_identity identity; /* as it stands in the folder */
  bool has_identity;
  bool already_finished;       /* the folder says FINISHED and nobody asked for a fresh start: nothing else was done */
  struct wr_metadata restored; /* R */
  bool has_restored;
  uint32_t damaged_count;   /* newer checkpoints that cannot be read */
  struct weir_error damage; /* of the newest of them */
  uint64_t passed_over_id;  /* checkpoints from it on are not looked at again; 0: all are */
  struct weir_error lack;   /* the newest one's marker fits, and what it has staged beside a target is gone; OK: none */
  const char *lacking_uid;  /* that sink */
  bool goes_back;           /* compare() has passed R over because of that: open() looks for an older one */
  struct wr_handle *files;  /* what R names, for verify(); views */
  uint32_t file_count;
  _Atomic uint32_t next_file; /* that no call has taken yet */
  uint64_t *retained;         /* ids of checkpoints up to R, ascending */
  uint32_t retained_count;
  struct wr_recovery_sink *sinks; /* one per committer node */
  uint32_t sink_count;
};

enum weir_code wr_recovery_open(struct wr_recovery *recovery, struct weir_error *error);
/* CORRUPT or NEWER: R cannot be restored, see pass_over. */
enum weir_code wr_recovery_verify(struct wr_recovery *recovery, struct weir_error *error);
/* R is damaged: the next open looks for an older one. No call. */
void wr_recovery_pass_over(struct wr_recovery *recovery, const struct weir_error *damage);
enum weir_code wr_recovery_compare(struct wr_recovery *recovery, struct weir_error *error);
enum weir_code wr_recovery_claim(struct wr_recovery *recovery, struct weir_error *error);
/* Inside a call too: closes the targets and forgets what was found, for the next open. The folder stays locked. */
void wr_recovery_reset(struct wr_recovery *recovery);
/* Resets, and closes the folder. */
void wr_recovery_deinit(struct wr_recovery *recovery);

#endif
