/* connectors/kafka/kafka_rdkafka_consumer.c: the records of partitions (kafka_rdkafka_int.h).
 *
 * Partitions are assigned by hand, each with its offset; there is no subscription, so that no rebalance and no limit on
 * the time between two polls can take one away. Each partition has a queue of its own, not forwarded to the common one:
 * a partition whose records nobody takes holds up no other, and is fetched no further when its queue is full.
 *
 * Nothing is lost or doubled by a new assignment: librdkafka numbers the assignments of a partition, and drops what
 * an older one brought when it is taken from the queue. What is below the next offset is dropped here as well.
 *
 * A partition with a "no" is unassigned at once, for librdkafka would go on asking.
 *
 * That a partition is not there librdkafka says when the number of the topic's partitions changes, and then alone: when
 * it hears of the topic for the first time, and when partitions go. Assigned later, such a partition is looked for
 * every 10 s without a word. The enumerator, which looks again and again, finds it missing.
 *
 * Offsets to show are gathered per partition; one commit is under way at any time. So a group that cannot be reached
 * costs no memory, and what is shown when it is back is the newest. */
#include "connectors/kafka/kafka_rdkafka_int.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CLOSE_COMMIT_MS = 1000, DRAIN_MESSAGES = 64 };

/* What librdkafka's threads touch. */
struct signal {
  struct wr_waker *waker;
  _Atomic bool ready; /* something came since it was last taken from */
};

struct slot {
  struct signal signal;
  int32_t partition;
  rd_kafka_queue_t *queue; /* NULL: never assigned */
  bool assigned;
  int64_t next;    /* assigned: the least offset that may come */
  int64_t to_show; /* -1: none */
};

struct rdkafka_consumer {
  struct wr_kafka_consumer consumer;
  struct wr_rdkafka_client client;
  char *topic;
  struct wr_waker *waker;
  struct slot **slots; /* by partition; NULL: never heard of */
  uint32_t slot_count;
  rd_kafka_queue_t *main_queue, *commit_queue;
  struct signal main_signal, commit_signal;
  bool commit_under_way;
  rd_kafka_message_t **messages; /* WR_BATCH_ROWS_MAX of them; the first `message_count` are held */
  struct wr_kafka_record *records;
  size_t message_count;
};

static struct rdkafka_consumer *consumer_of(struct wr_kafka_consumer *consumer) {
  return (struct rdkafka_consumer *)consumer;
}

/* From librdkafka's threads, and with the queue locked. */
static void on_event(rd_kafka_t *handle, void *opaque) {
  (void)handle;
  struct signal *signal = opaque;
  atomic_store_explicit(&signal->ready, true, memory_order_release);
  signal->waker->wake(signal->waker);
}

static void watch(struct rdkafka_consumer *consumer, rd_kafka_queue_t *queue, struct signal *signal) {
  signal->waker = consumer->waker;
  atomic_store_explicit(&signal->ready, true, memory_order_relaxed); /* what came before is not announced */
  consumer->client.library.queue_cb_event_enable(queue, on_event, signal);
}

static bool take_signal(struct signal *signal) {
  return atomic_load_explicit(&signal->ready, memory_order_relaxed) &&
         atomic_exchange_explicit(&signal->ready, false, memory_order_acquire);
}

/* Errors of the client as a whole. */
static void serve_main(struct rdkafka_consumer *consumer) {
  if (take_signal(&consumer->main_signal)) consumer->client.library.poll(consumer->client.handle, 0);
}

/* ---- slots ---- */

static struct slot *find_slot(const struct rdkafka_consumer *consumer, int32_t partition) {
  return partition >= 0 && (uint32_t)partition < consumer->slot_count ? consumer->slots[partition] : NULL;
}

/* NULL: no memory. */
static struct slot *need_slot(struct rdkafka_consumer *consumer, int32_t partition) {
  struct slot *slot = find_slot(consumer, partition);
  if (slot != NULL) return slot;
  struct wr_memory *memory = consumer->client.memory;
  uint32_t count = (uint32_t)partition + 1;
  if (count > consumer->slot_count) {
    struct slot **slots = wr_resize(memory, consumer->slots, count * sizeof *slots, WR_MEMORY_SOURCE);
    if (slots == NULL) return NULL;
    memset(slots + consumer->slot_count, 0, (count - consumer->slot_count) * sizeof *slots);
    consumer->slots = slots;
    consumer->slot_count = count;
  }
  slot = wr_alloc_zeroed(memory, 1, sizeof *slot, WR_MEMORY_SOURCE);
  if (slot == NULL) return NULL;
  slot->partition = partition;
  slot->to_show = -1;
  consumer->slots[partition] = slot;
  return slot;
}

/* What waits in a partition's queue. librdkafka calls back from within here with those errors that it does not put
 * among the messages (no such topic, no such partition): they are the partition's. */
static size_t poll_slot(struct rdkafka_consumer *consumer, struct slot *slot, rd_kafka_message_t **messages,
                        size_t room, struct wr_rdkafka_trouble *out_trouble) {
  *out_trouble = (struct wr_rdkafka_trouble){.told = true};
  consumer->client.listener = out_trouble;
  ssize_t count = consumer->client.library.consume_batch_queue(slot->queue, 0, messages, room);
  consumer->client.listener = &consumer->client.trouble;
  return count > 0 ? (size_t)count : 0;
}

/* Drops what has come of it. */
static void drain(struct rdkafka_consumer *consumer, struct slot *slot) {
  rd_kafka_message_t *messages[DRAIN_MESSAGES];
  struct wr_rdkafka_trouble ignored;
  size_t count;
  while ((count = poll_slot(consumer, slot, messages, DRAIN_MESSAGES, &ignored)) > 0)
    for (size_t i = 0; i < count; i++)
      consumer->client.library.message_destroy(messages[i]);
}

/* ---- assignment ---- */

static enum weir_code change_assignment(struct rdkafka_consumer *consumer, struct slot *slot, bool add,
                                        struct weir_error *error) {
  const struct wr_rdkafka *library = &consumer->client.library;
  rd_kafka_topic_partition_list_t *list = library->topic_partition_list_new(1);
  library->topic_partition_list_add(list, consumer->topic, slot->partition)->offset = slot->next;
  /* Waits for librdkafka's main thread to take it, which never waits for a broker. */
  rd_kafka_error_t *failure = add ? library->incremental_assign(consumer->client.handle, list)
                                  : library->incremental_unassign(consumer->client.handle, list);
  library->topic_partition_list_destroy(list);
  if (failure == NULL) return WEIR_OK;
  enum weir_code code = WR_FAIL(error, WEIR_IO, "kafka %s: topic %s, partition %d: librdkafka does not %s it: %s",
                                consumer->client.servers, consumer->topic, slot->partition, add ? "assign" : "unassign",
                                library->error_string(failure));
  library->error_destroy(failure);
  return code;
}

static void unassign_slot(struct rdkafka_consumer *consumer, struct slot *slot) {
  if (!slot->assigned) return;
  slot->assigned = false;
  change_assignment(consumer, slot, false, NULL); /* it can only say that it is not assigned */
  drain(consumer, slot);
}

static enum weir_code assign(struct wr_kafka_consumer *base, int32_t partition, int64_t offset,
                             struct weir_error *error) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  struct slot *slot = need_slot(consumer, partition);
  if (slot == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for partition %d", partition);
  unassign_slot(consumer, slot);
  if (slot->queue == NULL) {
    slot->queue = consumer->client.library.queue_get_partition(consumer->client.handle, consumer->topic, partition);
    if (slot->queue == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for partition %d", partition);
    consumer->client.library.queue_forward(slot->queue, NULL);
    watch(consumer, slot->queue, &slot->signal);
  }
  slot->next = offset;
  WR_TRY(change_assignment(consumer, slot, true, error));
  slot->assigned = true;
  atomic_store_explicit(&slot->signal.ready, true, memory_order_relaxed);
  return WEIR_OK;
}

static void unassign(struct wr_kafka_consumer *base, int32_t partition) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  struct slot *slot = find_slot(consumer, partition);
  if (slot != NULL) unassign_slot(consumer, slot);
}

/* ---- taking ---- */

static void release_messages(struct wr_kafka_consumer *base) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  for (size_t i = 0; i < consumer->message_count; i++)
    consumer->client.library.message_destroy(consumer->messages[i]);
  consumer->message_count = 0;
}

static void add_record(struct rdkafka_consumer *consumer, struct slot *slot, const rd_kafka_message_t *message,
                       struct wr_kafka_fetch *fetch) {
  if (message->offset < slot->next) return;
  slot->next = message->offset + 1;
  consumer->records[fetch->count++] = (struct wr_kafka_record){.offset = message->offset,
                                                               .key = message->key,
                                                               .value = message->payload,
                                                               .key_length = message->key_len,
                                                               .value_length = message->len};
  fetch->at_end = false; /* it was, before this record */
}

/* False: nothing behind this message counts. */
static bool add_message(struct rdkafka_consumer *consumer, struct slot *slot, const rd_kafka_message_t *message,
                        struct wr_kafka_fetch *fetch) {
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    add_record(consumer, slot, message, fetch);
    return true;
  }
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    if (message->offset < slot->next) return true;
    slot->next = message->offset;
    fetch->at_end = true;
    fetch->end = message->offset;
    return true;
  }
  const char *words = consumer->client.library.message_errstr(message);
  fetch->answer = wr_rdkafka_answer_of(message->err);
  if (fetch->answer == WR_KAFKA_FINE) {
    wr_rdkafka_trouble_note(&consumer->client.trouble, message->err, words, "");
    return true;
  }
  wr_rdkafka_copy_words(fetch->reason, sizeof fetch->reason, words);
  return false;
}

/* The same for what was heard while the queue was polled. */
static bool add_heard(struct rdkafka_consumer *consumer, const struct wr_rdkafka_trouble *heard,
                      struct wr_kafka_fetch *fetch) {
  if (heard->answer == WR_KAFKA_FINE) {
    consumer->client.trouble = *heard;
    return true;
  }
  fetch->answer = heard->answer;
  wr_rdkafka_copy_words(fetch->reason, sizeof fetch->reason, heard->reason);
  return false;
}

static int64_t high_of(const struct rdkafka_consumer *consumer, int32_t partition) {
  int64_t low, high;
  rd_kafka_resp_err_t result =
      consumer->client.library.get_watermark_offsets(consumer->client.handle, consumer->topic, partition, &low, &high);
  return result == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
}

static bool take(struct wr_kafka_consumer *base, int32_t partition, uint32_t limit, struct wr_kafka_fetch *out_fetch) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  struct slot *slot = find_slot(consumer, partition);
  WR_ASSERT(consumer->message_count == 0);
  serve_main(consumer);
  if (slot == NULL || !slot->assigned || !take_signal(&slot->signal)) return false;
  size_t room = limit < WR_BATCH_ROWS_MAX ? limit : WR_BATCH_ROWS_MAX;
  struct wr_rdkafka_trouble heard;
  consumer->message_count = poll_slot(consumer, slot, consumer->messages, room, &heard);
  /* Fewer than there was room for: the queue was empty, and what comes is announced. */
  if (consumer->message_count == room) atomic_store_explicit(&slot->signal.ready, true, memory_order_relaxed);
  *out_fetch = (struct wr_kafka_fetch){.records = consumer->records, .answer = WR_KAFKA_FINE, .high = -1};
  bool goes_on = true;
  for (size_t i = 0; goes_on && i < consumer->message_count; i++)
    goes_on = add_message(consumer, slot, consumer->messages[i], out_fetch);
  if (goes_on && !heard.told) goes_on = add_heard(consumer, &heard, out_fetch);
  if (!goes_on) unassign_slot(consumer, slot);
  if (out_fetch->count == 0 && !out_fetch->at_end && goes_on) {
    release_messages(base);
    return false;
  }
  out_fetch->high = high_of(consumer, partition);
  return true;
}

/* ---- what the group is shown ---- */

static void begin_commit(struct rdkafka_consumer *consumer) {
  const struct wr_rdkafka *library = &consumer->client.library;
  if (consumer->commit_under_way) return;
  rd_kafka_topic_partition_list_t *list = NULL;
  for (uint32_t i = 0; i < consumer->slot_count; i++) {
    struct slot *slot = consumer->slots[i];
    if (slot == NULL || slot->to_show < 0) continue;
    if (list == NULL) list = library->topic_partition_list_new(1);
    library->topic_partition_list_add(list, consumer->topic, slot->partition)->offset = slot->to_show;
    slot->to_show = -1;
  }
  if (list == NULL) return;
  consumer->commit_under_way =
      library->commit_queue(consumer->client.handle, list, consumer->commit_queue, NULL, NULL) == 0;
  library->topic_partition_list_destroy(list);
}

static void commit(struct wr_kafka_consumer *base, const struct wr_kafka_place *places, uint32_t count) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  for (uint32_t i = 0; i < count; i++) {
    struct slot *slot = need_slot(consumer, places[i].partition);
    if (slot != NULL) slot->to_show = places[i].offset; /* without memory it is not shown this time */
  }
  begin_commit(consumer);
}

/* Waits up to timeout_ms for what became of a commit. */
static void serve_commit(struct rdkafka_consumer *consumer, int timeout_ms, struct wr_kafka_committed *committed) {
  const struct wr_rdkafka *library = &consumer->client.library;
  rd_kafka_event_t *event;
  while ((event = library->queue_poll(consumer->commit_queue, timeout_ms)) != NULL) {
    rd_kafka_resp_err_t result = library->event_error(event);
    const rd_kafka_topic_partition_list_t *list = library->event_topic_partition_list(event);
    for (int i = 0; list != NULL && result == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
      result = list->elems[i].err;
    library->event_destroy(event);
    consumer->commit_under_way = false;
    *(result == RD_KAFKA_RESP_ERR_NO_ERROR ? &committed->succeeded : &committed->failed) += 1;
    if (result != RD_KAFKA_RESP_ERR_NO_ERROR)
      snprintf(committed->reason, sizeof committed->reason, "%s", library->err2str(result));
    timeout_ms = 0;
  }
}

static bool committed(struct wr_kafka_consumer *base, struct wr_kafka_committed *out_committed) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  serve_main(consumer);
  if (!take_signal(&consumer->commit_signal)) return false;
  *out_committed = (struct wr_kafka_committed){.succeeded = 0};
  serve_commit(consumer, 0, out_committed);
  begin_commit(consumer);
  return out_committed->succeeded + out_committed->failed != 0;
}

/* ---- the consumer ---- */

static bool trouble(struct wr_kafka_consumer *base, enum wr_kafka_answer *out_answer, char *out_sentence, size_t size) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  serve_main(consumer);
  struct wr_rdkafka_trouble *known = &consumer->client.trouble;
  if (known->told) return false;
  known->told = true;
  *out_answer = known->answer;
  snprintf(out_sentence, size, "kafka %s: %s", consumer->client.servers, known->reason);
  return true;
}

/* Also when the engine is dropped, whose memory is still there. Callbacks end with the queues. */
static void release(void *handle) {
  struct rdkafka_consumer *consumer = handle;
  const struct wr_rdkafka *library = &consumer->client.library;
  release_messages(&consumer->consumer);
  for (uint32_t i = 0; i < consumer->slot_count; i++) {
    struct slot *slot = consumer->slots[i];
    if (slot == NULL || slot->queue == NULL) continue;
    library->queue_cb_event_enable(slot->queue, NULL, NULL);
    /* What is left in a queue holds the partition, which holds the queue: of a topic that is no more librdkafka does
     * not undo that, and waits for it forever. */
    drain(consumer, slot);
    library->queue_destroy(slot->queue);
  }
  library->queue_cb_event_enable(consumer->main_queue, NULL, NULL);
  library->queue_destroy(consumer->main_queue);
  library->queue_cb_event_enable(consumer->commit_queue, NULL, NULL);
  library->queue_destroy(consumer->commit_queue);
  wr_rdkafka_client_close(&consumer->client);
}

static void free_consumer(struct rdkafka_consumer *consumer) {
  struct wr_memory *memory = consumer->client.memory;
  for (uint32_t i = 0; i < consumer->slot_count; i++)
    wr_free(memory, consumer->slots[i]);
  wr_free(memory, consumer->slots);
  wr_free(memory, consumer->messages);
  wr_free(memory, consumer->records);
  wr_free(memory, consumer->topic);
  wr_free(memory, consumer->client.servers);
  wr_free(memory, consumer);
}

static void close_consumer(struct wr_kafka_consumer *base) {
  struct rdkafka_consumer *consumer = consumer_of(base);
  struct wr_kafka_committed ignored = {0};
  /* The offsets of the job's last checkpoint are worth a moment. */
  if (consumer->commit_under_way) serve_commit(consumer, CLOSE_COMMIT_MS, &ignored);
  consumer->client.seams->calls->disown(consumer->client.seams->calls, consumer);
  release(consumer);
  free_consumer(consumer);
}

static const struct wr_kafka_consumer_vtable consumer_vtable = {.assign = assign,
                                                                .unassign = unassign,
                                                                .take = take,
                                                                .release = release_messages,
                                                                .commit = commit,
                                                                .committed = committed,
                                                                .trouble = trouble,
                                                                .close = close_consumer};

static enum weir_code start(struct rdkafka_consumer *consumer, const struct wr_kafka_connection *connection,
                            const char *topic, struct wr_seams *seams, struct wr_memory *memory,
                            struct weir_error *error) {
  consumer->topic = wr_copy_string(memory, topic, WR_MEMORY_SOURCE);
  consumer->messages = wr_alloc_zeroed(memory, WR_BATCH_ROWS_MAX, sizeof *consumer->messages, WR_MEMORY_SOURCE);
  consumer->records = wr_alloc_zeroed(memory, WR_BATCH_ROWS_MAX, sizeof *consumer->records, WR_MEMORY_SOURCE);
  if (consumer->topic == NULL || consumer->messages == NULL || consumer->records == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a client of kafka %s", connection->servers);
  WR_TRY(wr_rdkafka_client_open(&consumer->client, connection, WR_RDKAFKA_CONSUMER, seams, memory, error));
  const struct wr_rdkafka *library = &consumer->client.library;
  consumer->main_queue = library->queue_get_main(consumer->client.handle);
  consumer->commit_queue = library->queue_new(consumer->client.handle);
  watch(consumer, consumer->main_queue, &consumer->main_signal);
  watch(consumer, consumer->commit_queue, &consumer->commit_signal);
  return WEIR_OK;
}

enum weir_code wr_rdkafka_open_consumer(const struct wr_kafka_driver *driver,
                                        const struct wr_kafka_connection *connection, const char *topic,
                                        struct wr_seams *seams, struct wr_memory *memory, struct wr_waker *waker,
                                        struct wr_kafka_consumer **out_consumer, struct weir_error *error) {
  (void)driver;
  struct rdkafka_consumer *consumer = wr_alloc_zeroed(memory, 1, sizeof *consumer, WR_MEMORY_SOURCE);
  if (consumer == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a client of kafka %s", connection->servers);
  consumer->consumer.vtable = &consumer_vtable;
  consumer->client.memory = memory;
  consumer->waker = waker;
  enum weir_code code = start(consumer, connection, topic, seams, memory, error);
  if (code != WEIR_OK) {
    free_consumer(consumer);
    return code;
  }
  seams->calls->adopt(seams->calls, consumer, release);
  *out_consumer = &consumer->consumer;
  return WEIR_OK;
}
