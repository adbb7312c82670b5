/* sim/sim_directory.h: the folder sink in the simulator: somebody who takes finished files away, and the oracle over
 * what was taken and what is left.
 *
 * The files lie in /out, those that were taken in /out/taken, which goes where /out goes when the target is tampered
 * with. Only a file that no power cut can take back is taken, as by somebody who syncs the folder first. A file that
 * comes again, or is not whole, is a violation, and so is a staged file that is left when a job has ended well. Host
 * memory. One thread.
 */
#ifndef WR_SIM_DIRECTORY_H
#define WR_SIM_DIRECTORY_H

#include "checkpoint/metadata.h"
#include "sim/sim_disk.h"

struct sim_run;

/* A run that was killed is only slow, and stages one more file while a later one starts or runs. Nobody may ever ask
 * for it, and the start after that sweeps it. */
struct sim_late_stage {
  char staged[300]; /* the path of the file that was staged last; "": none */
  char path[300];   /* of the late one; "": none */
  uint64_t at_ns;   /* when it is made; UINT64_MAX: not in this life, or done */
  bool is_old;      /* it was made in an earlier life */
};

/* Draws the format and the rolling of files in this run, and how often they are taken. */
void sim_directory_draw(struct sim_run *run);
/* At times takes what is there. Between two steps. */
void sim_directory_step(struct sim_run *run);
/* An operation of the engine was done: now and then the power goes between a marker's rename and the sync of its
 * folder, where what was renamed and made before it may be kept or lost one by one. */
void sim_directory_seen(struct sim_run *run, const struct sim_disk_event *event);
/* An older run may be only slow, and commit what it was about to, while a later one starts. */
void sim_directory_new_life(struct sim_run *run, bool may_harm);
void sim_directory_after_life(struct sim_run *run);
/* Between two lives: the path of a staged file that the newest checkpoint carries and the marker says is not committed,
 * any of them; false: there is none. */
bool sim_directory_choose_staged(struct sim_run *run, char *out_path, size_t size);
/* Is what the checkpoint has staged there, where the marker says that it is not committed? Else a start passes it over,
 * or refuses. */
bool sim_directory_has_staged(struct sim_run *run, const struct wr_metadata *metadata);
/* After a life that ended well: nothing that was staged is left. */
void sim_directory_check_left(struct sim_run *run);
/* After the last life: the files against the log, as the table would be. */
void sim_directory_judge_pv(struct sim_run *run);
void sim_directory_judge_seen(struct sim_run *run);
/* What a line of a file, or a message, says. */
void sim_directory_saw_count(struct sim_run *run, const char *text);
void sim_directory_saw_row(struct sim_run *run, const char *text);

#endif
