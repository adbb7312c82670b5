/* connectors/target_marker.h: what a target whose marker is a row does with what it read there. Pure; any thread.
 *
 * `where` names the target in messages: "table pv in postgresql://app@db:5432/out". The order in which the row is asked
 * and changed is runtime/sink.h's; here it is only judged.
 */
#ifndef WR_CONNECTORS_TARGET_MARKER_H
#define WR_CONNECTORS_TARGET_MARKER_H

#include "runtime/sink.h"

/* What this start of the job writes as its marker. */
struct wr_marker wr_marker_mine(const struct wr_target_context *context, uint64_t checkpoint_id);
/* Of this incarnation and this start. Start numbers are never used twice, so nobody else has written it. */
bool wr_marker_is_mine(const struct wr_target_context *context, const struct wr_marker *marker);
bool wr_marker_equal(const struct wr_marker *a, const struct wr_marker *b);

/* FENCED: who holds the target. */
__attribute__((cold)) enum weir_code wr_marker_fenced(const struct wr_target_context *context,
                                                      const struct wr_marker *marker, const char *where,
                                                      struct weir_error *error);
/* BUSY: what an earlier start of this run had sent, a claim or an epoch, came to the target after it was compared with
 * the checkpoint. */
__attribute__((cold)) enum weir_code wr_marker_came(const struct wr_target_context *context, const char *where,
                                                    struct weir_error *error);
/* May this start take the target, whose marker was `seen` when it was compared with the checkpoint and is `present`
 * now? OK; FENCED: another run holds it; BUSY: the start that was seen, or an earlier one of this run, has claimed or
 * committed something in between, so that the comparison has to be made again. */
enum weir_code wr_marker_check_claim(const struct wr_target_context *context, const struct wr_marker *seen,
                                     const struct wr_marker *present, const char *where, struct weir_error *error);
/* The marker could not be moved to `checkpoint_id`; `marker` is what is there, `known_id` what this start knows to have
 * been committed. OK and *out_already: it was moved before. FENCED. REFUSED: the target was replaced. */
enum weir_code wr_marker_explain(const struct wr_target_context *context, const struct wr_marker *marker,
                                 uint64_t checkpoint_id, uint64_t known_id, const char *where, bool *out_already,
                                 struct weir_error *error);

#endif
