/* connectors/target_marker.c: see target_marker.h. */
#include "connectors/target_marker.h"

#include <inttypes.h>

static bool same_run(const struct wr_target_context *context, const struct wr_marker *marker) {
  return memcmp(marker->incarnation, context->store->incarnation, WR_INCARNATION_BYTES) == 0;
}

struct wr_marker wr_marker_mine(const struct wr_target_context *context, uint64_t checkpoint_id) {
  struct wr_marker marker = {
      .present = true, .start_number = context->store->start_number, .checkpoint_id = checkpoint_id};
  memcpy(marker.incarnation, context->store->incarnation, WR_INCARNATION_BYTES);
  return marker;
}

bool wr_marker_is_mine(const struct wr_target_context *context, const struct wr_marker *marker) {
  return marker->present && marker->start_number == context->store->start_number && same_run(context, marker);
}

bool wr_marker_equal(const struct wr_marker *a, const struct wr_marker *b) {
  if (!a->present || !b->present) return a->present == b->present;
  return a->start_number == b->start_number && a->checkpoint_id == b->checkpoint_id &&
         memcmp(a->incarnation, b->incarnation, WR_INCARNATION_BYTES) == 0;
}

enum weir_code wr_marker_fenced(const struct wr_target_context *context, const struct wr_marker *marker,
                                const char *where, struct weir_error *error) {
  return WR_FAIL(error, WEIR_FENCED,
                 "sink \"%s\": start %" PRIu64 " of job \"%s\" has taken over %s, this is start %" PRIu64
                 "; only one run of a job can write to it",
                 context->uid, marker->start_number, context->job_name, where, context->store->start_number);
}

enum weir_code wr_marker_came(const struct wr_target_context *context, const char *where, struct weir_error *error) {
  return WR_FAIL(error, WEIR_BUSY,
                 "sink \"%s\": what an earlier start of job \"%s\" had sent to %s came there while this start was "
                 "comparing; it is compared again",
                 context->uid, context->job_name, where);
}

enum weir_code wr_marker_check_claim(const struct wr_target_context *context, const struct wr_marker *seen,
                                     const struct wr_marker *present, const char *where, struct weir_error *error) {
  uint64_t start_number = context->store->start_number;
  bool is_same_run = present->present && same_run(context, present);
  if (is_same_run && present->start_number > start_number) return wr_marker_fenced(context, present, where, error);
  if (wr_marker_equal(seen, present)) return WEIR_OK;
  if (is_same_run && present->start_number < start_number) return wr_marker_came(context, where, error);
  if (!present->present)
    return WR_FAIL(error, WEIR_BUSY,
                   "the marker of job \"%s\", sink \"%s\" went away from %s while this start was "
                   "comparing; it is compared again",
                   context->job_name, context->uid, where);
  bool went_on = seen->present && seen->start_number == present->start_number &&
                 seen->checkpoint_id < present->checkpoint_id &&
                 memcmp(seen->incarnation, present->incarnation, WR_INCARNATION_BYTES) == 0;
  if (!went_on) return wr_marker_fenced(context, present, where, error);
  return WR_FAIL(error, WEIR_BUSY,
                 "sink \"%s\": start %" PRIu64 " of job \"%s\" committed checkpoint %" PRIu64
                 " to %s while this start was comparing; it is compared again",
                 context->uid, present->start_number, context->job_name, present->checkpoint_id, where);
}

enum weir_code wr_marker_explain(const struct wr_target_context *context, const struct wr_marker *marker,
                                 uint64_t checkpoint_id, uint64_t known_id, const char *where, bool *out_already,
                                 struct weir_error *error) {
  bool mine = wr_marker_is_mine(context, marker);
  if (mine && marker->checkpoint_id >= checkpoint_id) {
    *out_already = true;
    return WEIR_OK;
  }
  bool is_later = marker->present && marker->start_number > context->store->start_number;
  if (marker->present && (!same_run(context, marker) || is_later))
    return wr_marker_fenced(context, marker, where, error);
  if (mine)
    return WR_FAIL(error, WEIR_REFUSED,
                   "%s has lost data: its marker of job \"%s\", sink \"%s\" stands at checkpoint %" PRIu64
                   ", and this run has committed %" PRIu64 " there; it was replaced by an older copy. Put it back, or "
                   "start the job again: it then compares both",
                   where, context->job_name, context->uid, marker->checkpoint_id, known_id);
  return WR_FAIL(error, WEIR_REFUSED,
                 "the marker of job \"%s\", sink \"%s\" in %s is %s: the target was replaced by another or an older "
                 "one while the job runs; start the job again, it then compares both",
                 context->job_name, context->uid, where, marker->present ? "older than this run" : "gone");
}
