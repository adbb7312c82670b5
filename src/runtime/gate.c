/* runtime/gate.c: see gate.h. What is held stays in its channel, which is the input buffer of the alignment: it is
 * bounded, and a full one is back-pressure to its sender. */
#include "runtime/gate.h"

#include "runtime/graph.h"

_Static_assert(sizeof(((struct wr_gate *)0)->open_channels) / sizeof(uint32_t) == WR_NODE_INPUTS_MAX,
               "one counter per input");

enum weir_code wr_gate_init(struct wr_gate *gate, struct wr_memory *memory, enum wr_mode mode, uint32_t channel_count,
                            struct wr_channel *const *channels, const uint32_t *inputs, const uint8_t *always_aligned,
                            uint64_t last_id, struct weir_error *error) {
  *gate = (struct wr_gate){.memory = memory, .channel_count = channel_count, .watermark_ms = INT64_MIN};
  gate->channels = wr_alloc_zeroed(memory, channel_count, sizeof *gate->channels, WR_MEMORY_ENGINE);
  if (gate->channels == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %u channels", channel_count);
  for (uint32_t i = 0; i < channel_count; i++) {
    gate->channels[i] = (struct wr_gate_channel){.channel = channels[i], .input = inputs[i], .watermark_ms = INT64_MIN};
    gate->open_channels[inputs[i]]++;
  }
  gate->open_count = channel_count;
  return wr_barriers_new(memory, mode, channel_count, always_aligned, last_id, &gate->barriers, error);
}

void wr_gate_deinit(struct wr_gate *gate) {
  if (gate->memory == NULL) return;
  if (gate->barriers != NULL) wr_barriers_free(gate->memory, gate->barriers);
  wr_free(gate->memory, gate->channels);
  *gate = (struct wr_gate){0};
}

static struct wr_gate_event nothing(void) {
  return (struct wr_gate_event){.kind = WR_GATE_NOTHING};
}

static struct wr_gate_event from_decision(struct wr_gate *gate, struct wr_barrier_decision decision) {
  switch (decision.kind) {
  case WR_BARRIER_SNAPSHOT:
    return (struct wr_gate_event){.kind = WR_GATE_SNAPSHOT, .id = decision.id};
  case WR_BARRIER_CANCELLED:
    gate->more_to_decide = true;
    return (struct wr_gate_event){.kind = WR_GATE_CANCELLED, .id = decision.id};
  case WR_BARRIER_NOTHING:
    break;
  }
  return nothing();
}

/* The minimum over the channels that count; without one, the present one where a channel is idle, else INT64_MAX. */
static int64_t minimum_watermark(const struct wr_gate *gate) {
  int64_t minimum = INT64_MAX;
  bool any_idle = false;
  for (uint32_t i = 0; i < gate->channel_count; i++) {
    const struct wr_gate_channel *channel = &gate->channels[i];
    if (channel->ended || channel->watermark_ms == INT64_MAX) continue;
    if (channel->idle)
      any_idle = true;
    else if (channel->watermark_ms < minimum)
      minimum = channel->watermark_ms;
  }
  return minimum == INT64_MAX && any_idle ? gate->watermark_ms : minimum;
}

static bool all_idle(const struct wr_gate *gate) {
  for (uint32_t i = 0; i < gate->channel_count; i++)
    if (!gate->channels[i].ended && !gate->channels[i].idle) return false;
  return gate->open_count != 0;
}

/* What has changed for the task, one event at a time: idleness, then the watermark. */
static struct wr_gate_event tell(struct wr_gate *gate) {
  gate->more_to_tell = true;
  if (all_idle(gate) != gate->idle && gate->open_count != 0) {
    gate->idle = !gate->idle;
    return (struct wr_gate_event){.kind = WR_GATE_IDLE, .idle = gate->idle};
  }
  gate->more_to_tell = false;
  int64_t minimum = minimum_watermark(gate);
  if (minimum <= gate->watermark_ms) return nothing();
  gate->watermark_ms = minimum;
  return (struct wr_gate_event){.kind = WR_GATE_WATERMARK, .watermark_ms = minimum};
}

static struct wr_gate_event take_end(struct wr_gate *gate, struct wr_gate_channel *channel) {
  channel->ended = true;
  gate->open_count--;
  if (--gate->open_channels[channel->input] != 0) return tell(gate);
  gate->more_to_tell = true;
  return (struct wr_gate_event){.kind = WR_GATE_END, .input = channel->input};
}

static struct wr_gate_event take_item(struct wr_gate *gate, uint32_t index) {
  struct wr_gate_channel *channel = &gate->channels[index];
  struct wr_item item = wr_channel_pop(channel->channel);
  switch (item.kind) {
  case WR_ITEM_BATCH:
    return (struct wr_gate_event){.kind = WR_GATE_BATCH, .input = channel->input, .batch = item.batch};
  case WR_ITEM_WATERMARK:
    if (item.value > channel->watermark_ms) channel->watermark_ms = item.value;
    return tell(gate);
  case WR_ITEM_IDLE:
    channel->idle = item.value != 0;
    return tell(gate);
  case WR_ITEM_BARRIER:
    return from_decision(gate, wr_barriers_barrier(gate->barriers, index, (uint64_t)item.value));
  case WR_ITEM_CANCEL:
    return from_decision(gate, wr_barriers_cancel(gate->barriers, index, (uint64_t)item.value));
  case WR_ITEM_END:
    return take_end(gate, channel);
  }
  return nothing();
}

/* The last end raises the watermark to the end of time, and that comes before the end itself. */
static bool end_needs_watermark_first(struct wr_gate *gate, const struct wr_gate_channel *channel) {
  return gate->open_count == 1 && !channel->ended && gate->watermark_ms != INT64_MAX;
}

struct wr_gate_event wr_gate_next(struct wr_gate *gate) {
  if (gate->more_to_decide) {
    gate->more_to_decide = false;
    return from_decision(gate, wr_barriers_more(gate->barriers));
  }
  if (gate->more_to_tell) {
    struct wr_gate_event event = tell(gate);
    if (event.kind != WR_GATE_NOTHING) return event;
  }
  for (uint32_t n = 0; n < gate->channel_count; n++) {
    uint32_t index = gate->next;
    gate->next = index + 1 == gate->channel_count ? 0 : index + 1;
    const struct wr_item *front = wr_channel_peek(gate->channels[index].channel);
    if (front == NULL || wr_barriers_is_held(gate->barriers, index)) continue;
    if (front->kind == WR_ITEM_END) {
      if (!wr_barriers_may_end(gate->barriers, index)) continue;
      if (end_needs_watermark_first(gate, &gate->channels[index])) {
        gate->watermark_ms = INT64_MAX;
        gate->next = index; /* the end itself is still there */
        return (struct wr_gate_event){.kind = WR_GATE_WATERMARK, .watermark_ms = INT64_MAX};
      }
    }
    return take_item(gate, index);
  }
  return (struct wr_gate_event){.kind = WR_GATE_EMPTY};
}

void wr_gate_snapshot_taken(struct wr_gate *gate, uint64_t id) {
  wr_barriers_snapshot_taken(gate->barriers, id);
}

struct wr_gate_event wr_gate_aborted(struct wr_gate *gate, uint64_t id) {
  return from_decision(gate, wr_barriers_aborted(gate->barriers, id));
}

bool wr_gate_is_aligning(const struct wr_gate *gate) {
  return wr_barriers_is_aligning(gate->barriers);
}
