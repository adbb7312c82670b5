/* os/folder_watch.c: see folder_watch.h.
 *
 * The thread finds a watch by the number of its slot, under the lock, never by a pointer that an event carries: a watch
 * that was dropped meanwhile is simply not there. An event that comes late for a slot that has a new owner makes that
 * one look once for nothing.
 */
#include "os/folder_watch.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { ENDING = WR_FOLDER_WATCHES_MAX }; /* as the number of a slot */

/* File systems whose files others change without this system's knowing (the numbers of statfs(2)). */
static bool is_told_of_all(const char *folder) {
  static const unsigned shared[] = {
      0x6969 /* NFS */,    0x517b /* SMB */,      0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */, 0x65735546 /* FUSE */,
      0x01021997 /* 9P */, 0x00c36400 /* Ceph */, 0x5346414f /* AFS */,  0x786f4256 /* vbox */, 0x01161970 /* GFS2 */,
      0x7461636f /* OCFS2 */};
  struct statfs info;
  if (statfs(folder, &info) != 0) return false;
  for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++)
    if ((unsigned)info.f_type == shared[i]) return false;
  return true;
}

/* ---- the thread ---- */

/* Reads what the notifier has to tell; true where that is a change, not only the end of an earlier watch. */
static bool take_events(int notifier) {
  union {
    struct inotify_event event;
    char bytes[4096];
  } buffer;
  bool is_change = false;
  for (;;) {
    ssize_t length = read(notifier, buffer.bytes, sizeof buffer);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return is_change;
    for (ssize_t at = 0; at < length;) {
      const struct inotify_event *event = (const struct inotify_event *)(const void *)(buffer.bytes + at);
      is_change = is_change || (event->mask & IN_IGNORED) == 0;
      at += (ssize_t)(sizeof *event + event->len);
    }
  }
}

static void tell(struct wr_folder_watch_slot *slot) {
  if (slot->watch == NULL || !take_events(slot->notifier)) return;
  atomic_store_explicit(&slot->watch->is_touched, true, memory_order_release);
  slot->watch->waker->wake(slot->watch->waker);
}

static void run(void *argument) {
  struct wr_folder_watches *folders = argument;
  for (;;) {
    struct epoll_event event;
    if (epoll_wait(folders->poller, &event, 1, -1) != 1) continue; /* a signal */
    if (event.data.u32 == ENDING) return;
    pthread_mutex_lock(&folders->lock);
    tell(&folders->slots[event.data.u32]);
    pthread_mutex_unlock(&folders->lock);
  }
}

static bool add_to_poller(struct wr_folder_watches *folders, int descriptor, uint32_t number) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
  return epoll_ctl(folders->poller, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static void close_descriptors(struct wr_folder_watches *folders) {
  if (folders->poller >= 0) close(folders->poller);
  if (folders->ending >= 0) close(folders->ending);
}

static bool start(struct wr_folder_watches *folders) {
  if (folders->is_started || folders->is_refused) return folders->is_started;
  folders->poller = epoll_create1(EPOLL_CLOEXEC);
  folders->ending = eventfd(0, EFD_CLOEXEC);
  folders->is_started = folders->poller >= 0 && folders->ending >= 0 &&
                        add_to_poller(folders, folders->ending, ENDING) &&
                        wr_thread_start(&folders->thread, "weir-watch", run, folders, NULL) == WEIR_OK;
  if (folders->is_started) return true;
  close_descriptors(folders);
  folders->is_refused = true;
  return false;
}

/* ---- the table ---- */

/* Gives the watch a slot, where it has none. */
static bool take_slot(struct wr_folder_watches *folders, struct wr_watch *watch) {
  if (watch->slot != 0) return true;
  if (!start(folders)) return false;
  for (uint32_t i = 0; i < WR_FOLDER_WATCHES_MAX; i++) {
    struct wr_folder_watch_slot *slot = &folders->slots[i];
    if (slot->watch != NULL) continue;
    slot->notifier = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (slot->notifier < 0) return false;
    if (!add_to_poller(folders, slot->notifier, i)) {
      close(slot->notifier);
      return false;
    }
    slot->watch = watch;
    watch->slot = i + 1;
    return true;
  }
  return false;
}

static bool arm(struct wr_watches *watches, struct wr_watch *watch, const char *folder) {
  struct wr_folder_watches *folders = (struct wr_folder_watches *)watches;
  if (!is_told_of_all(folder)) return false;
  pthread_mutex_lock(&folders->lock);
  bool has_slot = take_slot(folders, watch);
  pthread_mutex_unlock(&folders->lock);
  /* Nobody else touches the notifier of a watch that is being armed: its owner does not drop it meanwhile. */
  return has_slot && inotify_add_watch(folders->slots[watch->slot - 1].notifier, folder,
                                       IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONESHOT | IN_ONLYDIR) >= 0;
}

static void drop(struct wr_watches *watches, struct wr_watch *watch) {
  struct wr_folder_watches *folders = (struct wr_folder_watches *)watches;
  if (watch->slot == 0) return;
  pthread_mutex_lock(&folders->lock);
  struct wr_folder_watch_slot *slot = &folders->slots[watch->slot - 1];
  close(slot->notifier); /* leaves the poller by itself */
  slot->watch = NULL;
  watch->slot = 0;
  pthread_mutex_unlock(&folders->lock);
}

void wr_folder_watches_init(struct wr_folder_watches *folders) {
  *folders = (struct wr_folder_watches){.watches = {.arm = arm, .drop = drop}};
  pthread_mutex_init(&folders->lock, NULL);
}

void wr_folder_watches_deinit(struct wr_folder_watches *folders) {
  if (folders->is_started) {
    const uint64_t one = 1;
    ssize_t written = write(folders->ending, &one, sizeof one);
    WR_ASSERT(written == (ssize_t)sizeof one);
    wr_thread_join(&folders->thread);
    close_descriptors(folders);
  }
  pthread_mutex_destroy(&folders->lock);
}
