/* sim/sim_run_kafka.h: the part of a history (sim_run.h) whose log is a topic: its draws, retention, what is done to
 * the topic, and what must hold while it is read:
 *
 *   - a partition is begun exactly where the restored checkpoint says, whatever the group was shown; one that no
 *     checkpoint knows, at its first record
 *   - the group is shown no offset that is above that of a durable checkpoint
 *   - a wrong answer ends no job; a true one, that stays, ends it with its own code
 *   - what retention has removed behind every checkpoint is not missed
 */
#ifndef WR_SIM_RUN_KAFKA_H
#define WR_SIM_RUN_KAFKA_H

#include "sim/sim_checkpoints.h"

struct sim_run;

/* What is done to a topic, between two lives or in one. */
enum sim_topic_harm {
  SIM_HARM_NONE,
  SIM_HARM_GONE,
  SIM_HARM_FEWER_PARTITIONS,
  SIM_HARM_FORBIDDEN,
  SIM_HARM_CUT,
  SIM_HARM_REMADE,
  SIM_HARM_RETAINED,
  SIM_HARM_COUNT
};

struct sim_run_kafka {
  bool misleads;  /* brokers give wrong answers in this history */
  bool retention; /* old records are removed */
  uint64_t discovery_interval_ms;
  int64_t begin[SIM_LOG_PARTITIONS_MAX]; /* of the model: where the present incarnation began to read */
  uint64_t retain_ns;                    /* when retention works next */
  /* what is done to the topic in this life */
  enum sim_topic_harm harm;
  uint64_t harm_ns; /* not before; 0: before it began */
  bool is_harmed;   /* it is done */
  bool refused;     /* the life ended because of it */
  bool is_long;     /* the life is: doubts come and go in it */
  bool was_read;    /* the restored checkpoint has the end of everything: nothing is looked at any more */
  bool must_end;    /* nothing else is in the way: the life has to end because of it */
  /* the newest durable checkpoint, as looked up last */
  uint64_t durable_id;
  struct sim_place durable[SIM_LOG_PARTITIONS_MAX];
};

/* Makes the cluster, which is watched; the log is produced into it. */
void sim_run_kafka_make(struct sim_run *run, uint64_t seed, struct sim_log_options *log);
/* The same, and draws what else there is. */
void sim_run_kafka_draw(struct sim_run *run, struct sim_log_options *log);
/* The cluster's rule in the plan of faults. */
void sim_run_kafka_draw_faults(struct sim_run *run);
/* Before a life, after files were tampered with. */
void sim_run_kafka_new_life(struct sim_run *run, bool may_harm);
/* Few checkpoints, and in a life that has to end because of its topic nothing else in its way. */
void sim_run_kafka_make_way(struct sim_run *run);
/* How long this life is; 0: as long as any. */
uint64_t sim_run_kafka_life_ns(struct sim_run *run);
/* Between two steps of a life. */
void sim_run_kafka_step(struct sim_run *run);
/* Nobody writes to the topic. */
bool sim_run_kafka_holds_log(const struct sim_run *run);
/* May the life end with this? */
bool sim_run_kafka_excuses(struct sim_run *run, enum weir_code code);
/* After a life. */
void sim_run_kafka_after_life(struct sim_run *run);
/* At the end: the model begins where reading began. */
void sim_run_kafka_apply(struct sim_run *run);

#endif
