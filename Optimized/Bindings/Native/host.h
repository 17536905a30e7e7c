/* What does the loader do for the kernels (Host.cs) and for the runtime beneath them (runtime_threads.c)? */
#ifndef S2ATTN_HOST_H
#define S2ATTN_HOST_H

#include <stdint.h>

struct pool;

/* Threads that a fork can end. */
typedef struct {
    struct pool *(*create)(int32_t);
    void (*run)(struct pool *, int32_t, void (*)(void *, int32_t), void *);
    void (*destroy)(struct pool *);
} host_pool;

/* A fork waits until all is left that was begun. */
typedef struct {
    void (*hold)(void);    /* within something that has begun, begins what another thread will leave */
    void (*leave)(void);
    int32_t (*ends)(void); /* begins the end of a thread, and never waits */
} host_gate;

enum { THREAD_LEAVES, THREAD_STAYS /* a fork is under way: the thread must not enter the runtime */ };

#endif
