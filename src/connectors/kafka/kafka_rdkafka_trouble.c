/* connectors/kafka/kafka_rdkafka_trouble.c: what librdkafka says of brokers (kafka_rdkafka_int.h). Pure.
 *
 * A "no" is what a broker said after having been asked, and would say again. A connection that broke, whatever it was
 * in the middle of, is none; librdkafka gives some of these the code of what they interrupted, so its words count too.
 */
#include "connectors/kafka/kafka_rdkafka_int.h"

#include <stdio.h>
#include <string.h>

enum wr_kafka_answer wr_rdkafka_answer_of(rd_kafka_resp_err_t code) {
  switch ((int)code) {
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
  case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION: /* there can be no topic of this name */
    return WR_KAFKA_NO_TOPIC;
  case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    return WR_KAFKA_NO_PARTITION;
  case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
  case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    return WR_KAFKA_OUT_OF_RANGE;
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    return WR_KAFKA_NOT_ALLOWED;
  default:
    return WR_KAFKA_FINE;
  }
}

static bool has_one_of(const char *text, const char *const *parts, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strstr(text, parts[i]) != NULL) return true;
  return false;
}

enum wr_kafka_answer wr_rdkafka_trouble_of(rd_kafka_resp_err_t code, const char *reason) {
  static const char *const broken[] = {"transport failure", "imed out", "isconnected", "Connection reset"};
  /* Our word on the broker's certificate, and the broker's on ours. */
  static const char *const certificate[] = {"verify failed",         "could not be verified", "alert unknown ca",
                                            "alert bad certificate", "alert certificate",     "certificate required"};
  bool no = false;
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION)
    no = !has_one_of(reason, broken, sizeof broken / sizeof broken[0]);
  else if (code == RD_KAFKA_RESP_ERR__SSL)
    no = has_one_of(reason, certificate, sizeof certificate / sizeof certificate[0]);
  return no ? WR_KAFKA_NOT_ALLOWED : wr_rdkafka_answer_of(code);
}

void wr_rdkafka_copy_words(char *out, size_t size, const char *words) {
  snprintf(out, size, "%s", words);
  for (char *at = out; *at != 0; at++)
    if ((unsigned char)*at < ' ') *at = ' ';
  /* librdkafka repeats the rest of this setting where it does not understand it. */
  static const char secret[] = "sasl.oauthbearer.config";
  char *cut = strstr(out, secret);
  if (cut != NULL) cut[sizeof secret - 1] = 0;
}

void wr_rdkafka_login_remark(int version, const char *version_text, const char *mechanism, char *out, size_t size) {
  enum { SCRAM_MENDED = 0x02060100 }; /* before, its answer to the server's nonce was one that Kafka 4 takes no more */
  out[0] = 0;
  if (version < SCRAM_MENDED && strncmp(mechanism, "SCRAM-", 6) == 0)
    snprintf(out, size,
             "librdkafka %.20s cannot log in to Kafka 4 by SCRAM, 2.6.1 or newer can: the setting "
             "weir.librdkafka=FILE names one: ",
             version_text);
}

void wr_rdkafka_trouble_note(struct wr_rdkafka_trouble *trouble, rd_kafka_resp_err_t code, const char *reason,
                             const char *remark) {
  enum wr_kafka_answer answer = wr_rdkafka_trouble_of(code, reason);
  /* That all brokers are down follows from what was said of the last one, which says more. */
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && trouble->reason[0] != 0) return;
  bool is_refused_login = answer == WR_KAFKA_NOT_ALLOWED && code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
  size_t used = 0;
  if (is_refused_login) used = (size_t)snprintf(trouble->reason, sizeof trouble->reason, "%.160s", remark);
  wr_rdkafka_copy_words(trouble->reason + used, sizeof trouble->reason - used, reason);
  trouble->answer = answer;
  trouble->told = false;
}
