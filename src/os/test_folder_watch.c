/* Tests of os/folder_watch.c: a change is told once and only where it was asked for; limits and dropped watches. */
#include "base/test.h"
#include "os/folder_watch.h"
#include "os/park.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t LONG_NS = 20000000000u, SHORT_NS = 50000000u;

struct box {
  char folder[64];
  struct wr_folder_watches folders;
  struct wr_parker parker;
  struct wr_watch watch;
};

static void box_init(struct box *box) {
  *box = (struct box){.folder = "/tmp/weir-watch-XXXXXX"};
  CHECK(mkdtemp(box->folder) != NULL);
  wr_folder_watches_init(&box->folders);
  wr_parker_init(&box->parker);
  box->watch.waker = &box->parker.waker;
}

static void box_deinit(struct box *box) {
  char command[128];
  box->folders.watches.drop(&box->folders.watches, &box->watch);
  wr_folder_watches_deinit(&box->folders);
  snprintf(command, sizeof command, "rm -r '%s'", box->folder);
  CHECK_INT(system(command), 0);
}

static bool arm(struct box *box) {
  atomic_store(&box->watch.is_touched, false);
  return box->folders.watches.arm(&box->folders.watches, &box->watch, box->folder);
}

/* Appends a byte to the file, which is made where it is missing. */
static void append(const struct box *box, const char *name) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", box->folder, name);
  int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  CHECK(file >= 0);
  CHECK_INT(write(file, "x", 1), 1);
  close(file);
}

static void check_told(struct box *box) {
  CHECK(wr_parker_wait(&box->parker, LONG_NS));
  CHECK(atomic_load(&box->watch.is_touched));
}

TEST(a_change_is_told_once) {
  struct box box;
  box_init(&box);
  append(&box, "a");
  CHECK(arm(&box));
  CHECK(!wr_parker_wait(&box.parker, SHORT_NS)); /* what was before it */
  append(&box, "a");
  check_told(&box);
  append(&box, "a");
  CHECK(!wr_parker_wait(&box.parker, SHORT_NS)); /* it is not armed any more */
  CHECK(arm(&box));
  CHECK(arm(&box));
  append(&box, "new");
  check_told(&box);
  box_deinit(&box);
}

TEST(a_dropped_watch_is_told_nothing) {
  struct box box;
  box_init(&box);
  struct wr_watch other = {.waker = &box.parker.waker};
  box.folders.watches.drop(&box.folders.watches, &other); /* never armed */
  CHECK(arm(&box));
  CHECK(box.folders.watches.arm(&box.folders.watches, &other, box.folder));
  box.folders.watches.drop(&box.folders.watches, &box.watch);
  append(&box, "a");
  CHECK(wr_parker_wait(&box.parker, LONG_NS));
  CHECK(atomic_load(&other.is_touched));
  CHECK(!atomic_load(&box.watch.is_touched));
  box.folders.watches.drop(&box.folders.watches, &other);
  CHECK(arm(&box)); /* and can be armed again */
  append(&box, "a");
  check_told(&box);
  box_deinit(&box);
}

TEST(what_cannot_be_watched) {
  struct box box;
  box_init(&box);
  struct wr_watches *watches = &box.folders.watches;
  struct wr_watch many[WR_FOLDER_WATCHES_MAX + 1];
  CHECK(!watches->arm(watches, &box.watch, "/nowhere/at/all"));
  CHECK(!watches->arm(watches, &box.watch, "/proc/self/exe"));
  watches->drop(watches, &box.watch);
  for (int i = 0; i <= WR_FOLDER_WATCHES_MAX; i++) {
    many[i] = (struct wr_watch){.waker = &box.parker.waker};
    bool is_armed = watches->arm(watches, &many[i], box.folder);
    CHECK(!is_armed || i < WR_FOLDER_WATCHES_MAX); /* the system may have a lower limit */
  }
  for (int i = 0; i <= WR_FOLDER_WATCHES_MAX; i++)
    watches->drop(watches, &many[i]);
  CHECK(arm(&box));
  box_deinit(&box);
}

TEST_MAIN(TEST_CASE(a_change_is_told_once), TEST_CASE(a_dropped_watch_is_told_nothing),
          TEST_CASE(what_cannot_be_watched))
