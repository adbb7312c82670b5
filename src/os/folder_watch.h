/* os/folder_watch.h: the watches seam over inotify.
 *
 * One thread, started with the first watch, sleeps until the system tells of a change; an armed watch tells of one
 * change only, so a folder that is written to all the time costs no more than its owner asks for. Where nothing can be
 * told (network file systems, limits of the system, too many watches) arm says so, and the owner looks by the clock.
 * arm, drop: any thread.
 */
#ifndef WR_OS_FOLDER_WATCH_H
#define WR_OS_FOLDER_WATCH_H

#include "os/seams.h"
#include "os/thread.h"

enum { WR_FOLDER_WATCHES_MAX = 64 };

struct wr_folder_watches {
  struct wr_watches watches;
  pthread_mutex_t lock; /* of everything below */
  bool is_started;      /* `thread` runs, the two descriptors are open */
  bool is_refused;      /* it could not be started; nobody tries again */
  int poller, ending;   /* epoll of the watches and of `ending`; an eventfd that ends the thread */
  struct wr_thread thread;
  struct wr_folder_watch_slot {
    struct wr_watch *watch; /* NULL: free */
    int notifier;           /* an inotify descriptor of its own */
  } slots[WR_FOLDER_WATCHES_MAX];
};

void wr_folder_watches_init(struct wr_folder_watches *folders);
/* No watch is left. */
void wr_folder_watches_deinit(struct wr_folder_watches *folders);

#endif
