/* Which memory of a thread does the runtime still read when a fork has left the thread behind? Its Thread object, and the stack of a thread that sleeps in managed code. Linked into
 * the kernels' library with --wrap for each function below, so that what the runtime asks of the C library comes here: such memory is never given to another thread.
 *
 * A child of a fork has one thread, but the runtime's list in it has them all, and a collection walks that list. glibc hands the stacks of threads that vanished, and what they had of a
 * library's thread-local variables, to the next threads that start. Then the list held a stranger's memory, or became a ring that is walked for ever. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __real_pthread_key_create(pthread_key_t *, void (*)(void *));
int __real_pthread_setspecific(pthread_key_t, const void *);
int __real_pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *);
int __real_pthread_cond_signal(pthread_cond_t *);
int __real_pthread_cond_broadcast(pthread_cond_t *);

static const host_gate *gate;

typedef struct sleeper sleeper;
static __thread sleeper *self; /* of a thread that the runtime has started */

/* ---- Threads that the runtime has in its list: while one is, its block of thread-local variables is ours and not glibc's to free ---- */

/* More than the 512 bytes that glibc may spare in a thread's stack: the block is always one of its own. */
enum { NONE, KEPT, EXPOSED, MORE_THAN_GLIBC_SPARES = 1024 };
static __thread struct {
    int state;
    void *block;
    char room[MORE_THAN_GLIBC_SPARES];
} own;

/* glibc's record of a thread's block for one library (since 2.26). What follows is checked against `own` before a word is written. */
typedef struct {
    char *block;
    void *to_free;
} record;

static size_t module, offset; /* of this library, and of `own` in its block */
static atomic_int attached, exposed, started;

static record *record_of_this_thread(void) {
#if defined(__x86_64__)
    record *records = ((record **)__builtin_thread_pointer())[1];
#elif defined(__aarch64__)
    record *records = ((record **)__builtin_thread_pointer())[0];
#endif
    if (module == 0 || records == NULL || (size_t)records[-1].block < module) return NULL;
    record *found = &records[module];
    return found->block == (char *)&own - offset ? found : NULL;
}

static void find_records(void) {
    struct link_map *map;
    Dl_info info;
    void *data;
    size_t id;
    own.state = NONE; /* this thread has a block from here on */
    if (dladdr1((void *)&gate, &info, (void **)&map, RTLD_DL_LINKMAP) == 0) return;
    if (dlinfo(map, RTLD_DI_TLS_MODID, &id) != 0 || dlinfo(map, RTLD_DI_TLS_DATA, &data) != 0 || data == NULL) return;
    offset = (size_t)((char *)&own - (char *)data);
    module = id;
}

static void keep_block(void) {
    enum { PAGE = 4096 };
    record *found = record_of_this_thread();
    atomic_fetch_add(&attached, 1);
    if (found != NULL && found->to_free != NULL && (char *)found->to_free <= found->block && found->block - (char *)found->to_free < PAGE) {
        own.state = KEPT;
        own.block = found->to_free;
        found->to_free = NULL;
    } else if (self == NULL) {
        own.state = EXPOSED;
        atomic_fetch_add(&exposed, 1);
    } /* else all is in a stack of ours */
}

static void give_block_back(void) {
    record *found = record_of_this_thread();
    if (own.state == EXPOSED) atomic_fetch_sub(&exposed, 1);
    if (own.state == KEPT && found != NULL) found->to_free = own.block;
    own.state = NONE;
}

static pthread_key_t key;
static void (*detach)(void *); /* by it the runtime takes a thread that ends out of its list */

/* Not in the midst of a fork: the child would find the list locked. A thread that ends then stays in the list, as those do that the child lacks. */
static void thread_ends(void *thread) {
    int32_t answer = gate->ends();
    if (answer == THREAD_LEAVES) {
        detach(thread);
        give_block_back();
    }
    gate->leave();
}

int __wrap_pthread_key_create(pthread_key_t *created, void (*at_end)(void *)) {
    if (gate == NULL || detach != NULL || at_end == NULL) return __real_pthread_key_create(created, at_end);
    detach = at_end;
    int error = __real_pthread_key_create(created, thread_ends);
    key = *created;
    return error;
}

int __wrap_pthread_setspecific(pthread_key_t given, const void *value) {
    if (detach != NULL && given == key && value != NULL && own.state == NONE) keep_block();
    return __real_pthread_setspecific(given, value);
}

/* ---- The runtime's own threads: a fork waits until each sleeps, and holds no lock ---- */

struct sleeper {
    struct sleeper *next;
    _Atomic(pthread_cond_t *) on;
    sem_t woken;
    void *(*run)(void *);
    void *argument;
};

static _Atomic(sleeper *) sleepers;

static void *run_thread(void *given) {
    self = given;
    void *result = self->run(self->argument);
    gate->leave();
    return result;
}

/* On a stack that is never given back: glibc never takes one of ours for another thread, also not in a child. The runtime starts one thread, and it never ends. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *given, void *(*run)(void *), void *argument) {
    if (gate == NULL) return __real_pthread_create(thread, given, run, argument);
    pthread_attr_t attributes;
    size_t guard = (size_t)sysconf(_SC_PAGESIZE), size = 0;
    int detached = PTHREAD_CREATE_JOINABLE;
    pthread_attr_init(&attributes);
    pthread_attr_getstacksize(given != NULL ? given : &attributes, &size);
    if (given != NULL) pthread_attr_getdetachstate(given, &detached);
    size = (size + guard - 1) / guard * guard;
    sleeper *created = calloc(1, sizeof *created);
    char *stack = mmap(NULL, size + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    int error = created == NULL || stack == MAP_FAILED ? EAGAIN : 0;
    if (error == 0 && mprotect(stack, guard, PROT_NONE) != 0) error = EAGAIN;
    if (error == 0) error = pthread_attr_setstack(&attributes, stack + guard, size);
    if (error == 0) error = pthread_attr_setdetachstate(&attributes, detached);
    if (error == 0) {
        created->run = run;
        created->argument = argument;
        sem_init(&created->woken, 0, 0);
        created->next = atomic_load(&sleepers);
        while (!atomic_compare_exchange_weak(&sleepers, &created->next, created)) {}
        gate->hold();
        error = __real_pthread_create(thread, &attributes, run_thread, created);
        if (error == 0) atomic_fetch_add(&started, 1);
        else gate->leave(); /* what is left in the list never sleeps */
    } else {
        free(created);
        if (stack != MAP_FAILED) munmap(stack, size + guard);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

/* `wait` and `wake` of a condition, for a thread that counts as a call but while it sleeps here: it gives the mutex back before it is quiet, and whoever wakes it counts for it. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (self == NULL) return __real_pthread_cond_wait(condition, mutex);
    atomic_store(&self->on, condition);
    pthread_mutex_unlock(mutex);
    gate->leave();
    while (sem_wait(&self->woken) != 0) {}
    return pthread_mutex_lock(mutex);
}

static void wake(pthread_cond_t *condition) {
    for (sleeper *s = atomic_load(&sleepers); s != NULL; s = s->next) {
        pthread_cond_t *on = condition;
        if (!atomic_compare_exchange_strong(&s->on, &on, NULL)) continue;
        gate->hold();
        sem_post(&s->woken);
    }
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition) {
    wake(condition);
    return __real_pthread_cond_signal(condition);
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *condition) {
    wake(condition);
    return __real_pthread_cond_broadcast(condition);
}

/* ---- What the loader calls ---- */

/* Before anything else of this library. */
EXPORTED void s2attn_core_watch(const host_gate *given) {
    gate = given;
    find_records();
}

/* Is all that the runtime knows of other threads kept from a child's? Also not where a runtime asks the C library for other functions than those above. */
EXPORTED int32_t s2attn_core_may_fork(void) {
    return atomic_load(&attached) > 0 && atomic_load(&started) > 0 && atomic_load(&exposed) == (own.state == EXPOSED);
}

/* In a child: its parent's threads are not there to be woken. */
EXPORTED void s2attn_core_forked(void) { atomic_store(&sleepers, NULL); }
