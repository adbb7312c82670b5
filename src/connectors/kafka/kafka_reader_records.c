/* connectors/kafka/kafka_reader_records.c: from fetches to rows. See kafka_reader.h.
 *
 * Partitions are asked in turn; a fetch is held until all its records were taken, over several polls if need be. After
 * each record split.position is its offset + 1; at the end of what could be read it is that end, which lies behind
 * offsets that hold no record (control records, aborted transactions, compaction).
 *
 * What is in the decoder's window are the values of the records from fetch_at on, without those that are not decoded;
 * it is filled when it has run empty, and forgotten with the fetch.
 */
#include "connectors/kafka/kafka_reader.h"

#include "connectors/bad_records.h"

#include <inttypes.h>
#include <stdio.h>

enum { RECORDS_PER_POLL = 1024, BYTES_PER_POLL = 512 * 1024 };

/* A piece of work: what may still be done in this poll, and what of the fetch was done. */
struct work {
  uint32_t records_left;
  size_t bytes_left;
  bool made;
};

/* Rows that were built one after the other, of one partition. */
struct run {
  struct wr_view name; /* the partition's */
  uint32_t first;      /* row */
  int64_t base;        /* offset of the first row */
};

void wr_kafka_reading_publish(struct wr_kafka_reading *reading, int64_t high) {
  struct wr_split_metrics *metrics = &reading->metrics;
  int64_t position = reading->split.position;
  atomic_store_explicit(&metrics->current_offset, position - 1, memory_order_relaxed);
  if (high < 0) return;
  atomic_store_explicit(&metrics->lag, high > position ? high - position : 0, memory_order_relaxed);
}

void wr_kafka_reader_drop_fetch(struct wr_kafka_reader *reader) {
  if (reader->fetch_of == NULL) return;
  wr_json_forget_gathered(reader->built.decoder);
  reader->consumer->vtable->release(reader->consumer);
  reader->fetch_of = NULL;
}

/* ---- bad records ---- */

static enum weir_code fail_bad(const struct wr_kafka_reader *reader, const struct wr_kafka_reading *reading,
                               const struct wr_bad_record *bad, struct weir_error *error) {
  char start[WR_EXCERPT_BYTES];
  wr_bad_record_excerpt(bad, start);
  return WR_FAIL(error, WEIR_BAD_RECORD, "topic %s, partition %" PRId32 ", offset %" PRId64 ": %s%s%s",
                 reader->config->topic, reading->split.partition, bad->position, bad->sentence,
                 start[0] == 0 ? "" : ": ", start);
}

static enum weir_code take_bad(struct wr_kafka_reader *reader, const struct wr_kafka_reading *reading,
                               const struct wr_kafka_record *record, const struct wr_json_fault *fault,
                               struct weir_error *error) {
  struct wr_bad_record bad = {.position = record->offset};
  if (record->value == NULL) {
    snprintf(bad.sentence, sizeof bad.sentence, "a tombstone: a record without a value");
  } else {
    wr_bad_record_describe(&bad, fault);
    bad.byte_position = fault->position;
    wr_excerpt((const char *)record->value, record->value_length, WR_EXCERPT_SOURCE_BYTES, bad.start);
  }
  if (reader->config->on_error == WR_KAFKA_FAIL) return fail_bad(reader, reading, &bad, error);
  return wr_bad_record_put(&reader->built.dead_letters, reader->op.context, reading->name, &bad, error);
}

/* ---- rows ---- */

/* The rows of the run get their places; the run goes on behind them. */
static void end_run(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading, struct run *run) {
  uint32_t rows = wr_batch_builder_rows(&reader->built.rows), count = rows - run->first;
  if (count == 0) return;
  wr_record_fields_fill(&reader->built.fields, &reader->built.rows, &run->name, run->base, reader->built.places,
                        run->first, count);
  wr_source_time_saw(&reader->built.time, &reading->time, reader->built.rows.batch, run->first, count,
                     reader->op.context->now_ns);
  run->first = rows;
}

/* Copies the values of the fetch's records from `first` on into the decoder's window, as far as it takes them. */
static void gather(struct wr_kafka_reader *reader, uint32_t first) {
  for (uint32_t i = first; i < reader->fetch.count; i++) {
    const struct wr_kafka_record *record = &reader->fetch.records[i];
    bool is_old = record->offset < reader->fetch_of->split.position;
    if (is_old || record->value == NULL) continue; /* neither is decoded */
    if (!wr_json_gather(reader->built.decoder, (const char *)record->value, record->value_length)) break;
  }
}

static enum weir_code decode(struct wr_kafka_reader *reader, const struct wr_kafka_record *record,
                             struct wr_json_fault *fault, struct weir_error *error) {
  if (wr_json_gathered(reader->built.decoder) == 0) gather(reader, (uint32_t)(record - reader->fetch.records));
  if (wr_json_gathered(reader->built.decoder) > 0)
    return wr_json_decode_gathered(reader->built.decoder, &reader->built.rows, fault, error);
  return wr_json_decode(reader->built.decoder, (const char *)record->value, record->value_length, &reader->built.rows,
                        fault, error);
}

/* A row of one record, or its end as a bad one. */
static enum weir_code take_record(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading,
                                  const struct wr_kafka_record *record, struct run *run, struct weir_error *error) {
  struct wr_json_fault fault;
  enum weir_code code = WEIR_BAD_RECORD;
  if (record->value != NULL) code = decode(reader, record, &fault, error);
  if (code == WEIR_BAD_RECORD) return take_bad(reader, reading, record, &fault, error);
  if (code != WEIR_OK) return code;
  uint32_t row = wr_batch_builder_rows(&reader->built.rows);
  if (row == run->first || record->offset - run->base > UINT32_MAX) {
    end_run(reader, reading, run);
    run->base = record->offset;
  }
  reader->built.places[row] = (uint32_t)(record->offset - run->base);
  wr_batch_builder_end_row(&reader->built.rows, WEIR_INSERT);
  return WEIR_OK;
}

static void end_reading(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading) {
  reading->split.ended = true;
  reading->state = WR_KAFKA_ENDED;
  reader->ended_count++;
  wr_kafka_reader_drop_fetch(reader);
  reader->consumer->vtable->unassign(reader->consumer, reading->split.partition);
}

/* All records of the held fetch were taken. */
static enum weir_code end_fetch(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading, struct work *work,
                                struct weir_error *error) {
  struct wr_kafka_split *split = &reading->split;
  struct wr_kafka_fetch fetch = reader->fetch;
  if (fetch.at_end && fetch.end > split->position) {
    split->position = split->has_stop && fetch.end > split->stop ? split->stop : fetch.end;
    work->made = true;
  }
  wr_kafka_reading_publish(reading, fetch.high);
  wr_kafka_reader_drop_fetch(reader);
  if (fetch.answer == WR_KAFKA_FINE) {
    reading->doubt = (struct wr_kafka_doubt){0};
    if (fetch.count > 0 || fetch.at_end) reading->assign_delay_ns = 0;
    return WEIR_OK;
  }
  work->made = true;
  if (split->has_stop && split->position >= split->stop) return WEIR_OK; /* it ends */
  return wr_kafka_reader_doubt(reader, reading, &fetch, error);
}

/* Takes records of the held fetch, as far as there is work left and room in the batch. */
static enum weir_code take_records(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading, struct work *work,
                                   struct weir_error *error) {
  struct wr_kafka_split *split = &reading->split;
  struct run run = {.first = wr_batch_builder_rows(&reader->built.rows)};
  uint64_t taken = 0, bytes = 0;
  enum weir_code code =
      wr_record_fields_name(&reader->built.fields, &reader->built.rows, reading->name, &run.name, error);
  while (code == WEIR_OK && reader->fetch_at < reader->fetch.count && work->records_left > 0 && work->bytes_left > 0 &&
         !wr_batch_builder_is_full(&reader->built.rows)) {
    const struct wr_kafka_record *record = &reader->fetch.records[reader->fetch_at];
    if (split->has_stop && record->offset >= split->stop) {
      split->position = split->stop;
      break;
    }
    reader->fetch_at++;
    if (record->offset < split->position) continue; /* the beginning of a batch that was read in part */
    code = take_record(reader, reading, record, &run, error);
    if (code != WEIR_OK) break;
    split->position = record->offset + 1;
    taken++;
    bytes += record->value_length;
    work->records_left--;
    work->bytes_left -= record->value_length < work->bytes_left ? record->value_length : work->bytes_left;
  }
  end_run(reader, reading, &run);
  if (taken > 0) work->made = true;
  split->records += taken;
  atomic_fetch_add_explicit(&reader->op.context->metrics->source_records, taken, memory_order_relaxed);
  atomic_fetch_add_explicit(&reader->op.context->metrics->bytes_in, bytes, memory_order_relaxed);
  return code;
}

static enum weir_code work_on_fetch(struct wr_kafka_reader *reader, struct work *work, struct weir_error *error) {
  struct wr_kafka_reading *reading = reader->fetch_of;
  struct wr_kafka_split *split = &reading->split;
  WR_TRY(take_records(reader, reading, work, error));
  bool at_stop = split->has_stop && split->position >= split->stop;
  if (!at_stop && reader->fetch_at == reader->fetch.count) WR_TRY(end_fetch(reader, reading, work, error));
  if (split->has_stop && split->position >= split->stop) {
    wr_kafka_reading_publish(reading, -1);
    end_reading(reader, reading);
    work->made = true;
  }
  return WEIR_OK;
}

/* Holds a fetch of the next partition that has something. */
static bool take_fetch(struct wr_kafka_reader *reader, uint32_t limit) {
  for (uint32_t i = 0; i < reader->count; i++) {
    struct wr_kafka_reading *reading = reader->readings[reader->next];
    reader->next = reader->next + 1 == reader->count ? 0 : reader->next + 1;
    if (reading->state != WR_KAFKA_FETCHING ||
        !reader->consumer->vtable->take(reader->consumer, reading->split.partition, limit, &reader->fetch))
      continue;
    reader->fetch_of = reading;
    reader->fetch_at = 0;
    return true;
  }
  return false;
}

enum weir_code wr_kafka_reader_build(struct wr_kafka_reader *reader, bool *out_made, struct weir_error *error) {
  struct work work = {.records_left = RECORDS_PER_POLL, .bytes_left = BYTES_PER_POLL};
  reader->is_dry = false;
  while (reader->consumer != NULL && work.records_left > 0 && work.bytes_left > 0 &&
         !wr_batch_builder_is_full(&reader->built.rows)) {
    if (reader->fetch_of == NULL && !take_fetch(reader, RECORDS_PER_POLL)) {
      reader->is_dry = true;
      break;
    }
    work.records_left--; /* also for a fetch that has no record */
    WR_TRY(work_on_fetch(reader, &work, error));
  }
  if (reader->consumer == NULL) reader->is_dry = true;
  *out_made = *out_made || work.made || !reader->is_dry;
  return WEIR_OK;
}
