/* connectors/kafka/kafka_rdkafka.c: the driver over librdkafka: checking settings, opening a client. See
 * kafka_rdkafka.h and, for the parts, kafka_rdkafka_int.h.
 *
 * librdkafka's own threads reach into weir in one way only: a queue that was empty has something, and a waker is woken.
 * Errors wait in its main queue until the client's own thread asks for them. The lines that the setting debug asks for
 * librdkafka writes itself, to standard error, where weir's log goes, too. */
#include "connectors/kafka/kafka_rdkafka.h"

#include "connectors/kafka/kafka_rdkafka_int.h"

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque) {
  (void)handle;
  struct wr_rdkafka_client *client = opaque;
  wr_rdkafka_trouble_note(client->listener, (rd_kafka_resp_err_t)code, reason, client->login_remark);
}

/* A setting as librdkafka has it; "" where there is none. */
static const char *value_of(const struct wr_rdkafka *library, const rd_kafka_conf_t *conf, const char *key, char *out,
                            size_t size) {
  out[0] = 0;
  if (library->conf_get(conf, key, out, &size) != RD_KAFKA_CONF_OK) out[0] = 0;
  return out;
}

enum weir_code wr_rdkafka_client_start(struct wr_rdkafka_client *client, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                       const char *servers, struct weir_error *error) {
  client->trouble.told = true;
  client->listener = &client->trouble;
  client->servers = wr_copy_string(client->memory, servers, WR_MEMORY_SOURCE);
  if (client->servers == NULL) {
    client->library.conf_destroy(conf);
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a client of kafka %s", servers);
  }
  client->library.conf_set_opaque(conf, client);
  client->library.conf_set_error_cb(conf, on_error);
  char words[400] = "";
  wr_rdkafka_login_remark(client->library.version(), client->library.version_str(),
                          value_of(&client->library, conf, "sasl.mechanisms", words, sizeof words),
                          client->login_remark, sizeof client->login_remark);
  /* Without debug: what matters of its lines comes to on_error, too. */
  bool wants_lines = value_of(&client->library, conf, "debug", words, sizeof words)[0] != 0;
  client->library.conf_set_log_cb(conf, wants_lines ? client->library.log_print : NULL);
  words[0] = 0;
  client->handle = client->library.new(type, conf, words, sizeof words);
  if (client->handle != NULL) return WEIR_OK; /* and conf is its own now */
  rd_kafka_resp_err_t why = client->library.last_error();
  client->library.conf_destroy(conf);
  wr_free(client->memory, client->servers);
  client->servers = NULL;
  char clean[sizeof words];
  wr_rdkafka_copy_words(clean, sizeof clean, words);
  /* All else is about the system: threads, files that are open, memory. */
  bool setting = why == RD_KAFKA_RESP_ERR__INVALID_ARG || why == RD_KAFKA_RESP_ERR__SSL;
  return WR_FAIL(error, setting ? WEIR_INVALID : WEIR_IO, "kafka %s: librdkafka refuses its settings: %s", servers,
                 clean);
}

enum weir_code wr_rdkafka_client_open(struct wr_rdkafka_client *client, const struct wr_kafka_connection *connection,
                                      enum wr_rdkafka_kind kind, struct wr_seams *seams, struct wr_memory *memory,
                                      struct weir_error *error) {
  client->seams = seams;
  client->memory = memory;
  WR_TRY(wr_rdkafka_load(connection, &client->library, error));
  rd_kafka_conf_t *conf = NULL;
  const struct wr_rdkafka_world world = {.seams = seams, .memory = memory};
  WR_TRY(wr_rdkafka_configure(&client->library, connection, kind, &world, &conf, error));
  return wr_rdkafka_client_start(client, RD_KAFKA_CONSUMER, conf, connection->servers, error);
}

void wr_rdkafka_client_close(struct wr_rdkafka_client *client) {
  client->library.destroy_flags(client->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  client->handle = NULL;
}

static enum weir_code check(const struct wr_kafka_driver *driver, const struct wr_kafka_connection *connection,
                            struct weir_error *error) {
  (void)driver;
  struct wr_rdkafka library;
  WR_TRY(wr_rdkafka_load(connection, &library, error));
  rd_kafka_conf_t *conf = NULL;
  const struct wr_rdkafka_world nothing = {.seams = NULL};
  WR_TRY(wr_rdkafka_configure(&library, connection, WR_RDKAFKA_CONSUMER, &nothing, &conf, error));
  library.conf_destroy(conf);
  return WEIR_OK;
}

static const struct wr_kafka_driver driver = {
    .check = check, .open_admin = wr_rdkafka_open_admin, .open_consumer = wr_rdkafka_open_consumer};

const struct wr_kafka_driver *wr_kafka_rdkafka(void) {
  return &driver;
}

static const struct wr_kafka_producer_driver producer_driver = {.check = wr_rdkafka_check_producer,
                                                                .open = wr_rdkafka_open_producer};

const struct wr_kafka_producer_driver *wr_kafka_rdkafka_producer(void) {
  return &producer_driver;
}
