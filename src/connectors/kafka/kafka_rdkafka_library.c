/* connectors/kafka/kafka_rdkafka_library.c: librdkafka, loaded when a topic is first opened (kafka_rdkafka_int.h). Each
 * client fills a table of its own, which costs microseconds. */
#include "connectors/kafka/kafka_rdkafka_int.h"
#include "os/library.h"

#include <string.h>

static const char *const names[] = {
#define FUNCTION_NAME(name) "rd_kafka_" #name,
    WR_RDKAFKA_FUNCTIONS(FUNCTION_NAME)
#undef FUNCTION_NAME
};
enum { NAME_COUNT = sizeof names / sizeof names[0] };
_Static_assert(sizeof(struct wr_rdkafka) == NAME_COUNT * sizeof(void *), "the table is not pointers alone");

enum weir_code wr_rdkafka_load(const struct wr_kafka_connection *connection, struct wr_rdkafka *out_library,
                               struct weir_error *error) {
  const char *named = NULL;
  for (uint32_t i = 0; i < connection->setting_count; i++)
    if (strcmp(connection->settings[i].key, "weir.librdkafka") == 0) named = connection->settings[i].value;
  enum weir_code code =
      wr_library_load(named == NULL ? "librdkafka.so.1" : named, "librdkafka1", names, NAME_COUNT, out_library, error);
  if (code == WEIR_OK || named == NULL) return code;
  if (error != NULL) error->code = WEIR_INVALID; /* it is the setting that is wrong */
  wr_error_prefix(error, "setting weir.librdkafka");
  return WEIR_INVALID;
}
