/* connectors/kafka/kafka_rdkafka_library.c: librdkafka, loaded when a topic is first read (kafka_rdkafka_int.h).
 *
 * Each client fills a table of its own, which costs microseconds; the loader sees to it that there is one copy of the
 * library. It is never unloaded: threads of its own may be ending. */
#include "connectors/kafka/kafka_rdkafka_int.h"

#include <dlfcn.h>
#include <string.h>

static const struct {
  const char *name;
  size_t offset; /* of the pointer in struct wr_rdkafka */
} functions[] = {
#define FUNCTION_ROW(name) {"rd_kafka_" #name, offsetof(struct wr_rdkafka, name)},
    WR_RDKAFKA_FUNCTIONS(FUNCTION_ROW)
#undef FUNCTION_ROW
};

enum weir_code wr_rdkafka_load(const struct wr_kafka_connection *connection, struct wr_rdkafka *out_library,
                               struct weir_error *error) {
  const char *named = NULL;
  for (uint32_t i = 0; i < connection->setting_count; i++)
    if (strcmp(connection->settings[i].key, "weir.librdkafka") == 0) named = connection->settings[i].value;
  const char *path = named == NULL ? "librdkafka.so.1" : named;
  void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (opened == NULL && named == NULL)
    return WR_FAIL(error, WEIR_INVALID,
                   "librdkafka is not on this machine (%s); install it with: apt-get install librdkafka1", dlerror());
  if (opened == NULL)
    return WR_FAIL(error, WEIR_INVALID, "setting weir.librdkafka: no library can be loaded from there: %s", dlerror());
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    void *found = dlsym(opened, functions[i].name);
    if (found == NULL)
      return WR_FAIL(error, WEIR_INVALID, "%s has no function %s; librdkafka 2.0 or newer is needed", path,
                     functions[i].name);
    memcpy((char *)out_library + functions[i].offset, &found, sizeof found);
  }
  return WEIR_OK;
}
