/* sim/sim_histories.h: two histories of one job, as somebody makes them who brings old checkpoints back.
 *
 *   life 1   its newest checkpoint cannot be read, and it goes on from an older one: the second history (sim_tamper.h)
 *   life 2   that checkpoint is mended, and all that the second history made is away: the first history goes on
 *   life 3   what the second history made is back, and what the first has made since is away
 *
 * Life 3 may be refused, and then all is put back as life 2 left it; where it goes on, the oracles at the end of the
 * run say whether that was right. Lives that a kill ends before that come between. Host memory. One thread.
 */
#ifndef WR_SIM_HISTORIES_H
#define WR_SIM_HISTORIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_run;

struct sim_histories {
  uint8_t *first; /* the newest checkpoint of the first history; NULL: there is none, or it is back */
  size_t first_length;
  uint64_t first_id;
  bool second_is_kept; /* what the second one made is in /keep/second */
};

/* Before life 1: the data files may be wanted later. */
void sim_histories_note(struct sim_run *run);
/* After life 1: somebody keeps the checkpoint of `path`, which may be damaged there, for later. False: he does not. */
bool sim_histories_keep(struct sim_run *run, const char *path, const uint8_t *bytes, size_t length);
/* Is there a life 2 or 3 to come? */
bool sim_histories_wait(const struct sim_run *run);
/* Before a life: makes it life 2 or 3. False: it is none of them. */
bool sim_histories_before(struct sim_run *run);
/* It is one of them: it is not killed before it has had time. */
bool sim_histories_live(const struct sim_run *run);
/* After such a life; `untouched`: it had claimed nothing. */
void sim_histories_after(struct sim_run *run, bool untouched);
/* Inside a commit: life 2 often ends there. */
void sim_histories_commits(struct sim_run *run);
/* The folder is another one now. */
void sim_histories_forget(struct sim_run *run);

#endif
