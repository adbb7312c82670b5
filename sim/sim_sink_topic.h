/* sim/sim_sink_topic.h: the part of a history whose rows go to a topic, and what must hold of it.
 *
 *   - a reader of committed records gets each row once; counts of a key only grow, in the order of its partition
 *   - no epoch goes out before its checkpoint is durable; the marker never goes back
 *   - nothing is open when the job has finished
 *   - a message that the topic does not take ends the job, and loses nothing
 *   - a marker that the brokers have forgotten: after a clean stop the job goes on; with epochs in doubt the start is
 *     refused and says why, and the marker is put back
 *   - a topic that is replaced by an older copy while the job runs: that attempt writes nothing into it
 *
 * Host memory. One thread.
 */
#ifndef WR_SIM_SINK_TOPIC_H
#define WR_SIM_SINK_TOPIC_H

#include "sim/sim_kafka_producer.h"
#include "sim/sim_tamper.h"

struct sim_run;

/* The marker was forgotten before this life. */
enum sim_forgotten {
  SIM_FORGOTTEN_NOT,
  SIM_FORGOTTEN_SETTLED, /* after a clean stop */
  SIM_FORGOTTEN_NOTHING, /* nothing was ever committed or prepared */
  SIM_FORGOTTEN_IN_DOUBT
};

struct sim_sink_topic {
  struct sim_kafka *kafka;                 /* NULL: the rows go elsewhere */
  uint32_t timeout_ms;                     /* of its transactions */
  bool is_limited;                         /* in this life it takes only short messages */
  struct sim_kafka_image *older, *present; /* with /keep/older and /keep/present */
  enum sim_forgotten forgotten;
  struct wr_kafka_group_marker marker; /* what was forgotten */
  bool refused;                        /* the life ended because of that, or of the replacement */
  uint64_t start_before;               /* the folder's start number before that */
  uint64_t replace_ns;                 /* when the topic is replaced in this life; UINT64_MAX: not at all */
  bool is_replaced;                    /* it was, and `present` has what it was */
};

void sim_sink_topic_make(struct sim_run *run, uint64_t seed, uint32_t partitions);
void sim_sink_topic_draw(struct sim_run *run);
/* The rule of the topic in the plan of faults. */
void sim_sink_topic_draw_faults(struct sim_run *run);
/* Before a life, after files were tampered with. */
void sim_sink_topic_new_life(struct sim_run *run);
/* Between two steps of a life. */
void sim_sink_topic_step(struct sim_run *run);
/* An epoch is about to be committed: now and then it is killed on the way. */
void sim_sink_topic_commits(struct sim_run *run);
/* May the life end with this? Notes it. */
bool sim_sink_topic_excuses(struct sim_run *run, const struct weir_error *error);
void sim_sink_topic_after_life(struct sim_run *run);
/* What sim_tamper.c does to /out is done to the topic. */
void sim_sink_topic_keep_older(struct sim_run *run);
void sim_sink_topic_tamper(struct sim_run *run, enum sim_tamper_kind kind);
void sim_sink_topic_put_back(struct sim_run *run);
/* After the last life, as for a table. */
void sim_sink_topic_judge_pv(struct sim_run *run);
void sim_sink_topic_judge_seen(struct sim_run *run);
void sim_sink_topic_deinit(struct sim_run *run);

#endif
