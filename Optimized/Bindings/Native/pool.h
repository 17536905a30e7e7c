/* Whose threads run a call? Ours, not the runtime's: pthread_join says when one is truly gone, so that a fork finds no lock of the runtime held by a thread that it does not copy. */
#ifndef S2ATTN_POOL_H
#define S2ATTN_POOL_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct pool {
    struct pool *next;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    pthread_t *threads;
    int32_t wanted, started, numbered; /* threads besides the caller's */
    int32_t workers, running;          /* of this round: workers that threads may take, and those that have not ended */
    uint64_t round;
    int stopping;
    void (*body)(void *, int32_t);
    void *state;
} pool;

static pool *pools; /* changed within calls, of which a fork finds none */
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;

static __thread int in_pool; /* this thread is one of a pool's, which a fork waits for */

static void *pool_thread(void *given) {
    pool *p = given;
    in_pool = 1;
    pthread_mutex_lock(&p->lock);
    int32_t number = ++p->numbered;
    uint64_t seen = 0;
    for (;;) {
        while (!p->stopping && (p->round == seen || number >= p->workers)) {
            seen = p->round;
            pthread_cond_wait(&p->begin, &p->lock);
        }
        if (p->stopping) break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        p->body(p->state, number);
        pthread_mutex_lock(&p->lock);
        if (--p->running == 0) pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static pool *pool_create(int32_t threads) {
    pool *p = calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->wanted = threads - 1;
    p->threads = calloc((size_t)threads, sizeof *p->threads);
    if (p->threads == NULL) {
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    pthread_mutex_lock(&pools_lock);
    p->next = pools;
    pools = p;
    pthread_mutex_unlock(&pools_lock);
    return p;
}

/* Signals are the host's threads' to handle. Where the system refuses a thread, those that there are suffice. */
static void pool_start(pool *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->numbered = 0;
    p->round = 0;
    while (p->started < p->wanted && pthread_create(&p->threads[p->started], NULL, pool_thread, p) == 0) p->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void pool_stop(pool *p) {
    pthread_mutex_lock(&p->lock);
    p->stopping = 1;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    while (p->started > 0) pthread_join(p->threads[--p->started], NULL);
    p->stopping = 0;
}

/* body(state, 0), ..., body(state, workers - 1), once each; returns when all have ended. */
static void pool_run(pool *p, int32_t workers, void (*body)(void *, int32_t), void *state) {
    if (p->started == 0 && workers > 1) pool_start(p);
    int32_t shared = workers < p->started + 1 ? workers : p->started + 1;
    pthread_mutex_lock(&p->lock);
    p->body = body;
    p->state = state;
    p->workers = shared;
    p->running = shared - 1;
    p->round++;
    if (shared > 1) pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    body(state, 0);
    for (int32_t worker = shared; worker < workers; worker++) body(state, worker);
    pthread_mutex_lock(&p->lock);
    while (p->running > 0) pthread_cond_wait(&p->end, &p->lock);
    p->workers = 0;
    pthread_mutex_unlock(&p->lock);
}

static void pool_destroy(pool *p) {
    pool_stop(p);
    pthread_mutex_lock(&pools_lock);
    pool **at = &pools;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    pthread_mutex_unlock(&pools_lock);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->begin);
    pthread_cond_destroy(&p->end);
    free(p->threads);
    free(p);
}

#endif
