/* sim/sim_checkpoints.h: what the checkpoints in a run's folder say, as the harness reads them. Host memory. */
#ifndef WR_SIM_CHECKPOINTS_H
#define WR_SIM_CHECKPOINTS_H

#include "checkpoint/metadata.h"
#include "sim/sim_log.h"

struct sim_run;

/* How far a partition was read. */
struct sim_place {
  bool is_known; /* it is in the checkpoint */
  bool has_stop;
  int64_t position, stop; /* bytes, or offsets */
};

/* N of a path that ends in "chk-N"; 0: another name. */
uint64_t sim_checkpoint_of(const char *path);
/* The highest chk-N below `below_id`; false: none. */
bool sim_checkpoint_find(struct sim_run *run, uint64_t below_id, uint64_t *out_id, char out_path[300]);
/* The highest below `below_id` that a start could restore: it can be read whole, what it has staged is there, and it is
 * of the job's present incarnation; false: none. */
bool sim_checkpoint_load(struct sim_run *run, uint64_t below_id, struct wr_memory *memory,
                         struct wr_metadata *out_metadata, char out_path[300]);
/* Its places, by the log's partitions. */
void sim_checkpoint_places(struct sim_run *run, const struct wr_metadata *metadata, struct wr_memory *memory,
                           struct sim_place out_places[SIM_LOG_PARTITIONS_MAX]);
/* Those of the one that `sim_checkpoint_load` finds, and its id; 0: none, and nothing is known. */
uint64_t sim_checkpoint_read(struct sim_run *run, uint64_t below_id,
                             struct sim_place out_places[SIM_LOG_PARTITIONS_MAX]);

#endif
